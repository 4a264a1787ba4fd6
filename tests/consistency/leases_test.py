#!/usr/bin/env python3
"""Leases and locks as programs on three mounts see them: leases_test.py SERVER MOUNT_PROGRAM.
Needs root and /dev/fuse (else exit status 77)."""

import fcntl
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from three_mounts import Drive  # noqa: E402


class ThreeMounts(unittest.TestCase):
    server = mount_program = None

    @classmethod
    def setUpClass(cls):
        cls.drive = Drive(cls.server, cls.mount_program)
        cls.drive.set_up()

    @classmethod
    def tearDownClass(cls):
        cls.drive.close()
        shutil.rmtree(cls.drive.folder, ignore_errors=True)

    def on(self, name, path):
        return self.drive.folder / f"mnt-{name}" / path

    def folder(self):
        """A fresh directory, by its name below each mount."""
        name = self.id().rsplit(".", 1)[1]
        self.on("a", name).mkdir()
        return name

    def batches(self, name):
        return self.drive.relays[name].batches

    def log(self, name):
        return (self.drive.folder / f"mount-{name}.log").read_text()


class Leases(ThreeMounts):
    def tree(self, name, count=200):
        for number in range(count):
            folder = self.on("a", f"{name}/dir{number % 10}")
            folder.mkdir(exist_ok=True)
            (folder / f"file{number}").write_text(str(number))
            (folder / f"link{number}").symlink_to(f"file{number}")

    def walk(self, name, mount):
        """What `stat -R`, `ls -R` and a compiler looking for headers do."""
        for place, folders, files in os.walk(self.on(mount, name)):
            for one in folders + files:
                path = os.path.join(place, one)
                os.lstat(path)
                if os.path.islink(path):
                    os.readlink(path)
            self.assertFalse(os.path.exists(os.path.join(place, "not-there")))

    def test_the_second_walk_of_a_tree_costs_no_request(self):
        name = self.folder()
        self.tree(name)
        self.walk(name, "b")
        before = self.batches("b")
        self.assertGreater(before, 0)
        self.walk(name, "b")
        self.assertEqual(self.batches("b"), before)

    def test_the_second_walk_costs_none_after_the_kernel_has_stopped_believing(self):
        name = self.folder()
        self.tree(name)
        self.walk(name, "b")
        before = self.batches("b")
        time.sleep(12)  # longer than any lease; renewed meanwhile
        self.walk(name, "b")
        # The free space of the drive is asked for now and then.
        self.assertLessEqual(self.batches("b"), before + 1)

    def test_open_and_read_of_known_files_cost_no_request(self):
        name = self.folder()
        self.on("a", f"{name}/f").write_text("text")
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "text")
        before = self.batches("b")
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "text")
        self.assertEqual(self.batches("b"), before)

    def test_every_change_is_seen_at_once(self):
        name = self.folder()
        for number in range(50):
            path = f"{name}/f{number}"
            self.assertFalse(self.on("b", path).exists())
            self.assertNotIn(f"f{number}", os.listdir(self.on("c", name)))
            self.on("a", path).write_text("one")
            self.assertEqual(self.on("b", path).read_text(), "one")
            self.assertIn(f"f{number}", os.listdir(self.on("c", name)))
            self.on("b", path).write_text("and two")
            self.assertEqual(self.on("a", path).stat().st_size, 7)
            self.assertEqual(self.on("c", path).read_text(), "and two")
            self.on("c", path).rename(self.on("c", path + "-new"))
            self.assertFalse(self.on("a", path).exists())
            self.assertEqual(self.on("b", path + "-new").read_text(), "and two")
            os.setxattr(self.on("a", path + "-new"), "user.colour", b"red")
            self.assertEqual(os.getxattr(self.on("b", path + "-new"), "user.colour"), b"red")
            os.chmod(self.on("b", path + "-new"), 0o600)
            self.assertEqual(self.on("a", path + "-new").stat().st_mode & 0o777, 0o600)
            self.on("a", path + "-new").unlink()
            self.assertFalse(self.on("b", path + "-new").exists())

    def test_mounts_that_change_one_directory_do_not_wait_for_each_others_leases(self):
        name = self.folder()
        primary_log = self.drive.folder / "primary.log"
        before = len(primary_log.read_text())
        failed = []

        def work(mount):
            for number in range(100):
                try:
                    path = self.on(mount, f"{name}/{mount}{number}")
                    path.touch()
                    os.listdir(self.on(mount, name))
                    if number % 2:
                        path.unlink()
                except OSError as error:
                    failed.append(error)
        threads = [threading.Thread(target=work, args=(m,)) for m in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.assertNotIn("lease_lost", primary_log.read_text()[before:])
        for mount in "abc":
            self.assertEqual(len(os.listdir(self.on(mount, name))), 150)

    def test_a_mount_that_was_stopped_serves_nothing_stale(self):
        name = self.folder()
        self.on("a", f"{name}/f").write_text("old")
        (self.on("a", f"{name}/gone")).touch()
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "old")
        self.assertTrue(self.on("b", f"{name}/gone").exists())
        self.assertFalse(self.on("b", f"{name}/new").exists())
        process = self.drive.mounts["b"]
        process.send_signal(signal.SIGSTOP)
        try:
            self.on("a", f"{name}/f").write_text("newer")
            self.on("a", f"{name}/gone").unlink()
            self.on("a", f"{name}/new").touch()
            # The kernel of the stopped mount may not answer either: who asks waits.
            seen = []
            asking = threading.Thread(
                target=lambda: seen.append(os.path.exists(self.on("b", f"{name}/gone"))))
            asking.start()
        finally:
            process.send_signal(signal.SIGCONT)
        asking.join()
        self.assertEqual(seen, [False])
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "newer")
        self.assertTrue(self.on("b", f"{name}/new").exists())

    def test_a_mount_that_is_cut_off_serves_nothing_stale_to_open_files(self):
        name = self.folder()
        self.on("a", f"{name}/f").write_text("old")
        fd = os.open(self.on("b", f"{name}/f"), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.assertEqual(os.pread(fd, 10, 0), b"old")
        self.drive.relays["b"].hold()
        try:
            self.on("a", f"{name}/f").write_text("new")  # returns when b's lease is over
            seen = []

            def read():
                try:
                    seen.append(os.pread(fd, 10, 0))
                except OSError as error:
                    seen.append(error.errno)
            reading = threading.Thread(target=read)
            reading.start()
            reading.join(timeout=5)
            self.assertNotIn(b"old", seen)
        finally:
            self.drive.relays["b"].let_go()
        reading.join()
        self.assertNotIn(b"old", seen)
        self.assertEqual(os.pread(fd, 10, 0), b"new")

    def test_a_cut_stream_costs_nothing_but_questions(self):
        name = self.folder()
        self.on("a", f"{name}/f").write_text("old")
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "old")
        for number in range(5):
            self.drive.relays["b"].cut()
            self.on("a", f"{name}/f").write_text(f"new {number}")
            self.assertEqual(self.on("b", f"{name}/f").read_text(), f"new {number}")

    def test_a_restarted_primary_confirms_nothing_that_others_do_not_know(self):
        name = self.folder()
        self.on("a", f"{name}/f").write_text("old")
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "old")
        self.drive.primary.kill()
        self.drive.primary.wait()
        self.drive.start_primary()
        self.on("a", f"{name}/f").write_text("newer")
        self.assertEqual(self.on("b", f"{name}/f").read_text(), "newer")


class Locks(ThreeMounts):
    def setUp(self):
        self.name = self.folder()
        self.on("a", f"{self.name}/f").write_text("x" * 100)

    def open(self, mount, flags=os.O_RDWR):
        fd = os.open(self.on(mount, f"{self.name}/f"), flags)
        self.addCleanup(self.shut, fd)
        return fd

    @staticmethod
    def shut(fd):
        try:
            os.close(fd)
        except OSError:
            pass

    def refused(self, call, *arguments):
        with self.assertRaises(BlockingIOError):
            call(*arguments)

    def test_flock_holds_across_mounts(self):
        one, two = self.open("a"), self.open("b")
        fcntl.flock(one, fcntl.LOCK_EX)
        self.refused(fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.refused(fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_SH)
        fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_what_was_written_under_a_lock_is_read_under_the_next(self):
        one, two = self.open("a"), self.open("b")
        for turn in range(10):  # nobody closes or syncs
            for mine, kind, lock in ((one, b"f", fcntl.flock), (two, b"p", fcntl.lockf)):
                other = two if mine == one else one
                said = kind * 50 + str(turn).encode() * 50
                lock(mine, fcntl.LOCK_EX)
                os.pwrite(mine, said, 0)
                lock(mine, fcntl.LOCK_UN)
                lock(other, fcntl.LOCK_SH)
                self.assertEqual(os.pread(other, 100, 0), said)
                lock(other, fcntl.LOCK_UN)

    def test_flock_ends_with_the_last_close(self):
        one, two = self.open("a"), self.open("b")
        fcntl.flock(one, fcntl.LOCK_EX)
        copy = os.dup(one)
        os.close(one)
        self.refused(fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(copy)
        fcntl.flock(two, fcntl.LOCK_EX)

    def test_fcntl_ranges_hold_across_mounts(self):
        one, two = self.open("a"), self.open("b")
        fcntl.lockf(one, fcntl.LOCK_EX, 10, 0)
        self.refused(fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)
        fcntl.lockf(two, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)
        fcntl.lockf(one, fcntl.LOCK_UN, 4, 3)
        fcntl.lockf(two, fcntl.LOCK_EX | fcntl.LOCK_NB, 4, 3)
        self.refused(fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        self.refused(fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 7)
        query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, start, length, _ = struct.unpack("hhqqi4x", fcntl.fcntl(two, fcntl.F_GETLK, query))
        self.assertEqual((kind, start, length), (fcntl.F_WRLCK, 0, 3))

    def test_fcntl_locks_end_with_any_close_of_the_process(self):
        one, two = self.open("a", os.O_RDONLY), self.open("b")
        fcntl.lockf(one, fcntl.LOCK_SH)
        self.refused(fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(self.open("a", os.O_RDONLY))
        fcntl.lockf(two, fcntl.LOCK_EX)

    def test_locks_of_open_files_belong_to_them(self):
        ofd_set, ofd_wait = 37, 38  # F_OFD_SETLK, F_OFD_SETLKW
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        one, two, three = self.open("a"), self.open("b"), self.open("a")
        fcntl.fcntl(one, ofd_set, lock)
        os.close(three)
        self.refused(fcntl.fcntl, two, ofd_set, lock)
        self.refused(fcntl.fcntl, self.open("a"), ofd_set, lock)
        os.close(one)
        fcntl.fcntl(two, ofd_wait, lock)

    def test_who_waits_gets_the_lock_when_it_is_free(self):
        one = self.open("a")
        fcntl.flock(one, fcntl.LOCK_EX)
        waiting = subprocess.Popen(["flock", self.on("b", f"{self.name}/f"), "true"])
        time.sleep(0.3)
        self.assertIsNone(waiting.poll())
        fcntl.flock(one, fcntl.LOCK_UN)
        self.assertEqual(waiting.wait(timeout=60), 0)

    def test_waiting_can_be_interrupted_and_leaves_nothing(self):
        one = self.open("a")
        fcntl.flock(one, fcntl.LOCK_EX)
        waiting = subprocess.Popen(["flock", self.on("b", f"{self.name}/f"), "true"])
        time.sleep(0.3)
        waiting.send_signal(signal.SIGINT)
        self.assertEqual(waiting.wait(timeout=60), -signal.SIGINT)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(self.open("c"), fcntl.LOCK_EX)

    def test_locks_survive_lost_connections_and_a_restarted_primary(self):
        one, two = self.open("a"), self.open("b")
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.lockf(one, fcntl.LOCK_EX, 10, 0)
        self.drive.relays["a"].cut()
        self.refused(fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.drive.primary.kill()
        self.drive.primary.wait()
        self.drive.start_primary()
        self.refused(fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.refused(fcntl.lockf, two, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 9)
        self.assertNotIn("lock_lost", self.log("a"))
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        sys.exit(77)
    ThreeMounts.server, ThreeMounts.mount_program = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
