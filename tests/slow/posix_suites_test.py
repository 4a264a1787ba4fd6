#!/usr/bin/env python3
"""The POSIX suites of others on our mounts: pjdfstest from a checkout that $PJDFSTEST names, fsx and
the generic group of xfstests from one that $XFSTESTS names, built or not (then a copy is built).
Without either, without root or /dev/fuse: exit status 77.

$ASTER_FSX_OPS (100000) operations per fsx run; $ASTER_XFSTESTS (-g generic/quick) is what `check`
of xfstests gets. Some of its tests want the users fsgqa, 123456-fsgqa and fsgqa2."""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from drive import Drive  # noqa: E402

PJDFSTEST = os.environ.get("PJDFSTEST")
XFSTESTS = os.environ.get("XFSTESTS")
FSX_OPS = int(os.environ.get("ASTER_FSX_OPS", "100000"))
EXCLUDED = pathlib.Path(__file__).with_name("xfstests_excluded")
# Blocks are evicted all the time, and writers wait for uploads.
TINY = ["--cache-size", "16M", "--memory-cache", "1M", "--dirty-limit", "8M", "--read-ahead", "1M"]
HELPER = pathlib.Path("/sbin/mount.fuse.aster")


def run(command, cwd, log, timeout, env=None):
    """Output goes to the file `log`; returns exit status and output."""
    with open(log, "wb") as out:
        done = subprocess.run([str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=out, stderr=subprocess.STDOUT, timeout=timeout, env=env)
    return done.returncode, log.read_text(errors="replace")


def built(checkout, product, commands, folder):
    """The checkout itself when `product` is there, else a copy of it that was built."""
    checkout = pathlib.Path(checkout).resolve()
    if (checkout / product).exists():
        return checkout
    copy = folder / checkout.name
    shutil.copytree(checkout, copy, symlinks=True)
    for command in commands:
        status, text = run(shlex.split(command), copy, folder / "build.log", 3600)
        if status != 0:
            raise AssertionError(f"{command} in a copy of {checkout}:\n{text[-4000:]}")
    return copy


class Suites(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.drive = Drive()
        cls.stack.callback(cls.drive.close)
        cls.second = cls.stack.enter_context(cls.drive.mounted_again("second", TINY))

    def mounts(self):
        return {"plain": self.drive.mount, "tiny": self.second}

    def log(self, name):
        return self.drive.folder / f"{name}.log"


@unittest.skipUnless(PJDFSTEST, "PJDFSTEST names no checkout")
class Pjdfstest(Suites):
    MARK = 8798  # checks of the version that this was written with

    def test_all_of_it_on_both_mounts(self):
        place = built(PJDFSTEST, "pjdfstest", ["autoreconf -ifs", "./configure", "make pjdfstest"],
                      self.drive.folder)
        for name, mount in self.mounts().items():
            with self.subTest(mount=name):
                folder = mount / f"pjdfstest-{name}"
                folder.mkdir()
                status, text = run(["prove", "-r", place / "tests"], folder, self.log(name), 7200)
                failures = [line for line in text.splitlines() if not line.endswith("ok")]
                self.assertEqual(status, 0, "\n".join(failures[-60:]))
                checks = int(re.search(r"Tests=(\d+)", text).group(1))
                print(f"pjdfstest on the {name} mount: {checks} checks passed")
                self.assertGreaterEqual(checks, self.MARK)


@unittest.skipUnless(XFSTESTS, "XFSTESTS names no checkout")
class Xfstests(Suites):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = built(XFSTESTS, "ltp/fsx", ["make -j2"], cls.drive.folder)

    def fsx(self, name, mount, *arguments):
        with self.subTest(run=name):
            folder = mount / "fsx"
            folder.mkdir(exist_ok=True)
            command = [self.place / "ltp/fsx", "-q", "-N", FSX_OPS, "-P", self.drive.folder,
                       *arguments, folder / name]
            status, text = run(command, self.drive.folder, self.log(f"fsx-{name}"), 7200)
            self.assertEqual(status, 0, text[-6000:])
            print(f"fsx {name}: {FSX_OPS} operations passed")

    def test_fsx_with_and_without_mappings(self):
        for seed in ("11", "12", "13"):
            for name, mount in self.mounts().items():
                size = ["-l", "6000000"] if name == "tiny" else []
                self.fsx(f"{name}-{seed}", mount, "-S", seed, *size)
                self.fsx(f"{name}-{seed}-unmapped", mount, "-S", seed, "-R", "-W", *size)

    def test_generic_group(self):
        # Two trees on two mounts; xfstests tells them apart by what df shows.
        self.drive.aster_user("scratch")
        port = self.drive.port
        test, scratch = f"http://127.1:{port}", f"http://localhost:{port}"
        self.assertFalse(HELPER.exists(), f"{HELPER} is there already: remove it")
        self.stack.callback(HELPER.unlink, missing_ok=True)
        HELPER.write_text(self.helper(scratch))
        HELPER.chmod(0o755)
        tools = self.drive.folder / "tools"
        tools.mkdir()
        (tools / "df").write_text("#!/bin/sh\n/bin/df \"$@\" | sed 's/fuse\\.aster/fuse      /'\n")
        (tools / "df").chmod(0o755)
        config = self.drive.folder / "local.config"
        config.write_text("".join(f"export {key}={value}\n" for key, value in {
            "TEST_DEV": test, "TEST_DIR": self.drive.folder / "test", "SCRATCH_DEV": scratch,
            "SCRATCH_MNT": self.drive.folder / "scratch", "FSTYP": "fuse", "FUSE_SUBTYP": ".aster",
            "RESULT_BASE": self.drive.folder / "results"}.items()))
        for name in ("test", "scratch", "results"):
            (self.drive.folder / name).mkdir()
            self.stack.callback(subprocess.run, ["umount", "-l", str(self.drive.folder / name)],
                                stderr=subprocess.DEVNULL, check=False)
        env = dict(os.environ, HOST_OPTIONS=str(config), PATH=f"{tools}:{os.environ['PATH']}")
        excluded = [line.split()[0] for line in EXCLUDED.read_text().splitlines()
                    if line and not line.startswith("#")]
        chosen = shlex.split(os.environ.get("ASTER_XFSTESTS", "-g generic/quick"))
        _, text = run(["./check", "-x", "dangerous,shutdown,soak", "-e", ",".join(excluded), *chosen],
                      self.place, self.log("xfstests"), 6 * 3600, env)
        print("\n".join(text.splitlines()[-6:]))
        self.assertRegex(text, r"Passed all \d+ tests")

    def helper(self, scratch):
        """What mount -t fuse.aster runs: SOURCE DIRECTORY -o OPTIONS."""
        return f"""#!/bin/bash
source=$1 directory=$2 options=allow-other,dev,suid given=
token={self.drive.state}/user.token
[[ $source == {scratch} ]] && token={self.drive.state}/scratch.token
while getopts "o:nsvf" key "${{@:3}}"; do [[ $key == o ]] && given+=,$OPTARG; done
# The kernel does that alone.
[[ ,$given, == *,remount,* ]] && exec mount -i -o "${{given#,}}" "$directory"
for word in ${{given//,/ }}; do
  case $word in ro | noexec | nosuid | nodev | dev | suid | sync | noatime) options+=,$word ;; esac
done
exec {self.drive.programs}/fuse/mount.aster "$source" "$directory" --token-file "$token" \\
  --cache-dir "{self.drive.folder}/cache-${{directory##*/}}" --log-file "{self.drive.folder}/xfs-mounts.log" \\
  -o "$options"
"""


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("needs root and /dev/fuse")
        sys.exit(77)
    if not PJDFSTEST and not XFSTESTS:
        print("neither PJDFSTEST nor XFSTESTS names a checkout")
        sys.exit(77)
    unittest.main(verbosity=2)
