#!/usr/bin/env python3
"""Real WebDAV clients on a private drive: rclone in both directions, cadaver, davfs2, each beside a
mount of the same tree. Clients that are not installed are named and skipped."""

import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from drive import Drive, sha256, wait_until  # noqa: E402


def needs(*programs):
    missing = [p for p in programs if shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)} (tools/install-deps)")


def make_tree(top):
    """Names and sizes that clients stumble over."""
    files = {
        "plain.txt": b"hello\n",
        "empty": b"",
        "with blanks & signs #1 100%.txt": b"x" * 1000,
        "caf\u00e9/\u65e5\u672c\u8a9e.txt": "unicode\n".encode(),
        "deep/er/and/deeper/file": os.urandom(300_000),
        "large.bin": os.urandom(40 * 1024 * 1024 + 17),
        "._resource": b"fork",
    }
    for name in range(200):
        files[f"many/{name:03}"] = str(name).encode() * name
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def same(a, b):
    done = subprocess.run(["diff", "-r", str(a), str(b)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout[:2000]


class WebdavClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.drive = Drive()
        cls.addClassCleanup(cls.drive.close)
        env = cls.drive.env()
        cls.url = env["ASTER_WEBDAV_URL"]
        cls.user = env["ASTER_USER"]
        cls.password = pathlib.Path(env["ASTER_PASSWORD_FILE"]).read_text().strip()
        cls.mount = cls.drive.mount

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aster-webdav-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_client(self, *command, **options):
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=600, check=False, **options)
        self.assertEqual(done.returncode, 0, f"{command}:\n{done.stdout}")
        return done.stdout

    def rclone(self, *args):
        obscured = self.run_client("rclone", "obscure", self.password).strip()
        env = dict(os.environ, RCLONE_CONFIG=str(self.folder / "rclone.conf"),
                   RCLONE_WEBDAV_URL=self.url, RCLONE_WEBDAV_VENDOR="owncloud",
                   RCLONE_WEBDAV_USER=self.user, RCLONE_WEBDAV_PASS=obscured)
        return self.run_client("rclone", *args, env=env)

    @needs("rclone")
    def test_rclone_syncs_both_ways(self):
        here = self.folder / "here"
        make_tree(here)
        self.rclone("sync", here, ":webdav:tree")
        self.rclone("check", "--download", here, ":webdav:tree")
        equal, why = same(here, self.mount / "tree")
        self.assertTrue(equal, "the mount sees something else: " + why)
        # What the mount changes comes back.
        (self.mount / "tree" / "plain.txt").write_text("changed on the mount\n")
        (self.mount / "tree" / "new").write_bytes(os.urandom(5_000_000))
        (self.mount / "tree" / "empty").unlink()
        shutil.rmtree(self.mount / "tree" / "many")
        self.rclone("sync", ":webdav:tree", here)
        self.rclone("check", ":webdav:tree", here)
        equal, why = same(here, self.mount / "tree")
        self.assertTrue(equal, why)
        again = self.rclone("sync", "-v", here, ":webdav:tree")
        self.assertNotIn("Copied", again, "a second sync transfers something")
        self.rclone("purge", ":webdav:tree")
        self.assertFalse((self.mount / "tree").exists())

    @needs("cadaver")
    def test_cadaver_session(self):
        host = self.url.split("/")[2].split(":")[0]
        netrc = self.folder / ".netrc"
        netrc.write_text(f"machine {host} login {self.user} password {self.password}\n")
        netrc.chmod(stat.S_IRUSR | stat.S_IWUSR)
        (self.folder / "up.txt").write_text("from cadaver\n")
        script = "\n".join([
            "mkcol cad", "cd cad", "put up.txt", "copy up.txt copy.txt", "move copy.txt moved.txt",
            "lock up.txt", "propset up.txt colour blue", "propget up.txt colour", "unlock up.txt",
            "get moved.txt down.txt", "ls", "delete moved.txt", "quit", ""])
        out = self.run_client("cadaver", self.url, input=script, cwd=self.folder,
                              env=dict(os.environ, HOME=str(self.folder)))
        self.assertNotIn("failed", out)
        self.assertIn("blue", out)
        self.assertEqual((self.folder / "down.txt").read_text(), "from cadaver\n")
        self.assertEqual(os.listdir(self.mount / "cad"), ["up.txt"])
        self.assertEqual((self.mount / "cad" / "up.txt").read_text(), "from cadaver\n")
        shutil.rmtree(self.mount / "cad")

    @needs("mount.davfs")
    def test_davfs_mount(self):
        place = self.folder / "dav"
        place.mkdir()
        self.folder.chmod(0o711)  # mount.davfs gives up root for a user of its own
        (self.folder / "cache").mkdir()
        (self.folder / "cache").chmod(0o777)
        secrets = self.folder / "secrets"
        secrets.write_text(f'{self.url} {self.user} "{self.password}"\n')
        secrets.chmod(stat.S_IRUSR | stat.S_IWUSR)
        config = self.folder / "davfs2.conf"
        # New kernels ask for more of a folder at once than its usual buffer takes: EINVAL.
        config.write_text(f"secrets {secrets}\nask_auth 0\nuse_locks 1\ndelay_upload 0\n"
                          f"cache_dir {self.folder / 'cache'}\ndir_refresh 1\nbuf_size 64\n")
        config.chmod(stat.S_IRUSR | stat.S_IWUSR)
        self.run_client("mount", "-t", "davfs", "-o", f"conf={config}", self.url, place)
        here = self.folder / "here"
        make_tree(here)
        try:
            shutil.copytree(here, place / "tree")
            (self.mount / "from-mount").write_text("seen by davfs\n")
            wait_until("davfs2 sees the mount's file", (place / "from-mount").exists)
            self.assertEqual((place / "from-mount").read_text(), "seen by davfs\n")
            os.rename(place / "tree" / "plain.txt", place / "tree" / "renamed.txt")
        finally:
            self.run_client("umount", place)
        os.rename(here / "plain.txt", here / "renamed.txt")
        equal, why = same(here, self.mount / "tree")
        self.assertTrue(equal, "the mount sees something else: " + why)
        # A fresh davfs2, which has nothing cached, reads the same back.
        shutil.rmtree(self.folder / "cache")
        (self.folder / "cache").mkdir()
        (self.folder / "cache").chmod(0o777)
        self.run_client("mount", "-t", "davfs", "-o", f"conf={config}", self.url, place)
        try:
            equal, why = same(here, place / "tree")
            self.assertTrue(equal, "davfs2 reads something else: " + why)
        finally:
            self.run_client("umount", place)
        shutil.rmtree(self.mount / "tree")
        (self.mount / "from-mount").unlink()

    def test_what_one_side_writes_the_other_sees_at_once(self):
        def curl(*args):
            return self.run_client("curl", "-sS", "-f", "-u", f"{self.user}:{self.password}", *args)
        content = os.urandom(3_000_000)
        source = self.folder / "source"
        source.write_bytes(content)
        (self.mount / "once").write_text("old")
        curl("-T", source, self.url + "once")
        self.assertEqual(sha256(self.mount / "once"), sha256(source))
        (self.mount / "once").write_text("written on the mount")
        self.assertEqual(curl(self.url + "once"), "written on the mount")
        curl("-X", "DELETE", self.url + "once")
        self.assertFalse((self.mount / "once").exists())


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse")
        sys.exit(77)
    unittest.main(verbosity=2)
