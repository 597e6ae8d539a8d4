"""A memory cgroup of its own for a server, of version 1 or 2, made directly in the file system."""

import os
import time


class Unavailable(Exception):
    """Why there can be no cgroup here."""


def mounts():
    """(type, directory, options) of all cgroup mounts."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, directory, kind, options = line.split()[:4]
            if kind in ("cgroup", "cgroup2"):
                yield kind, directory, options.split(",")


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def hierarchy():
    """(version, directory) of the hierarchy that has the memory controller."""
    for kind, directory, options in mounts():
        if kind == "cgroup" and "memory" in options:
            return 1, directory
    for kind, directory, _ in mounts():
        if kind == "cgroup2" and "memory" in read(f"{directory}/cgroup.controllers").split():
            return 2, directory
    raise Unavailable("no cgroup file system with the memory controller is mounted")


class MemoryGroup:
    """A group that may take `limit_bytes`, without swap; `enter` is for the child between fork and exec."""

    def __init__(self, limit_bytes):
        if os.geteuid() != 0:
            raise Unavailable("a memory cgroup needs root")
        self.version, top = hierarchy()
        self.path = f"{top}/metric-store-attacks-{os.getpid()}"
        try:
            if self.version == 2 and "memory" not in read(f"{top}/cgroup.subtree_control").split():
                write(f"{top}/cgroup.subtree_control", "+memory")
            os.mkdir(self.path)
            self.set_limit(limit_bytes)
        except OSError as reason:
            self.remove()
            raise Unavailable(f"cannot make the memory cgroup {self.path}: {reason.strerror}") from reason

    def set_limit(self, limit_bytes):
        if self.version == 1:
            write(f"{self.path}/memory.limit_in_bytes", str(limit_bytes))
            swap, value = "memory.memsw.limit_in_bytes", str(limit_bytes)
        else:
            write(f"{self.path}/memory.max", str(limit_bytes))
            swap, value = "memory.swap.max", "0"
        # A kernel that counts no swap has no such file.
        if os.path.exists(f"{self.path}/{swap}"):
            write(f"{self.path}/{swap}", value)

    def enter(self):
        write(f"{self.path}/cgroup.procs", "0")

    def oom_kills(self):
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        fields = dict(line.split() for line in read(f"{self.path}/{name}").splitlines())
        return int(fields["oom_kill"])

    def remove(self):
        for _ in range(100):
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.05)  # its last process is on its way out
