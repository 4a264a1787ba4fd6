#!/usr/bin/env python3
"""Load on one drive: clients of the client API, of WebDAV and of a mount at the same time, and
thousands of idle event streams. Nothing may fail, memory must not grow, and what one client wrote
the others read. Prints a table of latencies; the bound on the p99 of each kind is the timeout of a
request, for mounts as well.

usage: load_test.py BUILD_DIR [--seconds N] [--clients N] [--streams N]
       load_test.py --self-test
"""

import argparse
import base64
import hashlib
import http.client
import json
import os
import pathlib
import random
import resource
import selectors
import socket
import statistics
import sys
import threading
import time
import traceback
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "crash"))
from processes import Drive  # noqa: E402

MIB = 1 << 20
# Seconds. The one bound on latencies: figures depend on the machine, and are printed for people.
REQUEST_TIMEOUT = 120
USER, PASSWORD = "ann", "ann's password"


def resident(pid):
    """Bytes of memory that a process has."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


class Figures:
    """Latencies by kind of work, and what went wrong. Thread-safe."""

    def __init__(self):
        self.lock = threading.Lock()
        self.took = {}
        self.errors = []

    def measure(self, kind, action):
        begin = time.monotonic()
        result = action()
        took = time.monotonic() - begin
        with self.lock:
            self.took.setdefault(kind, []).append(took)
        return result

    def failed(self, text):
        with self.lock:
            self.errors.append(text)

    def table(self):
        lines = [f"{'what':<22}{'count':>9}{'p50 ms':>9}{'p90 ms':>9}{'p99 ms':>9}{'max ms':>9}"]
        for kind, times in sorted(self.took.items()):
            times.sort()

            def at(share):
                return times[min(len(times) - 1, int(len(times) * share))] * 1000

            lines.append(f"{kind:<22}{len(times):>9}{at(.5):>9.1f}{at(.9):>9.1f}{at(.99):>9.1f}"
                         f"{times[-1] * 1000:>9.1f}")
        return "\n".join(lines)


    def judge(self):
        """A busy machine may be slow; but what took 99 of 100 calls this long hangs."""
        return [f"{kind}: p99 is {p99:.1f} s, the bound is {REQUEST_TIMEOUT} s"
                for kind, times in self.took.items()
                if (p99 := sorted(times)[int(len(times) * .99)]) >= REQUEST_TIMEOUT]


class Client:
    """One kept connection to the primary."""

    def __init__(self, drive, figures):
        self.port = drive.ports["primary"]
        self.token = drive.token_file.read_text().strip()
        self.figures = figures
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT)

    def call(self, kind, method, path, body=None, headers=None, expect=(200, 201, 204, 207)):
        def action():
            self.connection.request(method, path, body=body, headers=headers or {})
            answer = self.connection.getresponse()
            return answer.status, answer.read()

        status, content = self.figures.measure(kind, action)
        if status not in expect:
            raise AssertionError(f"{method} {path}: {status} {content[:300]!r}")
        return content

    def bearer(self):
        return {"Authorization": f"Bearer {self.token}"}

    def basic(self):
        proof = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return {"Authorization": f"Basic {proof}"}


def content_for(name, choice):
    size = choice.choice([0, 100, 4000, 70_000, 300_000])
    return (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]


def same(what, got, expected):
    if got != expected:
        raise AssertionError(f"{what}: {len(got)} bytes are not the {len(expected)} written")


class ApiWorker(Client):
    """Batches and files by path."""

    def batch(self, kind, *operations):
        body = json.dumps({"session": 0, "ops": operations})
        data = json.loads(self.call("api " + kind, "POST", "/api/v1/fs/batch", body, self.bearer()))
        results = data["data"]["results"]
        for result in results:
            if "error" in result:
                raise AssertionError(f"{kind}: {result['error']}")
        return results

    def prepare(self, name):
        self.folder = name
        path = f"/api/v1/folders/{name}"
        made = self.call("api mkdir", "POST", path, b"", self.bearer())
        self.ino = json.loads(made)["data"]["id"]

    def round(self, number, choice):
        name = f"f{number % 50}"
        path = f"/api/v1/files/{self.folder}/{name}"
        content = content_for(name + str(number), choice)
        self.call("api put", "PUT", path, content, self.bearer())
        same(path, self.call("api get", "GET", path, None, self.bearer()), content)
        same("webdav " + path, self.call("dav get of api file", "GET",
                                         f"/webdav/{self.folder}/{name}", None, self.basic()), content)
        made = self.batch("create", {"op": "create", "parent": self.ino, "name": f"e{number}",
                                     "type": "regular", "mode": 0o644, "uid": 0, "gid": 0, "exclusive": True,
                                     "id": f"{choice.getrandbits(128):032x}"})
        ino = made[0]["attr"]["ino"]
        self.batch("getattr+readdir", {"op": "getattr", "ino": ino},
                   {"op": "readdir", "ino": self.ino, "after": 0, "limit": 100})
        self.batch("unlink", {"op": "unlink", "parent": self.ino, "name": f"e{number}", "hold": False,
                              "id": f"{choice.getrandbits(128):032x}"})


class DavWorker(Client):
    """What a WebDAV client does all day."""

    def prepare(self, name):
        self.folder = f"/webdav/{name}"
        self.mount_folder = self.mount / name
        self.call("dav mkcol", "MKCOL", self.folder, None, self.basic())

    def round(self, number, choice):
        name = f"f{number % 50}"
        path = f"{self.folder}/{name}"
        content = content_for(name + str(number), choice)
        self.call("dav put", "PUT", path, content, self.basic())
        same(path, self.call("dav get", "GET", path, None, self.basic()), content)
        self.call("dav propfind", "PROPFIND", self.folder + "/", None, {**self.basic(), "Depth": "1"})
        target = f"http://127.0.0.1:{self.port}{self.folder}/moved"
        self.call("dav move", "MOVE", path, None, {**self.basic(), "Destination": target})
        found = self.figures.measure("mount read of dav file",
                                     lambda: (self.mount_folder / "moved").read_bytes())
        same(path + " at the mount", found, content)
        self.call("dav delete", "DELETE", f"{self.folder}/moved", None, self.basic())


class MountWorker(Client):
    """A program on the mount."""

    def prepare(self, name):
        self.folder = self.mount / name
        self.name = name
        self.folder.mkdir()

    def round(self, number, choice):
        path = self.folder / f"f{number % 50}"
        content = content_for(path.name + str(number), choice)

        def write():
            with open(path, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

        self.figures.measure("mount write+fsync", write)
        same(str(path), self.figures.measure("mount read", path.read_bytes), content)
        quoted = urllib.parse.quote(f"{self.name}/{path.name}")
        same(quoted, self.call("api get of mount file", "GET", f"/api/v1/files/{quoted}", None,
                               self.bearer()), content)
        moved = self.folder / "moved"
        self.figures.measure("mount rename", lambda: path.rename(moved))
        self.figures.measure("mount listdir", lambda: os.listdir(self.folder))
        self.figures.measure("mount unlink", moved.unlink)


def work(worker, name, end, seed, figures):
    choice = random.Random(seed)
    try:
        worker.prepare(name)
        number = 0
        while time.monotonic() < end:
            worker.round(number, choice)
            number += 1
    except Exception:  # every failure is a finding: none may be lost with its thread
        figures.failed(f"{name}: {traceback.format_exc()}")


def slope(values):
    """Of the straight line that fits best, per step; a single high sample hardly tilts it."""
    if len(values) < 2:
        return 0.0
    return statistics.linear_regression(range(len(values)), values).slope


class Memory:
    """Samples what processes take while a load runs."""

    def __init__(self, drive):
        self.pids = {name: process.pid for name, process in drive.processes.items()}
        self.samples = {name: [] for name in self.pids}

    def sample(self):
        for name, pid in self.pids.items():
            self.samples[name].append(resident(pid))


def judge_memory(samples):
    """Caches fill up in the first third; after that a line through the rest must not rise by more
    than a tenth of what is there and 16 MiB: a leak of a few bytes a call is more than that."""
    faults = []
    for name, values in samples.items():
        print(f"memory of {name}, MiB: {' '.join(str(value // MIB) for value in values)}")
        rest = values[len(values) // 3:]
        rise = slope(rest) * (len(rest) - 1)
        allowed = statistics.mean(rest) * 0.1 + 16 * MIB
        print(f"  after the first third {rise / MIB:+.1f} MiB, allowed {allowed / MIB:.1f}")
        if rise > allowed:
            faults.append(f"{name} grew by {rise:.0f} bytes, more than {allowed:.0f}")
    return faults


def mixed_load(drive, clients, seconds, seed):
    figures = Figures()
    memory = Memory(drive)
    end = time.monotonic() + seconds
    kinds = [ApiWorker, DavWorker, MountWorker]
    threads = []
    for i in range(clients):
        worker = kinds[i % len(kinds)](drive, figures)
        worker.mount = drive.mountpoint
        threads.append(threading.Thread(target=work, args=(worker, f"client{i}", end, seed + i, figures)))
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        time.sleep(max(0.0, min(seconds / 30, end - time.monotonic())))
        memory.sample()
    for thread in threads:
        thread.join(300)
        if thread.is_alive():
            figures.failed(f"{thread.name} hangs")
    memory.sample()
    print(f"{clients} clients, {seconds} s, {sum(len(t) for t in figures.took.values())} calls")
    print(figures.table())
    return figures.errors + figures.judge() + judge_memory(memory.samples)


def open_stream(drive, token):
    """An event stream of a session of its own; the socket, answered with its head."""
    data = drive._api("POST", "fs/session", {"client": "idle"}, token)
    stream = socket.create_connection(("127.0.0.1", drive.ports["primary"]), timeout=60)
    stream.sendall((f"GET /api/v1/fs/events?session={data['session']}&cursor={data['cursor']} HTTP/1.1\r\n"
                    f"Host: drive\r\nAuthorization: Bearer {token}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        piece = stream.recv(4096)
        if not piece:
            raise AssertionError(f"the stream ended with {head!r}")
        head += piece
    if not head.startswith(b"HTTP/1.1 200"):
        raise AssertionError(head.decode())
    stream.setblocking(False)
    return stream


def idle_streams(drive, count, limit):
    token = drive.token_file.read_text().strip()
    pid = drive.processes["primary"].pid
    before = resident(pid)
    streams = [open_stream(drive, token) for _ in range(count)]
    selector = selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream, selectors.EVENT_READ)
    # Three heartbeats of everybody: all live, and all have sent.
    heard = dict.fromkeys(streams, 0)
    end = time.monotonic() + 120
    while min(heard.values()) < 3 and time.monotonic() < end:
        for key, _ in selector.select(1):
            if not key.fileobj.recv(65536):
                return [f"a stream ended after {heard[key.fileobj]} pieces"]
            heard[key.fileobj] += 1
    after = resident(pid)
    selector.close()
    for stream in streams:
        stream.close()
    print(f"{count} idle event streams: the primary takes {after // MIB} MiB ({before // MIB} MiB without)")
    faults = []
    if min(heard.values()) < 3:
        faults.append(f"{sum(1 for n in heard.values() if n < 3)} streams were not told that they live")
    if after > limit:
        faults.append(f"{after} bytes for {count} streams, more than {limit}")
    return faults


def self_test():
    """What the judges find in made-up figures."""
    noise = random.Random(1)
    full = [min(i, 10) * 20 * MIB + noise.randrange(8 * MIB) for i in range(30)]
    leak = [300 * MIB + i * 10 * MIB for i in range(30)]
    spike = full[:-1] + [full[-1] + 60 * MIB]
    assert judge_memory({"full caches": full, "a spike": spike}) == []
    assert len(judge_memory({"a leak": leak})) == 1, "doubles within the run"
    figures = Figures()
    figures.took = {"quick": [0.1] * 999 + [REQUEST_TIMEOUT], "hangs": [REQUEST_TIMEOUT] * 10}
    assert [text.split(":")[0] for text in figures.judge()] == ["hangs"]
    print("the judges judge")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", help="build directory")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ASTER_TEST_SEED", "0"))
                        or random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    drive = Drive(options.programs)
    try:
        faults = idle_streams(drive, options.streams, 200 * MIB)
        drive.start("mount")
        faults += mixed_load(drive, options.clients, options.seconds, options.seed)
        status = drive.unmount()
        if status != 0:
            faults.append(f"the mount ended with {status}")
    finally:
        drive.close()
    for fault in faults:
        print("FAULT", fault, file=sys.stderr)
    print(f"{0 if faults else 2} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
