"""What the benchmark does at each place. A workload prepares once per place, then runs in rounds.

Every figure is a rate: larger is better. `against` names the place whose figure the ratio is of.
"""
import http.client
import os
import random
import shutil
import subprocess
import tarfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

MIB = 1 << 20
PIECE = 1 << 20


def timed(work, *arguments):
    begin = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begin


def write_large(path, size):
    piece = bytearray(os.urandom(PIECE))
    with open(path, "wb", buffering=0) as file:
        for number in range(size // PIECE):
            piece[:8] = number.to_bytes(8, "little")
            file.write(piece)
        os.fsync(file.fileno())


def read_large(path):
    buffer = bytearray(PIECE)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def shell(*command, folder=None):
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: status {done.returncode}: {done.stderr.strip()[-300:]}")


class Workload:
    name = unit = against = ""
    raw = False  # also done by plain HTTP requests to the follower

    def __init__(self, options):
        self.options = options

    def prepare(self, place):
        pass

    def run(self, place):
        """Returns the figure of one round."""
        raise NotImplementedError

    def run_raw(self, drive, place):
        raise NotImplementedError


class LargeFile(Workload):
    unit = "MiB/s"

    def path(self, place):
        return place.folder / f"large-{self.options.size}"

    def prepare(self, place):
        if not self.path(place).exists():
            write_large(self.path(place), self.options.size)
        if place.name == "drive":  # composed into one object in the background
            end = time.monotonic() + 60
            while time.monotonic() < end:
                if os.getxattr(self.path(place), "user.aster.object").count(b"\n") == 0:
                    break
                time.sleep(0.2)

    def rate(self, seconds):
        return self.options.size / MIB / seconds


class ReadCold(LargeFile):
    name, against, raw = "read 1 file, cold", "raw", True

    def run(self, place):
        place.make_cold()
        return self.rate(timed(read_large, self.path(place)))

    def run_raw(self, drive, place):
        urls = drive.object_urls(self.path(place))
        place.make_cold()
        return self.rate(timed(lambda: [shell("curl", "-sfo", "/dev/null", url) for url, _ in urls]))


class ReadWarm(LargeFile):
    name, against = "read 1 file, block cache", "passthrough"

    def prepare(self, place):
        super().prepare(place)
        read_large(self.path(place))

    def run(self, place):
        place.make_warm()
        return self.rate(timed(read_large, self.path(place)))


class ReadAgain(LargeFile):
    name, against = "read 1 file, page cache", "passthrough"

    def run(self, place):
        read_large(self.path(place))
        return self.rate(timed(read_large, self.path(place)))


class Write(LargeFile):
    name, against = "write 1 file + fsync", "disk"

    def prepare(self, place):
        pass

    def run(self, place):
        path = place.folder / "written"
        os.sync()
        seconds = timed(write_large, path, self.options.size)
        path.unlink()
        return self.rate(seconds)


class RandomReads(LargeFile):
    unit, against, raw = "reads/s", "raw", True
    at_once = 1

    def offsets(self):
        pages = self.options.size // 4096
        count = min(self.options.reads, pages // 64)
        return [page * 4096 for page in random.Random(7).sample(range(pages), count)]

    def run(self, place):
        place.make_cold()
        file = os.open(self.path(place), os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            offsets = self.offsets()
            with ThreadPoolExecutor(self.at_once) as pool:
                seconds = timed(lambda: list(pool.map(lambda at: os.pread(file, 4096, at), offsets)))
        finally:
            os.close(file)
        return len(offsets) / seconds

    def run_raw(self, drive, place):
        (url, _), *rest = drive.object_urls(self.path(place))
        if rest:
            raise SystemExit("bench: the large file is not composed yet")
        place.make_cold()
        parts = urllib.parse.urlsplit(url)
        offsets = self.offsets()
        shares = [offsets[number::self.at_once] for number in range(self.at_once)]

        def fetch(share):
            connection = http.client.HTTPConnection(parts.netloc)
            for at in share:
                connection.request("GET", f"{parts.path}?{parts.query}",
                                   headers={"Range": f"bytes={at}-{at + 4095}"})
                connection.getresponse().read()
            connection.close()

        with ThreadPoolExecutor(self.at_once) as pool:
            return len(offsets) / timed(lambda: list(pool.map(fetch, shares)))


class RandomReads1(RandomReads):
    name = "random 4 KiB reads, cold, 1"


class RandomReads8(RandomReads):
    name, at_once = "random 4 KiB reads, cold, 8", 8


class Create(Workload):
    unit, against = "files/s", "passthrough"
    processes = 1

    def prepare(self, place):
        shutil.rmtree(place.folder / "created", ignore_errors=True)

    def run(self, place):
        folder = place.folder / "created"
        folder.mkdir()
        count = max(self.processes, self.options.files // 10)
        seconds = timed(self.create, folder, count)
        shutil.rmtree(folder)
        return count / seconds

    def create(self, folder, count):
        children = [pid for number in range(self.processes)
                    if (pid := self.start(folder, number, count // self.processes))]
        for pid in children:
            if os.waitpid(pid, 0)[1] != 0:
                raise SystemExit("bench: creating files failed")

    def start(self, folder, number, count):
        if pid := os.fork():
            return pid
        data = os.urandom(4096)
        for index in range(count):
            with open(folder / f"{number}-{index}", "wb", buffering=0) as file:
                file.write(data)
                os.fsync(file.fileno())
        os._exit(0)


class Create1(Create):
    name = "create 4 KiB + fsync, 1 process"


class Create8(Create):
    name, processes = "create 4 KiB + fsync, 8 processes", 8


class Tree(Workload):
    """A source tree of small files in folders of a hundred."""
    unit, against = "files/s", "passthrough"

    def archive(self):
        path = self.options.scratch / "tree.tar"
        if path.exists():
            return path
        source = self.options.scratch / "tree.source"
        rng = random.Random(7)
        for number in range(self.options.files):
            folder = source / f"d{number // 100}"
            folder.mkdir(parents=True, exist_ok=True)
            size = min(200_000, int(rng.lognormvariate(8, 1.3)))
            (folder / f"f{number}.c").write_bytes(rng.randbytes(size // 2).hex().encode())
        with tarfile.open(path, "w") as tar:
            tar.add(source, "tree")
        shutil.rmtree(source)
        return path

    def unpack(self, place, name="tree"):
        folder = place.folder / name
        folder.mkdir()
        shell("tar", "xf", self.archive(), "-C", folder)
        return folder

    def prepare(self, place):
        if not (place.folder / "tree").exists():
            self.unpack(place)


class Unpack(Tree):
    name = "unpack"

    def prepare(self, place):
        self.archive()
        shutil.rmtree(place.folder / "unpacked", ignore_errors=True)

    def run(self, place):
        seconds = timed(self.unpack, place, "unpacked")
        shutil.rmtree(place.folder / "unpacked")
        return self.options.files / seconds


class Remove(Tree):
    name = "rm -r"

    def run(self, place):
        folder = self.unpack(place, "removed")
        place.make_warm()
        return self.options.files / timed(shell, "rm", "-r", folder)

    def prepare(self, place):
        self.archive()
        shutil.rmtree(place.folder / "removed", ignore_errors=True)


class Walk(Tree):
    command = ()

    def run(self, place):
        place.make_cold()
        return self.options.files / timed(shell, *self.command, place.folder / "tree")


class List(Walk):
    name, command = "ls -lR, cold", ("ls", "-lR")


class Grep(Walk):
    name, command = "grep -r, cold", ("grep", "-rc", "abcd")


class Stat(Tree):
    name = "stat, cold"

    def run(self, place):
        place.make_cold()
        return self.options.files / timed(self.stat_all, place)

    def stat_all(self, place):
        for number in range(self.options.files):
            os.stat(place.folder / "tree/tree" / f"d{number // 100}" / f"f{number}.c")


class StatAgain(Stat):
    name = "stat, again"

    def run(self, place):
        self.stat_all(place)
        return self.options.files / timed(self.stat_all, place)


class GitStatus(Tree):
    name = "git status, cold"

    def prepare(self, place):
        super().prepare(place)
        if (place.folder / "tree/.git").exists():
            return
        git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost")
        folder = place.folder / "tree"
        shell("git", "init", "-q", folder)
        shell(*git, "add", "-A", folder=folder)
        shell(*git, "commit", "-qm", "all", folder=folder)

    def run(self, place):
        place.make_cold()
        return self.options.files / timed(
            lambda: shell("git", "status", "--short", folder=place.folder / "tree"))


ALL = {kind.__name__: kind for kind in (
    ReadCold, ReadWarm, ReadAgain, Write, RandomReads1, RandomReads8, Create1, Create8, Unpack,
    Stat, StatAgain, List, Grep, GitStatus, Remove)}
