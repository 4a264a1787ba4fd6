#!/usr/bin/env python3
"""What programs on a mount wait for when the servers do not answer, and that they can be ended:
deadlines_test.py SERVER MOUNT_PROGRAM, both in their places of one build directory. The primary, or
a follower, is stopped (SIGSTOP), so that it takes connections and never answers. Needs root and
/dev/fuse (else exit status 77)."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "crash")]
import processes  # noqa: E402
from three_mounts import Drive  # noqa: E402

TIMEOUT = 3  # of the mounts
# What "does not hang" means here: far above any deadline, far below for ever.
PATIENCE = 60

CALL = """
import os, sys
try:
    print(eval(sys.argv[1]))
except OSError as error:
    print(-error.errno)
"""


class Deadlines(unittest.TestCase):
    server = mount_program = None

    def setUp(self):
        self.drive = Drive(self.server, self.mount_program)
        self.addCleanup(shutil.rmtree, self.drive.folder, ignore_errors=True)
        self.addCleanup(self.drive.close)
        self.drive.set_up(names="ab", more={"a": f",timeout={TIMEOUT}s",
                                            "b": f",timeout={TIMEOUT}s,hard"})
        (self.on("a") / "known").write_text("text")
        self.assertEqual((self.on("b") / "known").read_text(), "text")
        (self.on("b") / "away").mkdir()  # nobody has looked for a name in it

    def on(self, name):
        return self.drive.folder / f"mnt-{name}"

    def stop_servers(self):
        self.drive.primary.send_signal(signal.SIGSTOP)
        self.addCleanup(self.drive.primary.send_signal, signal.SIGCONT)

    def go_on(self):
        self.drive.primary.send_signal(signal.SIGCONT)

    def start(self, call):
        """Evaluates a call in a process of its own: one that hangs must not be this one."""
        return subprocess.Popen([sys.executable, "-c", CALL, call], stdout=subprocess.PIPE,
                                text=True)

    def result(self, process):
        text, _ = process.communicate(timeout=PATIENCE)
        return text.strip()

    def test_df_and_the_mount_point_itself_never_hang(self):
        for name in "ab":
            os.statvfs(self.on(name))
            os.stat(self.on(name))
        self.stop_servers()
        time.sleep(10)  # no lease covers anything any more
        for name in "ab":
            self.assertNotIn("-", self.result(self.start(f"os.statvfs('{self.on(name)}').f_bsize")))
            self.assertNotIn("-", self.result(self.start(f"os.stat('{self.on(name)}').st_ino")))

    def test_soft_calls_end_with_the_deadline(self):
        self.stop_servers()
        for call in ("os.stat('{}/away/unknown')", "os.mkdir('{}/new')", "os.unlink('{}/known')"):
            process = self.start(call.format(self.on("a")))
            self.assertEqual(self.result(process), str(-errno.EIO), call)
        self.go_on()
        self.assertEqual(self.result(self.start(f"os.path.exists('{self.on('a')}/unknown')")),
                         "False")

    def test_hard_calls_wait_and_go_on(self):
        self.stop_servers()
        waiting = self.start(f"os.mkdir('{self.on('b')}/new')")
        time.sleep(3 * TIMEOUT)
        self.assertIsNone(waiting.poll())
        self.go_on()
        self.assertEqual(self.result(waiting), "None")
        self.assertTrue((self.on("a") / "new").is_dir())

    def test_signals_end_a_wait(self):
        self.stop_servers()
        for name in "ab":
            waiting = self.start(f"os.stat('{self.on(name)}/away/unknown')")
            time.sleep(0.5)
            waiting.send_signal(signal.SIGKILL)
            self.assertEqual(waiting.wait(timeout=PATIENCE), -signal.SIGKILL)
            waiting.stdout.close()

    def dirty(self, name):
        """An open file with data that no server has; stays open."""
        fd = os.open(self.on(name) / "dirty", os.O_CREAT | os.O_WRONLY)
        self.stop_servers()
        os.write(fd, b"x" * 100000)
        return fd

    def ended(self, name):
        status = self.drive.mounts[name].wait(timeout=PATIENCE)
        self.assertNotIn(str(self.on(name)), pathlib.Path("/proc/self/mountinfo").read_text())
        self.assertIn("ended_with_unsent_data",
                      (self.drive.folder / f"mount-{name}.log").read_text())
        return status

    def test_sigterm_ends_a_mount_whose_servers_are_dead(self):
        for name in "ab":
            with self.subTest(name):
                fd = self.dirty(name)
                self.drive.mounts[name].terminate()
                self.assertEqual(self.ended(name), 1)
                os_close(fd)
                self.go_on()

    def test_umount_ends_a_mount_whose_servers_are_dead(self):
        fd = self.dirty("a")
        os_close(fd)  # EIO: nothing was sent
        subprocess.run(["umount", self.on("a")], check=True, timeout=PATIENCE)
        self.assertEqual(self.ended("a"), 1)

    def test_restarted_servers_need_no_remount(self):
        self.drive.primary.kill()
        self.drive.primary.wait()
        self.drive.start_primary()
        (self.on("a") / "after").write_text("text")
        self.assertEqual((self.on("b") / "after").read_text(), "text")

    def test_cut_connections_need_no_remount(self):
        for relay in self.drive.relays.values():
            relay.cut()
        (self.on("a") / "after").write_text("text")
        self.assertEqual((self.on("b") / "after").read_text(), "text")


class SilentFollower(unittest.TestCase):
    """A follower that takes connections and never answers, while the primary works."""

    CLOSERS = 64  # eight for every upload slot

    def setUp(self):
        self.drive = processes.Drive(pathlib.Path(Deadlines.server).resolve().parent.parent,
                                     f",timeout={TIMEOUT}s")
        self.addCleanup(shutil.rmtree, self.drive.folder, ignore_errors=True)
        self.addCleanup(self.drive.close)
        self.drive.start("mount")

    def open_all(self):
        """Every other file is small enough to share an object with others."""
        files = []
        for number in range(self.CLOSERS):
            fd = os.open(self.drive.mountpoint / f"f{number}", os.O_CREAT | os.O_WRONLY)
            os.write(fd, b"x" * (100 if number % 2 else 200000))
            files.append(fd)
        return files

    def close_all(self, files):
        """The error of each close(2), None for none."""
        errors = {}

        def close(fd):
            try:
                os.close(fd)
                errors[fd] = None
            except OSError as error:
                errors[fd] = error.errno
        threads = [threading.Thread(target=close, args=(fd,)) for fd in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=PATIENCE)
        return list(errors.values())

    def test_closers_that_wait_for_each_other_end_with_the_deadline(self):
        files = self.open_all()
        follower = self.drive.processes["follower"]
        follower.send_signal(signal.SIGSTOP)
        self.addCleanup(follower.send_signal, signal.SIGCONT)
        begun = time.monotonic()
        errors = self.close_all(files)
        # Eight deadlines one after the other, if each was to begin with the turn.
        self.assertLess(time.monotonic() - begun, 2 * TIMEOUT + 5)
        self.assertEqual(errors, [errno.EIO] * self.CLOSERS)
        follower.send_signal(signal.SIGCONT)
        self.assertEqual(self.drive.unmount(), 0)  # all of it was kept, and went


def os_close(fd):
    try:
        os.close(fd)
    except OSError:
        pass


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        sys.exit(77)
    Deadlines.server, Deadlines.mount_program = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
