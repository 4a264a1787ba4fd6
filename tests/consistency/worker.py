"""Random operations on one mount, each noted with its times:
worker.py MOUNT NAME OUTPUT SEED NAMES [watch].

Names are own-NAME-K, which only this worker changes and everybody reads, shared-K, which everybody
makes and removes, and log-NAME, to which this worker appends. All lie in two directories, so that
all mounts change the same directories all the time. With `watch` it only looks at some names, again
and again, as long as the kernel may answer that alone. Ends when its standard input is closed.
"""

import errno
import json
import os
import random
import select
import sys
import time

OWN = 6
SHARED = 6
DIRECTORIES = ("d0", "d1")
WATCHED = 24
RECORD = 16
TOKEN = 24
EXPECTED = (errno.ENOENT, errno.EEXIST, errno.ESTALE)


class Worker:
    def __init__(self, mount, name, output, seed, names):
        self.mount = mount
        self.name = name
        self.output = open(output, "w", encoding="utf-8")
        self.random = random.Random(seed)
        self.number = 0
        self.own = {f"{d}/own-{name}-{k}": None for d in DIRECTORIES for k in range(OWN)}
        self.all_own = [f"{d}/own-{n}-{k}" for n in names for d in DIRECTORIES for k in range(OWN)]
        self.shared = [f"{d}/shared-{k}" for d in DIRECTORIES for k in range(SHARED)]
        self.logs = [f"d0/log-{n}" for n in names]
        self.doubtful = set()  # own names whose state is not known after a failure

    def path(self, name):
        return os.path.join(self.mount, name)

    def token(self):
        self.number += 1
        return f"{self.name}-{self.number}".ljust(TOKEN, ".")

    def note(self, begin, what, good=True, **facts):
        self.output.write(json.dumps(
            {"m": self.name, "op": what, "b": begin, "e": time.monotonic(), "ok": good, **facts}) + "\n")

    # ---- changes of own names, of which exactly is known what they do

    def create(self):
        name = self.random.choice([n for n in self.own if self.own[n] is None] or [None])
        if name is None:
            return self.unlink()
        self.make(name, own=True)

    def make(self, name, own):
        text = self.token()
        begin = time.monotonic()
        try:
            fd = os.open(self.path(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except OSError as error:
            if error.errno != errno.EEXIST:
                self.note(begin, "create", good=False, sets=[(name, -1)])
                if own:
                    self.doubtful.add(name)
            return
        try:
            ino = os.fstat(fd).st_ino
        except OSError:
            os.close(fd)
            self.note(begin, "create", good=False, sets=[(name, -1)])
            self.doubtful.add(name)
            return
        self.note(begin, "create", sets=[(name, ino)])
        begin = time.monotonic()
        good = self.store(fd, text)
        self.note(begin, "write", good=good, writes=[(ino, text)])
        if own:
            self.own[name] = ino

    def store(self, fd, text):
        try:
            try:
                os.pwrite(fd, text.encode(), 0)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def existing(self):
        return self.random.choice([n for n in self.own if self.own[n] is not None] or [None])

    def write(self):
        name = self.existing()
        if name is None:
            return self.create()
        text = self.token()
        begin = time.monotonic()
        try:
            fd = os.open(self.path(name), os.O_WRONLY)
        except OSError:
            return
        good = self.store(fd, text)
        self.note(begin, "write", good=good, writes=[(self.own[name], text)])

    def unlink(self):
        name = self.existing()
        if name is None:
            return
        begin = time.monotonic()
        try:
            os.unlink(self.path(name))
            self.note(begin, "unlink", sets=[(name, 0)])
            self.own[name] = None
        except OSError:
            self.note(begin, "unlink", good=False, sets=[(name, 0)])
            self.doubtful.add(name)

    def rename(self):
        name = self.existing()
        if name is None:
            return
        new = self.random.choice([n for n in self.own if n != name])
        ino = self.own[name]
        if self.own[new] == ino:
            return  # two names of one inode: nothing happens
        begin = time.monotonic()
        good = True
        try:
            os.rename(self.path(name), self.path(new))
        except OSError:
            good = False
            self.doubtful |= {name, new}
        self.note(begin, "rename", good=good, sets=[(name, 0), (new, ino)])
        self.own[name], self.own[new] = None, ino

    def link(self):
        name = self.existing()
        new = self.random.choice([n for n in self.own if self.own[n] is None] or [None])
        if name is None or new is None:
            return
        begin = time.monotonic()
        good = True
        try:
            os.link(self.path(name), self.path(new))
        except OSError:
            good = False
            self.doubtful.add(new)
        self.note(begin, "link", good=good, sets=[(new, self.own[name])])
        self.own[new] = self.own[name]

    def append(self):
        name = f"d0/log-{self.name}"
        begin = time.monotonic()
        good = True
        try:
            fd = os.open(self.path(name), os.O_WRONLY | os.O_APPEND)
        except OSError:
            return
        try:
            try:
                os.write(fd, b"x" * RECORD)
            finally:
                os.close(fd)
        except OSError:
            good = False
        self.note(begin, "append", good=good, append=name)

    # ---- changes of names that everybody changes

    def make_shared(self):
        self.make(self.random.choice(self.shared), own=False)

    def unlink_shared(self):
        name = self.random.choice(self.shared)
        begin = time.monotonic()
        try:
            os.unlink(self.path(name))
            self.note(begin, "unlink", sets=[(name, 0)])
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.note(begin, "unlink", good=False, sets=[(name, 0)])

    # ---- reads

    def any_name(self):
        return self.random.choice(self.all_own + self.shared)

    def watch(self):
        """What only the kernel answers, also while the mount is stopped."""
        # So that the kernel asks for them now, and may believe all of them for the same time.
        time.sleep(1.05)
        end = time.monotonic() + 0.9
        names = self.random.sample(self.all_own + self.shared, WATCHED)
        while time.monotonic() < end:
            for name in names:
                self.stat(name)
            time.sleep(0.02)

    def stat(self, name=None):
        name = name or self.any_name()
        begin = time.monotonic()
        try:
            self.note(begin, "stat", sees=[(name, os.stat(self.path(name)).st_ino)])
        except FileNotFoundError:
            self.note(begin, "stat", sees=[(name, 0)])

    def read(self):
        name = self.any_name()
        begin = time.monotonic()
        try:
            fd = os.open(self.path(name), os.O_RDONLY)
        except FileNotFoundError:
            self.note(begin, "open", sees=[(name, 0)])
            return
        try:
            ino = os.fstat(fd).st_ino
            self.note(begin, "open", sees=[(name, ino)])
            begin = time.monotonic()
            text = os.pread(fd, 100, 0).decode()
            self.note(begin, "read", reads=[(ino, text)])
        finally:
            os.close(fd)

    def read_log(self):
        name = self.random.choice(self.logs)
        begin = time.monotonic()
        with open(self.path(name), "rb", buffering=0) as file:
            size = len(file.read(1 << 24) or b"")
        self.note(begin, "read_log", counts=[(name, size // RECORD)])

    def stat_log(self):
        name = self.random.choice(self.logs)
        begin = time.monotonic()
        size = os.stat(self.path(name)).st_size
        self.note(begin, "stat_log", counts=[(name, size // RECORD)])

    def list(self):
        directory = self.random.choice(DIRECTORIES)
        begin = time.monotonic()
        there = set(os.listdir(self.path(directory)))
        names = [n for n in self.all_own + self.shared if n.startswith(directory + "/")]
        self.note(begin, "list", sees=[
            (n, "some" if n.split("/")[1] in there else 0) for n in names])

    # ---- the run

    def settle(self):
        """Takes names out of use whose state is not known: others still read them."""
        for name in self.doubtful:
            self.own.pop(name, None)
        self.doubtful.clear()
        if len(self.own) < 4:
            self.own.update({f"d1/own-{self.name}-x{self.number}-{k}": None for k in range(4)})

    def step(self, operation=None):
        operation = operation or self.random.choices(
            (self.create, self.write, self.unlink, self.rename, self.link, self.append,
             self.make_shared, self.unlink_shared,
             self.stat, self.read, self.read_log, self.stat_log, self.list),
            (3, 4, 2, 3, 1, 3, 3, 2, 20, 12, 4, 6, 3))[0]
        try:
            operation()
        except OSError as error:
            # A read that failed saw nothing; the servers may be away.
            if error.errno not in EXPECTED:
                time.sleep(0.01)
        self.settle()

    def run(self, operation=None):
        while not select.select([sys.stdin], [], [], 0)[0]:
            self.step(operation)
        self.output.close()


def main():
    mount, name, output, seed, names = sys.argv[1:6]
    worker = Worker(mount, name, output, int(seed), names.split(","))
    worker.run(worker.watch if sys.argv[6:] == ["watch"] else None)


if __name__ == "__main__":
    main()
