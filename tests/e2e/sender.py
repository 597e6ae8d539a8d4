"""A writer that meets a disk which takes nothing for a while, and the books of what was acknowledged."""

import json
import random
import time

from exact import assert_same_samples, bits_of, series_key, stored_samples

RESUME_S = 10  # within which writes go on once the disk takes them again


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

    def acknowledged_count(self):
        return sum(len(samples) for samples in self.acknowledged.values())

    def count(self):
        """What the server counts, by headers where it can."""
        return self.server.query(metric="full", aggregate="count", by="",
                                 start="2026-01-01T00:00:00Z",
                                 end="2261-01-01T00:00:00Z")["series"][0]["points"][0][1]

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
