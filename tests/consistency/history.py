"""What a history of operations of several mounts allows a reader to see.

A history is a list of operations with the time before and after each. A read may see what some
order of the operations allows that keeps "ended before the other began"; what was certainly
overwritten before the read began is stale. Sound: whatever is reported is an error, for any order.
"""

import bisect
import collections
import json

ABSENT = 0  # no inode has this number
ANYTHING = -1  # an operation whose effect is not known
NEVER = float("inf")


class Register:
    """One thing that is written and read: writes are (begin, end, value)."""

    def __init__(self, initial):
        self.writes = [(-2.0, -1.0, initial)]

    def write(self, begin, end, value):
        self.writes.append((begin, end, value))

    def prepare(self):
        by_end = sorted(self.writes, key=lambda w: w[1])
        self.ends = [w[1] for w in by_end]
        # Of the writes that ended until then: the one that began last.
        self.last = []
        for write in by_end:
            if not self.last or write[0] > self.last[-1][0]:
                self.last.append(write)
            else:
                self.last.append(self.last[-1])
        self.by_value = collections.defaultdict(list)
        for write in self.writes:
            self.by_value[write[2]].append(write)

    def allows(self, begin, end, value):
        at = bisect.bisect_left(self.ends, begin)
        newest = self.last[at - 1]
        for write in self.by_value[value] + self.by_value[ANYTHING]:
            if write[0] <= end and write[1] >= newest[0]:
                return True
        return False

    def why(self, begin):
        return self.last[bisect.bisect_left(self.ends, begin) - 1]


class Log:
    """A file that one writer appends to: records are numbered."""

    def __init__(self):
        self.appends = []

    def prepare(self):
        self.appends.sort()
        self.ends = sorted(end for _, end, done in self.appends if done)
        self.begins = [begin for begin, _, _ in self.appends]

    def allows(self, begin, end, count):
        least = bisect.bisect_left(self.ends, begin)
        most = bisect.bisect_right(self.begins, end)
        return least <= count <= most


class Checker:
    """Feeds operations, then lists what was stale."""

    def __init__(self):
        self.names = collections.defaultdict(lambda: Register(ABSENT))
        self.contents = collections.defaultdict(lambda: Register(""))
        self.logs = collections.defaultdict(Log)
        self.reads = []

    def add(self, op):
        begin, end = op["b"], op["e"]
        done = end if op["ok"] else NEVER  # what failed may still take effect, at any time
        for name, ino in op.get("sets", []):
            self.names[name].write(begin, done, ino)
        for ino, text in op.get("writes", []):
            self.contents[ino].write(begin, done, text)
        if "append" in op:
            self.logs[op["append"]].appends.append((begin, done, op["ok"]))
        if op["ok"] and ("sees" in op or "reads" in op or "counts" in op):
            self.reads.append(op)

    def load(self, path):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                self.add(json.loads(line))

    def stale(self):
        for part in (self.names, self.contents, self.logs):
            for one in part.values():
                one.prepare()
        found = []
        for op in self.reads:
            begin, end = op["b"], op["e"]
            for name, ino in op.get("sees", []):
                # "some inode", which a listing without numbers sees, is tried with all of them.
                register = self.names[name] if name in self.names else prepared(Register(ABSENT))
                values = register.by_value.keys() - {ABSENT} if ino == "some" else [ino]
                if not any(register.allows(begin, end, value) for value in values):
                    found.append((op, f"{name} was {ino}, but {register.why(begin)}"))
            for ino, text in op.get("reads", []):
                register = self.contents[ino] if ino in self.contents else prepared(Register(""))
                if not register.allows(begin, end, text):
                    found.append((op, f"inode {ino} held {text!r}, but {register.why(begin)}"))
            for name, count in op.get("counts", []):
                log = self.logs[name]
                if not hasattr(log, "ends"):
                    log.prepare()
                if not log.allows(begin, end, count):
                    found.append((op, f"{name} had {count} records"))
        return found


def prepared(register):
    register.prepare()
    return register
