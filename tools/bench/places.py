"""Where the benchmark works: a drive, the local disk, a passthrough mount of it, other mounts."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = pathlib.Path("/usr/share/doc/libfuse3-dev/examples")


def run(*command, **options):
    """Ends the benchmark with the program's output when it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def drop_kernel_caches():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def is_mounted(path):
    return os.path.ismount(path)


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: not within {seconds} s: {what}")
        time.sleep(0.01)


def wait_for_port(port):
    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_for(f"a server on port {port}", answers)


class Place:
    """A folder to work in. `durable`: closing or syncing a file here makes it durable."""
    name = ""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def make_cold(self):
        """Nothing is cached anywhere on this machine."""
        drop_kernel_caches()

    def make_warm(self):
        """The kernel has cached nothing; a drive's block cache is as it was, mounted anew."""
        drop_kernel_caches()

    def usage(self):
        """CPU seconds and peak bytes of the process that serves this place; None without one."""
        return None

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Disk(Place):
    name = "disk"


class Mounted(Place):
    """A mount served by one process, started by start() and ended by unmounting."""

    def __init__(self, mountpoint):
        super().__init__(pathlib.Path(mountpoint) / "bench")
        self.mountpoint = pathlib.Path(mountpoint)
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        self.process = None

    def command(self):
        raise NotImplementedError

    def mount(self):
        log = open(f"{self.mountpoint}.log", "ab")
        with log:
            self.process = subprocess.Popen([str(word) for word in self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(f"mount of {self.mountpoint}", lambda: self.is_up() and is_mounted(self.mountpoint))
        self.folder.mkdir(exist_ok=True)

    def is_up(self):
        if self.process.poll() is not None:
            log = pathlib.Path(f"{self.mountpoint}.log").read_text(errors="replace")
            raise SystemExit(f"bench: {self.command()[0]} ended:\n{log[-2000:]}")
        return True

    def unmount(self):
        if self.process is None:
            return
        subprocess.run(["umount", str(self.mountpoint)], stderr=subprocess.DEVNULL, check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=120)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            subprocess.run(["umount", "-l", str(self.mountpoint)], check=False)
        self.process = None

    def usage(self):
        pid = self.process.pid
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return ticks / os.sysconf("SC_CLK_TCK"), int(peak) * 1024

    def close(self):
        self.unmount()


class Passthrough(Mounted):
    """libfuse's own example over a folder of the local disk: what FUSE itself costs."""
    name = "passthrough"

    def __init__(self, mountpoint, scratch):
        super().__init__(mountpoint)
        self.program = scratch / "passthrough_ll"
        self.source = scratch / "passthrough"
        self.source.mkdir()
        flags = run("pkg-config", "--cflags", "--libs", "fuse3").split()
        run("cc", "-O2", "-D_GNU_SOURCE", "-o", self.program, EXAMPLES / "passthrough_ll.c", *flags)

    def command(self):
        return [self.program, "-f", "-o", f"source={self.source},cache=auto,timeout=86400",
                self.mountpoint]

    def make_cold(self):
        self.unmount()
        drop_kernel_caches()
        self.mount()

    make_warm = make_cold


class AsterMount(Mounted):
    """mount.aster with a block cache of its own."""
    name = "drive"

    def __init__(self, mountpoint, scratch, drive, options=""):
        super().__init__(mountpoint)
        self.drive = drive
        self.options = options
        self.cache = scratch / f"cache-{self.mountpoint.name}"

    def command(self):
        options = (f"token_file={self.drive.user_token},cache_dir={self.cache}"
                   f"{',' + self.options if self.options else ''}")
        return [self.drive.programs / "fuse/mount.aster", self.drive.client_url, self.mountpoint,
                "-f", "-o", options]

    def make_cold(self):
        self.unmount()
        drop_kernel_caches()
        shutil.rmtree(self.cache, ignore_errors=True)
        self.mount()

    def make_warm(self):
        self.unmount()
        drop_kernel_caches()
        self.mount()


class Delay:
    """A proxy that makes a port of this machine far away."""

    def __init__(self, program, port, round_trip_ms):
        self.process = subprocess.Popen([str(program), str(port), str(round_trip_ms // 2)],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


class Drive:
    """Primary and follower of a private quickstart drive, near or far."""

    def __init__(self, checkout, scratch, port, round_trip_ms=0, proxy=None):
        self.programs = checkout / "build/release"
        self.quickstart = checkout / "tools/quickstart"
        self.state = scratch / "state"
        self.delays = []
        mountpoint = scratch / "unused"
        run(self.quickstart, "up", "--state", self.state, "--mount", mountpoint, "--port", port)
        run(self.quickstart, "stop", "mount", "--state", self.state)
        settings = run("bash", "-c", f". '{self.state}/env'; env -0")
        self.env = dict(line.split("=", 1) for line in settings.split("\0") if "=" in line)
        self.client_url = self.env["ASTER_URL"]
        if round_trip_ms:
            self.move_away(port, round_trip_ms, proxy)
        self.user_token = scratch / "token"
        self.log_in()

    def move_away(self, port, round_trip_ms, proxy):
        self.delays = [Delay(proxy, port, round_trip_ms), Delay(proxy, port + 1, round_trip_ms)]
        self.client_url = f"http://127.0.0.1:{self.delays[0].port}"
        far = f"http://127.0.0.1:{self.delays[1].port}"
        aster = self.programs / "tools/aster"
        environment = dict(os.environ, **self.env)
        nodes = json.loads(run(aster, "node", "list", "--json", env=environment))
        run(aster, "node", "set", nodes[0]["name"], "--base-url", far, env=environment)

    def call(self, path, body, token=None):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.client_url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def log_in(self):
        password = pathlib.Path(self.env["ASTER_PASSWORD_FILE"]).read_text().strip()
        answer = self.call("/api/v1/auth/login",
                           {"identifier": self.env["ASTER_USER"], "password": password})
        self.user_token.touch(mode=0o600)
        self.user_token.write_text(answer["token"])

    def object_urls(self, path):
        """(URL, offset, length, offset in the object) of each extent of a file of the drive."""
        token = self.user_token.read_text()
        operation = {"op": "manifest", "ino": os.stat(path).st_ino, "offset": 0, "length": 1 << 62}
        answer = self.call("/api/v1/fs/batch", {"session": 0, "ops": [operation]}, token)
        manifest = answer["results"][0]["manifest"]
        urls = {item["id"]: item["url"] for item in manifest["objects"]}
        return [(urls[extent["object"]], extent) for extent in manifest["extents"]]

    def close(self):
        for delay in self.delays:
            delay.close()
        run(self.quickstart, "down", "--state", self.state)
