"""A private drive (primary, followers, mount) for acceptance tests, brought up by tools/quickstart."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "tools" / "quickstart"


def free_port_base(count):
    """A port P so that P .. P+count-1 are free now."""
    for base in range(20000 + os.getpid() % 20000, 60000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
                return base
            except OSError:
                continue
    raise RuntimeError("no free ports")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def wait_until(what, condition, seconds=60):
    """Polls `condition` until it gives something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Drive:
    """State and mount lie in one temporary folder that close() removes."""

    def __init__(self, followers=1, strategy="presigned"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aster-acceptance-"))
        self.state = self.folder / "state"
        self.mount = self.folder / "mnt"
        self.followers = followers
        self.strategy = strategy
        self.port = free_port_base(followers + 1)
        self.up()

    def up(self):
        self.quickstart("up", "--followers", str(self.followers), "--strategy", self.strategy)

    @property
    def programs(self):
        return pathlib.Path(self.env()["ASTER_CLI"]).parents[1]

    @contextlib.contextmanager
    def mounted_again(self, name, options):
        """Another mount of the user's tree, with options of its own."""
        place = self.folder / name
        place.mkdir()
        subprocess.run([self.programs / "fuse" / "mount.aster", self.env()["ASTER_URL"], place,
                        "--token-file", self.state / "user.token", "--cache-dir",
                        self.folder / f"cache-{name}", "--log-file", self.state / f"{name}.log",
                        *options], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=False)

    def aster_user(self, name):
        """Another user with a tree of its own; its token lies in the state folder."""
        password = self.state / f"{name}.password"
        password.touch(mode=0o600)
        password.write_text("a password for tests\n")
        self.aster("user", "add", name, "--password-file", str(password))
        self.aster("login", self.env()["ASTER_URL"], "--user", name, "--password-file",
                   str(password), "--token-file", str(self.state / f"{name}.token"))

    def quickstart(self, *args, check=True):
        command = [str(QUICKSTART), *args, "--state", str(self.state)]
        if args[0] == "up":
            command += ["--mount", str(self.mount), "--port", str(self.port)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=900)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done

    def close(self):
        self.quickstart("down", check=False)
        subprocess.run(["umount", "-l", str(self.mount)], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def env(self):
        """The shell variables of the state folder's `env`."""
        out = subprocess.run(["bash", "-c", f"set -a; . '{self.state}/env'; env -0"],
                             stdout=subprocess.PIPE, check=True, text=True).stdout
        return dict(line.split("=", 1) for line in out.split("\0") if "=" in line)

    def pid(self, component):
        return int((self.state / f"{component}.pid").read_text().split()[0])

    def kill9(self, component):
        os.kill(self.pid(component), signal.SIGKILL)
        wait_until(f"{component} is gone", lambda: not pathlib.Path(f"/proc/{self.pid(component)}/exe").exists())

    def start(self, component):
        self.quickstart("start", component)

    def stop(self, component):
        self.quickstart("stop", component)

    def log(self, component):
        return (self.state / f"{component}.log").read_text(errors="replace")

    def cache_dir(self):
        return pathlib.Path(self.env()["ASTER_CACHE_DIR"])

    def aster(self, *args, check=True):
        """The `aster` command as the administrator."""
        env = dict(os.environ, **self.env())
        done = subprocess.run([env["ASTER_CLI"], *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        if check and done.returncode != 0:
            raise AssertionError(f"aster {' '.join(args)}: {done.stderr}")
        return done

    def objects(self, follower="follower1"):
        """Path and size of every object that the follower holds."""
        found = {}
        for folder, _, names in os.walk(self.state / follower):
            if "/files" not in folder:
                continue
            for name in names:
                path = pathlib.Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found[path] = path.stat().st_size
        return found

    def remount_cold(self):
        """Unmounts, forgets every cache, mounts again."""
        self.stop("mount")
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        shutil.rmtree(self.cache_dir(), ignore_errors=True)
        self.start("mount")
