#!/usr/bin/env python3
"""Three mounts of one drive do random operations; afterwards the times of all of them are compared:
did anybody see something that had certainly been overwritten before? See history.py.

  consistency_test.py --server aster_drive --mount mount.aster [--seconds 10] [--consistency lease]
                      [--faults none|stops|all] [--expect none|stale] [--seed N] [--local b,c]

With --faults=all mounts are stopped for up to 14 seconds (SIGSTOP), event streams are cut and the
primary is killed and started again; with --faults=stops mounts are only stopped, for half a second
each time, in which their kernels answer what they believe. --expect stale turns the verdict around: the checker must find
what a weaker consistency allows. The mounts named by --local have durability=local, so that they
work under write leases. Needs root and /dev/fuse (else exit status 77)."""

import argparse
import collections
import itertools
import os
import pathlib
import random
import shutil
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from history import Checker  # noqa: E402
from three_mounts import NAMES, Drive  # noqa: E402


class Faults:
    def __init__(self, drive, seed):
        self.drive = drive
        self.random = random.Random(seed)
        self.count = collections.Counter()

    def stop_a_mount(self):
        mount = self.drive.mounts[self.random.choice(NAMES)]
        mount.send_signal(signal.SIGSTOP)
        time.sleep(self.random.choice((0.5, 3, 11, 14)))
        mount.send_signal(signal.SIGCONT)

    def cut_streams(self):
        self.drive.relays[self.random.choice(NAMES)].cut()

    def restart_primary(self):
        self.drive.primary.kill()
        self.drive.primary.wait()
        time.sleep(self.random.choice((0, 0.5, 2)))
        self.drive.start_primary()

    def stop_briefly(self, end):
        for name in itertools.cycle(NAMES):
            if time.monotonic() >= end:
                return
            time.sleep(0.2)
            self.drive.mounts[name].send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            self.drive.mounts[name].send_signal(signal.SIGCONT)
            self.count["stop_briefly"] += 1

    def run(self, end):
        while time.monotonic() < end:
            time.sleep(self.random.uniform(1, 5))
            fault = self.random.choices(
                (self.stop_a_mount, self.cut_streams, self.restart_primary), (3, 4, 2))[0]
            self.count[fault.__name__] += 1
            fault()


def run(options):
    drive = Drive(options.server, options.mount, options.consistency)
    kept = False
    try:
        drive.set_up(more={name: drive.local(name) for name in options.local})
        drive.start_workers(options.seed)
        end = time.monotonic() + options.seconds
        faults = Faults(drive, options.seed)
        if options.faults == "all":
            faults.run(end)
        elif options.faults == "stops":
            faults.stop_briefly(end)
        else:
            time.sleep(options.seconds)
        print("faults:", dict(faults.count))
        drive.stop_workers()
        checker = Checker()
        for path in drive.folder.glob("history-*"):
            checker.load(path)
        stale = checker.stale()
        changes = sum(len(r.writes) - 1 for r in checker.names.values())
        for name in options.local:
            print(f"{name} took {drive.log(name).count('write_lease_taken')} write leases")
        print(f"{len(checker.reads)} reads, {changes} changes of names, {len(stale)} stale reads")
        for op, why in stale[:20]:
            print(f"stale: {op['op']} by {op['m']} at {op['b']:.6f}..{op['e']:.6f}: {why}")
        if not checker.reads or not changes:
            print("nothing happened")
            return 1
        good = bool(stale) == (options.expect == "stale")
        kept = not good
        return 0 if good else 1
    except BaseException:
        kept = True
        raise
    finally:
        drive.close()
        if kept and options.keep:
            print(f"histories and logs are in {drive.folder}")
        else:
            shutil.rmtree(drive.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--mount", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--consistency", choices=("lease", "ttl"), default="lease")
    parser.add_argument("--faults", choices=("none", "stops", "all"), default="none")
    parser.add_argument("--expect", choices=("none", "stale"), default="none")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ASTER_TEST_SEED", "0")))
    parser.add_argument("--local", type=lambda text: text.split(","), default=[])
    parser.add_argument("--keep", action="store_true", help="leave histories and logs of a failure")
    options = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        return 77
    options.seed = options.seed or random.randrange(1 << 30)
    print(f"seed {options.seed} (ASTER_TEST_SEED)")
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
