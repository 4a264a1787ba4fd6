#!/usr/bin/env python3
"""kill -9 of mount, primary and follower at every arrow of the write path, or at random moments,
while programs write: what fsync or close acknowledged is there afterwards, in order, once.

usage: crash_test.py BUILD_DIRECTORY [--random N] [--seed S] [--durability remote|local]

Without --random one round for each fault point and durability. Needs root and /dev/fuse, else exit
status 77.
"""

import argparse
import errno
import os
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive, wait_until  # noqa: E402

# The arrows, in the order in which a write passes them: component, fault point. Those of the
# journal are passed with durability=local only.
JOURNAL_POINTS = [("mount", "journal.before_write"), ("mount", "journal.after_write")]
POINTS = [("mount", "names.before_send"), ("mount", "names.after_answer"),
          ("mount", "upload.before_put"), ("follower", "object.before_rename"),
          ("follower", "object.after_rename"), ("mount", "upload.after_put"),
          ("mount", "commit.before_send"), ("primary", "db.before_commit"),
          ("primary", "db.after_commit"), ("mount", "commit.after_answer")]

RECORD = 64


def record(number):
    return (b"%08d" % number).ljust(RECORD - 1, b"." if number % 2 else b"-") + b"\n"


class Writer:
    """Runs step() until told to stop, or until the mount is gone. An error of one step (a server
    that is away) means only that nothing was acknowledged."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.halt = threading.Event()
        self.acknowledged = 0
        self.problem = None

    def run(self):
        while not self.halt.is_set():
            try:
                self.step()
            except OSError as error:
                if error.errno in (errno.ENOTCONN, errno.ENOENT, errno.ECONNABORTED):
                    return  # the mount is gone
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001
                self.problem = error
                return


class Appender(Writer):
    """Records at the end of one file, an fsync each: the file is 1, 2, 3 ... with no gap and no
    repetition, at least as far as fsync said."""

    def __init__(self, folder, name):
        super().__init__(folder, name)
        self.path = folder / name
        self.promised = 0
        self.next = 1
        self.file = None

    def step(self):
        if self.file is None:
            self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if os.write(self.file, record(self.next)) != RECORD:
            raise AssertionError("short write")
        number = self.next
        self.next += 1
        os.fsync(self.file)
        self.promised = number
        self.acknowledged += 1

    def close(self):
        if self.file is not None:
            try:
                os.close(self.file)
            except OSError:
                pass
            self.file = None

    def check(self, survived):
        """`survived`: the mount was not killed, so that what was written must all be there."""
        content = self.path.read_bytes() if self.promised or self.path.exists() else b""
        count, rest = divmod(len(content), RECORD)
        if rest:
            raise AssertionError(f"{self.name}: a torn record at {count}")
        if content != b"".join(record(i) for i in range(1, count + 1)):
            raise AssertionError(f"{self.name}: records are not 1 to {count} in order")
        least = self.next - 1 if survived else self.promised
        if count < least:
            raise AssertionError(f"{self.name}: {count} records, {least} were promised")
        self.next = count + 1


class Maker(Writer):
    """New files of all sizes in new directories, acknowledged by fsync or by close in turn."""

    def __init__(self, folder, name, seed):
        super().__init__(folder, name)
        self.random = random.Random(seed)
        self.promised = {}
        self.number = 0

    def step(self):
        self.number += 1
        directory = self.folder / f"{self.name}-{self.number // 20}"
        if self.number % 20 == 1 or not directory.exists():
            directory.mkdir(exist_ok=True)
        size = self.random.choice((0, 10, 3000, 60000, 400000, 3000000))
        seed = self.random.random()
        data = random.Random(seed).randbytes(size)
        path = directory / f"f{self.number}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            if size:
                os.write(file, data)
            if self.number % 2:
                os.fsync(file)
                self.promised[path] = (size, seed)
        finally:
            os.close(file)
        self.promised[path] = (size, seed)
        self.acknowledged += 1

    def close(self):
        pass

    def check(self, _survived):
        for path, (size, seed) in self.promised.items():
            if path.read_bytes() != random.Random(seed).randbytes(size):
                raise AssertionError(f"{path.name} is not what was written")


class Replacer(Writer):
    """One small file rewritten in place: always one whole version, never an older one."""

    def __init__(self, folder, name):
        super().__init__(folder, name)
        self.path = folder / name
        self.promised = 0
        self.next = 1

    def step(self):
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, record(self.next) * 10, 0)
            os.fsync(file)
            self.promised = self.next
            self.acknowledged += 1
            self.next += 1
        finally:
            os.close(file)

    def close(self):
        pass

    def check(self, _survived):
        if not self.promised:
            return
        content = self.path.read_bytes()
        number = int(content[:8])
        if content != record(number) * 10:
            raise AssertionError(f"{self.name}: half old, half new")
        if number < self.promised:
            raise AssertionError(f"{self.name}: version {number}, {self.promised} was promised")
        self.next = number + 1


class Session:
    def __init__(self, programs, durability, seed):
        self.random = random.Random(seed)
        self.drive = Drive(programs, mount_options=f",timeout=5s,durability={durability}")
        self.durability = durability
        self.folder = self.drive.mountpoint
        self.writers = [Appender(self.folder, "log1"), Appender(self.folder, "log2"),
                        Maker(self.folder, "made", seed), Replacer(self.folder, "replaced")]
        self.kills = 0

    def run_writers(self, until):
        """Until `until(acknowledged so far)`; then no writer runs any more."""
        threads = []
        for writer in self.writers:
            writer.halt.clear()
            thread = threading.Thread(target=writer.run, daemon=True)
            thread.start()
            threads.append(thread)
        start = sum(w.acknowledged for w in self.writers)
        end = time.monotonic() + 60
        while not until(sum(w.acknowledged for w in self.writers) - start):
            if time.monotonic() > end:
                break
            time.sleep(0.002)
        return threads

    def stop_writers(self, threads):
        for writer in self.writers:
            writer.halt.set()
        for thread in threads:
            thread.join(60)
            if thread.is_alive():
                raise AssertionError("a writer hangs")
        for writer in self.writers:
            writer.close()
            if writer.problem:
                raise writer.problem

    def check(self, survived):
        for writer in self.writers:
            writer.check(survived)

    def round(self, component, fault):
        """One kill. With `fault` at that point, else after a random number of acknowledgements."""
        drive = self.drive
        after = self.random.randrange(1, 25)
        if fault:
            times = self.random.randrange(1, 30 if component == "primary" else 6)
            if component == "mount":
                self.remount(f"{fault}:{times}")
            else:
                drive.kill(component)
                drive.start(component, f"{fault}:{times}")
            threads = self.run_writers(lambda _: not drive.alive(component))
            if drive.alive(component):
                raise AssertionError(f"{fault} was never reached")
        else:
            threads = self.run_writers(lambda done: done >= after)
            drive.processes[component].kill()
        drive.processes[component].wait()
        if component == "mount":
            drive.clear_dead_mount()
            self.stop_writers(threads)
            drive.start("mount")
        else:
            drive.start(component)
            self.stop_writers(threads)
        self.kills += 1
        self.check(survived=component != "mount")

    def remount(self, fault=None):
        """What the last mount had not sent stays in the journal for the next one."""
        status = self.drive.unmount()
        if status != 0:
            raise AssertionError(f"unmounting ended with {status}:\n{self.drive.log('mount')[-3000:]}")
        self.drive.start("mount", fault)

    def finish(self):
        self.remount()
        self.check(survived=True)
        copies = [p.name for p in self.folder.rglob("*conflict*")]
        if copies:
            raise AssertionError(f"conflict copies where nobody else was: {copies}")
        self.drive.unmount()


def session(programs, durability, rounds, seed):
    running = Session(programs, durability, seed)
    try:
        running.drive.start("mount")
        for component, fault in rounds:
            try:
                running.round(component, fault)
            except BaseException as error:
                print(f"durability={durability} kill {running.kills + 1} of {component} at "
                      f"{fault or 'random'} seed {seed}: {error}", file=sys.stderr)
                print(running.drive.log("mount")[-2000:], file=sys.stderr)
                raise
        running.finish()
        counts = {w.name: w.acknowledged for w in running.writers}
        print(f"durability={durability}: {running.kills} kills, seed {seed}, acknowledged {counts}",
              flush=True)
    finally:
        for writer in running.writers:
            writer.halt.set()
        running.drive.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ASTER_TEST_SEED", "0")))
    parser.add_argument("--durability", choices=("remote", "local"))
    options = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        sys.exit(77)
    seed = options.seed or int.from_bytes(os.urandom(4), "big")
    kinds = [options.durability] if options.durability else ["remote", "local"]
    for kind in kinds:
        if options.random:
            chosen = random.Random(seed)
            rounds = [(chosen.choice(("mount", "mount", "primary", "follower")), None)
                      for _ in range(options.random // len(kinds))]
        else:
            rounds = POINTS + (JOURNAL_POINTS if kind == "local" else [])
        session(options.programs, kind, rounds, seed)


if __name__ == "__main__":
    main()
