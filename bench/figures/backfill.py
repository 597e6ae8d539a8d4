"""A year of samples in shuffled order: any batch holds samples of any series and any day."""

import os
import threading
import time

from figures.row import at_least, at_most, note
from figures.server import DAY_MS, Own, check_stored, fresh_directory, midnight_ms

SAMPLES, SERIES, HOSTS, DAYS = 100 * 1000 * 1000, 1000, 40, 365
POINTS = SAMPLES // SERIES
BUDGET_MIB = 1024
SETTINGS = [f"memory.limit={BUDGET_MIB}MiB"]


class Watch:
    """The most anonymous memory that a server had, looked at twenty times a second."""

    def __init__(self, server):
        self.server, self.peak_kb, self.ended = server, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.ended.wait(0.05):
            self.peak_kb = max(self.peak_kb, self.server.status("RssAnon"))

    def end(self):
        self.ended.set()
        self.thread.join()
        return self.peak_kb / 1024


def amplification(metrics):
    """Bytes of parts that flushes and merges wrote, by those that flushes wrote; the warm step apart."""
    flushed = metrics["metric_store_flushed_bytes_total"]
    return (flushed + metrics["metric_store_merge_written_bytes_total"]) / flushed


def fill(server):
    """Until all that can be merged is. What bench/load printed, and the metrics."""
    sent = server.load(series=SERIES, hosts=HOSTS, points=POINTS, step=DAYS * DAY_MS // POINTS,
                       start=midnight_ms(DAYS), order="shuffled", stream=True, insist=True)
    server.settle()
    return sent, server.metrics()


def warm_up(server):
    """Days older than tiers.warm_after as one part each; after a start that does not wait for more to come."""
    server.start()
    watch = Watch(server)
    server.settle()
    peak_mib = watch.end()
    metrics = server.metrics()
    hot_days = metrics["metric_store_parts"] - (DAYS - 10)
    assert metrics['metric_store_tier_samples{tier="warm"}'] > 0.95 * SAMPLES, f"{hot_days:.0f} parts are hot"
    return peak_mib, metrics, server.stop()


def measure(server):
    server.start()
    watch = Watch(server)
    began = time.monotonic()
    sent, metrics = fill(server)
    seconds = time.monotonic() - began
    peak_mib = watch.end()
    cpu_s = server.stop()
    warm_peak_mib, warm_metrics, warm_cpu_s = warm_up(server)
    server.start()
    check_stored(server, sent["samples"])
    server.stop()
    yield at_least(f"backfill of {SAMPLES // 10**6} M samples of {SERIES:,} series over {DAYS} days, shuffled:"
                   " samples per CPU-second", SAMPLES / cpu_s / 1e6, 1, "{:.2f} M")
    yield note(f"to the end of all merges ({metrics['metric_store_merges_total']:.0f}) and the clean stop; wall time"
               f" {seconds:.0f} s", f"{cpu_s:.0f} s CPU")
    yield note("with the warm step too, which comes ten minutes later or after a start",
               f"{SAMPLES / (cpu_s + warm_cpu_s) / 1e6:.2f} M")
    yield at_most("the same: most anonymous memory, of memory.limit", max(peak_mib, warm_peak_mib), BUDGET_MIB,
                  "{:.0f} MiB")
    yield note("write amplification of the backfill, log and warm step apart",
               f"{amplification(metrics):.2f}")
    yield note("bytes that the warm step wrote, by those that flushes wrote",
               f"{warm_metrics['metric_store_warm_written_bytes_total'] / metrics['metric_store_flushed_bytes_total']:.2f}")
    yield note("requests that were told to come again, and did", f"{sent['again']}")


def rows(_bench):
    with fresh_directory() as directory:
        yield from measure(Own(os.path.join(directory, "data"), *SETTINGS))
