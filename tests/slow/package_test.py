#!/usr/bin/env python3
"""The Debian package: builds it, looks at what is in it, and tries the parts that can be tried
without installing anything.

usage: package_test.py [PACKAGE.deb]     (without an argument tools/make-deb builds one)
"""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GIVEN = None

CONTENT = """
/usr/bin/aster
/usr/sbin/aster_drive
/usr/sbin/mount.aster
/usr/sbin/umount.fuse.aster
/usr/lib/systemd/system/aster_drive.service
/usr/lib/sysusers.d/aster.conf
/usr/share/aster/grafana-dashboard.json
/usr/share/bash-completion/completions/aster
/usr/share/bash-completion/completions/aster_drive
/usr/share/bash-completion/completions/mount.aster
/usr/share/doc/aster/README.md
/usr/share/doc/aster/copyright
/usr/share/doc/aster/examples/aster_drive.toml.sample
/usr/share/doc/aster/examples/fstab.sample
/usr/share/zsh/vendor-completions/_aster
""".split()


def run(*command, **options):
    options.setdefault("timeout", 300)
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="aster-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.deb = GIVEN
        if cls.deb is None:
            done = subprocess.run([ROOT / "tools" / "make-deb", "--output", cls.folder], check=True,
                                  stdout=subprocess.PIPE, text=True, timeout=7200)
            cls.deb = pathlib.Path(done.stdout.splitlines()[-1])
        cls.root = cls.folder / "root"
        run("dpkg-deb", "-x", cls.deb, cls.root)
        run("dpkg-deb", "-e", cls.deb, cls.folder / "control")

    def test_holds_exactly_what_it_should(self):
        pages = [f"/usr/share/man/man{page.suffix[1:]}/{page.name}.gz"
                 for page in (ROOT / "man").glob("*.[1-8]")]
        self.assertGreater(len(pages), 5)
        found = []
        for line in run("dpkg-deb", "-c", self.deb).splitlines():
            mode, owner, _, _, _, name = line.split(maxsplit=5)
            self.assertEqual(owner, "root/root", line)
            self.assertNotRegex(mode, "^[^l].......w.", "writable for everybody: " + line)
            if mode[0] != "d":
                found.append(name.split(" -> ")[0].removeprefix("."))
        self.assertEqual(sorted(found), sorted(CONTENT + pages))

    def test_programs_run_and_are_stripped(self):
        version = re.search(r"^Version: (.*)$", (self.folder / "control/control").read_text(), re.M)
        for name in CONTENT[:4]:
            program = self.root / name[1:]
            self.assertEqual(stat.S_IMODE(program.stat().st_mode), 0o755, name)
            self.assertNotIn(".symtab", run("readelf", "-SW", program), name)
            if name != "/usr/sbin/umount.fuse.aster":
                self.assertIn(version.group(1), run(program, "--version"))

    def test_depends_on_the_libraries_that_it_is_linked_with(self):
        control = (self.folder / "control/control").read_text()
        depends = re.search(r"^Depends: (.*)$", control, re.M).group(1)
        for library in ("libc6", "libfuse3", "libcurl", "libssl", "librocksdb", "libsqlite3", "fuse3"):
            self.assertIn(library, depends)

    def test_maintainer_scripts_are_valid_shell(self):
        for name in ("postinst", "prerm", "postrm"):
            script = self.folder / "control" / name
            self.assertTrue(os.access(script, os.X_OK), name)
            run("sh", "-n", script)

    @unittest.skipIf(shutil.which("systemd-analyze") is None, "systemd-analyze is not installed")
    def test_the_unit_is_one_that_systemd_takes(self):
        unit = self.folder / "aster_drive.service"
        text = (self.root / "usr/lib/systemd/system/aster_drive.service").read_text()
        program = self.root / "usr/sbin/aster_drive"
        self.assertIn("ExecStart=/usr/sbin/aster_drive ", text)
        unit.write_text(text.replace("ExecStart=/usr/sbin/aster_drive ", f"ExecStart={program} "))
        complaints = [line for line in run("systemd-analyze", "verify", "--man=no", unit).splitlines()
                      if "aster_drive" in line]
        self.assertEqual(complaints, [])

    def test_completions_offer_the_words_of_the_packaged_programs(self):
        folder = self.root / "usr/share/bash-completion/completions"
        path = f"{self.root}/usr/bin:{self.root}/usr/sbin:{os.environ['PATH']}"
        for program, words, wanted in (
                ("aster", ["no"], "node"), ("aster", ["node", "ad"], "add"),
                ("aster", ["verify", "--de"], "--deep"),
                ("aster_drive", ["back"], "backup"), ("aster_drive", ["backup", "--keep"], "--keep-days"),
                ("mount.aster", ["--cache-s"], "--cache-size")):
            script = (f"source '{folder}/{program}'\ncomplete -p {program} >/dev/null\n"
                      f"COMP_WORDS=({program} {' '.join(words)}); COMP_CWORD={len(words)}; _aster\n"
                      'printf "%s\\n" "${COMPREPLY[@]}"\n')
            offered = run("bash", "-eu", "-c", script, env=dict(os.environ, PATH=path)).split()
            self.assertIn(wanted, offered, f"{program} {words}")

    def test_pages_can_be_read(self):
        for page in (self.root / "usr/share/man").rglob("*.gz"):
            text = run("man", "-l", page, env=dict(os.environ, PAGER="cat", MANPAGER="cat")) \
                if shutil.which("man") else run("zcat", page)
            self.assertGreater(len(text), 500, page)

    def test_the_sample_configuration_starts_a_server(self):
        config = self.folder / "config.toml"
        sample = self.root / "usr/share/doc/aster/examples/aster_drive.toml.sample"
        config.write_text(sample.read_text())
        config.chmod(0o600)
        password = self.folder / "pw"
        password.write_text("a long password\n")
        password.chmod(0o600)
        program = self.root / "usr/sbin/aster_drive"
        run(program, "--config", config, "user", "add", "someone", "--password-file", password)
        self.assertIn("all is well", run(program, "--config", config, "check"))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].endswith(".deb"):
        GIVEN = pathlib.Path(sys.argv.pop(1)).resolve()
    missing = [name for name in ("dpkg-deb", "dpkg-shlibdeps", "readelf") if shutil.which(name) is None]
    if missing:
        print("skipped: not installed:", ", ".join(missing))
        sys.exit(77)
    unittest.main(verbosity=2)
