#!/usr/bin/env python3
"""Write leases as programs on three mounts see them, two of which have durability=local:
write_leases_test.py SERVER MOUNT_PROGRAM. Needs root and /dev/fuse (else exit status 77)."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from three_mounts import Drive  # noqa: E402


class WriteLeases(unittest.TestCase):
    server = mount_program = None

    @classmethod
    def setUpClass(cls):
        cls.drive = Drive(cls.server, cls.mount_program)
        try:
            cls.drive.set_up(more={name: cls.drive.local(name) for name in "bc"})
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.drive.close()
        shutil.rmtree(cls.drive.folder, ignore_errors=True)

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1]
        self.on("a").mkdir()
        os.listdir(self.on("a"))

    def tearDown(self):
        for name, relay in self.drive.relays.items():
            relay.let_go()
            self.drive.mounts[name].send_signal(signal.SIGCONT)

    def on(self, mount, path=""):
        return self.drive.folder / f"mnt-{mount}" / self.name / path

    def batches(self, mount):
        return self.drive.relays[mount].batches

    def take(self, mount):
        """Makes names until the directory is leased: at the second one, unless it was wanted just
        before. Some are there afterwards, and nothing is unsent."""
        before = self.drive.log(mount).count("write_lease_taken")
        for number in range(1000):
            self.on(mount, f"first-{number}").touch()
            if self.drive.log(mount).count("write_lease_taken") > before:
                break
        else:
            self.fail("no lease")
        os.setxattr(self.on(mount), "user.aster.sync", b"")
        return number + 1

    def test_names_in_a_directory_of_another_mount_take_few_requests_and_are_seen_at_once(self):
        count = self.take("b")
        self.drive.relays["b"].hold()
        before = self.batches("b")
        for number in range(200):
            self.on("b", f"f{number}").touch()
        self.drive.relays["b"].let_go()
        self.assertEqual(len(os.listdir(self.on("a"))), count + 200)
        for number in range(200):
            self.assertEqual(self.on("a", f"f{number}").stat().st_size, 0)
        self.assertLess(self.batches("b") - before, 20)

    def test_every_change_is_seen_at_once(self):
        for number in range(30):
            for writer, reader in (("b", "a"), ("c", "b"), ("a", "c")):
                path = f"{writer}{number}"
                self.assertFalse(self.on(reader, path).exists())
                self.on(writer, path).write_text("one")
                self.on(writer, path + "-2").touch()
                self.assertEqual(self.on(reader, path).read_text(), "one")
                self.on(writer, path).write_text("and two")
                self.assertEqual(self.on(reader, path).stat().st_size, 7)
                self.assertEqual(self.on(reader, path).read_text(), "and two")
                self.on(writer, path).rename(self.on(writer, path + "-new"))
                os.link(self.on(writer, path + "-new"), self.on(writer, path + "-link"))
                os.chmod(self.on(writer, path + "-link"), 0o600)
                self.assertFalse(self.on(reader, path).exists())
                self.assertEqual(self.on(reader, path + "-new").stat().st_mode & 0o777, 0o600)
                self.assertEqual(self.on(reader, path + "-new").stat().st_nlink, 2)
                self.on(writer, path + "-link").unlink()
                self.on(writer, path + "-dir").mkdir()
                self.on(writer, path + "-dir/x").write_text("below")
                self.assertEqual(self.on(reader, path + "-dir/x").read_text(), "below")
                self.on(writer, path + "-dir/x").unlink()
                self.on(writer, path + "-dir").rmdir()
                names = os.listdir(self.on(reader))
                self.assertNotIn(path + "-link", names)
                self.assertNotIn(path + "-dir", names)

    def test_what_is_kept_is_sent_when_somebody_looks(self):
        self.take("b")
        self.drive.relays["b"].hold()
        for number in range(50):
            self.on("b", f"f{number}").write_text(str(number))
            self.on("b", f"f{number}").rename(self.on("b", f"g{number}"))
        self.on("b", "first-0").unlink()
        self.drive.relays["b"].let_go()
        self.assertFalse(self.on("a", "first-0").exists())
        for number in range(50):
            self.assertEqual(self.on("a", f"g{number}").read_text(), str(number))
            self.assertFalse(self.on("c", f"f{number}").exists())

    def test_mounts_that_work_in_one_directory_make_progress(self):
        log = self.drive.folder / "primary.log"
        before = len(log.read_text())
        failed = []

        def work(mount):
            for number in range(100):
                try:
                    path = self.on(mount, f"{mount}{number}")
                    path.write_text(mount)
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
        self.assertNotIn("lease_lost", log.read_text()[before:])
        for mount in "abc":
            self.assertEqual(len(os.listdir(self.on(mount))), 150)

    def test_of_two_that_make_a_name_exclusively_one_wins(self):
        for number in range(60):
            won = []

            def make(mount):
                try:
                    os.close(os.open(self.on(mount, f"x{number}"), os.O_CREAT | os.O_EXCL))
                    won.append(mount)
                except FileExistsError:
                    pass
            threads = [threading.Thread(target=make, args=(m,)) for m in "bc"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(won), 1)
        self.assertEqual(len(os.listdir(self.on("a"))), 60, "no conflict copies")

    def copies(self, mount):
        return [n for n in os.listdir(self.on(mount)) if ".conflict-" in n]

    def test_a_stopped_holder_is_fenced_and_its_late_names_become_copies(self):
        self.take("b")
        self.drive.relays["b"].hold()
        self.on("b", "both.txt").touch()
        self.on("b", "only.txt").touch()
        self.on("b", "first-0").unlink()
        self.drive.mounts["b"].send_signal(signal.SIGSTOP)
        self.assertNotIn("both.txt", os.listdir(self.on("a")))  # when its term is over
        self.on("a", "both.txt").write_text("of a")
        self.on("a", "first-0").unlink()
        self.on("a", "first-0").write_text("another")
        self.drive.mounts["b"].send_signal(signal.SIGCONT)
        self.drive.relays["b"].let_go()
        self.assertEqual(self.on("b", "both.txt").read_text(), "of a", "nothing stale")
        self.drive.wait("the late names are there",
                        lambda: self.copies("a") and self.on("a", "only.txt").exists())
        self.assertEqual(len(self.copies("a")), 1)
        for mount in "abc":
            self.assertEqual(self.on(mount, "both.txt").read_text(), "of a")
            self.assertEqual(self.on(mount, "first-0").read_text(), "another")

    def test_what_a_killed_holder_kept_is_sent_by_the_next_mount(self):
        self.take("b")
        self.drive.relays["b"].hold()
        for number in range(20):
            self.on("b", f"f{number}").write_text(str(number))
        self.on("b", "f0").rename(self.on("b", "g0"))
        self.on("b", "first-0").unlink()
        self.on("b", "sub").mkdir()
        fd = os.open(self.on("b", "sub"), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.drive.mounts["b"].kill()
        self.drive.mounts["b"].wait()
        subprocess.run(["umount", "-l", self.drive.folder / "mnt-b"], check=True)
        self.drive.relays["b"].let_go()
        self.drive.mount("b", self.drive.local("b"))
        for mount in "ab":
            self.assertEqual(self.on(mount, "g0").read_text(), "0")
            self.assertFalse(self.on(mount, "f0").exists())
            self.assertFalse(self.on(mount, "first-0").exists())
            self.assertTrue(self.on(mount, "sub").is_dir())
            for number in range(1, 20):
                self.assertEqual(self.on(mount, f"f{number}").read_text(), str(number))
        self.assertEqual(self.copies("a"), [])

    def test_a_restarted_primary_waits_for_what_was_kept(self):
        self.take("b")
        self.drive.relays["b"].hold()
        self.on("b", "late").write_text("kept")
        self.drive.primary.kill()
        self.drive.primary.wait()
        self.drive.start_primary()
        self.drive.relays["b"].cut()
        self.drive.relays["b"].let_go()
        self.assertEqual(self.on("a", "late").read_text(), "kept")


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        sys.exit(77)
    WriteLeases.server, WriteLeases.mount_program = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
