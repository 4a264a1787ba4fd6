"""A drive of real processes (primary, follower, mount) that a test may kill one by one."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


def free_port():
    """Free now; nobody else takes it in the moment until the server does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Proxy:
    """A TCP proxy in front of `port` that adds `one_way_ms` in each direction."""

    def __init__(self, program, port, one_way_ms):
        self.process = subprocess.Popen([program, str(port), str(one_way_ms)],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Drive:
    """`programs`: the build directory. Everything lies in one temporary folder that close()
    removes. `mount_options`: what is added to -o."""

    def __init__(self, programs, mount_options="", strategy="presigned", proxy=None, one_way_ms=0):
        self.programs = pathlib.Path(programs).resolve()
        self.mount_options = mount_options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aster-crash-"))
        self.mountpoint = self.folder / "mnt"
        self.mountpoint.mkdir()
        self.processes = {}
        self.ports = {"primary": free_port(), "follower": free_port()}
        self.proxies = {}
        try:
            self._set_up(strategy, proxy, one_way_ms)
        except BaseException:
            self.close()
            raise

    # ---- setting up

    def _set_up(self, strategy, proxy, one_way_ms):
        self.start("primary")
        self._api("POST", "auth/setup", {"username": "root", "password": "root password"})
        token = self.admin_token = self._login("root", "root password")
        self._api("POST", "admin/users", {"username": "ann", "password": "ann's password"}, token)
        self.token_file = self.folder / "token"
        self.token_file.write_text(self._login("ann", "ann's password"))
        self.token_file.chmod(0o600)
        if proxy:
            self.proxies["primary"] = Proxy(proxy, self.ports["primary"], one_way_ms)
        self.add_follower("follower", "f1", "p", strategy, proxy, one_way_ms)

    def add_follower(self, name, node, policy, strategy, proxy=None, one_way_ms=0):
        """Another follower under a policy of its own; the first policy is the default."""
        token = self.admin_token
        self.ports.setdefault(name, free_port())
        made = self._api("POST", "admin/remote-nodes", {"name": node, "namespace": node}, token)
        path = f"admin/remote-nodes/{made['id']}"
        issued = self._api("POST", f"{path}/enrollment-token", {}, token)
        enrolled = subprocess.run(
            [self.programs / "server/aster_drive", "node", "enroll", "--master-url",
             self.url("primary")],
            env=self._environment(name, {"ASTER_CLI_ENROLLMENT_TOKEN": issued["token"]}),
            cwd=self._home(name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if enrolled.returncode != 0:
            raise AssertionError(enrolled.stdout)
        self.start(name)
        if proxy:
            self.proxies[name] = Proxy(proxy, self.ports[name], one_way_ms)
        self._api("PATCH", path, {"base_url": self.url(name, True)}, token)
        self._api("POST", f"{path}/test", {}, token)
        self._api("POST", f"{path}/storage-targets",
                  {"driver_type": "local", "name": "disk", "base_path": "disk"}, token)
        self._api("POST", "admin/policies",
                  {"name": policy, "driver_type": "remote", "remote_node_id": made["id"],
                   "base_path": "drive", "options": {"remote_upload_strategy": strategy,
                                                     "remote_download_strategy": strategy}}, token)

    def _login(self, name, password):
        return self._api("POST", "auth/login", {"identifier": name, "password": password})["token"]

    def _api(self, method, path, body, token=None):
        request = urllib.request.Request(f"{self.url('primary')}/api/v1/{path}", method=method,
                                         data=json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()}") from error

    # ---- processes

    def url(self, name, proxied=False):
        port = self.proxies[name].port if proxied and name in self.proxies else self.ports[name]
        return f"http://127.0.0.1:{port}"

    def _home(self, name):
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return home

    def _environment(self, name, more):
        environment = dict(os.environ, ASTER_CONFIG_DIR=str(self.folder / "config"), **more)
        if name != "mount":
            mode = "follower" if name.startswith("follower") else name
            environment.update({"ASTER__SERVER__START_MODE": mode,
                                "ASTER__SERVER__HOST": "127.0.0.1",
                                "ASTER__SERVER__PORT": str(self.ports[name])})
        return environment

    def _spawn(self, name, command, fault):
        more = {"ASTER_FAULT": fault} if fault else {}
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            command, cwd=self._home(name), env=self._environment(name, more), stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        log.close()

    def _ready(self, name, fault):
        if self.processes[name].poll() is not None:
            if fault:
                return True  # it met its fault already
            raise AssertionError(f"{name} ended while starting:\n{self.log(name)[-3000:]}")
        if name == "mount":
            return os.path.ismount(self.mountpoint)
        try:
            with urllib.request.urlopen(f"{self.url(name)}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def start(self, name, fault=None):
        if name == "mount":
            options = (f"token_file={self.token_file},cache_dir={self.folder / 'cache'},"
                       f"cache_size=64M,journal_dir={self.folder / 'journal'}{self.mount_options}")
            command = [self.programs / "fuse/mount.aster", self.url("primary", True),
                       self.mountpoint, "-f", "-o", options]
        else:
            command = [self.programs / "server/aster_drive"]
        self._spawn(name, command, fault)
        wait_until(f"{name} is ready", lambda: self._ready(name, fault))

    def alive(self, name):
        return self.processes[name].poll() is None

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()
        if name == "mount":
            self.clear_dead_mount()

    def clear_dead_mount(self):
        subprocess.run(["umount", "-l", self.mountpoint], stderr=subprocess.DEVNULL, check=False)

    def unmount(self, seconds=120):
        """The exit status of the mount."""
        subprocess.run(["umount", self.mountpoint], check=True)
        return self.processes["mount"].wait(seconds)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def close(self):
        for name in sorted(self.processes, key=("primary", "follower2", "follower", "mount").index,
                           reverse=True):
            process = self.processes[name]
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        self.clear_dead_mount()
        for proxy in self.proxies.values():
            proxy.close()
        shutil.rmtree(self.folder, ignore_errors=True)
