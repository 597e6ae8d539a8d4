"""What is written, and what must be read back: series whose values follow from number and time.

A shard is a set of series that one thread writes; whoever holds its lock sees what the server has
acknowledged and nothing that is under way. Of every scrape some samples come late, some come with a
wrong value first, some come twice.
"""

import collections
import heapq
import random
import struct
import threading

import wire
from clock import DAY_MS, FIRST_DAY

ABSENT, RIGHT, WRONG = 0, 1, 2
LATE_EVERY, WRONG_EVERY, TWICE_EVERY = 97, 53, 31
LATE_LONGEST_DAYS = 2.5
RETURNING = 0.1  # of new pods, those whose name was there before


def value_of(number, tick, state=RIGHT):
    """Exact in binary and in JSON."""
    right = (number * 7919 + tick * tick * 31) % 100_003 / 8
    return right if state == RIGHT else -1 - right


class Series:
    def __init__(self, number, name, labels, tick):
        self.number, self.name, self.labels = number, name, labels
        self.first = tick  # of states[0]
        self.states = bytearray()
        pairs = sorted([("__name__", name), *labels.items()])
        self.encoded = b"".join(wire.label(*pair) for pair in pairs)

    def put(self, tick, state):
        if tick < self.first:
            return  # forgotten: long beyond retention
        at = tick - self.first
        if at >= len(self.states):
            self.states.extend(bytes(at + 1 - len(self.states)))
        self.states[at] = state

    def samples(self, start, end):
        """(tick, value) within [start, end) ticks."""
        for at in range(max(start - self.first, 0), min(end - self.first, len(self.states))):
            if self.states[at] != ABSENT:
                yield self.first + at, value_of(self.number, self.first + at, self.states[at])

    def delete(self, start, end):
        for at in range(max(start - self.first, 0), min(end - self.first, len(self.states))):
            self.states[at] = ABSENT

    def forget_before(self, tick):
        gone = min(max(tick - self.first, 0), len(self.states))
        del self.states[:gone]
        self.first = max(self.first, tick)


class Shard:
    """`step_ms` between scrapes; tick k is at k * step_ms + offset since FIRST_DAY."""

    numbers = iter(range(1, 1 << 40))

    def __init__(self, name, clock, step_ms, seed, sizes):
        self.name, self.clock, self.step_ms = name, clock, step_ms
        self.random = random.Random(seed)
        self.offset_ms = self.random.randrange(step_ms)
        self.sizes = sizes
        self.lock = threading.Lock()
        self.known = {}                 # pod -> its series
        self.pods = {}                  # pod -> tick of its end; those that are scraped
        self.gone = collections.deque()  # pods that were
        self.pod_count = 0
        self.again = []                 # (series, tick): sent with the next scrape
        self.late = []                  # heap of (tick when due, order, series, tick)
        self.late_count = 0
        self.tick = 0
        self.sent = self.retries = 0
        self.lag_ms = 0

    def time_of(self, tick):
        return FIRST_DAY * DAY_MS + self.offset_ms + tick * self.step_ms

    def tick_at(self, time_ms):
        """The first that is not before."""
        return -((FIRST_DAY * DAY_MS + self.offset_ms - time_ms) // self.step_ms)

    def all_series(self):
        return [series for pod in self.known.values() for series in pod]

    # ---- writing ---------------------------------------------------------------------------

    def begin_pod(self, lives):
        returns = self.gone and self.random.random() < RETURNING
        pod = self.gone.popleft() if returns else f"{self.name}-pod-{self.pod_count}"
        self.pod_count += 1
        self.pods[pod] = self.tick + lives
        if pod not in self.known:
            labels = {"pod": pod, "shard": self.name, "node": f"n{self.pod_count % 7}"}
            self.known[pod] = [Series(next(self.numbers), f"soak_{metric}", labels, self.tick)
                               for metric in range(self.sizes.metrics)]

    def change_pods(self):
        for pod in [pod for pod, end in self.pods.items() if end <= self.tick]:
            del self.pods[pod]
            self.gone.append(pod)
        ticks_a_day = DAY_MS // self.step_ms
        while len(self.pods) < self.sizes.stable:
            self.begin_pod(1 << 40)
        while len(self.pods) < self.sizes.stable + self.sizes.pods:
            self.begin_pod(int(ticks_a_day * self.random.uniform(0.1, 0.6)))

    def scrape(self):
        """(series, tick, state) of one request, in an order that a server has to cope with."""
        batch = [(series, tick, RIGHT) for series, tick in self.again]
        self.again = []
        while self.late and self.late[0][0] <= self.tick:
            _, _, series, tick = heapq.heappop(self.late)
            batch.append((series, tick, RIGHT))
        ticks_a_day = DAY_MS // self.step_ms
        for series in (series for pod in self.pods for series in self.known[pod]):
            mark = series.number * 13 + self.tick
            if mark % LATE_EVERY == 0:
                due = self.tick + 1 + int(
                    ticks_a_day * LATE_LONGEST_DAYS * self.random.random() ** 2)
                self.late_count += 1
                heapq.heappush(self.late, (due, self.late_count, series, self.tick))
                continue
            wrong = mark % WRONG_EVERY == 0
            if wrong or mark % TWICE_EVERY == 0:
                self.again.append((series, self.tick))
            batch.append((series, self.tick, WRONG if wrong else RIGHT))
        return batch

    def encode(self, batch):
        pack = struct.Struct("<d").pack
        times = {}
        message = []
        for series, tick, state in batch:
            if tick not in times:
                times[tick] = b"\x10" + wire.varint(self.time_of(tick))
            sample = b"\x09" + pack(value_of(series.number, tick, state)) + times[tick]
            message.append(wire.field(1, series.encoded + wire.field(2, sample)))
        return wire.snappy(b"".join(message))

    def send(self, server, session, batch, stop):
        body = self.encode(batch)
        while True:
            answer = session.post(server.url + "/api/v1/write", data=body, timeout=60,
                                  headers=wire.WRITE_HEADERS)
            if answer.status_code != 503:
                break
            self.retries += 1
            if stop.wait(min(float(answer.headers.get("Retry-After", "1")), 1)):
                return
        assert answer.status_code == 204, f"{answer.status_code} {answer.text}"
        for series, tick, state in batch:
            series.put(tick, state)
        self.sent += len(batch)

    def write(self, server, session, stop):
        """Until `stop`: each scrape at its time, or at once where it is late."""
        while not stop.is_set():
            self.clock.wait_for(self.time_of(self.tick), stop)
            with self.lock:
                self.lag_ms = self.clock.now_ms() - self.time_of(self.tick)
                self.change_pods()
                self.send(server, session, self.scrape(), stop)
                self.tick += 1

    def forget_before(self, time_ms):
        """What retention has dropped by now is not remembered either."""
        first = self.tick_at(time_ms)
        for series in self.all_series():
            series.forget_before(first)
        for pod in [pod for pod, of in self.known.items()
                    if pod not in self.pods and not any(series.states for series in of)]:
            del self.known[pod]
        self.gone = collections.deque(pod for pod in self.gone if pod in self.known)
