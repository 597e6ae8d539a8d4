"""The documents and bench/run name the same figures and options."""

import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUN = os.path.join(ROOT, "bench", "run")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def run(*words):
    return subprocess.run([sys.executable, RUN, *words], text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def figures():
    return re.search(r"repeatable: ([\w, \n]+?)\s+--", run("--help").stdout).group(1).replace(
        "\n", " ").replace(" ", "").split(",")


class Bench(unittest.TestCase):
    def test_every_figure_has_a_row_that_says_how_to_measure_it(self):
        lines = re.findall(r"`bench/run --only (\w+)[^`]*`", read("docs/BENCHMARKS.md"))
        self.assertEqual(sorted(set(lines)), sorted(figures()))

    def test_the_options_that_are_described_are_those_that_exist(self):
        section = read("docs/DEVELOPMENT.md").split("## Measuring\n")[1].split("\n## ")[0]
        described = set(re.findall(r"^\| `(--[a-z]+)", section, re.MULTILINE))
        existing = set(re.findall(r"^  (--[a-z]+)", run("--help").stdout, re.MULTILINE))
        self.assertEqual(described, existing)
        named = re.search(r"`--only NAME` \| [^|]*: (.*?) \|", section).group(1)
        self.assertEqual(re.findall(r"`(\w+)`", named), figures())

    def test_a_figure_that_does_not_exist_is_refused(self):
        result = run("--only", "nothing")
        self.assertEqual(result.returncode, 2)
        self.assertIn("days", result.stdout)


if __name__ == "__main__":
    unittest.main()
