#!/usr/bin/env python3
"""The main job as a person would see it: real servers, a real mount, real programs. Needs root and
/dev/fuse (else exit status 77); brings up its own drives and removes them."""

import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from drive import Drive, sha256, wait_until  # noqa: E402

MIB = 1 << 20


def run(*command, cwd=None, timeout=600, env=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, env=env)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n"
                             f"{done.stdout[-4000:]}")
    return done.stdout


def write_random(path, size, seed):
    """Durable: fsync before close. Returns the SHA-256."""
    generator = random.Random(seed)
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(generator.randbytes(MIB))
        file.write(generator.randbytes(size % MIB))
        file.flush()
        os.fsync(file.fileno())


class Copier(threading.Thread):
    """Writes small files one after the other and remembers each whose fsync returned."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder
        self.promised = {}
        self.failed = None
        self.halt = threading.Event()

    def run(self):
        number = 0
        while not self.halt.is_set():
            data = random.Random(number).randbytes(1000 + number * 37 % 300000)
            path = self.folder / f"f{number}"
            try:
                with open(path, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self.promised[path.name] = data
            except OSError as error:
                self.failed = error
                time.sleep(0.05)
            number += 1


class OneDrive(unittest.TestCase):
    strategy = "presigned"

    @classmethod
    def setUpClass(cls):
        cls.drive = Drive(strategy=cls.strategy)

    @classmethod
    def tearDownClass(cls):
        cls.drive.close()

    def folder(self):
        path = self.drive.mount / self.id().rsplit(".", 1)[1]
        path.mkdir()
        return path


class Programs(OneDrive):
    COMPONENTS = ("primary", "follower1", "mount")

    def told(self):
        """What the servers, the state folder and the processes are now."""
        lists = (("node", "list"), ("target", "list", "follower1"), ("policy", "list"), ("user", "list"))
        out = {" ".join(words): json.loads(self.drive.aster(*words, "--json").stdout) for words in lists}
        for node in out["node list"]:
            for changing in ("last_checked_at", "updated_at", "capacity"):
                node.pop(changing, None)
        for user in out["user list"]:
            user.pop("last_login_at", None)
        out["env"] = (self.drive.state / "env").read_text()
        out["pids"] = {c: self.drive.pid(c) for c in self.COMPONENTS}
        return out

    def test_second_up_changes_nothing(self):
        before = self.told()
        self.drive.up()
        self.assertEqual(before, self.told())

    def test_state_folder_has_what_it_promises(self):
        env = self.drive.env()
        self.assertEqual(env["ASTER_MOUNT"], str(self.drive.mount))
        self.assertTrue(env["ASTER_URL"].startswith("http://"))
        self.assertTrue(env["ASTER_WEBDAV_URL"].startswith(env["ASTER_URL"]))
        self.assertTrue(env["ASTER_USER"])
        for name in ("ASTER_PASSWORD_FILE", "ASTER_ADMIN_TOKEN_FILE"):
            self.assertEqual(os.stat(env[name]).st_mode & 0o777, 0o600, name)
            self.assertGreater(os.stat(env[name]).st_size, 8, name)
        for component in self.COMPONENTS:
            self.assertTrue((self.drive.state / f"{component}.pid").is_file(), component)
            self.assertTrue((self.drive.state / f"{component}.log").is_file(), component)
            self.assertTrue(any((self.drive.state / component).iterdir()), component)

    def test_status_and_restart_of_components(self):
        self.assertEqual(self.drive.quickstart("status", check=False).returncode, 0)
        self.drive.stop("follower1")
        stopped = self.drive.quickstart("status", check=False)
        self.assertEqual(stopped.returncode, 3)
        self.assertRegex(stopped.stdout, "follower1 +stopped")
        self.drive.start("follower1")
        for component in self.COMPONENTS:
            before = self.drive.pid(component)
            self.drive.quickstart("restart", component)
            self.assertNotEqual(self.drive.pid(component), before, component)
        self.assertEqual(self.drive.quickstart("status", check=False).returncode, 0)
        (self.folder() / "file").write_text("it works")

    def test_copied_tree_is_equal(self):
        folder = self.folder()
        run("cp", "-a", "/usr/include", folder)
        run("diff", "-r", "--no-dereference", "/usr/include", folder / "include")
        run("rsync", "-aHn", "--itemize-changes", "/usr/include/", folder / "include/")

    def test_git(self):
        folder = self.folder()
        source = self.drive.folder / "source.git"
        if not source.exists():
            run("git", "clone", "-q", "--bare", pathlib.Path(__file__).resolve().parents[2], source)
        run("git", "clone", "-q", source, folder / "clone")
        clone = folder / "clone"
        self.assertEqual(run("git", "status", "--porcelain", cwd=clone), "")
        (clone / "new").write_text("new\n")
        run("git", "add", "new", cwd=clone)
        run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "t", cwd=clone)
        run("git", "gc", "-q", cwd=clone)
        run("git", "fsck", "--strict", cwd=clone)

    def test_tar_and_rsync(self):
        folder = self.folder()
        archive = self.drive.folder / "tree.tar"
        run("tar", "cf", archive, "-C", "/usr/include", "linux")
        run("tar", "xf", archive, "-C", folder)
        run("diff", "-r", "/usr/include/linux", folder / "linux")
        run("rsync", "-a", "/usr/include/linux/", folder / "copy/")
        second = run("rsync", "-a", "--itemize-changes", "/usr/include/linux/", folder / "copy/")
        self.assertEqual(second, "")

    def test_sqlite(self):
        database = self.folder() / "t.db"
        for mode in ("DELETE", "WAL"):
            script = (f"PRAGMA journal_mode={mode}; CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b);"
                      "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) "
                      "INSERT INTO t(b) SELECT randomblob(200) FROM n; COMMIT; PRAGMA integrity_check;")
            out = run("sqlite3", database, script)
            self.assertEqual(out.split()[-1], "ok")

    def test_compiler(self):
        folder = self.folder()
        (folder / "a.cpp").write_text('#include <cstdio>\nint main() { std::puts("built"); }\n')
        run("g++", "-o", folder / "a", folder / "a.cpp")
        self.assertEqual(run(folder / "a"), "built\n")


class Relayed(Programs):
    strategy = "relay_stream"


class LargeFile(OneDrive):
    SIZE = 1024 * MIB

    def received_by_the_follower(self):
        """Bytes of all request bodies since the follower started, as its /metrics counts them."""
        url = f"http://127.0.0.1:{self.drive.port + 1}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith("aster_http_received_bytes_total"))

    def test_large_file_is_exact_one_object_and_cheap_to_change(self):
        folder = self.folder()
        local = self.drive.folder / "large"
        write_random(local, self.SIZE, 1)
        digest = sha256(local)
        before = set(self.drive.objects())
        run("cp", local, folder / "large")
        self.drive.remount_cold()
        self.assertEqual(sha256(folder / "large"), digest)

        def composed():
            new = {p: n for p, n in self.drive.objects().items() if p not in before}
            return [p for p, n in new.items() if n == self.SIZE]

        whole = wait_until("the parts are one object", composed, 120)
        self.assertEqual(sha256(whole[0]), digest)

        def named():
            return os.getxattr(folder / "large", "user.aster.object").decode().split("\n")

        wait_until("the file is that object alone",
                   lambda: len(named()) == 1 and whole[0].name in named()[0])

        known = set(self.drive.objects())
        received = self.received_by_the_follower()
        patch = os.urandom(4096)
        for path in (folder / "large", local):
            with open(path, "r+b") as file:
                file.seek(self.SIZE // 2 + 123)
                file.write(patch)
                file.flush()
                os.fsync(file.fileno())
        added = sum(n for p, n in self.drive.objects().items() if p not in known)
        self.assertGreaterEqual(added, 4096)
        self.assertLess(added, 2 * MIB)
        uploaded = self.received_by_the_follower() - received
        self.assertGreaterEqual(uploaded, 4096)
        self.assertLess(uploaded, 2 * MIB)
        self.drive.remount_cold()
        self.assertEqual(sha256(folder / "large"), sha256(local))


class TwoFollowers(unittest.TestCase):
    def test_each_policy_has_its_own_follower(self):
        drive = Drive(followers=2)
        try:
            write_random(drive.mount / "on1", 3 * MIB, 1)
            one, two = len(drive.objects("follower1")), len(drive.objects("follower2"))
            self.assertGreater(one, 0)
            policies = [line.split()[0] for line in drive.aster("policy", "list").stdout.splitlines()[1:]]
            self.assertGreaterEqual(len(policies), 2, policies)
            drive.aster("policy", "set-default", policies[-1])
            write_random(drive.mount / "on2", 3 * MIB, 2)
            self.assertGreater(len(drive.objects("follower2")), two)
            digests = [sha256(drive.mount / n) for n in ("on1", "on2")]
            drive.remount_cold()
            self.assertEqual(digests, [sha256(drive.mount / n) for n in ("on1", "on2")])
        finally:
            drive.close()


class Crashes(OneDrive):
    def crash(self, component):
        folder = self.folder()
        copier = Copier(folder)
        copier.start()
        wait_until("twenty files are promised", lambda: len(copier.promised) >= 20)
        self.drive.kill9(component)
        if component == "mount":
            copier.halt.set()
            copier.join(60)
            self.drive.start(component)
        else:
            promised = len(copier.promised)
            self.drive.start(component)
            wait_until("writing goes on", lambda: len(copier.promised) >= promised + 5)
            copier.halt.set()
            copier.join(60)
        self.drive.remount_cold()
        for name, data in copier.promised.items():
            self.assertEqual((folder / name).read_bytes(), data, name)
        return len(copier.promised)

    def test_primary(self):
        self.crash("primary")

    def test_follower(self):
        self.crash("follower1")

    def test_mount(self):
        self.crash("mount")

    def assert_one_byte(self, data, allowed):
        self.assertIn(data[:1], allowed)
        self.assertEqual(data.count(data[:1]), len(data), "half old and half new")

    def test_no_file_is_half_old_and_half_new(self):
        path = self.folder() / "file"
        for component in ("mount", "primary", "follower1"):
            path.write_bytes(b"0" * (2 * MIB))
            written = []

            def rewrite():
                for number in range(1000):
                    byte = bytes([ord("A") + number % 26])
                    written.append(byte)
                    try:
                        temporary = path.with_suffix(".new")
                        temporary.write_bytes(byte * (2 * MIB))
                        temporary.rename(path)
                    except OSError:
                        return
            writer = threading.Thread(target=rewrite, daemon=True)
            writer.start()
            wait_until("some versions are there", lambda: len(written) > 3)
            self.drive.kill9(component)
            self.drive.start(component)
            writer.join(120)
            self.drive.remount_cold()
            data = path.read_bytes()
            self.assertEqual(len(data), 2 * MIB)
            self.assert_one_byte(data, [b"0", *written])

    def test_file_of_many_parts_rewritten_in_place_is_old_or_new(self):
        path = self.folder() / "file"
        parts = 6 * 16 * MIB
        for number, component in enumerate(("mount", "primary", "follower1")):
            old, new = (bytes([ord(first) + number]) for first in ("a", "A"))
            with open(path, "wb") as file:
                file.write(old * parts)
                os.fsync(file.fileno())
            before = set(self.drive.objects())
            killed, result = threading.Event(), []

            def rewrite():
                try:
                    with open(path, "r+b") as file:
                        file.write(new * (parts // 2))
                        file.flush()
                        killed.wait(60)
                        file.write(new * (parts // 2))
                        file.flush()
                        os.fsync(file.fileno())
                    result.append(new)
                except OSError:
                    result.append(old)
            writer = threading.Thread(target=rewrite, daemon=True)
            writer.start()
            wait_until("a part of the new content is uploaded", lambda: set(self.drive.objects()) - before)
            self.drive.kill9(component)
            self.drive.start(component)
            killed.set()
            writer.join(120)
            self.drive.remount_cold()
            data = path.read_bytes()
            self.assertEqual(len(data), parts)
            self.assert_one_byte(data, [new] if result == [new] else [old, new])


class Outages(OneDrive):
    DEADLINE = 30 + 15  # the default of --timeout, and what a busy machine adds
    def read_in(self, path, seconds):
        begin = time.monotonic()
        try:
            data = path.read_bytes()
        except OSError as error:
            self.assertLess(time.monotonic() - begin, seconds)
            return error
        self.assertLess(time.monotonic() - begin, seconds)
        return data

    def outage(self, component):
        folder = self.folder()
        data = os.urandom(300000)
        for name in ("cached", "other"):
            (folder / name).write_bytes(data)
        self.drive.remount_cold()
        self.assertEqual((folder / "cached").read_bytes(), data)
        # From here the block cache has to answer, not the kernel's pages.
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        self.drive.kill9(component)
        self.assertEqual(self.read_in(folder / "cached", self.DEADLINE), data)
        other = self.read_in(folder / "other", self.DEADLINE)
        self.assertIsInstance(other, OSError)
        self.assertEqual(other.errno, 5, other)
        self.drive.start(component)
        wait_until("it works again", lambda: self.read_in(folder / "other", self.DEADLINE) == data)
        (folder / "after").write_bytes(data)
        self.assertEqual((folder / "after").read_bytes(), data)

    def test_follower_down(self):
        self.outage("follower1")

    def test_primary_down(self):
        self.outage("primary")


class Damage(OneDrive):
    def flip(self, path, offset):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))

    def test_flipped_bit_on_the_follower_is_an_error(self):
        folder = self.folder()
        before = set(self.drive.objects())
        write_random(folder / "file", 700000, 5)
        (new,) = set(self.drive.objects()) - before
        self.drive.remount_cold()
        self.flip(new, 400000)
        with self.assertRaises(OSError) as raised:
            (folder / "file").read_bytes()
        self.assertEqual(raised.exception.errno, 5)
        self.assertRegex(self.drive.log("mount"), "corrupt")
        with open(folder / "file", "rb") as file:
            self.assertEqual(len(file.read(100000)), 100000)

    def test_flipped_bits_in_the_cache_are_fetched_again(self):
        folder = self.folder()
        write_random(folder / "file", 3 * MIB, 6)
        digest = sha256(folder / "file")
        self.drive.remount_cold()
        self.assertEqual(sha256(folder / "file"), digest)
        self.drive.stop("mount")
        segments = [p for p in self.drive.cache_dir().rglob("*") if p.is_file() and p.stat().st_size > MIB]
        self.assertTrue(segments)
        for segment in segments:
            for offset in range(5000, segment.stat().st_size, 50000):
                self.flip(segment, offset)
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        self.drive.start("mount")
        self.assertEqual(sha256(folder / "file"), digest)


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        sys.exit(77)
    unittest.main(verbosity=2)
