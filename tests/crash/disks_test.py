#!/usr/bin/env python3
"""The disks of the machine that a drive is mounted on: that of the block cache and that of the
journal, full or failing. Each gives the right error at the right call or none, breaks nothing else,
and mends without a new mount.

usage: disks_test.py BUILD_DIRECTORY

Needs root and /dev/fuse, else exit status 77.
"""

import contextlib
import errno
import os
import pathlib
import random
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive, wait_until  # noqa: E402

BUILD = None
MIB = 1 << 20


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def drop_page_cache():
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


class Disks(unittest.TestCase):
    def begin(self, options="", prepare=None):
        self.drive = Drive(BUILD, mount_options=f",timeout=4s{options}")
        self.addCleanup(self.drive.close)
        if prepare:
            prepare()
        self.drive.start("mount")
        self.top = self.drive.mountpoint

    def small_disk(self, name, size):
        """A file system of its own in place of the folder `name` of the drive."""
        place = self.drive.folder / name
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", place], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=False)

    def resize(self, name, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.drive.folder / name],
                       check=True)

    def failing_disk(self, name):
        """Likewise; fail() says what fails."""
        place = self.drive.folder / name
        below = self.drive.folder / f"{name}-below"
        place.mkdir()
        below.mkdir()
        self.control = self.drive.folder / "control"
        self.fail("")
        program = pathlib.Path(BUILD) / "tests/support/faulty_fs"
        disk = subprocess.Popen([program, below, self.control, place])

        def end():
            user = self.drive.processes.get("mount")
            if user and user.poll() is None:
                user.kill()
                user.wait()
            subprocess.run(["umount", "-l", place], check=False)
            disk.wait()
        self.addCleanup(end)
        wait_until("the failing disk is there", lambda: os.path.ismount(place))

    def fail(self, words):
        new = self.control.with_suffix(".new")
        new.write_text(words)
        new.rename(self.control)

    def told(self, name):
        text = (self.top / ".aster" / name).read_text()
        return dict(line.split("\t", 1) for line in text.splitlines())

    def errors(self):
        return [line.split("\t") for line in
                (self.top / ".aster/errors").read_text(errors="surrogateescape").splitlines()]

    @contextlib.contextmanager
    def servers_away(self):
        for name in ("follower", "primary"):
            self.drive.processes[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.servers_back()

    def servers_back(self):
        for name in ("follower", "primary"):
            self.drive.processes[name].send_signal(signal.SIGCONT)

    def refused(self, code, call, *arguments):
        with self.assertRaises(OSError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.errno, code, caught.exception)

    def works(self, name, size=3 * MIB):
        """Files can be written and read, also from the servers."""
        path = self.top / name
        data = noise(size, len(name))
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        drop_page_cache()
        self.assertEqual(path.read_bytes(), data)


class CacheDisk(Disks):
    def test_a_full_cache_disk_costs_nothing_but_the_cache(self):
        self.begin(prepare=lambda: self.small_disk("cache", "20M"))  # cache_size is 64M
        for i in range(12):
            self.works(f"f{i}")
        self.assertEqual(self.errors(), [])
        self.resize("cache", "200M")

        def cached():
            self.works("again")
            return int(self.told("cache")["disk_bytes"]) > 22 * MIB
        for i in range(12):
            self.works(f"g{i}")
        wait_until("the cache takes blocks again", cached, 120)

    def test_an_io_error_of_the_cache_disk_is_no_error_of_the_drive(self):
        self.begin(prepare=lambda: self.failing_disk("cache"), options=",memory=64M")
        for i in range(4):
            self.works(f"f{i}")
        for words in ("read", "write", "write sync", "read write sync"):
            self.fail(words)
            for i in range(4):
                self.works(f"{words}{i}")
                self.assertEqual((self.top / f"f{i}").read_bytes(), noise(3 * MIB, 2))
        self.assertEqual(self.errors(), [])
        self.fail("")
        before = int(self.told("cache")["disk_puts"])

        def cached():
            self.works("again")
            return int(self.told("cache")["disk_puts"]) > before
        wait_until("the cache takes blocks again", cached, 120)
        self.assertEqual(self.drive.unmount(), 0)
        self.drive.start("mount")
        for i in range(4):
            self.assertEqual((self.top / f"f{i}").read_bytes(), noise(3 * MIB, 2))


class JournalDisk(Disks):
    OPTIONS = ",durability=local,journal_size=1G,memory=64M"

    def write_and_sync(self, file, size, seed):
        os.pwrite(file.fileno(), noise(size, seed), 0)
        os.fsync(file.fileno())

    def check_mended(self, file, size, seed):
        """What failed succeeds on the same mount, and everything reaches the servers."""
        self.write_and_sync(file, size, seed)
        file.close()
        self.works("after")
        self.assertEqual(self.drive.unmount(), 0, self.drive.log("mount")[-3000:])
        self.drive.start("mount")
        self.assertEqual((self.top / "file").read_bytes(), noise(size, seed))
        self.assertEqual((self.top / "kept").read_bytes(), noise(MIB, 1))

    def full_disk(self):
        self.begin(self.OPTIONS, prepare=lambda: self.small_disk("journal", "48M"))
        (self.top / "kept").write_bytes(noise(MIB, 1))
        file = open(self.top / "file", "w+b", buffering=0)
        self.addCleanup(file.close)
        return file

    def test_while_servers_are_there_a_full_journal_disk_only_costs_time(self):
        file = self.full_disk()
        filler = self.drive.folder / "journal" / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(64 * MIB))
        for i in range(3):
            self.write_and_sync(file, 12 * MIB, i)
        (self.top / "made").mkdir()
        filler.unlink()
        self.check_mended(file, 12 * MIB, 9)

    def test_without_servers_it_is_enospc_at_fsync_and_mends(self):
        file = self.full_disk()
        filler = self.drive.folder / "journal" / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(64 * MIB))
        with self.servers_away():
            os.pwrite(file.fileno(), noise(12 * MIB, 5), 0)
            self.refused(errno.ENOSPC, os.fsync, file.fileno())
            self.assertEqual(os.pread(file.fileno(), 12 * MIB, 0), noise(12 * MIB, 5))
            path, code = self.errors()[0][1:3]
            self.assertEqual((path, code), ("/file", "ENOSPC"))
            filler.unlink()

            def synced():
                with contextlib.suppress(OSError):
                    os.fsync(file.fileno())
                    return True
            wait_until("the journal has found its disk roomy again and has it", synced)
        self.check_mended(file, 12 * MIB, 6)
        self.assertEqual(self.errors(), [])

    def test_an_io_error_of_the_journal_disk_is_eio_at_fsync_and_mends(self):
        self.begin(self.OPTIONS, prepare=lambda: self.failing_disk("journal"))
        (self.top / "kept").write_bytes(noise(MIB, 1))
        file = open(self.top / "file", "w+b", buffering=0)
        self.addCleanup(file.close)
        for words in ("sync", "write", "write sync"):
            self.fail(words)
            self.write_and_sync(file, 2 * MIB, len(words))  # the servers take it
            with self.servers_away():
                os.pwrite(file.fileno(), noise(2 * MIB, 7), 0)
                self.refused(errno.EIO, os.fsync, file.fileno())
                self.assertEqual(os.pread(file.fileno(), 2 * MIB, 0), noise(2 * MIB, 7))
            self.fail("")
            self.write_and_sync(file, 2 * MIB, 8)
        self.check_mended(file, 2 * MIB, 9)

    def test_a_disk_that_takes_no_spilled_data_makes_writers_wait(self):
        for make in (lambda: self.small_disk("journal", "8M"),
                     lambda: (self.failing_disk("journal"), self.fail("write sync"))):
            with self.subTest():
                self.begin(",memory=64M,hard", prepare=make)
                self.works("large", 100 * MIB)
                self.assertEqual(self.errors(), [])
                self.drive.close()

    def test_spilled_data_that_cannot_be_read_is_eio_and_nothing_else_is(self):
        self.begin(",memory=64M", prepare=lambda: self.failing_disk("journal"))
        file = open(self.top / "file", "w+b", buffering=0)
        self.addCleanup(file.close)
        self.drive.processes["follower"].send_signal(signal.SIGSTOP)
        self.addCleanup(self.servers_back)
        data = noise(64 * MIB, 3)
        for at in range(0, len(data), MIB):
            os.pwrite(file.fileno(), data[at:at + MIB], at)
        self.assertGreater(int(self.told("state")["spilled_bytes"]), 0)
        self.fail("read")
        drop_page_cache()
        seen = set()
        for at in range(0, len(data), MIB):
            try:
                seen.add(os.pread(file.fileno(), MIB, at) == data[at:at + MIB])
            except OSError as error:
                seen.add(error.errno)
        self.assertEqual(seen, {True, errno.EIO})  # what is in memory, and what is not
        self.servers_back()
        self.refused(errno.EIO, os.fsync, file.fileno())
        self.assertEqual(self.errors()[0][1:3], ["/file", "EIO"])
        self.works("other")
        self.fail("")
        os.fsync(file.fileno())
        self.assertEqual(self.errors(), [])
        drop_page_cache()
        self.assertEqual((self.top / "file").read_bytes(), data)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: disks_test.py BUILD_DIRECTORY [TEST ...]")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse")
        sys.exit(77)
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
