"""From the start of the process to the first correct answer."""

import json
import os
import time

from figures.row import at_most, note
from figures.server import DAY_MS, Own, check_stored, drop_caches

# A head that holds all of it: what is measured is the replay, not a flush.
LOG_ONLY = ["storage.head_size=2GiB", "memory.limit=12GiB"]
LOG_SERIES, LOG_POINTS = 20000, 800
HISTORIC, ACTIVE = 10 * 1000 * 1000, 100 * 1000


def replay(directory):
    """1 M series flushed, 16 M samples of 20,000 series only in the log, killed."""
    server = Own(os.path.join(directory, "data"), *LOG_ONLY).start()
    begin_ms = int(time.time() * 1000) - 6 * 3600 * 1000
    first = server.load(series=1000000, hosts=10000, points=1, start=begin_ms)["samples"]
    server.stop()
    server.start()
    second = server.load(series=LOG_SERIES, hosts=800, points=LOG_POINTS, start=begin_ms + 60000)["samples"]
    metrics = server.metrics()
    assert metrics["metric_store_flushes_total"] == 0 and metrics["metric_store_part_samples"] == first, \
        "samples that should be in the log alone were flushed"
    server.kill()
    dropped = drop_caches()
    started = time.perf_counter()
    server.start()
    check_stored(server, first + second)
    seconds = time.perf_counter() - started
    replayed = server.metrics()["metric_store_recovery_samples"]
    assert replayed == second, f"{replayed:.0f} samples were read from the log, not {second}"
    server.stop()
    return {"seconds": seconds, "caches_dropped": dropped}


def history(directory):
    """10 M series of one sample; then, after a start with cold caches, 100,000 of them are written to."""
    server = Own(os.path.join(directory, "data")).start()
    begin_ms = int(time.time() * 1000) - DAY_MS
    sent = server.load(series=HISTORIC, hosts=HISTORIC // 25, points=1, start=begin_ms)["samples"]
    server.stop()
    dropped = drop_caches()
    started = time.perf_counter()
    server.start()
    first = server.query(metric="bench_metric_00_total", label="instance=host-000007.example.org:9100",
                         start="now-2d", end="now+1d", aggregate="count", by="")
    seconds = time.perf_counter() - started
    assert first["series"][0]["points"][0][1] == 1
    # One request: the server has to find each of these series in the index on disk.
    write = server.load(series=ACTIVE, hosts=ACTIVE // 25, points=1, start=begin_ms + 30000, batch=ACTIVE,
                        connections=1)
    assert write["requests"] == 1, "the first write is of one request"
    sent += write["samples"]
    sent += server.load(series=ACTIVE, hosts=ACTIVE // 25, points=20, start=begin_ms + 60000,
                        step=1000)["samples"]
    anon_mib = server.status("RssAnon") / 1024
    names = json.loads(server.answers("/api/v1/metrics?limit=1000"))["metrics"]
    assert sum(metric["series"] for metric in names) == HISTORIC, "series were made twice, or lost"
    stored = server.stored_by_metric()
    assert stored == sent, f"{stored} samples stored, {sent} sent"
    index = os.path.join(directory, "data", "index")
    index_bytes = sum(os.path.getsize(os.path.join(index, name)) for name in os.listdir(index))
    server.stop()
    return {"anon_mib": anon_mib, "seconds": seconds, "first_write_ms": write["seconds"] * 1000,
            "index_bytes": index_bytes / HISTORIC, "caches_dropped": dropped}


def warm(figure):
    return "" if figure["caches_dropped"] else " (caches warm)"


def replay_rows(bench):
    figure = bench.medians(replay)
    yield at_most("start to first correct answer: 1 M series, 16 M samples in the log" + warm(figure),
                  figure["seconds"], 3, "{:.2f} s")
    yield note("settings: " + ", ".join(LOG_ONLY), "")


def history_rows(bench):
    figure = bench.medians(history, runs=1)
    yield at_most("10 M series stored, 100,000 of them active: anonymous memory", figure["anon_mib"], 250,
                  "{:.0f} MiB")
    yield at_most("the same store: start to first correct answer" + warm(figure), figure["seconds"], 1,
                  "{:.2f} s")
    yield note(f"first write of {ACTIVE:,} of them after the start", f"{figure['first_write_ms']:.0f} ms")
    yield note("the same store: bytes of the index a series", f"{figure['index_bytes']:.0f} B")
