"""A full disk: writers are told, readers go on, and writing resumes once there is room."""

import json
import os
import random
import time

import pytest

from exact import assert_same_samples, bits_of, series_key, stored_samples
from loop_disk import LoopDisk, why_impossible
from server import wait_until

SETTINGS = ("storage.head_size=1MiB", "storage.wal_segment_size=1MiB", "storage.merge_fan_in=2")
RESUME_S = 10


@pytest.fixture
def disk(tmp_path):
    reason = why_impossible(tmp_path)
    if reason is not None:
        pytest.skip(reason)
    disk = LoopDisk(tmp_path, 64)
    disk.make()
    disk.mount()
    yield disk
    disk.remove()


@pytest.fixture
def server(disk, make_server):
    server = make_server(*SETTINGS, data=os.path.join(disk.path, "data")).start()
    yield server
    if server.process.poll() is None:
        server.kill()


class Ballast:
    """A file that takes all room of the disk but what is asked to be left."""

    def __init__(self, disk):
        self.path = os.path.join(disk.path, "ballast")
        self.folder = disk.path

    def fill(self, leave_bytes=0):
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize - leave_bytes
        with open(self.path, "ab") as file:
            at = file.tell()
            while size > 0:
                try:
                    os.posix_fallocate(file.fileno(), at, size)
                    return
                except OSError:  # an extent needs blocks of its own: a little less then
                    size -= 4096

    def remove(self):
        os.remove(self.path)


class Sender:
    """Sends batches of new times and keeps what was acknowledged."""

    def __init__(self, server):
        self.server, self.number = server, 0
        self.acknowledged = {}
        self.doubtful = {}

    def send(self):
        """One batch of 2,000 samples that do not compress; the answer."""
        start_ms = 1_790_000_000_000 + self.number * 1_000_000
        chance = random.Random(self.number)
        body = [{"name": "full", "labels": {"n": str(n)}, "value": chance.random(),
                 "timestamp": start_ms + k * 1000} for n in range(10) for k in range(200)]
        samples = {}
        for one in body:
            samples.setdefault(series_key("full", one["labels"]), {})[one["timestamp"]] = (
                bits_of(one["value"]))
        self.number += 1
        answer = self.server.post("/api/v1/metrics/ingest/batch", json.dumps(body))
        books = self.acknowledged if answer.status_code == 200 else self.doubtful
        for key, values in samples.items():
            books.setdefault(key, {}).update(values)
        return answer

    def send_until(self, status, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self.send()
            if answer.status_code == status:
                return answer
            assert answer.status_code in (200, 503, 507), answer.text
            assert time.monotonic() < deadline, f"no {status}, but {answer.text}"

    def check(self, what):
        """All that was acknowledged is there; of what was refused there may be some."""
        stored = stored_samples(self.server)
        wanted = {}
        for key, samples in stored.items():
            doubtful = self.doubtful.get(key, {})
            wanted[key] = {time_ms: bits for time_ms, bits in doubtful.items()
                           if samples.get(time_ms) == bits}
        for key, samples in self.acknowledged.items():
            wanted.setdefault(key, {}).update(samples)
        assert_same_samples(wanted, stored, what)


def health(server):
    answer = server.session.get(server.url + "/api/v1/health", timeout=30)
    return answer.status_code, answer.json()


def count(server):
    return server.query(metric="full", aggregate="count", by="", start="2026-01-01T00:00:00Z",
                        end="2261-01-01T00:00:00Z")["series"][0]["points"][0][1]


def acknowledged_count(sender):
    return sum(len(samples) for samples in sender.acknowledged.values())


def assert_told(answer):
    assert answer.status_code == 507, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert "disk" in answer.json()["detail"] or "space" in answer.json()["detail"], answer.text


def test_a_full_disk_is_told_to_writers_and_overcome_without_a_restart(server, disk):
    sender, ballast = Sender(server), Ballast(disk)
    for _ in range(50):
        assert sender.send().status_code == 200
    ballast.fill(leave_bytes=1 << 20)
    assert_told(sender.send_until(507))
    ballast.fill()
    assert_told(sender.send_until(507))
    sender.check("while the disk is full")
    assert count(server) >= acknowledged_count(sender)
    code, state = health(server)
    assert state["status"] in ("degraded", "failing") and code == (
        200 if state["status"] == "degraded" else 503), state
    assert any(check["status"] != "ok" and check["message"] for check in state["checks"].values())

    ballast.remove()
    freed = time.monotonic()
    wait_until(lambda: sender.send().status_code == 200, RESUME_S, "a write after room was made")
    print(f"writes resumed after {time.monotonic() - freed:.2f} s")
    wait_until(lambda: health(server)[1]["status"] == "ok", RESUME_S, "good health")
    for _ in range(50):
        assert sender.send().status_code == 200
    sender.check("after room was made")
    server.kill()
    server.start()
    sender.check("after a crash")


def test_a_crash_on_a_full_disk_loses_nothing_acknowledged(server, disk):
    sender, ballast = Sender(server), Ballast(disk)
    for round_number in range(3):
        for _ in range(20):
            assert sender.send().status_code == 200
        ballast.fill(leave_bytes=1 << 20)
        sender.send_until(507)
        ballast.fill()
        sender.send_until(507)
        server.kill()
        server.start()
        sender.check(f"started on a full disk, round {round_number}")
        assert sender.send().status_code in (200, 507)
        ballast.remove()
        wait_until(lambda: sender.send().status_code == 200, RESUME_S, "a write after the crash")
    sender.check("at the end")
    assert server.stop() == 0
    server.start()
    sender.check("after a clean stop")
