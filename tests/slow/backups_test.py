#!/usr/bin/env python3
"""Programs that people trust their data to, on a real mount: restic, borg, rsync, git, SQLite, tar,
make -j, Python's mmap, rclone serving WebDAV. Each works on the mount, and what it made is compared
after a new mount with an empty cache.

usage: backups_test.py BUILD_DIRECTORY

Needs root, /dev/fuse and the programs, else exit status 77.
"""

import contextlib
import hashlib
import mmap
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "crash"))
from processes import Drive, free_port, wait_until  # noqa: E402

BUILD = None
SOURCES = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("restic", "borg", "rsync", "git", "sqlite3", "tar", "make", "gcc", "rclone")


def run(*command, cwd=None, env=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=dict(os.environ, **(env or {})),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=900)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n"
                             f"{done.stdout[-4000:]}")
    return done.stdout


def same(one, other):
    run("diff", "-r", "--no-dereference", one, other)


def make_tree(top, seed):
    """Files of many sizes, some of them alike, links, a hole, odd names."""
    chosen = random.Random(seed)
    block = chosen.randbytes(300_000)
    for i in range(400):
        folder = top / f"d{i % 7}" / f"e{i % 11}"
        folder.mkdir(parents=True, exist_ok=True)
        size = chosen.choice([0, 1, 700, 4096, 60_000])
        (folder / f"f{i}").write_bytes(chosen.randbytes(size))
    (top / "large").write_bytes(chosen.randbytes(20 << 20) + block)
    (top / "alike").write_bytes(block + chosen.randbytes(3_000_000) + block)
    with open(top / "sparse", "wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
    os.link(top / "large", top / "d0" / "hard link")
    (top / "soft link").symlink_to("d1/e1")
    (top / os.fsdecode(b"n\xc3\xa4me \xff\n")).write_text("odd")
    os.chmod(top / "alike", 0o600)


def change_tree(top, seed):
    chosen = random.Random(seed)
    with open(top / "large", "r+b") as file:
        for _ in range(20):
            file.seek(chosen.randrange(20 << 20))
            file.write(chosen.randbytes(5000))
    shutil.rmtree(top / "d3")
    (top / "d1").rename(top / "moved")
    (top / "new").write_bytes(chosen.randbytes(1_000_000))


class Backups(unittest.TestCase):
    options = ""

    @classmethod
    def setUpClass(cls):
        cls.drive = Drive(BUILD, mount_options=cls.options)
        cls.drive.start("mount")
        cls.local = cls.drive.folder / "local"
        make_tree(cls.local / "tree", 1)
        cls.home = {"HOME": str(cls.drive.folder), "RESTIC_PASSWORD": "x", "BORG_PASSPHRASE": "x",
                    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}

    @classmethod
    def tearDownClass(cls):
        cls.drive.close()

    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1]
        self.top = self.drive.mountpoint / self.name
        self.top.mkdir()
        self.here = self.local / self.name  # beside the drive
        self.here.mkdir()

    def mount_again(self):
        """With an empty cache; what the last mount kept in its journal is sent first."""
        self.assertEqual(self.drive.unmount(), 0, self.drive.log("mount")[-2000:])
        shutil.rmtree(self.drive.folder / "cache", ignore_errors=True)
        self.drive.start("mount")

    def tree(self):
        """A copy of the tree that may be changed, not on the drive."""
        copy = self.here / "source"
        run("cp", "-a", self.local / "tree", copy)
        return copy

    def test_restic_repository_on_the_drive(self):
        source = self.tree()
        repository = self.top / "repository"

        def restic(*args):
            return run("restic", "--no-cache", "-r", repository, *args, env=self.home)
        restic("init")
        restic("backup", source)
        run("cp", "-a", source, self.here / "first")
        change_tree(source, 2)
        restic("backup", source)
        self.mount_again()
        restic("check", "--read-data")
        restic("restore", "latest", "--target", self.here / "restored")
        same(source, str(self.here / "restored") + str(source))
        snapshot = restic("snapshots", "--json").split('"short_id":"')[1].split('"')[0]
        restic("restore", snapshot, "--target", self.top / "restored")
        same(self.here / "first", str(self.top / "restored") + str(source))
        restic("forget", "--keep-last", "1", "--prune")
        restic("check", "--read-data")

    def test_restic_backs_up_from_the_drive(self):
        source = self.top / "source"
        run("cp", "-a", self.local / "tree", source)

        def restic(*args):
            return run("restic", "--no-cache", "-r", self.here / "repository", *args, env=self.home)
        restic("init")
        restic("backup", source)
        self.mount_again()
        second = restic("backup", source)  # inode numbers and times are as they were
        self.assertRegex(second, r"Files:\s+0 new,\s+0 changed")
        restic("restore", "latest", "--target", self.here / "restored")
        same(source, str(self.here / "restored") + str(source))

    def test_borg_repository_on_the_drive(self):
        source = self.tree()
        repository = self.top / "repository"
        run("borg", "init", "--encryption", "repokey", repository, env=self.home)
        run("borg", "create", f"{repository}::one", ".", cwd=source, env=self.home)
        run("cp", "-a", source, self.here / "first")
        change_tree(source, 3)
        run("borg", "create", f"{repository}::two", ".", cwd=source, env=self.home)
        self.mount_again()
        run("borg", "check", "--verify-data", repository, env=self.home)
        for archive, expected in (("one", self.here / "first"), ("two", source)):
            for where in (self.here, self.top):
                place = where / archive
                place.mkdir()
                run("borg", "extract", f"{repository}::{archive}", cwd=place, env=self.home)
                same(expected, place)
        run("borg", "delete", f"{repository}::one", env=self.home)
        run("borg", "compact", repository, env=self.home)
        run("borg", "check", "--verify-data", repository, env=self.home)

    def test_rsync_there_and_back(self):
        source = self.tree()
        run("rsync", "-aHSX", f"{source}/", f"{self.top}/copy/")
        change_tree(source, 4)
        run("rsync", "-aHSX", "--inplace", "--no-whole-file", "--delete", f"{source}/",
            f"{self.top}/copy/")
        self.mount_again()
        same(source, self.top / "copy")
        again = run("rsync", "-aHSX", "--delete", "--itemize-changes", f"{source}/",
                    f"{self.top}/copy/")
        self.assertEqual(again, "")
        run("rsync", "-aHSXc", f"{self.top}/copy/", f"{self.here}/back/")
        same(source, self.here / "back")

    def test_git(self):
        clone = self.top / "clone"
        run("git", "clone", "-q", "--no-hardlinks", SOURCES, clone)
        run("git", "config", "user.name", "t", cwd=clone)
        run("git", "config", "user.email", "t@example.com", cwd=clone)
        for i in range(20):
            (clone / f"file{i}").write_text("text\n" * i)
            run("git", "add", ".", cwd=clone)
            run("git", "commit", "-qm", f"commit {i}", cwd=clone)
        run("git", "checkout", "-q", "HEAD~10", cwd=clone)
        run("git", "checkout", "-q", "-", cwd=clone)
        run("git", "repack", "-adq", cwd=clone)
        self.mount_again()
        self.assertEqual(run("git", "status", "--porcelain", cwd=clone), "")
        run("git", "fsck", "--strict", "--full", cwd=clone)
        run("git", "clone", "-q", "--bare", clone, self.here / "back.git")

    def sqlite(self, mode):
        """Four processes that add rows at once; each counts what it was told to be there."""
        database = self.top / f"{mode}.db"
        run("sqlite3", database, f"PRAGMA journal_mode={mode}; CREATE TABLE t(who, n, body);")
        adder = ("import sqlite3, sys\n"
                 "db = sqlite3.connect(sys.argv[1], timeout=120, isolation_level=None)\n"
                 "for n in range(60):\n"
                 "    db.execute('BEGIN IMMEDIATE')\n"
                 "    db.execute('INSERT INTO t VALUES (?, ?, randomblob(5000))', (sys.argv[2], n))\n"
                 "    db.execute('COMMIT')\n")
        adders = [subprocess.Popen([sys.executable, "-c", adder, str(database), str(who)])
                  for who in range(4)]
        self.assertEqual([a.wait(600) for a in adders], [0] * 4)
        self.mount_again()
        out = run("sqlite3", database, "PRAGMA integrity_check; SELECT count(*), count(DISTINCT "
                  "who || '/' || n) FROM t; DELETE FROM t WHERE n < 30; VACUUM; "
                  "PRAGMA integrity_check; SELECT count(*) FROM t;")
        self.assertEqual(out.split(), ["ok", "240|240", "ok", "120"])

    def test_sqlite_with_a_journal(self):
        self.sqlite("DELETE")

    def test_sqlite_with_a_write_ahead_log(self):
        self.sqlite("WAL")

    def test_tar(self):
        run("tar", "--sparse", "-cf", self.top / "tree.tar", "-C", self.local, "tree")
        run("tar", "-czf", self.top / "tree.tar.gz", "-C", self.local, "tree")
        (self.top / "out").mkdir()
        run("tar", "--sparse", "-xpf", self.top / "tree.tar", "-C", self.top / "out")
        self.mount_again()
        same(self.local / "tree", self.top / "out" / "tree")
        (self.top / "again").mkdir()
        run("tar", "-xzf", self.top / "tree.tar.gz", "-C", self.top / "again")
        same(self.local / "tree", self.top / "again" / "tree")
        run("tar", "--compare", "-f", self.top / "tree.tar", "-C", self.top / "out")

    def test_make_in_parallel(self):
        count = 60
        for i in range(count):
            (self.top / f"part{i}.c").write_text(f"int part{i}(int x) {{ return x + {i}; }}\n")
        calls = "".join(f"  sum += part{i}(0);\n" for i in range(count))
        heads = "".join(f"int part{i}(int);\n" for i in range(count))
        (self.top / "main.c").write_text(
            f"#include <stdio.h>\n{heads}int main(void) {{\n  int sum = 0;\n{calls}"
            "  printf(\"%d\\n\", sum);\n  return 0;\n}\n")
        (self.top / "Makefile").write_text(
            "objects := $(patsubst %.c,%.o,$(wildcard *.c))\n"
            "lib := $(filter-out main.o,$(objects))\n"
            "program: main.o parts.a\n\tgcc -o $@ main.o parts.a\n"
            "parts.a: $(lib)\n\tar rcs $@ $^\n%.o: %.c\n\tgcc -c -o $@ $<\n")
        run("make", "-j4", cwd=self.top)
        self.assertEqual(run(self.top / "program"), f"{sum(range(count))}\n")
        self.assertIn("up to date", run("make", cwd=self.top))
        self.mount_again()
        self.assertIn("up to date", run("make", cwd=self.top), "times are as they were")
        (self.top / "part7.c").write_text("int part7(int x) { return x + 1007; }\n")
        run("make", "-j4", cwd=self.top)
        self.assertEqual(run(self.top / "program"), f"{sum(range(count)) + 1000}\n")

    def test_mmap_of_python(self):
        path = self.top / "mapped"
        size = 24 << 20
        expected = bytearray(random.Random(5).randbytes(size))
        path.write_bytes(expected)
        chosen = random.Random(6)
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            for _ in range(2000):
                at = chosen.randrange(size - 5000)
                piece = chosen.randbytes(chosen.randrange(1, 5000))
                mapped[at:at + len(piece)] = piece
                expected[at:at + len(piece)] = piece
            mapped.flush()
            file.seek(1 << 20)
            self.assertEqual(file.read(5000), expected[1 << 20:(1 << 20) + 5000])
            os.pwrite(file.fileno(), b"written beside", 77)
            expected[77:91] = b"written beside"
            self.assertEqual(mapped[70:100], expected[70:100])
            with mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as private:
                private[0:7] = b"private"
                self.assertEqual(private[0:7], b"private")
            mapped.resize(size + 4096)
            mapped[size:size + 3] = b"end"
            expected += b"end" + bytes(4093)
        self.mount_again()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.assertEqual(digest, hashlib.sha256(expected).hexdigest())

    @contextlib.contextmanager
    def webdav(self, folder):
        port = free_port()
        log = open(self.here / "rclone.log", "wb")
        server = subprocess.Popen(
            ["rclone", "serve", "webdav", str(folder), "--addr", f"127.0.0.1:{port}",
             "--vfs-cache-mode", "off"],
            stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ, **self.home))

        def listening():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        try:
            wait_until("rclone listens", listening)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            log.close()

    def test_rclone_serves_webdav_from_it(self):
        (self.top / "tree").mkdir()
        chosen = random.Random(8)
        bodies = {f"f{i}": chosen.randbytes(chosen.choice([10, 70_000, 3_000_000]))
                  for i in range(24)}
        with self.webdav(self.top / "tree") as url:
            def put(name):
                request = urllib.request.Request(f"{url}/{name}", data=bodies[name], method="PUT")
                with urllib.request.urlopen(request, timeout=120) as answer:
                    assert answer.status in (200, 201, 204), answer.status
            threads = [threading.Thread(target=put, args=(name,)) for name in bodies]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for name, body in bodies.items():
                with urllib.request.urlopen(f"{url}/{name}", timeout=120) as answer:
                    self.assertEqual(answer.read(), body, name)
            request = urllib.request.Request(f"{url}/f0", method="MOVE",
                                             headers={"Destination": f"{url}/moved"})
            urllib.request.urlopen(request, timeout=120).close()
            remote = ["--webdav-url", url]
            run("rclone", "copy", *remote, ":webdav:", self.here / "copied", env=self.home)
            run("rclone", "check", *remote, "--download", ":webdav:", self.here / "copied",
                env=self.home)
        bodies["moved"] = bodies.pop("f0")
        self.mount_again()
        self.assertEqual(sorted(os.listdir(self.top / "tree")), sorted(bodies))
        for name, body in bodies.items():
            self.assertEqual((self.top / "tree" / name).read_bytes(), body, name)
            self.assertEqual((self.here / "copied" / name).read_bytes(), body, name)


class BackupsWithAJournal(Backups):
    """fsync and close wait for this machine only."""
    options = ",durability=local"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: backups_test.py BUILD_DIRECTORY [TEST ...]")
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse")
        sys.exit(77)
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        sys.exit(77)
    BUILD = sys.argv.pop(1)
    unittest.main(verbosity=2)
