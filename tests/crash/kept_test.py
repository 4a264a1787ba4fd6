#!/usr/bin/env python3
"""Trash and versions on a real mount: what is deleted or replaced comes back bit for bit, also
from a primary that was killed (kill -9) in the middle.

usage: kept_test.py BUILD_DIRECTORY

Needs root and /dev/fuse, else exit status 77.
"""

import hashlib
import json
import os
import pathlib
import random
import shutil
import stat
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from processes import Drive, wait_until  # noqa: E402

BUILD = None


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def picture(top):
    """Everything of a tree that a restore must bring back."""
    seen = {}
    for path in sorted([top, *top.rglob("*")]):
        now = path.lstat()
        what = [stat.S_IFMT(now.st_mode), now.st_mode & 0o7777, now.st_uid, now.st_gid, now.st_ino]
        if path.is_symlink():
            what.append(os.readlink(path))
        elif path.is_file():
            what += [now.st_size, now.st_mtime_ns, digest(path),
                     {name: os.getxattr(path, name) for name in os.listxattr(path)}]
        seen[str(path.relative_to(top.parent))] = what
    return seen


def make_tree(top, files):
    chosen = random.Random(5)
    for i in range(files):
        folder = top / f"d{i % 5}" / f"e{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file{i}"
        path.write_bytes(chosen.randbytes(chosen.choice([0, 10, 5000, 300_000])))
        os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_000_000_001 + i))
        os.chmod(path, 0o640 if i % 2 else 0o755)
    os.chown(top / "d0", 12, 34)
    os.setxattr(top / "d0/e0/file0", "user.colour", b"red")
    (top / "link").symlink_to("d0/e0/file0")
    (top / "empty").mkdir(mode=0o700)


class Kept(unittest.TestCase):
    def setUp(self):
        # Everything counts at once: no test waits for ages.
        os.environ.update({"ASTER__SERVER__PRIMARY__TRASH_MIN_AGE_SECS": "0",
                           "ASTER__SERVER__PRIMARY__VERSION_INTERVAL_SECS": "0"})
        self.drive = Drive(BUILD)
        self.addCleanup(self.drive.close)
        self.drive.start("mount")
        self.top = self.drive.mountpoint

    def aster(self, *args, check=True):
        env = dict(os.environ, ASTER_URL=self.drive.url("primary"),
                   ASTER_ADMIN_TOKEN_FILE=str(self.drive.token_file), HOME=str(self.drive.folder))
        done = subprocess.run([self.drive.programs / "tools/aster", *args], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        if check and done.returncode != 0:
            self.fail(f"aster {args}: {done.stdout}{done.stderr}")
        return done

    def trash(self, *args):
        return json.loads(self.aster("trash", "list", "--json", *args).stdout)

    def restart_primary(self):
        self.drive.kill("primary")
        self.drive.start("primary")

    def used(self):
        now = os.statvfs(self.top)
        return (now.f_blocks - now.f_bfree) * now.f_frsize

    def check(self):
        """`aster_drive check --deep`, while the primary runs."""
        done = subprocess.run([self.drive.programs / "server/aster_drive", "check", "--deep"],
                              cwd=self.drive.folder / "primary",
                              env=self.drive._environment("primary", {}), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_removed_tree_comes_back_as_it_was(self):
        tree = self.top / "tree"
        make_tree(tree, 60)
        before = picture(tree)
        wait_until("df shows what is used", lambda: self.used() > 1_000_000)
        used = self.used()
        subprocess.run(["rm", "-r", str(tree)], check=True)
        wait_until("df shows what is free", lambda: self.used() < used / 2)
        self.check()

        hidden = self.top / ".aster/trash"
        self.assertEqual(stat.S_IMODE(hidden.stat().st_mode), 0o500)
        places = [hidden / name / "tree" for name in os.listdir(hidden)]
        self.assertEqual(len(places), 1, "what lay in it is found in it")
        copy = self.drive.folder / "copy"
        subprocess.run(["cp", "-a", "--no-preserve=xattr", str(places[0]), str(copy)], check=True)
        for path, what in before.items():
            at = copy / pathlib.Path(path).relative_to("tree")
            if what[0] == stat.S_IFREG:
                self.assertEqual((digest(at), at.stat().st_mtime_ns), (what[7], what[6]), path)
        with self.assertRaises(OSError):
            (places[0] / "d0/e0/file0").open("ab")
        with self.assertRaises(OSError):
            os.unlink(places[0] / "d0/e0/file0")

        self.restart_primary()
        self.assertIn("/tree/d0/e0/file0", [entry["path"] for entry in self.trash("/tree")])
        self.aster("trash", "restore", "/tree")
        self.assertEqual(picture(tree), before)
        self.assertEqual(self.trash(), [])
        wait_until("df shows it again", lambda: self.used() >= used)
        self.check()

    def test_a_restored_file_is_written_to_as_ever(self):
        path = self.top / "f"
        path.write_bytes(b"first")
        with open(path, "rb") as still_open:
            path.unlink()
            self.assertEqual(os.fstat(still_open.fileno()).st_nlink, 0)
            self.assertEqual(still_open.read(), b"first")
            self.aster("trash", "restore", str(path))
            wait_until("it has a name again", lambda: os.fstat(still_open.fileno()).st_nlink == 1)
            with open(path, "ab") as more:
                more.write(b" and more")
        self.drive.unmount()
        self.drive.start("mount")
        self.assertEqual(path.read_bytes(), b"first and more")

    def test_restore_to_another_place_and_empty(self):
        for name in ("a", "b"):
            (self.top / name).write_bytes(name.encode() * 1000)
            (self.top / name).unlink()
        (self.top / "a").write_bytes(b"new")
        self.assertEqual(self.aster("trash", "restore", "/a", check=False).returncode, 1)
        self.aster("trash", "restore", "/a", "--to", "/deep/er/old a")
        self.assertEqual((self.top / "deep/er/old a").read_bytes(), b"a" * 1000)
        self.aster("trash", "empty", "--older-than", "1h")
        self.assertEqual([entry["path"] for entry in self.trash()], ["/b"])
        self.aster("trash", "empty")
        self.assertEqual(self.trash(), [])
        self.assertEqual(self.aster("trash", "empty", "--older-than", "soon", check=False).returncode, 1)

    def test_off_for_a_directory_and_for_a_mount(self):
        off = self.top / "off"
        (off / "below").mkdir(parents=True)
        os.setxattr(off, "user.aster.trash", b"off")
        self.assertEqual(os.getxattr(off / "below", "user.aster.trash"), b"off")
        (off / "below/f").write_bytes(b"x")
        (off / "below/f").unlink()
        self.assertEqual(self.trash(), [])
        self.drive.unmount()
        self.drive.mount_options = ",trash=off"
        self.drive.start("mount")
        (self.top / "g").write_bytes(b"x")
        (self.top / "g").unlink()
        (self.top / "h").write_bytes(b"x")
        (self.top / "i").write_bytes(b"y")
        (self.top / "i").rename(self.top / "h")
        self.assertEqual(self.trash(), [])

    def test_versions_come_back(self):
        path = self.top / "notes/f"
        path.parent.mkdir()
        contents = [os.urandom(n) for n in (400_000, 10, 70_000)]
        for content in contents:
            with open(path, "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        inode = path.stat().st_ino
        hidden = self.top / ".aster/versions/notes/f"
        self.assertEqual([(hidden / name).read_bytes() for name in sorted(os.listdir(hidden), key=int)],
                         contents[:2])
        self.restart_primary()
        listed = json.loads(self.aster("versions", "/notes/f", "--json").stdout)
        self.assertEqual([version["size"] for version in listed], [10, 400_000])
        self.aster("versions", "restore", "/notes/f", str(listed[1]["id"]))
        wait_until("the mount sees it", lambda: path.read_bytes() == contents[0])
        self.assertEqual(path.stat().st_ino, inode)
        self.aster("versions", "restore", "/notes/f", str(listed[0]["id"]), "--to", "/notes/ten")
        self.assertEqual((self.top / "notes/ten").read_bytes(), contents[1])
        newest = json.loads(self.aster("versions", str(path), "--json").stdout)[0]
        self.assertEqual((hidden / str(newest["id"])).read_bytes(), contents[2])
        self.check()

    def test_killed_while_a_tree_is_removed_and_restored(self):
        tree = self.top / "tree"
        make_tree(tree, 150)
        before = picture(tree)
        chosen = random.Random(11)
        for _ in range(3):
            worker = threading.Thread(target=shutil.rmtree, args=(tree,))
            worker.start()
            worker.join(chosen.uniform(0.05, 0.4))
            self.restart_primary()
            worker.join()
            self.assertFalse(tree.exists())
            self.check()
            restorer = subprocess.Popen(
                [self.drive.programs / "tools/aster", "trash", "restore", "/tree"],
                env=dict(os.environ, ASTER_URL=self.drive.url("primary"),
                         ASTER_ADMIN_TOKEN_FILE=str(self.drive.token_file)),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            threading.Event().wait(chosen.uniform(0.02, 0.2))
            self.restart_primary()
            restorer.wait(300)
            self.aster("trash", "restore", "/tree", check=False)  # the rest of it, if any
            self.assertEqual(picture(tree), before)
            self.check()


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        sys.exit(77)
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
