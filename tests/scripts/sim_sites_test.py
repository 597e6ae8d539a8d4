"""scripts/sim_sites.py finds the calls in an object file, and reads what programs report."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import sim_sites  # noqa: E402

SOURCE = """
int file_sync(int);
int file_write(int);
__attribute__((noinline)) static int hidden(int x) { return file_sync(x) + 1; }
int shown(int x) { int y = file_sync(x); return file_write(y) + hidden(x) + file_sync(y); }
"""


class Sites(unittest.TestCase):
    @unittest.skipUnless(shutil.which("gcc") and shutil.which("objdump"), "gcc or objdump is not installed")
    def test_calls_of_an_object_are_found_with_their_functions(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "storage_engine_some.c.o")
            subprocess.run(["gcc", "-O1", "-fPIC", "-x", "c", "-", "-c", "-o", path], input=SOURCE, text=True, check=True)
            syncs = sim_sites.sites_in_object(path, {"file_sync"})
            self.assertEqual(sorted(site.split("+")[0] for site in syncs), ["shown", "shown", "some.c:hidden"])
            self.assertEqual(set(syncs.values()), {sim_sites.Site("file_sync", "some.c", "shown"),
                                                   sim_sites.Site("file_sync", "some.c", "hidden")})
            self.assertEqual(len(sim_sites.sites_in_object(path, {"file_sync", "file_write"})), 4)

    def test_a_report_is_read_line_by_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report")
            with open(path, "w", encoding="utf-8") as file:
                file.write("sync wal.c:fill+0x4a killed\ncrash open+0x1 12\n")
            self.assertEqual(sim_sites.read_report(path),
                             [("sync", "wal.c:fill+0x4a", "killed"), ("crash", "open+0x1", "12")])
            self.assertEqual(sim_sites.read_report(path + "x"), [])


if __name__ == "__main__":
    unittest.main()
