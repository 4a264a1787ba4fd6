#!/usr/bin/env python3
"""Unpacking a tree of many small files over a link with 20 ms round trip.

usage: unpack_test.py BUILD_DIRECTORY [--files N] [--round-trip-ms MS]

durability=local: tar, against tar on the local disk with the same promise (each file and directory
synchronised when it is closed); at most twice its time.
durability=remote: 64 unpackers at once; at least 20 times faster than a round trip per call. One
unpacker alone cannot be: each close waits for its own data to be at the servers.

Prints the figures. Needs root and /dev/fuse, else exit status 77.
"""

import argparse
import concurrent.futures
import io
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive  # noqa: E402

# open, write, chown, chmod, utimens, close: what tar does for each file.
CALLS_PER_FILE = 6
UNPACKERS = 64
PER_DIRECTORY = 40


def tree(files):
    """Name -> content of a source tree: sizes as in one, 1 to 16 KiB."""
    chosen = random.Random(1)
    return {f"src/d{i // PER_DIRECTORY:03}/file{i}.c": chosen.randbytes(chosen.randrange(500, 9000))
            for i in range(files)}


def pack(content, path):
    with tarfile.open(path, "w") as archive:
        known = set()
        for name, data in content.items():
            for folder in (pathlib.PurePath(name).parents[1], pathlib.PurePath(name).parent):
                if folder not in known:
                    known.add(folder)
                    info = tarfile.TarInfo(str(folder))
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(info)
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), 1_700_000_000, 0o644
            archive.addfile(info, io.BytesIO(data))


def timed(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def unpack(archive, target):
    subprocess.run(["tar", "xf", archive, "-C", target], check=True)


def unpack_synced(archive, target):
    """The promise that a close on the mount makes, kept by the local disk."""
    with tarfile.open(archive) as packed:
        for member in packed:
            packed.extract(member, target)
            if member.isreg():
                file = os.open(os.path.join(target, member.name), os.O_RDONLY)
                os.fsync(file)
                os.close(file)


def unpack_many(content, target):
    """Each worker does for its files what tar does."""
    def one(item):
        name, data = item
        path = os.path.join(target, name)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, data)
            os.fchown(file, 0, 0)
            os.fchmod(file, 0o644)
            os.utime(file, ns=(1_700_000_000 * 10**9,) * 2)
        finally:
            os.close(file)

    for folder in sorted({os.path.dirname(name) for name in content}):
        os.makedirs(os.path.join(target, folder), exist_ok=True)
    # Side by side in different directories: the kernel makes one name at a time in each.
    numbered = sorted(enumerate(content.items()), key=lambda item: item[0] % PER_DIRECTORY)
    with concurrent.futures.ThreadPoolExecutor(UNPACKERS) as pool:
        list(pool.map(one, (item for _, item in numbered)))


def check(content, target):
    """Side by side: one after the other would take some round trips for each file."""
    def one(item):
        name, data = item
        found = pathlib.Path(target, name).read_bytes()
        if found != data:
            wrong = next((at for at, pair in enumerate(zip(found, data)) if pair[0] != pair[1]),
                         min(len(found), len(data)))
            raise AssertionError(f"{name} is not what was unpacked: {len(found)} bytes instead of "
                                 f"{len(data)}, wrong from {wrong} on")

    with concurrent.futures.ThreadPoolExecutor(UNPACKERS) as pool:
        list(pool.map(one, content.items()))


def measured_on(options, content, archive, how, durability):
    drive = Drive(options.programs, mount_options=f",timeout=30s,durability={durability}",
                  proxy=options.proxy, one_way_ms=options.round_trip_ms / 2)
    try:
        drive.start("mount")
        target = drive.mountpoint / "unpacked"
        target.mkdir()
        seconds = timed(lambda: how(content, archive, target))
        sent = timed(lambda: os.setxattr(target, "user.aster.sync", b"1"))
        print(f"durability={durability}: unpacked in {seconds:.2f} s, at the servers "
              f"{sent:.2f} s later", flush=True)
        check(content, target)
        if drive.unmount(600) != 0:
            raise AssertionError(drive.log("mount")[-3000:])
        drive.start("mount")
        check(content, drive.mountpoint / "unpacked")
        return seconds, sent
    finally:
        drive.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("proxy")
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--round-trip-ms", type=float, default=20)
    parser.add_argument("--only", choices=("local", "remote"))
    options = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        sys.exit(77)
    content = tree(options.files)
    failed = False
    with tempfile.TemporaryDirectory(prefix="aster-unpack-") as folder:
        archive = os.path.join(folder, "tree.tar")
        pack(content, archive)
        if options.only != "remote":
            plain, synced = os.path.join(folder, "plain"), os.path.join(folder, "synced")
            os.mkdir(plain)
            os.mkdir(synced)
            disk = timed(lambda: unpack(archive, plain))
            disk_synced = timed(lambda: unpack_synced(archive, synced))
            local, sent = measured_on(options, content, archive,
                                      lambda _c, a, t: unpack(a, t), "local")
            print(f"durability=local {options.files} files, {options.round_trip_ms} ms: {local:.2f} s"
                  f" (and {sent:.2f} s until all is at the servers); local disk {disk_synced:.2f} s"
                  f" with the same promise, {disk:.2f} s with none: {local / disk_synced:.2f} times")
            failed |= local > 2 * disk_synced
        if options.only != "local":
            remote, _ = measured_on(options, content, archive,
                                    lambda c, _a, t: unpack_many(c, t), "remote")
            bound = options.files * CALLS_PER_FILE * options.round_trip_ms / 1000
            print(f"durability=remote {options.files} files, {options.round_trip_ms} ms, "
                  f"{UNPACKERS} at once: {remote:.2f} s; a round trip per call would take "
                  f"{bound:.0f} s: {bound / remote:.1f} times faster")
            failed |= remote * 20 > bound
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
