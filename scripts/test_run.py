#!/usr/bin/env python3
"""Runs the tests, part by part, and ends with one line: N passed, N failed, N skipped.

The parts, in the order in which they run:
  lint   clang-format over all sources
  unit   gcc release build; include rules, script tests, unit tests, fuzz corpora
  sim    random lives of the engine on the simulated disk, for some minutes; every sync is needed
  clang  a clang build: it has to compile without warnings
  asan   the same tests as in unit, under the address and undefined behaviour sanitizers
  tsan   the unit tests that start threads, and tests/e2e/test_threads.py, under the thread sanitizer; only by name
  e2e    pytest over tests/e2e, against the release binary and, at the same time, against the sanitized one
  soak   days of load in a minute (tests/soak/soak.py): right answers, and nothing grows

Under CI=true a skipped test fails unless tests/allowed_skips names it with its reason.
"""

import argparse
import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

import allowed_skips

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = ["lint", "unit", "sim", "clang", "asan", "tsan", "e2e", "soak"]
QUICK = ["lint", "unit"]
NIGHTLY = ["tsan"]  # by name, and by make nightly: all parts together stay below half an hour
SOURCE_PATTERNS = ["src/**/*.[ch]", "src/**/*.cc", "tests/**/*.[ch]", "bench/**/*.[ch]"]
PART_TIMEOUT_S = 20 * 60
SIMULATE_SECONDS = 60  # with the scripted programs and scripts/sync-sites over five minutes of simulation
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
# The address space layout of newer kernels is too random for older libraries of the thread sanitizer.
FIXED_LAYOUT = ["setarch", "--addr-no-randomize"]
STARTS_THREADS = re.compile(r"threads_start\(|pthread_create\(|\bbackground = true")
SOAK = ["--minutes", "1.3", "--day-seconds", "5"]


class Tally:
    """What passed, failed and was skipped; the skip rule of CI is applied here."""

    def __init__(self, allowed, ci):
        self.allowed, self.ci = allowed, ci
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.builds = {}  # name -> whether it compiled

    def fail(self, test_id, why="failed"):
        self.failed.append(f"{test_id}: {why}")

    def skip(self, test_id, reason=None):
        shown = f"{test_id}: {reason}" if reason else test_id
        if self.ci and not allowed_skips.is_allowed(self.allowed, test_id, reason):
            self.failed.append(f"{shown} (skipped, and tests/allowed_skips does not allow it)")
        else:
            self.skipped.append(shown)

    def report(self):
        for title, tests in (("skipped", self.skipped), ("failed", self.failed)):
            if tests:
                print(f"\n{title}:")
                for test in tests:
                    print(f"  {test}")
        print(f"\n{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped")
        return 1 if self.failed else 0


def run_together(programs):
    """Runs (arguments, environment, file for all output or None) at the same time, to their ends,
    or kills their whole process groups when time is up. Gives the exit codes."""
    processes = [subprocess.Popen(arguments, cwd=ROOT, start_new_session=True, stdout=output,
                                  stderr=output and subprocess.STDOUT,
                                  env={**os.environ, **(environment or {})})
                 for arguments, environment, output in programs]
    end = time.monotonic() + PART_TIMEOUT_S
    for process in processes:
        try:
            process.wait(timeout=max(0, end - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
            interrupted = isinstance(reason, KeyboardInterrupt)
            for late in processes if interrupted else [process]:
                if late.poll() is None:
                    os.killpg(late.pid, signal.SIGKILL)
                    late.wait()
            if interrupted:
                raise
            print(f"{process.args[0]}: killed after {PART_TIMEOUT_S} s", flush=True)
    return [124 if process.returncode == -signal.SIGKILL else process.returncode
            for process in processes]


def run(arguments, environment=None):
    return run_together([(arguments, environment, None)])[0]


def build(tally, name):
    """Builds build/NAME once a run; a failure counts once."""
    if name not in tally.builds:
        tally.builds[name] = run(["scripts/build", name, "--tests"]) == 0
        if not tally.builds[name]:
            tally.fail(f"build::{name}", "does not compile")
    return tally.builds[name]


def check_format(tally):
    if shutil.which("clang-format-16") is None:
        tally.skip("lint::format", "clang-format-16 is not installed")
        return
    sources = sorted({path for pattern in SOURCE_PATTERNS
                      for path in glob.glob(os.path.join(ROOT, pattern), recursive=True)})
    if run(["clang-format-16", "--dry-run", "-Werror", *sources]) == 0:
        tally.passed += 1
    else:
        tally.fail("lint::format", "run clang-format-16 -i on the files named above")


CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)\.", re.MULTILINE)
# The summary names each test again with a comma or nothing; only "[  SKIPPED ] name" counts.
CMOCKA_SKIPPED = re.compile(r"^\[  SKIPPED \] ([A-Za-z_]\w*)$", re.MULTILINE)
CMOCKA_FAILED = re.compile(r"^\[  (?:FAILED|ERROR) +\] ([A-Za-z_]\w*)$", re.MULTILINE)


def count_program(tally, test):
    """Counts one entry of meson's test log: the tests inside it where cmocka tells of them."""
    name, result = test["name"], test["result"]
    output = test.get("stdout", "") + test.get("stderr", "")
    passed = sum(int(count) for count in CMOCKA_PASSED.findall(output))
    skipped = sorted(set(CMOCKA_SKIPPED.findall(output)))
    failed = sorted(set(CMOCKA_FAILED.findall(output)))
    tally.passed += passed
    for inner in skipped:
        tally.skip(f"{name}::{inner}")
    for inner in failed:
        tally.fail(f"{name}::{inner}")
    if result == "SKIP" and not skipped:
        tally.skip(name)
    elif result not in ("OK", "SKIP") and not failed:
        tally.fail(name, result.lower())
    elif result == "OK" and not passed and not skipped and not failed:
        tally.passed += 1


def run_suite(tally, name, environment=None, tests=(), wrapper=()):
    """Builds build/NAME and runs what meson knows as a test there: all, or these."""
    if not build(tally, name):
        return
    log = os.path.join(ROOT, "build", name, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    code = run([*wrapper, "meson", "test", "-C", f"build/{name}", "--no-rebuild",
                "--print-errorlogs", *tests], environment)
    before = len(tally.failed)
    try:
        with open(log, encoding="utf-8") as file:
            for line in file:
                count_program(tally, json.loads(line))
    except (OSError, ValueError) as reason:
        tally.fail(f"meson test {name}", f"no readable log: {reason}")
    if code != 0 and len(tally.failed) == before:
        tally.fail(f"meson test {name}", f"exit code {code}")


def pytest_id(case):
    """The node id that pytest and tests/allowed_skips use, from a testcase of its report."""
    file, group, name = case.get("file"), case.get("classname") or "", case.get("name")
    if not file:
        return "::".join(filter(None, [group, name]))
    classes = group[len(file.removesuffix(".py")):].strip(".")
    return "::".join([file, *filter(None, classes.split(".")), name])


def report_of(name):
    return os.path.join(ROOT, "build", f"e2e-{name}.xml")


def run_end_to_end(tally, environments, tests="tests/e2e", wrapper=()):
    """Of several builds at the same time, as the tests mostly wait; {build: environment}."""
    names = [name for name in environments if build(tally, name)]
    programs = []
    with contextlib.ExitStack() as files:
        for name in names:
            if os.path.exists(report_of(name)):
                os.remove(report_of(name))
            programs.append((
                [*wrapper, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests,
                 "--continue-on-collection-errors", "-o", "junit_family=xunit1",
                 f"--junitxml={report_of(name)}"],
                {"METRIC_STORE_BINARY": os.path.join(ROOT, "build", name, "metric-store"),
                 **environments[name]},
                files.enter_context(tempfile.TemporaryFile()) if programs else None))
        codes = run_together(programs)
        for (_, _, output), name, code in zip(programs, names, codes):
            if output is not None:
                output.seek(0)
                print(f"\n-- {name}\n{output.read().decode(errors='replace')}", flush=True)
            count_end_to_end(tally, name, code)


def count_end_to_end(tally, name, code):
    before = len(tally.failed)
    try:
        tree = xml.etree.ElementTree.parse(report_of(name))
    except (OSError, xml.etree.ElementTree.ParseError) as reason:
        tally.fail(f"e2e {name}", f"pytest exit code {code}, no readable report: {reason}")
        return
    for case in tree.iter("testcase"):
        test_id = pytest_id(case)
        if case.find("failure") is not None or case.find("error") is not None:
            tally.fail(f"{test_id} ({name})")
        elif case.find("skipped") is not None:
            # tests/e2e/conftest.py has applied the rule of CI already.
            tally.skipped.append(f"{test_id} ({name}): {case.find('skipped').get('message')}")
        else:
            tally.passed += 1
    if code != 0 and len(tally.failed) == before:
        tally.fail(f"e2e {name}", f"pytest exit code {code}")


def run_simulations(tally):
    if not build(tally, "release"):
        return
    for name, *arguments in (("simulate", "--seconds", str(SIMULATE_SECONDS)), ("sync-sites",)):
        if run([f"scripts/{name}", *arguments]) == 0:
            tally.passed += 1
        else:
            tally.fail(f"sim::{name}", "see above")


def names_of_threaded(names, root=ROOT):
    """(names, files): of meson's names those of unit tests that start threads, and the files with
    such tests that no name belongs to."""
    found, lost = [], []
    folder = os.path.join(root, "tests", "unit")
    for path in sorted(glob.glob(os.path.join(folder, "**", "*_test.c"), recursive=True)):
        with open(path, encoding="utf-8") as file:
            if not STARTS_THREADS.search(file.read()):
                continue
        stem = os.path.relpath(path, folder).removesuffix(".c").replace(os.sep, "_")
        own = [name for name in names if name == stem or name.endswith("_" + stem)]
        found += own
        if not own:
            lost.append(os.path.relpath(path, root))
    return found, lost


def run_thread_sanitizer(tally):
    if not build(tally, "tsan"):
        return
    told = subprocess.run(["meson", "introspect", "--tests", "build/tsan"], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    names, lost = names_of_threaded([test["name"] for test in json.loads(told.stdout)])
    for path in lost:
        tally.fail(f"tsan::{path}", "no test of meson's has this name")
    # In a container the call may be forbidden; then the layout has to do as it is.
    fixed = subprocess.run([*FIXED_LAYOUT, "true"], check=False, capture_output=True)
    wrapper = FIXED_LAYOUT if fixed.returncode == 0 else []
    environment = {"TSAN_OPTIONS": "second_deadlock_stack=1"}
    run_suite(tally, "tsan", environment, names, wrapper)
    run_end_to_end(tally, {"tsan": environment}, "tests/e2e/test_threads.py", wrapper)


def run_soak(tally):
    if not build(tally, "release"):
        return
    if run([sys.executable, "tests/soak/soak.py", *SOAK]) == 0:
        tally.passed += 1
    else:
        tally.fail("soak", "what failed stands above")


def run_part(tally, part, wanted):
    if part == "lint":
        check_format(tally)
    elif part == "unit":
        # Of the programs that scripts/sync-sites runs, the tests that it runs are left to it.
        run_suite(tally, "release", {"METRIC_STORE_TEST_SKIP": "*sync*"} if "sim" in wanted else None)
    elif part == "sim":
        run_simulations(tally)
    elif part == "clang":
        if build(tally, "clang"):
            tally.passed += 1
    elif part == "asan":
        run_suite(tally, "asan", SANITIZER_ENVIRONMENT)
    elif part == "tsan":
        run_thread_sanitizer(tally)
    elif part == "soak":
        run_soak(tally)
    elif part == "e2e":
        run_end_to_end(tally, {"release": {}, "asan": SANITIZER_ENVIRONMENT})


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}")
    choice.add_argument("--only", action="append", choices=PARTS, metavar="PART",
                        help="only this part; may be given more than once")
    options = parser.parse_args()
    wanted = QUICK if options.quick else options.only or [part for part in PARTS if part not in NIGHTLY]
    try:
        tally = Tally(allowed_skips.load(), allowed_skips.in_ci())
    except (OSError, ValueError) as reason:
        print(f"test: {reason}", file=sys.stderr)
        return 2
    for part in PARTS:
        if part in wanted:
            print(f"\n== {part}", flush=True)
            began = time.monotonic()
            run_part(tally, part, wanted)
            print(f"== {part}: {time.monotonic() - began:.0f} s", flush=True)
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
