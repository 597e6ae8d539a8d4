"""Calls of a server that fail on demand, as those of a broken disk: fault_shim.c, compiled here."""

import os
import subprocess

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fault_shim.c")


class Faults:
    def __init__(self, folder):
        self.shim = os.path.join(folder, "fault_shim.so")
        self.control = os.path.join(folder, "faults")
        made = subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-D_FILE_OFFSET_BITS=64", "-o",
                               self.shim, SOURCE], capture_output=True, text=True, timeout=60,
                              check=False)
        assert made.returncode == 0, made.stderr

    def environment(self):
        """What loads the shim into a program, a sanitized one too."""
        return {"LD_PRELOAD": self.shim, "FAULT_FILE": self.control,
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def begin(self, calls, number, substring):
        """From now on `calls` ("sync", or "change" for all others that change files) fail with this
        errno where the path contains the substring."""
        with open(self.control + ".new", "w", encoding="ascii") as file:
            file.write(f"{calls} {number} {substring}\n")
        os.rename(self.control + ".new", self.control)

    def begin_reads(self, number, path, first, last):
        """From now on reads that touch bytes `first` up to `last` of this file fail, whatever its name:
        a sector that is bad."""
        self.begin("read", number, f"inode:{os.stat(path).st_ino}: {first} {last}")

    def end(self):
        os.remove(self.control)
