#!/usr/bin/env python3
"""A quota that is used up, through a real mount: the right error at the call that waits for the
data, nothing else broken, /.aster/errors says so, and all is well again without a new mount.

usage: quota_test.py BUILD_DIRECTORY

Needs root and /dev/fuse, else exit status 77.
"""

import errno
import os
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive, wait_until  # noqa: E402

BUILD = None
MIB = 1 << 20


def noise(size, seed):
    return random.Random(seed).randbytes(size)


class Quota(unittest.TestCase):
    def setUp(self):
        self.drive = Drive(BUILD, mount_options=",timeout=4s")
        self.addCleanup(self.drive.close)
        self.drive.start("mount")
        self.top = self.drive.mountpoint

    def allow(self, size):
        users = self.drive._api("GET", "admin/users", None, self.drive.admin_token)
        ann = next(user for user in users["items"] if user["username"] == "ann")
        self.drive._api("PATCH", f"admin/users/{ann['id']}", {"storage_quota": size},
                        self.drive.admin_token)

    def errors(self):
        return [line.split("\t") for line in (self.top / ".aster/errors").read_text().splitlines()]

    def refused(self, code, call, *arguments):
        with self.assertRaises(OSError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.errno, code, caught.exception)

    def write(self, file, data):
        os.pwrite(file.fileno(), data, 0)
        os.fsync(file.fileno())
        self.assertEqual(os.pread(file.fileno(), len(data), 0), data)

    def test_a_used_up_quota_is_edquot_at_the_call_that_waits_for_the_data(self):
        self.allow(8 * MIB)
        (self.top / "kept").write_bytes(noise(MIB, 1))
        file = open(self.top / "file", "w+b", buffering=0)
        self.addCleanup(file.close)
        file.write(noise(12 * MIB, 2))
        self.refused(errno.EDQUOT, os.fsync, file.fileno())
        self.assertEqual(self.errors()[0][1:3], ["/file", "EDQUOT"])
        descriptor = os.open(self.top / "closed", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, noise(12 * MIB, 3))
        self.refused(errno.EDQUOT, os.close, descriptor)
        self.assertEqual((self.top / "kept").read_bytes(), noise(MIB, 1))
        file.truncate(0)
        os.fsync(file.fileno())
        (self.top / "closed").unlink()
        wait_until("nothing is wrong any more", lambda: self.errors() == [])
        self.allow(64 * MIB)
        self.write(file, noise(12 * MIB, 4))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: quota_test.py BUILD_DIRECTORY [TEST ...]")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse")
        sys.exit(77)
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
