"""What merging costs: bytes written more than once, and the time that writers wait beside it."""

import os
import shutil
import statistics
import subprocess
import threading
import time

from figures.row import at_most, note
from figures.server import BINARY, DAY_MS, Load, Own, check_stored, fresh_directory, midnight_ms, percentile

# ---- write amplification --------------------------------------------------------------------

# A head of 2 MiB holds about 66 samples of each of the series, as one of 512 MiB does of 500,000.
ORDERED = {"series": 1000, "hosts": 40, "step": 1000, "run": 60, "batch": 6000, "connections": 5}
ORDERED_DAYS = 2
SHUFFLED = {"series": 1000, "hosts": 40, "order": "shuffled"}
SHUFFLED_DAYS, SHUFFLED_POINTS = 20, 20000
SETTINGS = ["storage.head_size=2MiB"]
OLDER_THAN_WARM = 12  # days


def written_by_metrics(metrics):
    """The log, parts, and what merges of the index wrote."""
    return sum(metrics[f"metric_store_{name}_bytes_total"] for name in
               ("wal_written", "flushed", "merge_written", "index_merge_written"))


def amplification(metrics):
    """Bytes of parts that flushes and merges wrote, by those that flushes wrote."""
    flushed = metrics["metric_store_flushed_bytes_total"]
    return (flushed + metrics["metric_store_merge_written_bytes_total"]) / flushed


def amplified(server, days, **workload):
    """Sends, lets all merges end, then the warm step; proves that all is stored."""
    server.start()
    time.sleep(1)  # what is zero-filled for the log at the start is no part of it
    handed, on_disk = server.handed_bytes(), server.disk_bytes()
    sent = server.load(start=midnight_ms(days + OLDER_THAN_WARM), stream=True, insist=True, **workload)
    server.settle()
    os.sync()
    metrics = server.metrics()
    counted = written_by_metrics(metrics)
    handed = (server.handed_bytes() - handed) / counted
    assert 0.95 < handed < 1.3, f"the kernel took {handed:.2f} times the bytes that /metrics counts"
    on_disk = (server.disk_bytes() - on_disk) / counted if on_disk is not None else float("nan")
    assert metrics["metric_store_merge_failures_total"] == 0
    server.stop()
    # After a start late days are warmed at once, without a wait for more that may come.
    server.start()
    server.settle()
    warm = server.metrics()
    assert warm["metric_store_warm_merges_total"] >= days, "not all days became warm"
    check_stored(server, sent["samples"])
    server.stop()
    flushed = metrics["metric_store_flushed_bytes_total"]
    return {"ratio": amplification(metrics), "warm": warm["metric_store_warm_written_bytes_total"] / flushed,
            "flushes": metrics["metric_store_flushes_total"], "merges": metrics["metric_store_merges_total"],
            "hot": warm['metric_store_tier_samples{tier="hot"}'] / sent["samples"],
            "parts": warm["metric_store_parts"] / days, "handed": handed, "on_disk": on_disk}


def amplification_rows(_bench):
    with fresh_directory() as directory:
        figure = amplified(Own(os.path.join(directory, "data"), *SETTINGS), ORDERED_DAYS,
                           points=ORDERED_DAYS * DAY_MS // ORDERED["step"], **ORDERED)
    yield at_most("write amplification in order of time, log and warm step apart", figure["ratio"], 3, "{:.2f}")
    yield note("flushes, merges", f"{figure['flushes']:.0f}, {figure['merges']:.0f}")
    yield note("the warm step, by the bytes that flushes wrote", f"{figure['warm']:.2f}")
    yield note("after it: parts a day; samples that are in hot parts still",
               f"{figure['parts']:.1f}; {figure['hot']:.1%}")
    yield note("bytes given to the kernel, and that reached the disk (with all others'), by those in /metrics",
               f"{figure['handed']:.2f}, {figure['on_disk']:.2f}")
    with fresh_directory() as directory:
        figure = amplified(Own(os.path.join(directory, "data"), *SETTINGS), SHUFFLED_DAYS,
                           points=SHUFFLED_POINTS, step=SHUFFLED_DAYS * DAY_MS // SHUFFLED_POINTS, **SHUFFLED)
    yield note(f"in shuffled order over {SHUFFLED_DAYS} days: {figure['flushes']:.0f} flushes, "
               f"{figure['merges']:.0f} merges", f"{figure['ratio']:.2f}")
    yield note("the warm step, likewise", f"{figure['warm']:.2f}")


# ---- acknowledgements beside merges ---------------------------------------------------------

# A dozen parts of each day: where 15 make a merge none is due, where 8 do each day is. Sent by one connection, as
# several drift apart by days, and so leave more.
DEBT = {"series": 40000, "hosts": 1600, "run": 10, "batch": 5000, "connections": 1}
DEBT_DAYS, POINTS_A_DAY = 44, 120
QUIET, MERGING = "storage.merge_fan_in=15", "storage.merge_fan_in=8"
DEBT_SETTINGS = ["storage.head_size=9MiB", "tiers.cold_after=219000d", "tiers.warm_after=218999d"]
RATE, BATCH, SECONDS, ROUNDS = 100000, 500, 5, 3


def make_debt(directory):
    """A store whose days have many parts each that only a smaller fan-in lets be merged."""
    server = Own(os.path.join(directory, "debt"), QUIET, *DEBT_SETTINGS).start()
    sent = server.load(points=DEBT_DAYS * POINTS_A_DAY, step=DAY_MS // POINTS_A_DAY,
                       start=midnight_ms(DEBT_DAYS + 1), stream=True, insist=True, **DEBT)["samples"]
    merges = server.metrics()["metric_store_merges_total"]
    assert merges == 0, f"{merges:.0f} merges before they should be"
    server.stop()
    return server.data, sent


class Round:
    """The load on a copy of the store; merges run all the while, or not at all."""

    def __init__(self, directory, debt, fan_in):
        self.copy = os.path.join(directory, "copy")
        subprocess.run([BINARY, "snapshot", "--data", debt, self.copy], check=True, stdout=subprocess.DEVNULL)
        self.server = Own(self.copy, fan_in, *DEBT_SETTINGS[1:]).start()
        # What is zero-filled for the log at the start is no part of the load.
        time.sleep(0.5)

    def run(self):
        server, start_ms = self.server, int(time.time() * 1000)
        load = Load(server, series=20000, hosts=800, points=RATE * SECONDS // 20000, step=1000, batch=BATCH,
                    rate=RATE, start=start_ms)
        while server.metrics()["metric_store_storage_samples_appended_total"] == 0:
            time.sleep(0.02)
        before, began = server.metrics(), time.monotonic()
        self.sent = load.wait()
        self.metrics, seconds = server.metrics(), time.monotonic() - began
        check_stored(server, self.sent["samples"], start=start_ms)
        self.p99_ms, self.merges = self.sent["p99_ms"], self.metrics["metric_store_merges_total"]

        def grown(name):
            return self.metrics[f"metric_store_{name}_total"] - before[f"metric_store_{name}_total"]

        self.merges_met = grown("merges")
        self.merge_bytes_s = grown("merge_written_bytes") / seconds
        self.commits_s = grown("storage_commits") / seconds
        self.commit_bytes = grown("wal_written_bytes") / grown("storage_commits")
        return self

    def merges_left(self):
        """Merges that the load left to be done; they end here."""
        self.server.settle()
        return self.server.metrics()["metric_store_merges_total"] - self.merges

    def end(self, everything=None):
        """`everything` is what the store has to hold, asked where merges have ended."""
        if everything is not None:
            check_stored(self.server, everything)
        self.server.stop()
        shutil.rmtree(self.copy)


class Writer(threading.Thread):
    """Writes as many bytes a second as merges do, and syncs each file as they do."""

    def __init__(self, path, bytes_s, file_bytes):
        super().__init__()
        self.path, self.bytes_s, self.file_bytes, self.ended = path, bytes_s, file_bytes, threading.Event()
        self.start()

    def run(self):
        piece = os.urandom(64 * 1024)
        with open(self.path, "wb", buffering=0) as file:
            written, began = 0, time.monotonic()
            while not self.ended.wait(max(0, began + written / self.bytes_s - time.monotonic())):
                file.write(piece)
                written += len(piece)
                if written % self.file_bytes < len(piece):
                    os.fsync(file.fileno())

    def end(self):
        self.ended.set()
        self.join()


def bare_syncs(directory, writes_s, size):
    """P99 in milliseconds of so many writes with fdatasync a second into a file that is there already."""
    path, latencies, piece = os.path.join(directory, "bare"), [], os.urandom(int(size))
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(64 * 1024 * 1024))
        os.fsync(file.fileno())
        file.seek(0)
        began = time.monotonic()
        for number in range(int(writes_s * SECONDS)):
            time.sleep(max(0, began + number / writes_s - time.monotonic()))
            started = time.perf_counter()
            if file.tell() + len(piece) > 64 * 1024 * 1024:
                file.seek(0)
            file.write(piece)
            os.fdatasync(file.fileno())
            latencies.append((time.perf_counter() - started) * 1e3)
    os.unlink(path)
    return percentile(latencies, 0.99)


def bare_syncs_beside(directory, merging):
    writer = Writer(os.path.join(directory, "written"), merging.merge_bytes_s,
                    merging.metrics["metric_store_merge_written_bytes_total"] / merging.merges)
    p99_ms = bare_syncs(directory, merging.commits_s, merging.commit_bytes)
    writer.end()
    os.unlink(writer.path)
    return p99_ms


def rounds(directory):
    """Quiet, merging, and what the disk alone does, in turn; so that a change of the machine meets all."""
    debt, held = make_debt(directory)
    for number in range(ROUNDS):
        quiet = Round(directory, debt, QUIET).run()
        assert quiet.merges == 0, "merges ran where none was due"
        quiet.end()
        merging = Round(directory, debt, MERGING).run()
        left = merging.merges_left()
        assert merging.merges_met > 1 and left > 1, f"{merging.merges_met:.0f} merges ended beside the load and " \
            f"{left:.0f} after it: they did not run all the while"
        merging.end(held + merging.sent["samples"] if number == ROUNDS - 1 else None)
        yield {"quiet": quiet.p99_ms, "merging": merging.p99_ms, "ratio": merging.p99_ms / quiet.p99_ms,
               "merges": merging.merges_met, "megabytes_s": merging.merge_bytes_s / 1e6,
               "bare": bare_syncs(directory, quiet.commits_s, quiet.commit_bytes),
               "bare_beside": bare_syncs_beside(directory, merging)}


def ack_rows(_bench):
    with fresh_directory() as directory:
        results = list(rounds(directory))
    median = {key: statistics.median(result[key] for result in results) for key in results[0]}
    yield at_most(f"{RATE:,} samples/s in bodies of {BATCH}: P99 of the acknowledgement beside merges, by quiet",
                  median["ratio"], 2, "{:.2f}")
    for number, result in enumerate(results, 1):
        yield note(f"round {number}: quiet, and beside {result['merges']:.0f} merges that wrote "
                   f"{result['megabytes_s']:.1f} MB/s", f"{result['quiet']:.2f}, {result['merging']:.2f} ms")
        yield note("    P99 of as many bare writes with fdatasync; beside a writer of as many MB/s",
                   f"{result['bare']:.2f}, {result['bare_beside']:.2f} ms")
