"""scripts/simulate counts what its programs tell, and fails for what they find and for what a long run leaves out."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import stat
import sys
import tempfile
import types
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import sim_sites  # noqa: E402


def load():
    path = os.path.join(ROOT, "scripts", "simulate")
    loader = importlib.machinery.SourceFileLoader("simulate", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("simulate", loader))
    loader.exec_module(module)
    return module


PROGRAM = """#!/bin/sh
echo 'progress: 10 states, 1 lives'
echo 'a line of the engine'
[ -z "$FAILS" ] || echo 'failed: seed 17: a sample is gone'
echo 'of them 750 in the first quarter of a life'
echo 'of them 250 after a merge'
echo "done: $STATES states, 2 lives, 0 failures"
echo 'crash wal_sync+0x1 30' >> "$METRIC_STORE_SIM_SITES"
[ -z "$REPAIRS" ] || echo 'crash repair_keep+0x3 1' >> "$METRIC_STORE_SIM_SITES"
[ -z "$MERGES" ] || echo 'crash merge.c:publish+0x2 4' >> "$METRIC_STORE_SIM_SITES"
"""
KNOWN = {"wal_sync+0x1": sim_sites.Site("file_sync", "wal.c", "wal_sync"),
         "merge.c:publish+0x2": sim_sites.Site("file_write", "merge.c", "publish"),
         "repair_keep+0x3": sim_sites.Site("filesystem_rename", "repair.c", "repair_keep")}


class Simulate(unittest.TestCase):
    def run_with(self, states, calls=False, **environment):
        """(exit code, what it printed)"""
        module = load()
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            with open(program, "w", encoding="utf-8") as file:
                file.write(PROGRAM)
            os.chmod(program, stat.S_IRWXU)
            options = types.SimpleNamespace(seed=1, jobs=1, states=states, seconds=None, calls=calls)
            environment = {"FAILS": "", "MERGES": "", "REPAIRS": "", "STATES": str(states), **environment}
            output = io.StringIO()
            with mock.patch.object(module, "PROGRAM", program), mock.patch.object(module, "REFRESH_S", 0.01), \
                    mock.patch.object(sim_sites, "known_sites", lambda _: KNOWN), \
                    mock.patch.dict(os.environ, environment), contextlib.redirect_stdout(output):
                return module.simulate(options), output.getvalue()

    def test_a_run_tells_its_states_when_they_were_and_the_rarest_calls(self):
        code, text = self.run_with(1000, MERGES="1")
        self.assertEqual(code, 0)
        self.assertIn("1,000 crash states of 2 lives", text)
        self.assertIn("75.0 % in the first quarter of a life", text)
        self.assertIn("25.0 % after a merge", text)
        self.assertIn("before 2 of the 2 calls", text)
        self.assertIn("4  file_write in publish (merge.c)", text)
        self.assertIn("a line of the engine", text)

    def test_a_failure_is_told_with_its_seed_and_fails(self):
        code, text = self.run_with(1000, FAILS="1", MERGES="1")
        self.assertEqual(code, 1)
        self.assertIn("failed: seed 17: a sample is gone", text)
        self.assertIn("seeds that failed: 17", text)

    def test_a_call_that_is_not_met_fails_a_long_run_and_no_short_one(self):
        code, text = self.run_with(1000)
        self.assertEqual(code, 0)
        self.assertIn("which is no failure", text)
        self.assertNotIn("publish", text)
        code, text = self.run_with(1000, calls=True)
        self.assertIn("file_write in publish (merge.c)", text)
        code, text = self.run_with(10 ** 6)
        self.assertEqual(code, 1)
        self.assertIn("FAILED: no life comes to these calls", text)
        self.assertIn("file_write in publish (merge.c)", text)
        self.assertEqual(self.run_with(10 ** 6, MERGES="1")[0], 0)

    def test_a_call_that_is_said_to_be_seldom_met_may_be_met_or_not(self):
        with mock.patch.dict(KNOWN, {"manifest_open+0x9": sim_sites.Site("file_write", "manifest.c", "manifest_open")}):
            code, text = self.run_with(10 ** 6, MERGES="1")
        self.assertEqual(code, 0)
        self.assertIn("before 2 of the 3 calls", text)
        self.assertNotIn("FAILED", text)

    def test_a_call_that_is_said_never_to_be_met_and_is_fails(self):
        code, text = self.run_with(1000, MERGES="1", REPAIRS="1")
        self.assertEqual(code, 1)
        self.assertIn("filesystem_rename in repair_keep (repair.c), which NOT_LIVED", text)


if __name__ == "__main__":
    unittest.main()
