"""What it costs to take samples: CPU, memory of series, bytes on disk."""

import os
import re
import shutil
import subprocess
import time

from figures.row import at_least, at_most, note
from figures.server import BINARY, LINES, LOAD, WRITE, Own, Peer, check_stored, fresh_directory

LIFTED = [f"cardinality.{name}=0" for name in
          ("max_series_per_metric", "max_labels_per_metric", "max_label_value_length")]


def ingest(server_class, directory, form, series, hosts, points):
    server = server_class(os.path.join(directory, "data"))
    server.start()
    time.sleep(0.5)
    idle_kb = server.status("RssAnon")
    sent = server.load(LINES if form == "ndjson" else WRITE, format=form, series=series, hosts=hosts,
                       points=points)
    anon_kb = server.status("RssAnon")
    cpu_s = server.stop()
    bytes_on_disk = server.bytes_on_disk()
    # Asked of another process: what the proof costs is on no bill.
    server.start()
    check_stored(server, sent["samples"])
    server.stop()
    return {"samples_per_cpu_s": sent["samples"] / cpu_s,
            "cpu_us_per_series": cpu_s / series * 1e6,
            "bytes_per_series": (anon_kb - idle_kb) * 1024 / series,
            "bytes_per_sample": bytes_on_disk / sent["samples"]}


def remote_write(bench):
    figure = bench.medians(lambda d: ingest(Own, d, "rw", 20000, 800, 240))
    yield at_least("remote write, 20,000 series x 240, 4 connections, synced: samples per CPU-second",
                   figure["samples_per_cpu_s"] / 1e6, 2, "{:.2f} M")
    yield at_most("the same: bytes a sample after the clean stop, log apart",
                  figure["bytes_per_sample"], 1.98, "{:.2f}")
    if bench.peer and shutil.which(Peer.name):
        peer = bench.medians(lambda d: ingest(Peer, d, "rw", 20000, 800, 240), runs=1)
        yield note("victoria-metrics on the same requests: samples per CPU-second",
                   f"{peer['samples_per_cpu_s'] / 1e6:.2f} M")
        yield note("victoria-metrics: bytes a sample", f"{peer['bytes_per_sample']:.2f}")


def ndjson(bench):
    figure = bench.medians(lambda d: ingest(Own, d, "ndjson", 20000, 800, 60))
    yield at_least("NDJSON, 20,000 series x 60: samples per CPU-second", figure["samples_per_cpu_s"] / 1e6,
                   1, "{:.2f} M")


def new_series(bench):
    figure = bench.medians(lambda d: ingest(Own, d, "rw", 1000000, 10000, 3))
    yield at_most("1 M new series of 3 samples: CPU a series", figure["cpu_us_per_series"], 6, "{:.2f} us")
    yield at_most("the same: anonymous memory a series", figure["bytes_per_series"], 600, "{:.0f} B")


def batches(bench):
    def measure(directory):
        server = Own(os.path.join(directory, "data")).start()
        for size in (10000, 100000):
            server.load(LINES, format="ndjson", series=size, hosts=size // 25, points=1, batch=size,
                        connections=1)
        server.stop()
        server.start()
        check_stored(server, 110000)
        server.stop()
        return {"stored": 110000}

    bench.medians(measure, runs=1)
    yield note("one batch of 10,000 and one of 100,000 samples", "accepted")


# ---- real exporters -------------------------------------------------------------------------


def samples_in(recording):
    """Lines that are samples: neither empty nor comments."""
    text = subprocess.run(["zstd", "-dcq", recording], check=True, capture_output=True).stdout
    return sum(1 for line in text.splitlines() if line.strip() and not line.startswith(b"#"))


def recording(bench):
    path = bench.path_of_shared("data", "exporters-5s.txt.zst")
    if path is None:
        yield note(f"recording of exporters: skipped, {bench.shared} has no data/exporters-5s.txt.zst", "-")
        return

    def measure(directory):
        server = Own(os.path.join(directory, "data"), *LIFTED)
        lifted = [word for setting in LIFTED for word in ("--set", setting)]
        subprocess.run([BINARY, "import", "--data", server.data, *lifted, path], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env={**os.environ, "XDG_STATE_HOME": directory})
        on_disk = server.bytes_on_disk()
        server.start()
        check_stored(server, samples_in(path))
        metrics = server.metrics()
        server.stop()
        samples = metrics["metric_store_part_samples"]
        return {"all": on_disk / samples, "parts": metrics["metric_store_part_bytes"] / samples,
                "samples": samples, "series": metrics["metric_store_series"]}

    figure = bench.medians(measure, runs=1)
    yield at_most(f"recording of exporters, {figure['samples']:,.0f} samples of {figure['series']:,.0f} series:"
                  " bytes a sample, log apart", figure["all"], 1.2, "{:.2f}")
    yield note("of them in parts; the rest is the index, and descriptors of metrics", f"{figure['parts']:.2f}")


# ---- the named workloads --------------------------------------------------------------------


def build_tools(bench, directory):
    """tsgen and tsblast, from source."""
    for name in ("tsgen", "tsblast"):
        subprocess.run(["gcc", "-O2", "-w", "-o", os.path.join(directory, name),
                        bench.path_of_shared("bench", name + ".c"), "-lsnappy", "-lm", "-pthread"], check=True)


def peer_ingest(bench, directory, peer, file, form):
    """What peer-ingest prints, as a dict; it fails where not all was stored."""
    out = subprocess.run([bench.path_of_shared("bench", "peer-ingest"), peer, file, "4", form], check=True,
                         capture_output=True, text=True,
                         env={**os.environ, "OWN": BINARY, "TSBLAST": os.path.join(directory, "tsblast")})
    result = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.e+]+)(?=\s)", out.stdout)}
    assert "samples" in result and "stored" in result, f"peer-ingest {peer} failed: {out.stdout}{out.stderr}"
    assert result["bad"] == 0 and result["stored"] == result["samples"], \
        f"{result['stored']:.0f} samples stored, {result['samples']:.0f} sent"
    return result


def tsgen(bench):
    if bench.path_of_shared("bench", "peer-ingest") is None:
        yield note(f"tsgen: skipped, {bench.shared} has no bench/peer-ingest", "-")
        return
    start_ms = str(int(time.time() * 1000) - 2 * 3600 * 1000)
    with fresh_directory() as directory:
        build_tools(bench, directory)

        def measure(peer, form, hosts, metrics, points):
            file = os.path.join(directory, "workload")
            words = [form, str(hosts), str(metrics), str(points), "5000", start_ms, "15000", "1"]
            with open(file, "wb") as out:
                subprocess.run([os.path.join(directory, "tsgen"), *words], check=True, stdout=out,
                               stderr=subprocess.DEVNULL)
            return peer_ingest(bench, directory, peer, file, form)

        figure = measure("own", "rw", 200, 100, 240)
        yield at_least("tsgen rw 200 100 240: samples per CPU-second", figure["samples_per_cpu_s"] / 1e6, 2,
                       "{:.2f} M")
        yield at_most("the same: bytes a sample after the clean stop, log apart", figure["without_wal"], 1.98,
                      "{:.2f}")
        if bench.peer and shutil.which(Peer.name):
            peer = measure("vm", "rw", 200, 100, 240)
            yield note("victoria-metrics on the same file: samples per CPU-second",
                       f"{peer['samples_per_cpu_s'] / 1e6:.2f} M")
            yield note("victoria-metrics: bytes a sample", f"{peer['without_wal']:.2f}")
        figure = measure("own", "ndjson", 200, 100, 60)
        yield at_least("tsgen ndjson 200 100 60: samples per CPU-second", figure["samples_per_cpu_s"] / 1e6, 1,
                       "{:.2f} M")
        figure = measure("own", "rw", 10000, 100, 3)
        yield at_most("tsgen rw 10000 100 3: CPU a series", figure["cpu_s"], 6, "{:.2f} us")
        yield at_most("the same: anonymous memory a series",
                      (figure["anon_kb"] - figure["idle_kb"]) * 1024 / 1e6, 600, "{:.0f} B")


# ---- pieces ---------------------------------------------------------------------------------


def pieces(_bench):
    """The programs that measure parts of it print for themselves."""
    build = os.path.dirname(os.path.dirname(LOAD))
    programs = ["parse_bench", "codec_bench", "query_bench", "series_segment_bench"]
    subprocess.run(["ninja", "-C", build, *(f"bench/{name}" for name in programs)], check=True,
                   stdout=subprocess.DEVNULL)
    with fresh_directory() as directory:
        files = {}
        for form, points in (("rw", 240), ("ndjson", 20)):
            files[form] = os.path.join(directory, form)
            subprocess.run([LOAD, "write", files[form], "--format", form, "--series", "20000", "--hosts", "800",
                            "--points", str(points), "--start", "1700000000000"], check=True)
        for words in (["parse_bench", "rw", files["rw"]], ["parse_bench", "ndjson", files["ndjson"]],
                      ["codec_bench", files["rw"], directory], ["query_bench"],
                      ["series_segment_bench", directory]):
            print(f"-- {words[0]}", flush=True)
            subprocess.run([os.path.join(build, "bench", words[0]), *words[1:]], check=True)
    return []
