"""Queries of the last hour while samples arrive."""

import os
import time

from figures.client import Client
from figures.row import at_most, note
from figures.server import Load, Own, check_stored, percentile

SERIES, HOSTS, RATE, RUNS = 25000, 1000, 100000, 300
HOUR_MS = 3600 * 1000


def appended(server):
    """Samples that were committed since the start, and when that was."""
    return server.metrics()["metric_store_storage_samples_appended_total"], time.monotonic()


def ask(client, parameters, points):
    """P95 in milliseconds; every answer has to have that many points."""
    latencies = []
    for _ in range(RUNS):
        answer, latency_ms = client.ask(parameters)
        latencies.append(latency_ms)
        got = sum(len(series["points"]) for series in answer["series"])
        assert got in points, f"{got} points"
        time.sleep(0.02)
    return percentile(latencies, 0.95)


def measure(directory):
    """An hour of 1,000 series of one metric and 24,000 others, then 100,000 samples/s beside queries."""
    server = Own(os.path.join(directory, "data")).start()
    begin_ms = int(time.time() * 1000) - HOUR_MS
    sent = server.load(series=SERIES, hosts=HOSTS, points=240, start=begin_ms)["samples"]
    check_stored(server, sent)
    arriving = Load(server, series=SERIES, hosts=HOSTS, points=120, step=250, start=begin_ms + HOUR_MS,
                    connections=2, rate=RATE)
    while appended(server)[0] < sent + RATE:
        time.sleep(0.1)
    before, began = appended(server)
    hour = {"metric": "bench_metric_00_total", "start": begin_ms, "end": begin_ms + HOUR_MS}
    client = Client(server)
    one = ask(client, {**hour, "label": "instance=host-000007.example.org:9100"}, {240})
    # The first bucket begins at a whole minute before the hour, mostly.
    group = ask(client, {**hour, "aggregate": "sum", "by": "region", "interval": "1m"}, {5 * 60, 5 * 61})
    after, ended = appended(server)
    assert arriving.running(), "the load ended before the queries"
    rate = (after - before) / (ended - began)
    assert rate > 0.97 * RATE, f"{rate:.0f} samples/s were committed, not {RATE}"
    sent += arriving.wait()["samples"]
    server.stop()
    server.start()
    check_stored(server, sent)
    server.stop()
    return {"one": one, "group": group, "rate": rate}


def rows(bench):
    figure = bench.medians(measure)
    yield at_most("one series 1 h, 100,000 samples/s arriving: P95", figure["one"], 2, "{:.2f} ms")
    yield at_most("sum by region, 1,000 series 1 h, likewise: P95", figure["group"], 15, "{:.2f} ms")
    yield note("samples/s that were committed meanwhile; none refused, all stored", f"{figure['rate']:,.0f}")
