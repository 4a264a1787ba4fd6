"""One primary and three mounts of its drive, each through a relay of its own."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
NAMES = ("a", "b", "c")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Relay:
    """Passes connections of one mount on to the primary until they are cut; counts batches."""

    def __init__(self, target):
        self.target = target
        self.open = set()
        self.batches = 0
        self.passing = threading.Event()
        self.passing.set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.open |= {client, server}
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                self.passing.wait()
                self.batches += data.count(b"POST /api/v1/fs/batch")
                sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.open -= {source, sink}
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def hold(self):
        """From now on nothing passes, as if the cable was pulled; connections stay."""
        self.passing.clear()

    def let_go(self):
        self.passing.set()

    def cut(self):
        with self.lock:
            victims = list(self.open)
        for one in victims:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Drive:
    def __init__(self, server, mount_program, consistency="lease"):
        self.server = server
        self.mount_program = mount_program
        self.consistency = consistency
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aster-consistency-"))
        self.port = free_port()
        self.primary = None
        self.mounts = {}
        self.relays = {}
        self.workers = {}

    def start_primary(self):
        env = dict(os.environ, ASTER__SERVER__PORT=str(self.port), ASTER__SERVER__HOST="127.0.0.1",
                   ASTER__SERVER__START_MODE="primary")
        with open(self.folder / "primary.log", "ab") as log:
            self.primary = subprocess.Popen(
                [self.server, "--config", self.folder / "primary" / "config.toml"],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait("the primary answers", lambda: self.call("GET", "/health/ready") is not None)

    def call(self, method, path, body=None, token=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=10) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error
        except OSError:
            return None

    @staticmethod
    def wait(what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}")
            time.sleep(0.05)

    def set_up(self, names=NAMES, more={}):
        """`more`: further mount options, by name."""
        (self.folder / "primary").mkdir()
        self.start_primary()
        self.call("POST", "/api/v1/auth/setup", {"username": "root", "password": "root password"})
        login = self.call("POST", "/api/v1/auth/login",
                          {"identifier": "root", "password": "root password"})
        token = login["data"]["token"]
        self.call("POST", "/api/v1/admin/policies",
                  {"name": "local", "driver_type": "local", "is_default": True}, token)
        secret = self.folder / "token"
        secret.write_text(token)
        secret.chmod(0o600)
        for name in names:
            self.mount(name, more.get(name, ""))
        first = self.folder / f"mnt-{NAMES[0]}"
        for directory in ("d0", "d1"):
            (first / directory).mkdir()
        for name in NAMES:
            (first / f"d0/log-{name}").touch()

    def mount(self, name, more=""):
        place = self.folder / f"mnt-{name}"
        place.mkdir(exist_ok=True)
        if name not in self.relays:
            self.relays[name] = Relay(self.port)
        with open(self.folder / f"mount-{name}.log", "ab") as log:
            self.mounts[name] = subprocess.Popen(
                [self.mount_program, "-f", f"http://127.0.0.1:{self.relays[name].port}", place, "-o",
                 f"token_file={self.folder}/token,cache_size=0,memory_cache=32M,timeout=20s,noatime,"
                 f"consistency={self.consistency}{more}"],
                env=dict(os.environ, ASTER_CONFIG_DIR=str(self.folder / "none")),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        device = self.folder.stat().st_dev
        self.wait(f"{name} is mounted", lambda: place.stat().st_dev != device)

    def log(self, name):
        return (self.folder / f"mount-{name}.log").read_text()

    def local(self, name):
        """Mount options with which it keeps what it can to itself for a while."""
        return f",durability=local,journal_dir={self.folder}/journal-{name},debug"

    def start_workers(self, seed):
        """One that does everything and one that only watches, on each mount."""
        for number, name in enumerate(NAMES):
            for kind in ([], ["watch"]):
                key = "-".join([name] + kind)
                self.workers[key] = subprocess.Popen(
                    [sys.executable, HERE / "worker.py", self.folder / f"mnt-{name}", name,
                     self.folder / f"history-{key}", str(seed * 10 + number), ",".join(NAMES)] + kind,
                    stdin=subprocess.PIPE)

    def stop_workers(self):
        for worker in self.workers.values():
            worker.stdin.close()
        for name, worker in self.workers.items():
            if worker.wait(timeout=120) != 0:
                raise AssertionError(f"the worker of {name} failed")

    def close(self):
        for mount in self.mounts.values():
            mount.send_signal(signal.SIGCONT)
        for worker in self.workers.values():
            worker.kill()
        for name, mount in self.mounts.items():
            subprocess.run(["umount", "-l", self.folder / f"mnt-{name}"], check=False,
                           stderr=subprocess.DEVNULL)
            mount.terminate()
        for mount in self.mounts.values():
            try:
                mount.wait(timeout=30)
            except subprocess.TimeoutExpired:
                mount.kill()
                mount.wait()
        for relay in self.relays.values():
            relay.let_go()
            relay.listener.close()
        if self.primary:
            self.primary.kill()
            self.primary.wait()
