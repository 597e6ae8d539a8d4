"""Places in the engine that ask something of the disk: those in its object files, and what the programs of tests/sim
report of them (tests/sim/sim_sites.h)."""

import collections
import glob
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENGINE_OBJECTS = "build/release/src/libmetric-store-core.a.p/storage_engine_*.c.o"
SYNCS = {"file_sync", "filesystem_sync_directory"}
CHANGES = SYNCS | {"file_write", "file_resize", "filesystem_rename", "filesystem_link", "filesystem_remove",
                   "filesystem_make_directory", "filesystem_remove_directory"}

FUNCTION = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
RELOCATION = re.compile(r"^\s+([0-9a-f]+): R_\S+\s+([A-Za-z_]\w*)(?:-0x\w+|\+0x\w+)?$")
RELOCATION_SIZE = 4  # a call returns to the byte behind its target

# What is called there, and the source file and the function (as compiled: others may be inlined in it) that do.
Site = collections.namedtuple("Site", "call file function")


def build(*targets):
    """Brings programs of the release build up to date. What is missing for it is installed first."""
    print("building " + " ".join(targets) + " in build/release", flush=True)
    subprocess.run([os.path.join(ROOT, "scripts", "setup"), "build", "test"], check=True)
    subprocess.run([os.path.join(ROOT, "scripts", "build"), "release", "--tests", *targets], check=True)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def local_functions(path):
    """Names of static functions, which reports put the file before."""
    return {line.split()[-1] for line in run("nm", path).splitlines() if " t " in line}


def sites_in_object(path, called):
    """{"wal.c:fill+0x4a": Site} of the calls of the functions named. A call that ends a function is a jump: its site is
    the caller's, which only a report can tell."""
    sites = {}
    file = os.path.basename(path).removeprefix("storage_engine_").removesuffix(".o")
    local = local_functions(path)
    function, start, instruction = None, 0, ""
    for line in run("objdump", "-dr", "--no-show-raw-insn", path).splitlines():
        begins, relocation = FUNCTION.match(line), RELOCATION.match(line)
        if begins:
            start, function = int(begins[1], 16), begins[2]
        elif relocation is None:
            instruction = line
        elif relocation[2] in called and "call" in instruction:
            offset = int(relocation[1], 16) + RELOCATION_SIZE - start
            name = f"{file + ':' if function in local else ''}{function}+{offset:#x}"
            sites[name] = Site(relocation[2], file, function)
    return sites


def known_sites(called):
    paths = sorted(glob.glob(os.path.join(ROOT, ENGINE_OBJECTS)))
    if not paths:
        raise OSError(f"there is no {ENGINE_OBJECTS}: run scripts/build release --tests")
    return {name: site for path in paths for name, site in sites_in_object(path, called).items()}


def read_report(path):
    """[(what, site, verdict)]"""
    try:
        with open(path, encoding="utf-8") as file:
            return [tuple(line.split(None, 2)) for line in file.read().splitlines()]
    except FileNotFoundError:
        return []
