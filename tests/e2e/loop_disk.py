"""A small ext4 of the test's own on a loop device, whose power can be cut."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess

import pytest

FS_IOC_GOINGDOWN = 0x8004587D
WITHOUT_LOG_FLUSH = 2  # not even the journal: what was not synced is gone


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def why_impossible(folder):
    """None where this machine lets us make and mount such a disk, else the reason."""
    if os.geteuid() != 0:
        return "mounting a loop device needs root"
    for tool in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(tool) is None:
            return f"mounting a loop device needs {tool}"
    disk = LoopDisk(folder, 16)
    try:
        disk.make()
        disk.mount()
    except MountRefused as reason:
        return f"mounting a loop device is refused here: {reason}"
    finally:
        disk.remove()
    return None


class MountRefused(Exception):
    pass


class LoopDisk:
    def __init__(self, folder, size_mib):
        self.image = os.path.join(folder, "disk.img")
        self.path = os.path.join(folder, "disk")
        self.size_mib = size_mib

    def make(self):
        with open(self.image, "wb") as image:
            image.truncate(self.size_mib << 20)
        os.makedirs(self.path, exist_ok=True)
        # No blocks kept for root: the disk is full for everybody at the same time.
        made = run("mkfs.ext4", "-q", "-m", "0", self.image)
        assert made.returncode == 0, made.stderr

    def mount(self, *options):
        mounted = run("mount", "-o", ",".join(["loop", *options]), self.image, self.path)
        if mounted.returncode != 0:
            raise MountRefused(mounted.stderr.strip())

    def unmount(self):
        unmounted = run("umount", self.path)
        assert unmounted.returncode == 0, unmounted.stderr

    def cut_power(self):
        """From now on nothing reaches the disk; unmount and mount to see what was on it."""
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, FS_IOC_GOINGDOWN, struct.pack("=I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(directory)

    def trigger(self):
        """The file through which the kernel lets a test meet an error of the file system."""
        device = run("findmnt", "-n", "-o", "SOURCE", self.path).stdout.strip()
        return f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error"

    def can_fail(self):
        return os.access(self.trigger(), os.W_OK)

    def fail(self):
        """An error is met; mounted with errors=remount-ro, it is read-only from now on."""
        with open(self.trigger(), "w", encoding="ascii") as file:
            file.write("a test")

    def repair(self):
        """What an operator does after an error, unmounted."""
        repaired = run("e2fsck", "-f", "-y", self.image)
        assert repaired.returncode in (0, 1), repaired.stdout + repaired.stderr

    def remove(self):
        if os.path.ismount(self.path):
            self.unmount()
        if os.path.exists(self.image):
            os.remove(self.image)


@contextlib.contextmanager
def mounted_disk(folder, size_mib, *options):
    """A disk that is made and mounted, for a fixture; the test is skipped where that cannot be."""
    reason = why_impossible(folder)
    if reason is not None:
        pytest.skip(reason)
    disk = LoopDisk(folder, size_mib)
    disk.make()
    disk.mount(*options)
    try:
        yield disk
    finally:
        disk.remove()
