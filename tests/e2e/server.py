"""A metric-store process of its own, on a free port, with its data in a directory of the test's."""

import errno
import json
import os
import random
import signal
import socket
import subprocess
import time

import requests


def free_port():
    """Below those that the system gives to connections, which would take it before the server does."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError as reason:
                if reason.errno != errno.EADDRINUSE:
                    raise


def wait_until(condition, timeout_s=30, what="the condition"):
    """Waits until condition() is true; the last value is returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        time.sleep(0.02)


class Server:
    def __init__(self, binary, data, log, settings=(), flags=()):
        self.binary = binary
        self.data = str(data)
        self.log_path = str(log)
        self.settings = list(settings)
        self.flags = list(flags)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.environment = {}  # more variables, or other values
        self.sanitized = os.path.basename(os.path.dirname(binary)) in ("asan", "tsan")
        self.session = requests.Session()

    def spawn(self):
        """Starts the process without waiting for it."""
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data]
        for setting in self.settings:
            command += ["--set", setting]
        command += self.flags
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})

    def start(self, timeout_s=60):
        self.spawn()
        wait_until(lambda: self.process.poll() is not None or self.ready(), timeout_s,
                   "the server's readiness")
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}: {self.log_tail()}")
        return self

    def ready(self):
        try:
            return self.session.get(self.url + "/-/ready", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def log_text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def log_tail(self):
        return self.log_text()[-4000:]

    def kill(self):
        """As a crash: SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.session.close()
        self.session = requests.Session()

    def stop(self, timeout_s=30):
        """As an operator: SIGTERM. The exit code."""
        if self.process is None or self.process.poll() is not None:
            return None if self.process is None else self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout_s)
        self.session.close()
        self.session = requests.Session()
        return code

    def post(self, path, body, content_type="application/json", **options):
        headers = {"Content-Type": content_type, **options.pop("headers", {})}
        return self.session.post(self.url + path, data=body, headers=headers, timeout=60, **options)

    def ingest(self, samples, **params):
        """Posts a list of samples and returns the parsed answer; it must be a 200."""
        answer = self.post("/api/v1/metrics/ingest/batch", json.dumps(samples), params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def query(self, **params):
        answer = self.session.get(self.url + "/api/v1/metrics/query", params=params, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def export(self, **params):
        """The samples of an export, one dictionary a line."""
        answer = self.session.get(self.url + "/api/v1/metrics/export", params=params, timeout=120)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.content.decode().split("\n") if line]

    def rss_anon_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
        raise AssertionError("no RssAnon")


def files_below(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            yield os.path.join(folder, name)
