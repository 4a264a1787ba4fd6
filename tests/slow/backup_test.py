#!/usr/bin/env python3
"""A backup that is taken while clients write and delete, restored elsewhere: every file that was
acknowledged before the backup began is readable there, bit for bit, also what was deleted since.

usage: backup_test.py BUILD_DIR [--seconds N] [--clients N]
"""

import argparse
import hashlib
import http.client
import json
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "crash"))
from processes import Drive  # noqa: E402

PART_SIZE = 128 * 1024


class Client(threading.Thread):
    """Makes files of its own in a folder of its own and now and then deletes one."""

    def __init__(self, drive, number, deletes_until):
        super().__init__(daemon=True)
        self.drive = drive
        self.folder = f"c{number}"
        self.random = random.Random(number)
        self.deletes_until = deletes_until  # only what was made before; None: nothing yet
        self.lock = threading.Lock()
        self.stored = {}  # path -> digest, acknowledged
        self.stopping = threading.Event()
        self.error = None
        self.deleted = 0

    def call(self, connection, method, path, body=None):
        headers = {"Authorization": "Bearer " + self.drive.token_file.read_text()}
        connection.request(method, "/api/v1" + path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status not in (200, 201):
            raise AssertionError(f"{method} {path}: {answer.status} {data[:200]}")
        return data

    def run(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.drive.ports["primary"],
                                                    timeout=60)
            self.call(connection, "POST", f"/folders/{self.folder}", b"")
            number = 0
            while not self.stopping.is_set():
                number += 1
                # Up to five parts, which are composed into one object soon after.
                content = self.random.randbytes(self.random.randrange(1, 5 * PART_SIZE))
                path = f"{self.folder}/f{number}"
                self.call(connection, "PUT", f"/files/{path}", content)
                with self.lock:
                    self.stored[path] = hashlib.sha256(content).hexdigest()
                old = self.deletes_until()
                if old and number % 3 == 0:
                    mine = sorted(path for path in old if path.startswith(self.folder + "/"))
                    if self.deleted < len(mine):
                        self.call(connection, "DELETE", f"/files/{mine[self.deleted]}")
                        self.deleted += 1
        except Exception as error:  # told by the main thread
            self.error = error

    def acknowledged(self):
        with self.lock:
            return dict(self.stored)


def aster_drive(drive, home, *arguments, status=0):
    done = subprocess.run([drive.programs / "server/aster_drive", *arguments], cwd=home,
                          env=drive._environment("primary", {}), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != status:
        raise AssertionError(f"aster_drive {' '.join(map(str, arguments))}:\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def strays_of(drive, home):
    """How many objects the restored database does not know: there is nothing else to report."""
    report = json.loads(aster_drive(drive, home, "check", "--deep", "--json", status=1))
    rules = {finding["rule"]: finding["count"] for finding in report["findings"]}
    if list(rules) != ["object on a node that the database does not know"]:
        raise AssertionError(f"not as it must be after a restore: {report['findings']}")
    return next(iter(rules.values()))


def digest_of(drive, path):
    connection = http.client.HTTPConnection("127.0.0.1", drive.ports["primary"], timeout=60)
    connection.request("GET", f"/api/v1/files/{path}",
                       headers={"Authorization": "Bearer " + drive.token_file.read_text()})
    answer = connection.getresponse()
    data = answer.read()
    return hashlib.sha256(data).hexdigest() if answer.status == 200 else f"status {answer.status}"


def run(drive, seconds, clients):
    before = {}
    writers = [Client(drive, number, lambda: before) for number in range(clients)]
    for writer in writers:
        writer.start()
    time.sleep(seconds / 2)
    promised = {}
    for writer in writers:
        promised.update(writer.acknowledged())
    copy = drive.folder / "copy.db"
    began = time.monotonic()
    aster_drive(drive, drive.folder / "primary", "backup", copy)
    took = time.monotonic() - began
    before.update(promised)  # from now on these may be deleted
    time.sleep(seconds / 2)
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join()
        if writer.error:
            raise writer.error
    drive.kill("primary")

    (drive.folder / "primary").rename(drive.folder / "before")
    elsewhere = drive._home("primary")
    (elsewhere / "data").mkdir()
    shutil.copy(drive.folder / "before/data/config.toml", elsewhere / "data")  # not in the copy
    aster_drive(drive, elsewhere, "restore", copy)
    drive.start("primary")
    wrong = {path: digest_of(drive, path) for path in sorted(promised)
             if digest_of(drive, path) != promised[path]}
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(promised)} files are not as promised, e.g. "
                             f"{list(wrong.items())[:3]}")
    strays = strays_of(drive, elsewhere)
    written = sum(len(writer.stored) for writer in writers)
    deleted = sum(writer.deleted for writer in writers)
    if not promised or not deleted:
        raise AssertionError("too short: nothing was written before the backup or deleted after it")
    print(f"backup of {copy.stat().st_size >> 10} KiB in {took:.2f} s while {clients} clients wrote; "
          f"{len(promised)} files were promised before it and are there, {deleted} of them were "
          f"deleted since; {written} were written in all; {strays} objects are of later files")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build_dir")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    drive = Drive(options.build_dir)
    try:
        drive._api("PATCH", "admin/policies/1", {"chunk_size": PART_SIZE}, drive.admin_token)
        run(drive, options.seconds, options.clients)
    except BaseException:
        print(drive.log("primary")[-3000:], file=sys.stderr)
        raise
    finally:
        drive.close()


if __name__ == "__main__":
    main()
