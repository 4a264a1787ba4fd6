#!/usr/bin/env python3
"""Servers that do not take data: writers go on into the disk of the journal, the mount's memory
stays bounded, nothing is lost and nothing comes back that nobody promised.

usage: spill_test.py BUILD_DIRECTORY

Needs root and /dev/fuse, else exit status 77.
"""

import contextlib
import hashlib
import os
import pathlib
import random
import signal
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive, wait_until  # noqa: E402

BUILD = None
MIB = 1 << 20
MEMORY = 64 * MIB  # -o memory: a quarter of it for unsent writes
# What a mount needs beside that budget: program, RocksDB, connections, requests that the kernel has
# under way (64 of up to 1 MiB), and what is read back while it is being sent (mount.aster(8)).
OVERHEAD = 192 * MIB


def drop_page_cache():
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


class Spill(unittest.TestCase):
    def begin(self, options=""):
        self.drive = Drive(BUILD, mount_options=f",memory=64M,timeout=5s{options}")
        self.addCleanup(self.drive.close)
        self.drive.start("mount")
        self.top = self.drive.mountpoint

    def signal(self, name, number):
        self.drive.processes[name].send_signal(number)

    def close(self, file):
        with contextlib.suppress(OSError):  # the mount may be gone
            file.close()

    def state(self):
        text = (self.top / ".aster/state").read_text()
        return dict(line.split("\t") for line in text.splitlines())

    def peak_memory(self):
        status = pathlib.Path(f"/proc/{self.drive.processes['mount'].pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def write_far_beyond_memory(self, mib=256):
        """The file, open, and what it should hold."""
        expected = bytearray()
        chosen = random.Random(3)
        file = open(self.top / "file", "w+b", buffering=0)
        self.addCleanup(self.close, file)
        for _ in range(mib):
            piece = chosen.randbytes(MIB)
            self.assertEqual(file.write(piece), MIB)
            expected += piece
        return file, expected

    def check_content(self, file, expected):
        drop_page_cache()
        file.seek(0)
        digest = hashlib.sha256()
        while piece := file.read(MIB):
            digest.update(piece)
        self.assertEqual(digest.hexdigest(), hashlib.sha256(expected).hexdigest())

    def change(self, file, expected):
        """Overwrites here and there, and cuts."""
        chosen = random.Random(4)
        for _ in range(300):
            at = chosen.randrange(len(expected) - 70_000)
            piece = chosen.randbytes(chosen.randrange(1, 70_000))
            os.pwrite(file.fileno(), piece, at)
            expected[at:at + len(piece)] = piece

    def several_times_the_memory(self):
        self.signal("follower", signal.SIGSTOP)
        self.addCleanup(self.signal, "follower", signal.SIGCONT)
        file, expected = self.write_far_beyond_memory()
        self.check_content(file, expected)
        self.assertGreater(int(self.state()["spilled_bytes"]), 128 * MIB)
        self.change(file, expected)
        self.check_content(file, expected)
        self.assertLess(self.peak_memory(), MEMORY + OVERHEAD)
        return file, expected

    def test_writes_go_on_while_the_follower_is_stopped(self):
        self.begin()
        file, expected = self.several_times_the_memory()
        with self.assertRaises(OSError):  # the promise of fsync is not weakened
            os.fsync(file.fileno())
        self.check_content(file, expected)
        self.signal("follower", signal.SIGCONT)
        os.ftruncate(file.fileno(), 200 * MIB + 5)
        del expected[200 * MIB + 5:]
        os.fsync(file.fileno())
        self.assertEqual(self.state()["spilled_bytes"], "0")
        self.check_content(file, expected)
        peak = self.peak_memory()
        print(f"256 MiB with a budget of 64 MiB: peak {peak / MIB:.0f} MiB", flush=True)
        self.assertLess(peak, MEMORY + OVERHEAD)
        file.close()
        self.assertEqual(self.drive.unmount(), 0)
        (self.drive.folder / "cache").rename(self.drive.folder / "old cache")
        self.drive.start("mount")
        with open(self.top / "file", "rb") as again:
            self.check_content(again, expected)

    def test_a_journal_takes_what_was_spilled_at_fsync(self):
        self.begin(",durability=local,journal_size=2G")
        file, expected = self.several_times_the_memory()
        os.fsync(file.fileno())
        self.drive.kill("mount")
        self.signal("follower", signal.SIGCONT)
        self.drive.start("mount")
        with open(self.top / "file", "rb") as again:
            self.check_content(again, expected)

    def test_nothing_that_was_only_spilled_outlives_the_mount(self):
        self.begin()
        before = random.Random(1).randbytes(3 * MIB)
        (self.top / "file").write_bytes(before)
        self.signal("follower", signal.SIGSTOP)
        self.addCleanup(self.signal, "follower", signal.SIGCONT)
        file = open(self.top / "file", "r+b", buffering=0)
        self.addCleanup(self.close, file)
        for _ in range(128):
            file.write(bytes(MIB))
        self.assertGreater(int(self.state()["spilled_bytes"]), 0)
        self.drive.kill("mount")
        self.signal("follower", signal.SIGCONT)
        left = [p for p in (self.drive.folder / "journal").rglob("*") if p.is_file()]
        self.assertEqual(left, [], "the kernel removes what has no name")
        self.drive.start("mount")
        self.assertEqual((self.top / "file").read_bytes(), before)
        self.assertEqual(os.listdir(self.top), ["file"])

    def test_at_the_bound_of_the_journal_writers_wait(self):
        self.begin(",journal_size=32M,hard")
        self.signal("follower", signal.SIGSTOP)
        self.addCleanup(self.signal, "follower", signal.SIGCONT)
        written = []

        def write():
            written.append(self.write_far_beyond_memory(128))
        writer = threading.Thread(target=write)
        writer.start()
        wait_until("32 MiB are spilled",
                   lambda: int(self.state()["spilled_bytes"]) > 20 * MIB)
        self.signal("follower", signal.SIGCONT)
        writer.join()
        file, expected = written[0]
        self.assertLessEqual(int(self.state()["spilled_bytes"]), 32 * MIB)
        os.fsync(file.fileno())
        self.check_content(file, expected)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: spill_test.py BUILD_DIRECTORY [TEST ...]")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse")
        sys.exit(77)
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
