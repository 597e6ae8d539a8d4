"""A real Prometheus, scraping itself and a node exporter, writes to us: what it has, we have.

METRIC_STORE_SCRAPE_SECONDS sets how long it scrapes in each test.
"""

import os
import shutil
import signal
import subprocess
import time
from decimal import Decimal

import pytest
import requests

from exact import (NAN_BITS, STALE_BITS, assert_same_samples, bits_of, series_key, stored_samples)
from parts import PartsMet
from server import free_port, wait_until

SECONDS = float(os.environ.get("METRIC_STORE_SCRAPE_SECONDS", "12"))
WRITTEN_LATE = "written_late"  # a series that is none of Prometheus
ROOMY = ("cardinality.max_series_per_metric=0", "cardinality.max_labels_per_metric=40",
         "cardinality.max_label_value_length=1024", "storage.head_size=1MiB",
         "storage.merge_fan_in=2")

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs: {scrapes}
remote_write:
  - url: {url}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms, min_backoff: 50ms, max_backoff: 200ms,
                   min_shards: 4, max_samples_per_send: 500}}
    metadata_config: {{send_interval: 1s}}
"""
# The copies are more series of the same page, so that heads of 1 MiB are filled within seconds.
SCRAPES = """
  - job_name: prometheus
    scrape_interval: 250ms
    scrape_timeout: 250ms
    static_configs: [{copies}]
  - {{job_name: node, static_configs: [{{targets: ["127.0.0.1:{node}"]}}]}}
"""


class Process:
    """A program of the system's that answers on a port of its own."""

    def __init__(self, command, log, ready_url):
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        self.log = log
        wait_until(lambda: self.answers(ready_url), 60, f"{command[0]}'s readiness")

    def answers(self, url):
        assert self.process.poll() is None, open(self.log, encoding="utf-8").read()[-2000:]
        try:
            return requests.get(url, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def end(self):
        self.process.kill()
        self.process.wait()


class Prometheus:
    def __init__(self, folder, target):
        self.port, self.node_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.configuration = folder / "prometheus.yml"
        self.target = target
        self.node = Process(["prometheus-node-exporter",
                             f"--web.listen-address=127.0.0.1:{self.node_port}"],
                            folder / "node.log", f"http://127.0.0.1:{self.node_port}/metrics")
        copies = ", ".join(f'{{targets: ["127.0.0.1:{self.port}"], labels: {{copy: "{n}"}}}}'
                           for n in range(8))
        self.configure(SCRAPES.format(copies=copies, node=self.node_port))
        self.process = Process(["prometheus", f"--config.file={self.configuration}",
                                f"--storage.tsdb.path={folder / 'tsdb'}",
                                f"--web.listen-address=127.0.0.1:{self.port}"],
                               folder / "prometheus.log", self.url + "/-/ready")

    def configure(self, scrapes):
        self.configuration.write_text(CONFIGURATION.format(scrapes=scrapes, url=self.target.url))

    def end(self):
        self.process.end()
        self.node.end()

    def get(self, path, **params):
        answer = requests.get(self.url + path, params=params, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def own(self, name):
        """One of its own numbers, read from its page, since it scrapes itself no longer."""
        text = requests.get(self.url + "/metrics", timeout=30).text
        return [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line.startswith((name + "{", name + " "))]

    def stop_scraping(self):
        """Takes the targets away and waits until all that was scraped has been sent."""
        self.configure("[]")
        self.process.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not self.get("/api/v1/targets")["activeTargets"], 30, "end of scraping")

        def drained():
            newest = max(self.own("prometheus_remote_storage_highest_timestamp_in_seconds"))
            sent = self.own("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")
            return (sent and min(sent) >= newest and
                    sum(self.own("prometheus_remote_storage_samples_pending")) == 0)

        wait_until(drained, 60, "an empty queue of Prometheus")
        for name in ("samples_failed_total", "samples_dropped_total"):
            assert sum(self.own(f"prometheus_remote_storage_{name}")) == 0, name

    def samples(self):
        """{series: {time: bits}} of all raw samples that its query API returns."""
        found = {}
        data = self.get("/api/v1/query", query='{__name__=~".+"}[10m]', time=time.time() + 60)
        for series in data["result"]:
            labels = dict(series["metric"])
            key = series_key(labels.pop("__name__"), labels)
            found[key] = {int(Decimal(str(at)) * 1000): bits_of_text(value)
                          for at, value in series["values"]}
        return found


def bits_of_text(text):
    return NAN_BITS if text == "NaN" else bits_of(float(text))


@pytest.fixture
def prometheus(tmp_path):
    """Makes a Prometheus that writes to a server."""
    for program in ("prometheus", "prometheus-node-exporter"):
        assert shutil.which(program), f"{program} is missing; it is a package of Debian's"
    made = []

    def make(server):
        made.append(Prometheus(tmp_path, server))
        return made[-1]

    yield make
    for one in made:
        one.end()


def without_stale_markers(stored):
    """Prometheus keeps them, but its queries do not show them."""
    shown = {key: {time_ms: bits for time_ms, bits in samples.items() if bits != STALE_BITS}
             for key, samples in stored.items()}
    return {key: samples for key, samples in shown.items() if samples}


def scrape_for(seconds):
    time.sleep(seconds)  # what is waited for is that Prometheus has seen that much time


def assert_has_all(server, prometheus, what):
    theirs = prometheus.samples()
    assert len(theirs) > 500 and max(map(len, theirs.values())) >= SECONDS / 2
    ours = {key: samples for key, samples in stored_samples(server).items() if key[0] != WRITTEN_LATE}
    assert_same_samples(theirs, without_stale_markers(ours), what)
    # It counts every attempt.
    sent = (sum(prometheus.own("prometheus_remote_storage_samples_total")) -
            sum(prometheus.own("prometheus_remote_storage_samples_retried_total")))
    assert sum(map(len, ours.values())) == sent, "not as many as Prometheus counts as sent"


def assert_metadata(server, prometheus):
    ours = {}
    after = {}
    while after is not None:
        page = server.session.get(server.url + "/api/v1/metrics", params=after, timeout=30).json()
        ours.update({metric["name"]: metric for metric in page["metrics"]})
        after = {"after": page["next"]} if page["next"] else None
    theirs = prometheus.get("/api/v1/targets/metadata", limit=100000)
    for entry in theirs:
        known = ours.get(entry["metric"])
        assert known is not None, f"{entry['metric']} is not registered"
        assert (known["type"], known["help"]) == (entry["type"], entry["help"]), entry["metric"]
    assert {entry["type"] for entry in theirs} >= {"counter", "gauge", "histogram", "summary"}


def write_late(server, began):
    """Samples of all the time since then, so that the part they come to overlaps those before."""
    times = [int(1000 * (began + share * (time.time() - began) / 20)) for share in range(20)]
    server.ingest([{"name": WRITTEN_LATE, "value": 1, "timestamp": at} for at in times])


def test_every_sample_of_prometheus_is_here_bit_for_bit(make_server, prometheus):
    server = make_server(*ROOMY).start()
    began = time.time()
    source, met = prometheus(server), PartsMet()
    scrape_for(SECONDS)
    assert_metadata(server, source)
    source.stop_scraping()
    assert_has_all(server, source, "from a running server")
    server.kill()
    met.look(server)
    server.start()
    assert_has_all(server, source, "after a crash")
    write_late(server, began)
    assert server.stop() == 0
    met.look(server)
    server.start()
    assert_has_all(server, source, "after a clean stop")
    print(met)
    assert met.all(), met


def test_a_crash_while_prometheus_sends_costs_no_sample(make_server, prometheus):
    server = make_server(*ROOMY).start()
    began = time.time()
    source, met = prometheus(server), PartsMet()
    scrape_for(SECONDS / 3)
    server.kill()
    met.look(server)
    scrape_for(SECONDS / 6)
    server.start()
    scrape_for(SECONDS / 3)
    server.kill()
    met.look(server)
    server.start()
    scrape_for(SECONDS / 6)
    source.stop_scraping()
    assert sum(source.own("prometheus_remote_storage_samples_retried_total")) > 0
    write_late(server, began)
    assert_has_all(server, source, "after two crashes")
    assert server.stop() == 0
    met.look(server)
    print(met)
    assert met.all(), met
