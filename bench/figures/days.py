"""A year of daily chunks: a query of one series over an hour, and over the year by day."""

import os
import random
import statistics

from figures.client import Client
from figures.row import at_most, note
from figures.server import DAY_MS, Own, check_stored, drop_caches, fresh_directory, midnight_ms, percentile

DAYS, SERIES, HOSTS, STEP_MS = 365, 1000, 40, 60 * 1000
POINTS_A_DAY = DAY_MS // STEP_MS
AGGREGATES = ["count", "min", "max", "avg"]
QUERIES, COLD_STARTS = 400, 3
# A dozen flushes a day, so that days are made of many parts, as those of a busy store are.
SETTINGS = ["storage.head_size=4MiB"]


def series_parameters(chance):
    number = chance.randrange(SERIES)
    return {"metric": f"bench_metric_{number % 25:02}_total",
            "label": f"instance=host-{number // 25 % HOSTS:06}.example.org:9100"}


def hour(client, begin_ms, chance):
    start = begin_ms + chance.randrange(DAYS * 24) * 3600 * 1000
    answer, latency_ms = client.ask({**series_parameters(chance), "start": start, "end": start + 3600 * 1000})
    points = sum(len(series["points"]) for series in answer["series"])
    assert points == 60, f"{points} points of an hour, not 60"
    return latency_ms, answer["stats"]["samples_scanned"]


def year(client, begin_ms, chance):
    aggregate = chance.choice(AGGREGATES)
    answer, latency_ms = client.ask({**series_parameters(chance), "start": begin_ms,
                                     "end": begin_ms + DAYS * DAY_MS, "aggregate": aggregate,
                                     "interval": "1d"})
    points = answer["series"][0]["points"]
    assert len(points) == DAYS, f"{len(points)} days, not {DAYS}"
    if aggregate == "count":
        assert all(value == POINTS_A_DAY for _, value in points), "a day's count is wrong"
    return latency_ms, answer["stats"]["samples_scanned"]


def fill(server, begin_ms):
    """In order of time, and at rest: all but the days that are still hot are warm."""
    server.start()
    sent = server.load(series=SERIES, hosts=HOSTS, points=DAYS * POINTS_A_DAY, step=STEP_MS,
                       start=begin_ms, run=60, batch=6000, connections=5, stream=True,
                       insist=True)["samples"]
    server.stop()
    # After a start late days are warmed at once, without a wait for more that may come.
    server.start()
    server.settle()
    check_stored(server, sent)
    metrics = server.metrics()
    hot = metrics['metric_store_tier_samples{tier="hot"}']
    assert hot <= 11 * SERIES * POINTS_A_DAY, f"{hot:.0f} samples are still hot"
    assert metrics["metric_store_chunks"] == DAYS
    return sent, metrics


def cold(server, query, begin_ms, chance):
    """The first query after a start without a page cache. NaN where the cache cannot be dropped."""
    server.stop()
    dropped = drop_caches()
    server.start()
    latency_ms, _ = query(Client(server), begin_ms, chance)
    return latency_ms if dropped else float("nan")


def rows(_bench):
    with fresh_directory() as directory:
        yield from measure(Own(os.path.join(directory, "data"), *SETTINGS), random.Random(1))


def measure(server, chance):
    begin_ms = midnight_ms(DAYS)
    sent, metrics = fill(server, begin_ms)
    yield note(f"{sent:,} samples of {SERIES:,} series, {DAYS} days: parts", f"{metrics['metric_store_parts']:.0f}")
    for name, query, must_ms in (("1 h", hour, 2), ("a year by day", year, 20)):
        client = Client(server)
        for _ in range(QUERIES // 4):
            query(client, begin_ms, chance)
        results = [query(client, begin_ms, chance) for _ in range(QUERIES)]
        latencies = [latency_ms for latency_ms, _ in results]
        scanned = max(scanned for _, scanned in results)
        # Nothing but headers: else a day is not in order of time, and this is no figure of headers.
        assert query is hour or scanned == 0, f"{scanned} samples were decoded"
        yield at_most(f"365 daily chunks, one series over {name}: P95", percentile(latencies, 0.95), must_ms,
                      "{:.2f} ms")
        yield note("median", f"{statistics.median(latencies):.2f} ms")
        yield note("samples that a query decoded, at most", f"{scanned}")
        first = statistics.median(cold(server, query, begin_ms, chance) for _ in range(COLD_STARTS))
        yield note(f"the first query after a start with cold caches, median of {COLD_STARTS}", f"{first:.1f} ms")
    server.stop()
