#!/usr/bin/env python3
"""What is stored moves from one follower to another while everybody is killed (kill -9) in turn.

usage: migrate_test.py BUILD_DIRECTORY [--mib N]

N MiB of data (200 by default). Also what routes new data: groups by size, and a disabled node, which
stops at once for writers and readers. Needs root and /dev/fuse, else exit status 77.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive, wait_until  # noqa: E402

BUILD = None
MIB = 200
CHUNK = 1 << 20


def chunk(seed, number):
    """A MiB that is like no other, quickly."""
    block = hashlib.sha512(f"{seed} {number}".encode()).digest()
    return block * (CHUNK // len(block))


def write_large(path, seed, mib):
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for number in range(mib):
            data = chunk(seed, number)
            digest.update(data)
            file.write(data)
        os.fsync(file.fileno())
    return digest.hexdigest()


def read_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


class Routing(unittest.TestCase):
    def setUp(self):
        os.environ["ASTER__SERVER__PRIMARY__VERSION_INTERVAL_SECS"] = "0"
        self.drive = Drive(BUILD)
        self.addCleanup(self.drive.close)
        self.drive.add_follower("follower2", "f2", "q", "presigned")
        self.drive.start("mount")
        self.top = self.drive.mountpoint

    def admin(self, method, path, body=None):
        return self.drive._api(method, f"admin/{path}", body or {}, self.drive.admin_token)

    def job(self):
        return self.admin("GET", "storage-migrations")["items"][0]

    def begin(self, path, rate):
        """Of ann's tree."""
        users = self.admin("GET", "users")["items"]
        ann = next(user["id"] for user in users if user["username"] == "ann")
        policies = self.admin("GET", "policies")["items"]
        policy = next(policy["id"] for policy in policies if policy["name"] == "q")
        self.admin("POST", "storage-migrations",
                   {"path": path, "policy_id": policy, "user_id": ann, "rate": rate})

    def node_of(self, path):
        return os.getxattr(path, "user.aster.node").decode()

    def check(self):
        done = subprocess.run([self.drive.programs / "server/aster_drive", "check", "--deep"],
                              cwd=self.drive.folder / "primary",
                              env=self.drive._environment("primary", {}), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)

    def remount(self):
        """Without anything in its cache."""
        self.drive.unmount()
        subprocess.run(["rm", "-rf", self.drive.folder / "cache"], check=True)
        self.drive.start("mount")

    def test_moves_and_resumes(self):
        tree = self.top / "tree"
        (tree / "below").mkdir(parents=True)
        digests = {tree / "large": write_large(tree / "large", "large", MIB)}
        for i in range(100):
            path = tree / "below" / f"small{i}"
            path.write_bytes(chunk("small", i)[:i * 97])
            digests[path] = read_digest(path)
        changed = tree / "below/small99"
        changed.write_bytes(b"another content")
        digests[changed] = read_digest(changed)
        outside = self.top / "outside"
        outside.write_bytes(b"stays")
        self.assertEqual(self.node_of(tree / "large"), "f1")

        total = MIB * CHUNK
        self.begin("/tree", total // 8)
        for name, share in (("primary", 0.2), ("follower2", 0.4), ("follower", 0.6)):
            wait_until(f"{share:.0%} are moved", lambda: self.job()["bytes_done"] >= share * total,
                       600)
            before = self.job()
            self.assertEqual(before["state"], "moving")
            self.drive.kill(name)
            self.drive.start(name)
            after = self.job()
            self.assertGreaterEqual(after["bytes_done"], before["bytes_done"])
            with open(tree / "large", "rb") as file:  # half here, half there
                file.seek(CHUNK * (MIB // 2))
                self.assertEqual(file.read(CHUNK), chunk("large", MIB // 2))
        start = time.monotonic()
        wait_until("it is done", lambda: self.job()["state"] == "done", 600)
        print(f"{MIB} MiB, last part in {time.monotonic() - start:.1f} s: {self.job()}")
        self.assertEqual(self.job()["bytes_done"], self.job()["bytes"])

        self.remount()
        for path, digest in digests.items():
            self.assertEqual(read_digest(path), digest, path)
            if path.stat().st_size:
                self.assertEqual(self.node_of(path), "f2", path)
        self.assertEqual(self.node_of(outside), "f1")
        versions = self.top / ".aster/versions/tree/below/small99"
        self.assertEqual((versions / os.listdir(versions)[0]).read_bytes(), chunk("small", 99)[:99 * 97])
        self.check()

    def test_groups_route_by_size_and_disabled_nodes_stop_at_once(self):
        self.admin("POST", "policy-groups", {"name": "by size", "is_default": True, "items": [
            {"policy_id": 1, "priority": 1, "max_file_size": 300_000},
            {"policy_id": 2, "priority": 2}]})
        small, large = self.top / "small", self.top / "large"
        small.write_bytes(b"s" * 1000)
        large.write_bytes(b"l" * 3_000_000)
        self.assertEqual((self.node_of(small), self.node_of(large)), ("f1", "f2"))
        self.remount()
        self.admin("PATCH", "remote-nodes/2", {"is_enabled": False})
        with self.assertRaises(OSError):
            large.read_bytes()
        self.assertEqual(small.read_bytes(), b"s" * 1000)
        with self.assertRaises(OSError):
            (self.top / "more").write_bytes(b"m" * 3_000_000)
        wait_until("the mount's log says why", lambda: "disabled" in self.drive.log("mount"))
        self.admin("PATCH", "remote-nodes/2", {"is_enabled": True})
        self.assertEqual(large.read_bytes(), b"l" * 3_000_000)


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        sys.exit(77)
    BUILD = sys.argv.pop(1)
    if "--mib" in sys.argv:
        at = sys.argv.index("--mib")
        MIB = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
