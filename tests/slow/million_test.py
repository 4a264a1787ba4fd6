#!/usr/bin/env python3
"""A directory of a million names, listed through one mount while another adds and removes names in
it: what was there all the time is seen exactly once, what came and went at most once.

usage: million_test.py BUILD_DIRECTORY [--names N] [--listings N]

Prints times and memory, per listing and for a tenth of the names, so that growth shows. Needs root
and /dev/fuse, else exit status 77.
"""

import argparse
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "crash"))
from processes import Drive, wait_until  # noqa: E402

PER_BATCH = 1000
PARALLEL = 4
MIB = 1 << 20


class Api:
    """The client API with the user's token, one connection for each thread."""

    def __init__(self, drive):
        self.port = drive.ports["primary"]
        self.token = drive.token_file.read_text().strip()
        self.local = threading.local()

    def batch(self, operations):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        self.local.connection.request(
            "POST", "/api/v1/fs/batch", json.dumps({"session": 0, "ops": operations}),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        answer = self.local.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise AssertionError(f"batch: {answer.status} {content[:300]!r}")
        for result in json.loads(content)["data"]["results"]:
            if "error" in result:
                raise AssertionError(result["error"])


def create(api, directory, first, count):
    api.batch([{"op": "create", "parent": directory, "name": f"name{i:07}", "type": "regular",
                "mode": 0o644, "uid": 0, "gid": 0, "exclusive": True,
                "id": f"{random.getrandbits(128):032x}"} for i in range(first, first + count)])


def fill(api, directory, count):
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        made = [pool.submit(create, api, directory, at, min(PER_BATCH, count - at))
                for at in range(0, count, PER_BATCH)]
        for one in made:
            one.result()


def second_mount(drive):
    place = drive.folder / "second"
    place.mkdir()
    log = open(drive.folder / "second.log", "wb")
    process = subprocess.Popen(
        [drive.programs / "fuse/mount.aster", drive.url("primary"), place, "-f", "-o",
         f"token_file={drive.token_file},cache_dir={drive.folder / 'cache2'},cache_size=64M,"
         f"journal_dir={drive.folder / 'journal2'}"], stdout=log, stderr=log,
        stdin=subprocess.DEVNULL)
    log.close()
    wait_until("the second mount is there", lambda: os.path.ismount(place))
    return place, process


def memory(pid):
    """MiB now and at the most."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(int(status.split(f"{key}:")[1].split()[0]) // 1024 for key in ("VmRSS", "VmHWM"))


class Changer(threading.Thread):
    """Adds names and removes them again, each name once, oldest and newest first in turn."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.halt = threading.Event()
        self.changes = 0
        self.failure = None

    def run(self):
        alive = collections.deque()
        number = 0
        try:
            while not self.halt.is_set():
                name = f"guest{number:07}"
                (self.folder / name).touch()
                alive.append(name)
                number += 1
                if len(alive) > 50:
                    gone = alive.popleft() if number % 2 else alive.pop()
                    (self.folder / gone).unlink()
                self.changes += 2
            for name in alive:
                (self.folder / name).unlink()
        except OSError as error:
            self.failure = error


def check_listing(folder, count):
    """Seconds, and names beyond those that stay."""
    begin = time.monotonic()
    with os.scandir(folder) as entries:
        seen = collections.Counter(entry.name for entry in entries)
    seconds = time.monotonic() - begin
    twice = [name for name, times in seen.items() if times > 1]
    if twice:
        raise AssertionError(f"seen more than once: {twice[:5]} and {len(twice)} in all")
    missing = [i for i in range(count) if f"name{i:07}" not in seen]
    if missing:
        raise AssertionError(f"not seen: {missing[:5]} and {len(missing)} in all")
    return seconds, len(seen) - count


def measure(drive, api, mounts, name, count, listings):
    (drive.mountpoint / name).mkdir()
    begin = time.monotonic()
    fill(api, (drive.mountpoint / name).stat().st_ino, count)
    print(f"{count} names made in {time.monotonic() - begin:.1f} s", flush=True)
    changer = Changer(mounts[1] / name)
    for which in range(listings + 1):
        quiet = which == 0  # for comparison
        if which == 1:
            changer.start()
        seconds, guests = check_listing(mounts[0] / name, count)
        print(f"  listed in {seconds:.1f} s, {seconds / count * 1e6:.1f} us a name, "
              f"{'alone' if quiet else f'{guests} guests, {changer.changes} changes so far'}; "
              f"memory of mount, primary (now, most): "
              f"{memory(drive.processes['mount'].pid)}, "
              f"{memory(drive.processes['primary'].pid)} MiB", flush=True)
    changer.halt.set()
    changer.join()
    if changer.failure:
        raise AssertionError(f"the other mount: {changer.failure}")
    seconds, guests = check_listing(mounts[0] / name, count)
    if guests:
        raise AssertionError(f"{guests} names that are gone are still listed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--listings", type=int, default=4)
    asked = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse")
        sys.exit(77)
    drive = Drive(asked.programs)
    second = None
    try:
        drive.start("mount")
        place, second = second_mount(drive)
        api = Api(drive)
        for name, count in (("tenth", asked.names // 10), ("all", asked.names)):
            measure(drive, api, (drive.mountpoint, place), name, count, asked.listings)
        subprocess.run(["umount", place], check=True)
        second.wait(120)
        if drive.unmount() != 0:
            raise AssertionError("the mount did not end well")
    finally:
        if second is not None and second.poll() is None:
            second.kill()
            second.wait()
            subprocess.run(["umount", "-l", drive.folder / "second"], check=False)
        drive.close()
    print("every name was there, once")


if __name__ == "__main__":
    main()
