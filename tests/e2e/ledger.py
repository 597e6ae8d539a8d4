"""What crash tests write, and the books about it, kept outside of the process that is killed.

A batch is a pure function of (seed, writer, number): the ledger holds numbers only, and the checker
makes the samples again. ledger_writer.py is the process that sends and notes:

  send N     before the request leaves
  ack N      after a 2xx was read
  wrong N .. an answer that no batch of ours may get

Each series belongs to one writer, which waits for each answer before its next request: so it is
known which of two writes to the same time was the later one.
"""

import json
import random

from exact import bits_of, bits_of_json, series_key
from remote_write import write_request
from wire import WRITE_HEADERS

METRIC = "ledger"
FIRST_MS = 1_790_000_000_000
BATCH_MS = 60_000
SAMPLE_MS = 6_000
SERIES_A_BATCH = 8
SAMPLES_A_SERIES = 8
PROTOCOLS = ["ndjson", "json", "remote_write", "ndjson"]  # by writer


class Batch:
    """Samples (series number, time, value) in the order of writing; values are whole numbers, so
    that sums are exact in any order."""

    def __init__(self, seed, writer, number):
        self.writer, self.number = writer, number
        chance = random.Random(f"{seed}/{writer}/{number}")
        kind = chance.choices(["forward", "late", "again", "change"], [60, 15, 10, 15])[0]
        if number == 0:
            kind = "forward"
        earlier = chance.randrange(number) if number else 0
        if kind == "forward":
            samples = self.forward(number)
        elif kind == "late":
            shift = 1 + number % (SAMPLE_MS - 1)
            samples = [(n, time_ms + shift, value + 1)
                       for n, time_ms, value in self.forward(earlier)]
        elif kind == "again":
            samples = self.forward(earlier)
        else:
            samples = [(n, time_ms, value + number) for n, time_ms, value in self.forward(earlier)]
        if chance.random() < 0.7:
            chance.shuffle(samples)
        if chance.random() < 0.1:
            samples.insert(0, (*samples[-1][:2], 17))
        self.kind, self.samples = kind, samples
        self.atomic = PROTOCOLS[writer] != "remote_write" and chance.random() < 0.3

    @staticmethod
    def first_series(number):
        return number // 50 * 2

    @staticmethod
    def forward(number):
        """New series come with time; values rise and fall back to small ones, as counters do."""
        first = Batch.first_series(number)
        start_ms = FIRST_MS + number * BATCH_MS
        return [(n, start_ms + k * SAMPLE_MS, (number * 10 + k) * (1 + n % 7) % 100_003)
                for n in range(first, first + SERIES_A_BATCH) for k in range(SAMPLES_A_SERIES)]

    def labels(self, series):
        return {"writer": f"w{self.writer}", "n": str(series)}

    def request(self):
        """Path, headers and body."""
        protocol = PROTOCOLS[self.writer]
        if protocol == "remote_write":
            by_series = {}
            for n, time_ms, value in self.samples:
                by_series.setdefault(n, []).append((time_ms, bits_of(float(value))))
            return "/api/v1/write", WRITE_HEADERS, write_request(
                (METRIC, self.labels(n), samples) for n, samples in by_series.items())
        path = "/api/v1/metrics/ingest/batch?precision=ms" + ("&atomic=true" * self.atomic)
        lines = [f'{{"name":"{METRIC}","labels":{{"writer":"w{self.writer}","n":"{n}"}},'
                 f'"value":{value},"timestamp":{time_ms}}}' for n, time_ms, value in self.samples]
        if protocol == "json":
            return path, {"Content-Type": "application/json"}, "[" + ",".join(lines) + "]"
        return path, {"Content-Type": "application/x-ndjson"}, "\n".join(lines)


class Doubt:
    """A batch whose answer never came: it may be there, or may not."""

    def __init__(self, batch):
        self.batch = batch
        self.final = {(n, time_ms): value for n, time_ms, value in batch.samples}
        times = [time_ms for _, time_ms in self.final]
        self.first_ms, self.end_ms = min(times), max(times) + 1


class Books:
    """What one writer's series have to hold: {series number: {time: value}}."""

    def __init__(self, seed, writer, path):
        self.seed, self.writer, self.path = seed, writer, path
        self.series = {}
        self.sums = {}
        self.sent = None   # a batch that was sent and not answered
        self.doubt = None  # the same, once its writer is known to have stopped
        self.read_to = 0
        self.acknowledged = 0
        self.last = 0  # number of the latest batch that was acknowledged
        self.kinds = set()

    def put(self, n, time_ms, value):
        samples = self.series.setdefault(n, {})
        self.sums[n] = self.sums.get(n, 0) + value - samples.get(time_ms, 0)
        samples[time_ms] = value

    def read(self):
        """Takes in what the writer noted since; call it while the writer is at rest."""
        with open(self.path, encoding="ascii") as ledger:
            ledger.seek(self.read_to)
            for line in ledger:
                event, number, *rest = line.split(maxsplit=2)
                assert event != "wrong", f"writer {self.writer}, batch {number}: {rest[0]}"
                if event == "send":
                    self.sent = Batch(self.seed, self.writer, int(number))
                    continue
                assert event == "ack" and self.sent.number == int(number), line
                for sample in self.sent.samples:
                    self.put(*sample)
                self.acknowledged += 1
                self.last = self.sent.number
                self.kinds.add(self.sent.kind)
                self.sent = None
            self.read_to = ledger.tell()
        self.doubt = Doubt(self.sent) if self.sent else None

    def adopt(self, found):
        """Settles the doubt by what the server holds: {(series, time): value} around that batch.
        From then on that has to stay."""
        arrived, absent = 0, 0
        for (n, time_ms), value in self.doubt.final.items():
            before = self.series.get(n, {}).get(time_ms)
            stored = found.get((n, time_ms))
            assert stored in (before, value), (
                f"writer {self.writer}, series {n} at {time_ms}: {stored} is stored, "
                f"{before} was acknowledged and {value} was on its way")
            if before != value:
                arrived += stored == value
                absent += stored != value
            if stored is not None:
                self.put(n, time_ms, stored)
        assert not (self.doubt.batch.atomic and arrived and absent), (
            f"writer {self.writer}, atomic batch {self.doubt.batch.number}: "
            f"{arrived} samples are there and {absent} are not")
        self.doubt = None

    def since(self, number):
        """{(series, time): value} from the time of that batch on."""
        start_ms = FIRST_MS + number * BATCH_MS
        return {(n, time_ms): value for n, samples in self.series.items()
                if n >= Batch.first_series(number)
                for time_ms, value in samples.items() if time_ms >= start_ms}

    def counts(self):
        return {n: len(samples) for n, samples in self.series.items()}

    def increases(self):
        """Per series: the sum of differences, where a fall begins again at 0."""
        increases = {}
        for n, samples in self.series.items():
            values = [samples[time_ms] for time_ms in sorted(samples)]
            if len(values) > 1:
                increases[n] = sum(value - before if value >= before else value
                                   for before, value in zip(values, values[1:]))
        return increases

    def expected(self):
        """As exact.stored_samples gives it."""
        return {series_key(METRIC, {"writer": f"w{self.writer}", "n": str(n)}):
                {time_ms: bits_of(float(value)) for time_ms, value in samples.items()}
                for n, samples in self.series.items()}


def around(server, writer, first_ms, end_ms):
    """{(series, time): value} that the server holds of a writer in [first, end)."""
    found = {}
    for sample in server.export(**{"match[]": f'{METRIC}{{writer="w{writer}"}}',
                                   "start": str(first_ms), "end": str(end_ms)}):
        place = (int(sample["labels"]["n"]), sample["timestamp"])
        assert place not in found, f"writer {writer}, series {place[0]} at {place[1]}: twice"
        found[place] = sample["value"]
    return found


def aggregate(server, writer, function):
    """{series: value} of one aggregate over all times, and the query's stats."""
    answer = server.query(match=f'{METRIC}{{writer="w{writer}"}}', aggregate=function,
                          start=str(FIRST_MS - 86_400_000), end="2261-01-01T00:00:00Z",
                          limit="1000000")
    assert answer["partial"] is False and answer["next"] is None, json.dumps(answer)[:500]
    values = {}
    for series in answer["series"]:
        (point,) = series["points"]
        assert bits_of_json(point[1]) == bits_of(float(point[1]))
        values[int(series["labels"]["n"])] = point[1]
    return values, answer["stats"]
