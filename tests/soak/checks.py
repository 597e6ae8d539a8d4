"""Reads what shards say must be there, deletes some of it, and takes snapshots, while all goes on."""

import json
import math
import os
import random
import shutil
import subprocess

from clock import DAY_MS
from load import RIGHT, value_of

HOUR_MS = DAY_MS // 24
DELETES_A_DAY, SNAPSHOTS_A_DAY = 6, 2
CLOSE = 1e-9  # of sums


class Checker:
    """`failures` are sentences; the run ends with the first."""

    def __init__(self, server, session, shards, retention_days, seed):
        self.server, self.session, self.shards = server, session, shards
        self.retention_days = retention_days
        self.clock = shards[0].clock
        self.random = random.Random(seed)
        self.counts = dict.fromkeys(("queries", "points", "deletes", "refused", "snapshots"), 0)
        self.next_delete = self.next_snapshot = 0.0

    # ---- what must be there ------------------------------------------------------------------

    def kept_from_ms(self):
        """Retention drops whole days, and another one may be due in a moment."""
        return ((self.clock.now_ms() - self.retention_days * DAY_MS) // DAY_MS + 2) * DAY_MS

    def some_range(self, longest_ms):
        start = self.kept_from_ms()
        end = self.clock.now_ms() + HOUR_MS
        start = self.random.randrange(min(start, end - 1), end)
        return start, min(end, start + 1 + self.random.randrange(longest_ms))

    def some_series(self, shard):
        """Of pods that are there and of those that were."""
        return self.random.choice(self.random.choice(list(shard.known.values())))

    def expected(self, shard, series, start, end):
        return [[shard.time_of(tick), value] for tick, value in
                series.samples(shard.tick_at(start), shard.tick_at(end))]

    def get(self, path, **params):
        answer = self.session.get(self.server.url + path, params=params, timeout=60)
        assert answer.status_code == 200, f"{path} {params}: {answer.status_code} {answer.text}"
        return answer

    # ---- one check each; with the shard's lock ---------------------------------------------------

    def samples(self, shard):
        series = self.some_series(shard)
        start, end = self.some_range(self.retention_days * DAY_MS)
        match = f'{series.name}{{pod="{series.labels["pod"]}"}}'
        found = self.get("/api/v1/metrics/query", match=match, start=start, end=end).json()
        expected = self.expected(shard, series, start, end)
        points = found["series"][0]["points"] if found["series"] else []
        assert not found["partial"], found["warnings"]
        assert points == expected, difference(match, start, end, points, expected)
        self.counts["points"] += len(points)

    def sums(self, shard):
        metric = f"soak_{self.random.randrange(shard.sizes.metrics)}"
        aggregate = self.random.choice(["sum", "count", "max", "min"])
        start, end = self.some_range(DAY_MS)
        found = self.get("/api/v1/metrics/query", match=f'{metric}{{shard="{shard.name}"}}', by="",
                         start=start, end=end, interval="1h", aggregate=aggregate).json()
        buckets = {}
        for series in shard.all_series():
            if series.name == metric:
                for time_ms, value in self.expected(shard, series, start, end):
                    buckets.setdefault(time_ms // HOUR_MS * HOUR_MS, []).append(value)
        how = {"sum": math.fsum, "count": len, "max": max, "min": min}[aggregate]
        expected = {at: how(values) for at, values in buckets.items()}
        points = dict(found["series"][0]["points"] if found["series"] else [])
        assert not found["partial"], found["warnings"]
        assert points.keys() == expected.keys() and all(
            math.isclose(points[at], expected[at], rel_tol=CLOSE, abs_tol=CLOSE) for at in points
        ), difference(f"{aggregate} of {metric}", start, end, sorted(points.items()),
                      sorted(expected.items()))
        self.counts["points"] += len(points)

    def export(self, shard):
        pod = self.random.choice(list(shard.known))
        start, end = self.kept_from_ms(), self.clock.now_ms() + HOUR_MS
        text = self.get("/api/v1/metrics/export",
                        **{"match[]": f'{{pod="{pod}"}}', "start": start, "end": end}).text
        self.compare_lines(shard, pod, start, end, text)

    def compare_lines(self, shard, pod, start, end, text):
        found = sorted([line["name"], line["timestamp"], line["value"]]
                       for line in map(json.loads, text.splitlines()))
        expected = sorted([series.name, *point] for series in shard.known[pod]
                          for point in self.expected(shard, series, start, end))
        assert found == expected, difference(f"export of {pod}", start, end, found, expected)
        self.counts["points"] += len(found)

    # ---- what changes something -------------------------------------------------------------------

    def delete(self, shard):
        series = self.some_series(shard)
        pod = series.labels["pod"]
        start, end = self.some_range(DAY_MS // 4)
        kind = self.random.choice(["samples", "pod", "metric"])
        if kind == "samples":
            matcher, gone = f'{series.name}{{pod="{pod}"}}', [series]
        elif kind == "pod":
            matcher, gone = f'{{pod="{pod}"}}', shard.known[pod]
            start, end = 0, self.clock.now_ms() + DAY_MS
        else:
            matcher = f'{series.name}{{shard="{shard.name}"}}'
            gone = [one for one in shard.all_series() if one.name == series.name]
        answer = self.session.delete(self.server.url + "/api/v1/metrics/series", timeout=60,
                                     params={"match[]": matcher, "start": start, "end": end})
        if answer.status_code == 422 and answer.json()["code"] == "delete_limit":
            self.counts["refused"] += 1
            return
        assert answer.status_code == 200, answer.text
        for one in gone:
            one.delete(shard.tick_at(start), shard.tick_at(end))
        self.counts["deletes"] += 1

    def snapshot(self, shard):
        """Whole, and with what the shard says of one pod; then removed."""
        answer = self.session.post(self.server.url + "/api/v1/admin/snapshot", timeout=60)
        assert answer.status_code == 201, answer.text
        path = answer.json()["path"]
        pod = self.random.choice(list(shard.known))
        start, end = self.kept_from_ms(), self.clock.now_ms() + HOUR_MS
        text = self.run("export", "--data", path, "--match", f'{{pod="{pod}"}}', "--start", start,
                        "--end", end)
        self.compare_lines(shard, pod, start, end, text)
        self.run("verify", "--data", path)
        shutil.rmtree(path)
        self.counts["snapshots"] += 1

    def run(self, *arguments):
        done = subprocess.run([self.server.binary, *map(str, arguments)], capture_output=True,
                              text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{arguments}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    # ---- the thread --------------------------------------------------------------------------

    def look(self):
        shard = self.random.choice(self.shards)
        with shard.lock:
            self.random.choice([self.samples, self.samples, self.sums, self.export])(shard)
            self.counts["queries"] += 1

    def check(self, stop):
        while not all(shard.tick > 0 for shard in self.shards) and not stop.wait(0.1):
            pass
        while not stop.is_set():
            self.look()
            now = self.clock.days()
            shard = self.random.choice(self.shards)
            if now >= self.next_delete:
                self.next_delete = now + 1 / DELETES_A_DAY
                with shard.lock:
                    self.delete(shard)
            if now >= self.next_snapshot:
                self.next_snapshot = now + 1 / SNAPSHOTS_A_DAY
                with shard.lock:
                    self.snapshot(shard)
            for one in self.shards:
                with one.lock:
                    one.forget_before(self.kept_from_ms() - 2 * DAY_MS)
            stop.wait(0.1)


def difference(what, start, end, found, expected):
    missing = [one for one in expected if one not in found][:5]
    extra = [one for one in found if one not in expected][:5]
    return (f"{what} in [{start}, {end}): {len(found)} found, {len(expected)} expected; missing "
            f"{missing}, not expected {extra}")
