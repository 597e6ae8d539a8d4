"""A server for one figure, the load that is sent to it, and the proof that it holds what was sent."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "release")
BINARY = os.path.join(BUILD, "metric-store")
LOAD = os.path.join(BUILD, "bench", "load")
NO_LIMITS = ["cardinality.max_series_per_metric=0", "query.max_samples=0", "query.timeout=10m"]
WRITE, LINES = "/api/v1/write", "/api/v1/metrics/ingest/batch"
DAY_MS = 86400 * 1000
BACKGROUND = ("flush", "merge")  # names of threads
STARTED = []  # processes


@contextlib.contextmanager
def fresh_directory():
    """An empty directory; where a figure fails, nothing is left running that might write to it."""
    with tempfile.TemporaryDirectory(prefix="metric-store-bench-") as directory:
        try:
            yield directory
        finally:
            for process in STARTED:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            STARTED.clear()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Own:
    name = "metric-store"

    def __init__(self, data, *settings):
        """Settings are written as SECTION.KEY=VALUE."""
        self.data, self.port, self.process = data, free_port(), None
        self.command = [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", data]
        for setting in (*NO_LIMITS, *settings):
            self.command += ["--set", setting]

    def start(self):
        with open(self.data + ".log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        STARTED.append(self.process)
        while not self.answers("/-/ready"):
            time.sleep(0.005)
        return self

    def answers(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
                return answer.read()
        except OSError:
            if self.process.poll() is not None:
                sys.exit(self.end())
            return None

    def end(self):
        """Why there is no server any more."""
        with open(self.data + ".log", encoding="utf-8") as log:
            last = "".join(log.readlines()[-3:])
        return f"the server ended with {self.process.poll()}; its log ends with:\n{last}"

    def load(self, path=WRITE, **options):
        """Sends all of it. What bench/load prints."""
        return Load(self, path, **options).wait()

    def query(self, **parameters):
        target = f"http://127.0.0.1:{self.port}/api/v1/metrics/query?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(target, timeout=600) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refusal:
            assert False, f"a query was refused: {refusal.read().decode()}"

    def stored(self, **parameters):
        selected = {} if "metric" in parameters else {"match": '{__name__=~".+"}'}
        answer = self.query(**selected, **{"start": "0", "end": "now+1d", "aggregate": "count", "by": "",
                                           **parameters})
        return int(answer["series"][0]["points"][0][1]) if answer["series"] else 0

    def stored_by_metric(self):
        """The same where there are too many series for one query."""
        names = json.loads(self.answers("/api/v1/metrics?limit=1000"))["metrics"]
        return sum(self.stored(metric=metric["name"]) for metric in names)

    def metrics(self):
        """Name with labels, as written, to value."""
        lines = self.answers("/metrics").decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

    def status(self, key):
        """Of /proc/PID/status, in KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(key):
                    return int(line.split()[1])
        return 0

    def handed_bytes(self):
        """Bytes that this process gave to write(). The kernel's write_bytes would count all of a large
        folio of the page cache where a few pages of it are written."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return int(dict(line.split(": ") for line in file.read().splitlines())["wchar"])

    def disk_bytes(self):
        """Bytes that everybody wrote to the disk of the store; None where the system does not count."""
        device = os.stat(self.data).st_dev
        try:
            with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat", encoding="ascii") as file:
                return int(file.read().split()[6]) * 512
        except OSError:
            return None

    def works(self):
        """Whether a thread that flushes or merges runs, waits for a processor or for the disk."""
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/stat", encoding="ascii") as file:
                name, state = re.match(r"\d+ \((.*)\) (.)", file.read()).groups()
            if name in BACKGROUND and state != "S":
                return True
        return False

    def settle(self):
        """Waits until nothing is flushed or merged any more: those threads sleep, but for a look now and then."""
        awake = [True]
        while sum(awake) > len(awake) / 20:
            awake = []
            for _ in range(100):
                awake.append(self.works())
                time.sleep(0.03)

    def stop(self):
        """CPU seconds until the end."""
        self.process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        assert self.process.returncode == 0, f"exit code {self.process.returncode}"
        return usage.ru_utime + usage.ru_stime

    def kill(self):
        self.process.kill()
        self.process.wait()

    def bytes_on_disk(self):
        """Without the log."""
        return sum(os.path.getsize(os.path.join(folder, name))
                   for folder, _, names in os.walk(self.data) for name in names
                   if os.path.basename(folder) != "wal")


class Peer(Own):
    name = "victoria-metrics"

    def __init__(self, data):
        super().__init__(data)
        self.command = [self.name, f"-storageDataPath={data}", f"-httpListenAddr=127.0.0.1:{self.port}",
                        "-retentionPeriod=10y"]

    def answers(self, path):
        return super().answers("/health" if path == "/-/ready" else path)

    def stored(self, **parameters):
        time.sleep(5)  # it shows what it took after up to two seconds
        query = urllib.parse.urlencode({"query": 'sum(count_over_time({__name__=~".+"}[30d]))',
                                        "time": int(time.time()) + 86400})
        result = json.loads(self.answers("/api/v1/query?" + query))["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0


class Load:
    """bench/load on its way to a server; options as at its top."""

    def __init__(self, server, path=WRITE, **options):
        self.server = server
        options.setdefault("start", int(time.time() * 1000) - 2 * 3600 * 1000)
        words = [LOAD, "send", str(server.port), path]
        for name, value in options.items():
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        STARTED.append(self.process)

    def running(self):
        return self.process.poll() is None

    def wait(self):
        out, _ = self.process.communicate()
        assert out, "the load did not arrive: " + (
            "the connections broke" if self.server.process.poll() is None else self.server.end())
        result = json.loads(out)
        assert result["refused"] == 0, f"{result['refused']} requests were refused"
        return result


def check_stored(server, sent, **parameters):
    stored = server.stored(**parameters)
    assert stored == sent, f"{stored} samples stored, {sent} sent"


def drop_caches():
    """Whether it could: that needs root."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as caches:
            caches.write("3")
        return True
    except OSError:
        return False


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


def midnight_ms(days_ago=0):
    """The begin of the UTC day so many days ago."""
    return (int(time.time()) // 86400 - days_ago) * DAY_MS
