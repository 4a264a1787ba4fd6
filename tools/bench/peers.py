"""Other ways to mount a folder over the network, as Debian packages them, beside the drive.

Their servers run on this machine over a folder of the local disk, behind the same delay as the
drive's. None of them waits for the far disk when a file is closed, and rclone not at fsync either:
their writes promise less than the drive's.
"""
import os
import shutil
import subprocess

import places

PACKAGES = {"rclone": "rclone", "sshfs": "sshfs", "mount.davfs": "davfs2"}


class Server:
    """`rclone serve` of a folder, near or far."""

    def __init__(self, kind, folder, port, delay, *options):
        self.log = open(f"{folder}.{kind}.log", "ab")
        self.process = subprocess.Popen(
            ["rclone", "serve", kind, str(folder), "--addr", f"127.0.0.1:{port}", *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        places.wait_for_port(port)
        self.delay = delay(port) if delay else None
        self.port = self.delay.port if delay else port

    def close(self):
        if self.delay:
            self.delay.close()
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Peer(places.Mounted):
    """A mount of such a server with a cache of its own."""

    def __init__(self, mountpoint, server):
        super().__init__(mountpoint)
        self.folder = self.mountpoint / f"bench-{self.name}"  # they share what is served
        self.server = server
        self.cache = f"{mountpoint}.cache"

    def make_cold(self):
        self.unmount()
        places.drop_kernel_caches()
        shutil.rmtree(self.cache, ignore_errors=True)
        self.mount()

    def make_warm(self):
        self.unmount()
        places.drop_kernel_caches()
        self.mount()


class Rclone(Peer):
    name = "rclone"

    def command(self):
        return ["rclone", "mount", ":webdav:", self.mountpoint, "--cache-dir", self.cache,
                "--webdav-url", f"http://127.0.0.1:{self.server.port}", "--webdav-vendor", "other",
                "--vfs-cache-mode", "full", "--config", "/dev/null"]


class Sshfs(Peer):
    name = "sshfs"

    def command(self):
        return ["sshfs", "-f", "-p", self.server.port, "-o",
                "StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,LogLevel=ERROR",
                "bench@127.0.0.1:/", self.mountpoint]


class Davfs(Peer):
    """mount.davfs goes to the background by itself; its pid file names it."""
    name = "davfs2"

    def command(self):
        conf = f"{self.mountpoint}.conf"
        with open(conf, "w", encoding="utf-8") as out:
            out.write(f"ask_auth 0\nuse_locks 0\ndelay_upload 0\ncache_dir {self.cache}\n")
        return ["mount.davfs", f"http://127.0.0.1:{self.server.port}/", self.mountpoint, "-o",
                f"conf={conf}"]

    def mount(self):
        os.makedirs(self.cache, exist_ok=True)
        places.run(*self.command())
        self.folder.mkdir(exist_ok=True)

    def unmount(self):
        # umount.davfs waits until everything is uploaded.
        if places.is_mounted(self.mountpoint):
            places.run("umount", self.mountpoint)

    def usage(self):
        return None


def missing():
    """What has to be installed before they can run."""
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


def make(scratch, port, delay, keep):
    """All of them by name, mounted. `delay`: puts a port far away; None = they are near."""
    folder = scratch / "served"
    folder.mkdir()
    webdav = keep(Server("webdav", folder, port, delay))
    sftp = keep(Server("sftp", folder, port + 1, delay, "--no-auth"))
    made = {}
    for kind, server in ((Rclone, webdav), (Sshfs, sftp), (Davfs, webdav)):
        place = keep(kind(scratch / kind.name, server))
        place.mount()
        made[kind.name] = place
    return made
