#!/usr/bin/env python3
"""Days of load in minutes: a metric-store whose wall clock runs fast is written to, queried, deleted
from and copied; every answer is compared with what was acknowledged, and at the end memory, files
and disk must not have grown since the warm-up.

Exit code 0: nothing wrong and nothing grows; 1: something does; 2: the arguments are wrong."""

import argparse
import collections
import os
import shutil
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))

import requests  # noqa: E402

from checks import Checker  # noqa: E402
from clock import DAY_MS, Clock  # noqa: E402
from load import Shard  # noqa: E402
from measure import Meter, judge, print_days, print_verdicts  # noqa: E402
from server import Server  # noqa: E402

RETENTION_DAYS, WARM_DAYS = 5, 2
WARM_UP_DAYS = RETENTION_DAYS + 3
MEASURED_DAYS = 4  # at least
SHARDS = 4
SCRAPES_PER_SECOND = 8  # of each shard, on the real clock

Sizes = collections.namedtuple("Sizes", "stable pods metrics")


class FastServer(Server):
    """A Server whose clock the tests set."""

    clock = None

    def spawn(self):
        before = dict(os.environ)
        os.environ.update(self.clock.environment())
        try:
            super().spawn()
        finally:
            os.environ.clear()
            os.environ.update(before)


class Crew:
    """Threads of which the first that fails ends the run."""

    def __init__(self):
        self.stop = threading.Event()
        self.failures = []
        self.threads = []

    def start(self, run, *arguments):
        def guarded():
            try:
                run(*arguments, self.stop)
            except Exception as reason:  # pylint: disable=broad-except
                self.failures.append(f"{run.__qualname__}: {type(reason).__name__}: {reason}")
                self.stop.set()
        self.threads.append(threading.Thread(target=guarded))
        self.threads[-1].start()

    def join(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="of load (30)")
    parser.add_argument("--day-seconds", type=float, default=120,
                        help="real seconds of a simulated day (120)")
    parser.add_argument("--seed", type=int, default=None, help="of the load; printed")
    parser.add_argument("--directory", default=None,
                        help="for the store, removed at the end where nothing failed (a temporary)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                        help="directory of the build (build/release)")
    options = parser.parse_args()
    days = options.minutes * 60 / options.day_seconds
    if days < WARM_UP_DAYS + MEASURED_DAYS + 1:
        parser.error(f"{days:.1f} simulated days are too few: {WARM_UP_DAYS} warm up, and at least "
                     f"{MEASURED_DAYS} are measured; more --minutes, or fewer --day-seconds")
    return options


def start_server(options, directory, clock):
    server = FastServer(
        os.path.join(options.build, "metric-store"), os.path.join(directory, "data"),
        os.path.join(directory, "log"),
        [f"retention.default={RETENTION_DAYS}d", f"tiers.warm_after={WARM_DAYS}d",
         f"storage.head_size={max(64, round(options.day_seconds * 32))}KiB",
         "storage.wal_segment_size=256KiB", "memory.limit=256MiB",
         "cardinality.max_series_per_metric=0"])
    server.clock = clock
    return server.start()


def report_progress(clock, shards, checker, meter, every_s, stop):
    while not stop.wait(every_s):
        last = meter.rows[-1][1] if meter.rows else {"rss_anon_kib": 0, "parts": 0}
        print(f"day {clock.days():6.2f}: {sum(shard.sent for shard in shards):,} samples, "
              f"{checker.counts['queries']} queries, {last['rss_anon_kib'] / 1024:.1f} MiB, "
              f"{last['parts']} parts, behind by "
              f"{max(shard.lag_ms for shard in shards) / 3600000:.1f} h", flush=True)


def load(options, server, clock, seed):
    """Runs all for options.minutes. (failures, meter, checker, shards)."""
    step_ms = int(DAY_MS / (options.day_seconds * SCRAPES_PER_SECOND))
    shards = [Shard(f"s{i}", clock, step_ms, seed + i, Sizes(stable=10, pods=15, metrics=8))
              for i in range(SHARDS)]
    crew = Crew()
    checker = Checker(server, requests.Session(), shards, RETENTION_DAYS, seed)
    meter = Meter(server, requests.Session(), clock)
    for shard in shards:
        crew.start(shard.write, server, requests.Session())
    crew.start(checker.check)
    crew.start(meter.watch, options.day_seconds / 40)
    crew.start(report_progress, clock, shards, checker, meter, options.day_seconds / 2)
    try:
        crew.stop.wait(options.minutes * 60)
    finally:
        crew.join()
    return crew.failures, meter, checker, shards


def end(server, checker, shards):
    """A clean stop, a whole store, and the same answers after a start."""
    began = time.monotonic()
    code = server.stop()
    assert code == 0, f"serve ended with {code}: {server.log_tail()}"
    print(f"stopped in {time.monotonic() - began:.1f} s")
    checker.run("verify", "--data", server.data)
    began = time.monotonic()
    server.start()
    print(f"started in {time.monotonic() - began:.1f} s")
    for shard in shards:
        for _ in range(10):
            checker.samples(shard)
            checker.sums(shard)
            checker.export(shard)
    assert server.stop() == 0, server.log_tail()


def main():
    options = arguments()
    seed = int(time.time()) if options.seed is None else options.seed
    directory = options.directory or tempfile.mkdtemp(prefix="metric-store-soak-")
    os.makedirs(directory, exist_ok=True)
    clock = Clock(options.day_seconds,
                  os.path.join(options.build, "tests", "soak", "fast_clock.so"))
    print(f"seed {seed}, {directory}, a day takes {options.day_seconds:g} s", flush=True)
    server = start_server(options, directory, clock)
    try:
        failures, meter, checker, shards = load(options, server, clock, seed)
        if not failures:
            try:
                end(server, checker, shards)
            except AssertionError as reason:
                failures.append(str(reason))
    finally:
        if server.process.poll() is None:
            server.stop()
    days = meter.by_day()
    print_days(days, WARM_UP_DAYS)
    if len(days) > WARM_UP_DAYS + 1:
        verdicts = judge(days, WARM_UP_DAYS, options.minutes)
        print_verdicts(verdicts)
        failures += [f"{name} grows by {rise:.1f} where {bound:.1f} is the most"
                     for name, _, rise, bound in verdicts if rise > bound]
    print(f"\n{sum(shard.sent for shard in shards):,} samples, "
          f"{sum(shard.late_count for shard in shards):,} late, "
          f"{sum(shard.pod_count for shard in shards):,} pods, "
          f"{sum(shard.retries for shard in shards)} requests sent again; "
          + ", ".join(f"{count:,} {name}" for name, count in checker.counts.items()))
    for failure in failures:
        print(f"FAILED (seed {seed}): {failure}")
    if failures:
        print(f"the store and its log are left in {directory}")
        return 1
    shutil.rmtree(directory)
    print("nothing wrong, nothing grows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
