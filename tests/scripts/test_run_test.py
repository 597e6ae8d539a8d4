"""scripts/test counts what ran, and applies the rule about skipped tests."""

import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import allowed_skips  # noqa: E402
import test_run  # noqa: E402

CMOCKA = """[==========] Running 4 test(s).
[ RUN      ] a_passes
[       OK ] a_passes
[ RUN      ] b_is_skipped
[  SKIPPED ] b_is_skipped
[ RUN      ] c_fails
[  ERROR   ] --- 0x1 != 0
[   LINE   ] --- x_test.c:1: error: Failure!
[  FAILED  ] c_fails
[ RUN      ] d_passes
[       OK ] d_passes
[==========] 4 test(s) run.
[  PASSED  ] 2 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] b_is_skipped
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] c_fails

 1 FAILED TEST(S)
"""


def counted(test, allowed=None, ci=False):
    tally = test_run.Tally(allowed or {}, ci)
    test_run.count_program(tally, test)
    return tally.passed, tally.failed, tally.skipped


class Threaded(unittest.TestCase):
    def test_tests_that_start_threads_are_found_and_those_that_meson_lacks_are_named(self):
        with tempfile.TemporaryDirectory() as root:
            folder = os.path.join(root, "tests", "unit", "a", "b")
            os.makedirs(folder)
            for name, text in (("one_test.c", "threads_start(x)"), ("two_test.c", "nothing"),
                               ("three_test.c", "pthread_create(x)")):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(
                test_run.names_of_threaded(["tests_unit_a_b_one_test", "a_b_two_test"], root),
                (["tests_unit_a_b_one_test"], ["tests/unit/a/b/three_test.c"]))


class CountProgram(unittest.TestCase):
    def test_each_test_inside_a_cmocka_program_counts(self):
        self.assertEqual(counted({"name": "x", "result": "FAIL", "stdout": CMOCKA}),
                         (2, ["x::c_fails: failed"], ["x::b_is_skipped"]))

    def test_any_other_program_counts_as_one_test(self):
        self.assertEqual(counted({"name": "x", "result": "OK", "stdout": "fine\n"}), (1, [], []))
        self.assertEqual(counted({"name": "x", "result": "FAIL"}), (0, ["x: fail"], []))
        self.assertEqual(counted({"name": "x", "result": "SKIP"}), (0, [], ["x"]))

    def test_a_program_that_dies_or_hangs_in_the_middle_fails(self):
        begun = "[==========] Running 2 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n"
        for result in ("TIMEOUT", "FAIL", "ERROR", "INTERRUPT"):
            passed, failed, _ = counted({"name": "x", "result": result, "stdout": begun})
            self.assertEqual((passed, failed), (0, [f"x: {result.lower()}"]))

    def test_in_ci_a_skip_fails_unless_it_is_allowed(self):
        skipped = {"name": "x", "result": "SKIP"}
        self.assertEqual(len(counted(skipped, {}, ci=True)[1]), 1)
        self.assertEqual(counted(skipped, {"x": "needs root"}, ci=True), (0, [], ["x"]))
        inner = {"name": "x", "result": "OK", "stdout": "[  SKIPPED ] a_test\n"}
        self.assertEqual(len(counted(inner, {"x": "needs root"}, ci=True)[1]), 1)
        self.assertEqual(counted(inner, {"x::a_test": "needs root"}, ci=True)[2], ["x::a_test"])


class PytestId(unittest.TestCase):
    def test_it_is_the_node_id(self):
        for attributes, node_id in [
                ({"file": "tests/e2e/test_a.py", "classname": "tests.e2e.test_a", "name": "test_x"},
                 "tests/e2e/test_a.py::test_x"),
                ({"file": "tests/e2e/test_a.py", "classname": "tests.e2e.test_a.TestB",
                  "name": "test_x[1]"}, "tests/e2e/test_a.py::TestB::test_x[1]"),
                ({"classname": "", "name": "tests.e2e.test_a"}, "tests.e2e.test_a")]:
            case = xml.etree.ElementTree.Element("testcase", attributes)
            self.assertEqual(test_run.pytest_id(case), node_id)


class AllowedSkips(unittest.TestCase):
    def load(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "allowed_skips")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return allowed_skips.load(path)

    def test_lines_are_an_id_a_tab_and_a_reason(self):
        self.assertEqual(self.load("# why\n\na::b\tneeds root\n"), {"a::b": "needs root"})
        for wrong in ("a::b\n", "a::b needs root\n", "a::b\t\n", "\tneeds root\n"):
            with self.subTest(line=wrong), self.assertRaises(ValueError):
                self.load(wrong)

    def test_another_reason_than_the_known_one_is_not_allowed(self):
        allowed = {"a": "needs root"}
        self.assertTrue(allowed_skips.is_allowed(allowed, "a", "Skipped: needs root (uid 1000)"))
        self.assertFalse(allowed_skips.is_allowed(allowed, "a", "no loop devices"))
        self.assertFalse(allowed_skips.is_allowed(allowed, "b", "needs root"))

    def test_the_file_of_this_project_is_well_formed(self):
        allowed_skips.load()


class Together(unittest.TestCase):
    def test_programs_run_at_the_same_time_and_each_exit_code_is_kept(self):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
            fifo = os.path.join(folder, "fifo")
            os.mkfifo(fifo)  # opening it waits for the other one
            codes = test_run.run_together([
                (["sh", "-c", f"echo x >{fifo}; exit 3"], None, None),
                (["sh", "-c", f"cat {fifo}; echo $WORD >&2; exit 4"], {"WORD": "met"}, output)])
            output.seek(0)
            self.assertEqual(codes, [3, 4])
            self.assertEqual(output.read(), b"x\nmet\n")

    def test_what_takes_too_long_is_killed_with_its_children_and_the_other_is_not(self):
        before, test_run.PART_TIMEOUT_S = test_run.PART_TIMEOUT_S, 0.3
        try:
            with tempfile.TemporaryFile() as output:
                codes = test_run.run_together([(["true"], None, None),
                                               (["sh", "-c", "sleep 60 & wait"], None, output)])
            self.assertEqual(codes, [0, 124])
        finally:
            test_run.PART_TIMEOUT_S = before


if __name__ == "__main__":
    unittest.main()
