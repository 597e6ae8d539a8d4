"""The stores that are attacked: how each is started, asked and counted."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from figures.server import BINARY, free_port

QUERY_TIMEOUT_S = 60
START_TIMEOUT_S = 60
HEALTHY = ("healthy_1_total", "host-0000.example.org:9100")


class Store:
    """A server in a cgroup, on processors of its own. `data` is a directory that does not exist yet."""

    name = program = package = None

    def __init__(self, data, settings=()):
        if shutil.which(self.program) is None and not os.access(self.program, os.X_OK):
            raise SystemExit(f"bench/attacks: {self.program} is not there: {self.package}")
        self.data, self.settings, self.port, self.process = data, settings, free_port(), None

    def start(self, group, processors):
        def enter():
            group.enter()
            os.sched_setaffinity(0, processors)

        os.mkdir(self.data)
        with open(self.data + ".log", "ab") as log:
            # The child does no more than these two calls before it becomes the server.
            self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
                self.command(), stdout=log, stderr=log, preexec_fn=enter)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.get(self.ready_path, 5)[0] != 200:
            assert self.process.poll() is None, f"{self.name} did not start:\n{self.log_end()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready after {START_TIMEOUT_S} s"
            time.sleep(0.05)

    def log_end(self):
        with open(self.data + ".log", encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-5:])

    def get(self, target, timeout_s=QUERY_TIMEOUT_S):
        """Status and body; 0 and the reason where there is no answer in that time."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{target}", timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode(errors="replace")
        except (OSError, EOFError, ValueError) as reason:
            return 0, str(reason)
        except Exception as reason:  # http.client.HTTPException: an answer that broke off
            return 0, repr(reason)

    def running(self):
        return self.process.poll() is None

    def anonymous_bytes(self):
        """None once it has gone."""
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
                for line in status:
                    if line.startswith("RssAnon:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return None

    def cpu_s(self):
        """CPU seconds of all threads that it ever had: the clock of clock_getcpuclockid(3)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory_limit(self):
        """What it plans with, where it says so."""
        return None

    def stop(self):
        """Its exit code."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class MetricStore(Store):
    name, program, package = "metric-store", BINARY, "scripts/build release --tests"
    ready_path = "/-/ready"

    def command(self):
        words = [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data]
        for setting in self.settings:
            words += ["--set", setting]
        return words

    def metric(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
        return None

    def memory_limit(self):
        return self.metric("metric_store_memory_limit_bytes")

    def series(self):
        return self.metric("metric_store_series")

    def query(self, **parameters):
        status, body = self.get("/api/v1/metrics/query?" + urllib.parse.urlencode(parameters))
        if status != 200:
            return f"{status} {json.loads(body)['code'] if body.startswith('{') else body}"
        answer = json.loads(body)
        return "partial" if answer["partial"] else "ok" if answer["series"] else "empty"

    def query_healthy(self):
        return self.query(metric=HEALTHY[0], label=f"instance={HEALTHY[1]}", start="now-5m")

    def query_attacked(self, metric):
        return self.query(metric=metric, start="now-5m", aggregate="sum", by="")


class PrometheusApi(Store):
    """What speaks Prometheus' query API."""

    def query(self, expression):
        status, body = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        if status != 200:
            return f"{status} {body[:200]}"
        return "ok" if json.loads(body)["data"]["result"] else "empty"

    def query_healthy(self):
        return self.query(f'{HEALTHY[0]}{{instance="{HEALTHY[1]}"}}[5m]')

    def query_attacked(self, metric):
        return self.query(f"sum({metric})")

    def head(self):
        status, body = self.get("/api/v1/status/tsdb")
        return json.loads(body)["data"] if status == 200 else {}


class Prometheus(PrometheusApi):
    name, program, package = "prometheus", "prometheus", "apt-get install prometheus"
    ready_path = "/-/ready"

    def command(self):
        config = self.data + ".yml"
        with open(config, "w", encoding="ascii") as file:
            file.write("scrape_configs: []\n")
        return [self.program, f"--config.file={config}", f"--storage.tsdb.path={self.data}",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
                *self.settings]

    def series(self):
        return self.head().get("headStats", {}).get("numSeries")


class VictoriaMetrics(PrometheusApi):
    name, program, package = "victoria-metrics", "victoria-metrics", "apt-get install victoria-metrics"
    ready_path = "/health"

    def command(self):
        # By default the last 30 s are hidden from queries.
        return [self.program, f"-storageDataPath={self.data}", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-search.latencyOffset=1s", *self.settings]

    def series(self):
        return self.head().get("totalSeries")


STORES = {store.name: store for store in (MetricStore, Prometheus, VictoriaMetrics)}
