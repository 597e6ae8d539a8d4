"""Everything at once over HTTP: writers, queries, deletes, exports, lists, snapshots, reloads, and a
stop in the middle. Each writer finds exactly what was acknowledged to it. Meant for the build with
the thread sanitizer (scripts/test --only tsan), and runs in every other."""

import json
import random
import shutil
import signal
import threading

import pytest
import requests

import remote_write
import wire

T0 = 1795305600000
WRITERS = 8
LOAD_S = 5
STEP_MS = 60_000  # three days in 4,320 steps
STEPS = 4320
BATCH = "/api/v1/metrics/ingest/batch"


class Refused(Exception):
    """The server does not take it any more: it stops."""


class Writer:
    """One session, one metric of its own, and what it must hold."""

    def __init__(self, server, number, stopping):
        self.server, self.stopping = server, stopping
        self.metric = f"threads_{number}"
        self.random = random.Random(number)
        self.session = requests.Session()
        self.known = [{} for _ in range(5)]  # of each series: time -> value
        self.unknown = []                    # what was under way at the stop, as `known`
        self.value = 0

    def request(self, method, path, **options):
        try:
            answer = self.session.request(method, self.server.url + path, timeout=120, **options)
        except requests.RequestException:
            if self.stopping.is_set():
                raise Refused from None
            raise
        if answer.status_code == 503 and self.stopping.is_set():
            raise Refused
        return answer

    def some_times(self):
        first = self.random.randrange(STEPS)
        return [T0 + i % STEPS * STEP_MS for i in range(first, first + self.random.randrange(1, 80))]

    def write(self):
        batch = {}
        for n in self.random.sample(range(len(self.known)), 3):
            self.value += 1
            batch[n] = {at: self.value + at % 7 for at in self.some_times()}
        self.unknown = [("write", batch)]
        if self.random.random() < 0.5:
            body = json.dumps([{"name": self.metric, "labels": {"n": str(n)}, "value": value,
                                "timestamp": at}
                               for n, samples in batch.items() for at, value in samples.items()])
            answer = self.request("POST", BATCH, data=body, params={"precision": "ms"},
                                  headers={"Content-Type": "application/json"})
            assert answer.status_code == 200 and answer.json()["rejected"] == 0, answer.text
        else:
            body = wire.snappy(b"".join(
                wire.series(self.metric, {"n": str(n)}, samples.items())
                for n, samples in batch.items()))
            answer = self.request("POST", "/api/v1/write", data=body,
                                  headers=remote_write.WRITE_HEADERS)
            assert answer.status_code == 204, answer.text
        for n, samples in batch.items():
            self.known[n].update(samples)
        self.unknown = []

    def delete(self):
        n = self.random.randrange(len(self.known))
        start = T0 + self.random.randrange(STEPS) * STEP_MS
        end = start + self.random.randrange(1, 600) * STEP_MS
        self.unknown = [("delete", (n, start, end))]
        answer = self.request("DELETE", "/api/v1/metrics/series",
                              params={"match[]": f'{self.metric}{{n="{n}"}}', "start": start,
                                      "end": end})
        if answer.status_code != 422 or answer.json()["code"] != "delete_limit":
            assert answer.status_code == 200, answer.text
            self.known[n] = {at: value for at, value in self.known[n].items()
                             if not start <= at < end}
        self.unknown = []

    def points(self, n):
        answer = self.request("GET", "/api/v1/metrics/query",
                              params={"match": f'{self.metric}{{n="{n}"}}', "start": T0,
                                      "end": T0 + STEPS * STEP_MS})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert not found["partial"]
        return dict(found["series"][0]["points"] if found["series"] else [])

    def check(self):
        n = self.random.randrange(len(self.known))
        assert self.points(n) == self.known[n]

    def count(self):
        answer = self.request("GET", "/api/v1/metrics/query",
                              params={"metric": self.metric, "start": T0, "aggregate": "count",
                                      "by": "", "end": T0 + STEPS * STEP_MS})
        series = answer.json()["series"]
        found = series[0]["points"][0][1] if series else 0
        assert found == sum(len(samples) for samples in self.known)

    def work(self):
        self.random.choice([self.write] * 5 + [self.delete, self.check, self.count])()

    def check_after_stop(self):
        """What was under way when the server stopped is there or is not, as a whole."""
        left = [self.points(n) for n in range(len(self.known))]
        after = [dict(samples) for samples in self.known]
        for kind, change in self.unknown:
            if kind == "write":
                for n, samples in change.items():
                    after[n].update(samples)
            else:
                n, start, end = change
                after[n] = {at: value for at, value in after[n].items() if not start <= at < end}
        assert left in (self.known, after)


class Others:
    """Who reads what belongs to nobody, and asks the server for things."""

    def __init__(self, server, config, stopping):
        self.server, self.config, self.stopping = server, config, stopping
        self.session = requests.Session()
        self.number = 0

    def get(self, path, **params):
        answer = self.session.get(self.server.url + path, params=params, timeout=120)
        assert answer.status_code == 200 or self.stopping.is_set(), answer.text
        return answer

    def read(self):
        self.get("/api/v1/metrics")
        self.get("/metrics")
        self.get("/api/v1/health")
        for line in self.get("/api/v1/metrics/export",
                             **{"match[]": '{__name__=~"threads_.*"}'}).text.splitlines():
            assert json.loads(line)["name"].startswith("threads_") or self.stopping.is_set()

    def administer(self):
        self.number += 1
        self.config.write_text(f"query:\n  default_limit: {1000 + self.number}\n"
                               f"tiers:\n  warm_after: {1 + self.number % 2}d\n")
        if not self.stopping.is_set():
            self.server.process.send_signal(signal.SIGHUP)
        answer = self.session.post(self.server.url + "/api/v1/admin/snapshot", timeout=120)
        assert answer.status_code == 201 or self.stopping.is_set(), answer.text
        if answer.status_code == 201:
            shutil.rmtree(answer.json()["path"])


def start(job, stop, stopping, failures):
    def run():
        try:
            while not stop.is_set():
                job()
        except Refused:
            pass
        except requests.RequestException as reason:
            if not stopping.is_set():
                failures.append(repr(reason))
        except Exception as reason:  # pylint: disable=broad-except
            failures.append(f"{job.__qualname__}: {reason!r}")
        if failures:
            stop.set()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("sync", ["always", "interval"])
def test_each_writer_finds_what_was_acknowledged_while_everything_goes_on(make_server, tmp_path,
                                                                          sync):
    config = tmp_path / "metric-store.yaml"
    config.write_text("")
    server = make_server("storage.head_size=256KiB", "storage.wal_segment_size=64KiB",
                         "storage.merge_fan_in=2", f"storage.sync={sync}", "server.threads=4",
                         "storage.sync_interval=5ms", "query.threads=2",
                         flags=("--config", str(config))).start(timeout_s=120)
    stop, stopping, failures = threading.Event(), threading.Event(), []
    writers = [Writer(server, i, stopping) for i in range(WRITERS)]
    readers, admin = Others(server, config, stopping), Others(server, config, stopping)
    jobs = [writer.work for writer in writers] + [readers.read, admin.administer]
    threads = [start(job, stop, stopping, failures) for job in jobs]
    stop.wait(LOAD_S)
    stopping.set()
    code = server.stop(timeout_s=120)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert code == 0, server.log_tail()
    server.start(timeout_s=120)
    for writer in writers:
        writer.check_after_stop()
    assert server.stop(timeout_s=120) == 0, server.log_tail()
