"""The soak sees what grows, and lets pass what only swings."""

import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "soak"))

import measure  # noqa: E402

DAYS = 20


def growing(**changes):
    """The names that judge() finds growing where each is 50,000 but for what `changes` makes of a
    day."""
    days = [(day, {name: changes[name](day) if name in changes else 50_000
                   for name in measure.QUANTITIES}) for day in range(DAYS)]
    return [name for name, _, rise, bound in measure.judge(days, 8, 30) if rise > bound]


class Judge(unittest.TestCase):
    def test_what_stays_does_not_grow(self):
        self.assertEqual(growing(), [])

    def test_a_slow_rise_is_seen(self):
        self.assertEqual(growing(rss_anon_kib=lambda day: 50_000 + 600 * day), ["rss_anon_kib"])
        self.assertEqual(growing(threads=lambda day: 11 + day // 10), ["threads"])

    def test_the_warm_up_does_not_count_nor_what_swings_or_falls(self):
        self.assertEqual(growing(rss_anon_kib=lambda day: min(day, 8) * 8_000,
                                 parts=lambda day: 40 + day % 3,
                                 disk_kib=lambda day: 90_000 - 1_000 * day), [])


class Descriptors(unittest.TestCase):
    def test_those_of_files_of_the_store_do_not_count(self):
        with tempfile.TemporaryDirectory() as folder:
            store = os.path.join(os.path.realpath(folder), "data")
            os.mkdir(store)
            before = measure.files_open("/proc/self", store)
            with open(os.path.join(store, "a.part"), "w"):
                self.assertEqual(measure.files_open("/proc/self", store), before)
            with open(store + "2", "w"):
                self.assertEqual(measure.files_open("/proc/self", store), before + 1)


if __name__ == "__main__":
    unittest.main()
