"""Small twins of bench/attacks: floods of new series cost nobody but the metric they are of.

Beside each attack 1,000 healthy series are written, of which the attacked metric has 100: every sample of
them is stored, and can be queried. The release build keeps its anonymous memory within memory.limit and 15 %.
"""

import random
import threading
import time

import pytest
import requests

import wire
from cost import cpu_s

LIMIT_BYTES = 128 << 20
ATTACKED = "attack_requests_total"
BATCH = 5000
SENDERS = 2
HEALTHY_METRICS = [ATTACKED] + [f"healthy_{number}_total" for number in range(1, 10)]
NUMBER, METRIC = b"#" * 16, b"@" * 5


@pytest.fixture
def limited(make_server):
    return make_server(f"memory.limit={LIMIT_BYTES}").start()


def attack_series(server):
    """So many new series the attack has; a sanitized server takes several times as long for each."""
    return 60_000 if server.sanitized else 300_000


def now_ms():
    return int(time.time() * 1000)


# ---- bodies ----------------------------------------------------------------------------------


def new_series(metric, label):
    """A function that makes a body of the series [first, first + BATCH): NUMBER and METRIC in the texts
    become the number of the series, in hexadecimal, and that of its metric."""
    def body(first):
        plain = wire.series(metric, {"instance": "web-01:8080", "job": "web", **label}, [(now_ms(), 1.0)])
        pieces = []
        for number in range(first, first + BATCH):
            text = b"%016x" % (number * 0x9E3779B97F4A7C15 % 2**64)
            pieces.append(plain.replace(NUMBER, text).replace(METRIC, b"%05d" % (number % 10_000)))
        return b"".join(pieces)
    return body


def permuted():
    """A function that makes a body of samples of 1,000 series, each with its eleven labels in a new order."""
    common = [wire.label("__name__", "attack_permuted_total")]
    common += [wire.label(f"label_{number}", f"value-{number}") for number in range(9)]
    own = [wire.label("instance", f"host-{number:04}") for number in range(1000)]
    begin_ms, chance = now_ms(), random.Random(1)

    def body(first):
        pieces = []
        for number in range(first, first + BATCH):
            labels = chance.sample([*common, own[number % 1000]], 11)
            pieces.append(wire.field(1, b"".join(labels) + wire.sample(1.0, begin_ms + number // 1000)))
        return b"".join(pieces)
    return body


def healthy(metric):
    """100 series."""
    return b"".join(wire.series(metric, {"instance": f"host-{number:04}", "job": "healthy"},
                                [(now_ms(), float(number))]) for number in range(100))


# ---- the attack, and who is beside it --------------------------------------------------------


class Attack:
    """Sends bodies from several threads, each once, until all are sent."""

    def __init__(self, server, body, series):
        self.server, self.body = server, body
        self.firsts = iter(range(0, series, BATCH))
        self.lock = threading.Lock()
        self.accepted = self.refused = 0
        self.codes, self.wrong = {}, []
        self.threads = [threading.Thread(target=self.send_all) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def send_all(self):
        with requests.Session() as session:
            while True:
                with self.lock:
                    first = next(self.firsts, None)
                if first is None or self.wrong:
                    return
                try:
                    self.count(self.send(session, first))
                except (AssertionError, requests.RequestException) as reason:
                    self.wrong.append(reason)

    def send(self, session, first):
        payload = wire.snappy(self.body(first))
        for _ in range(100):
            answer = session.post(self.server.url + "/api/v1/write", payload, headers=wire.WRITE_HEADERS,
                                  timeout=60)
            if answer.status_code not in (429, 503):
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{answer.status_code} for 10 s: {answer.text}")

    def count(self, answer):
        assert answer.status_code in (204, 400), answer.text
        with self.lock:
            if answer.status_code == 204:
                self.accepted += BATCH
                return
            told = answer.json()
            self.accepted += told["accepted"]
            self.refused += told["rejected"]
            for error in told["errors"]:
                self.codes[error["code"]] = self.codes.get(error["code"], 0) + 1

    def running(self):
        return any(thread.is_alive() for thread in self.threads)


class Beside:
    """Healthy series, and a look at the server's memory."""

    def __init__(self, server, limit_bytes=LIMIT_BYTES):
        self.server, self.limit_bytes = server, limit_bytes
        self.rounds, self.anonymous_kb = 0, []

    def round(self):
        for metric in HEALTHY_METRICS:
            answer = wire.remote_write(self.server, healthy(metric))
            assert answer.status_code == 204, f"healthy series: {answer.status_code} {answer.text}"
            self.anonymous_kb.append(self.server.rss_anon_kb())
        self.rounds += 1

    def check(self):
        """Every healthy sample is there."""
        for metric in HEALTHY_METRICS:
            answer = self.server.query(metric=metric, label="job=healthy", start="now-10m", end="now+10m",
                                       aggregate="count", by="")
            assert answer["series"][0]["points"][0][1] == 100 * self.rounds, metric
        if not self.server.sanitized:
            assert max(self.anonymous_kb) * 1024 <= self.limit_bytes * 1.15


def attacked(server, body, series):
    """The attack and what was beside it, once it is over."""
    beside = Beside(server)
    beside.round()
    attack = Attack(server, body, series)
    while attack.running():
        beside.round()
        time.sleep(0.05)
    assert not attack.wrong, attack.wrong[0]
    beside.round()
    beside.check()
    assert attack.accepted + attack.refused == series
    return attack, beside


def stored_series(server):
    text = server.session.get(server.url + "/metrics", timeout=30).text
    return next(int(float(line.split()[1])) for line in text.splitlines()
                if line.startswith("metric_store_series "))


# ---- floods ----------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [{"user_id": NUMBER.decode()}, {f"label_{NUMBER.decode()}": "yes"}],
                         ids=["values", "names"])
def test_labels_that_never_repeat_cost_one_metric_its_new_series(limited, label):
    attack, _ = attacked(limited, new_series(ATTACKED, label), attack_series(limited))
    assert attack.accepted == 10_000 - 100
    assert set(attack.codes) == {"cardinality_limit"}
    assert stored_series(limited) == 10_000 + 900


@pytest.mark.parametrize("label", [{"user_id": NUMBER.decode()}, {f"label_{NUMBER.decode()}": "yes"}],
                         ids=["values", "names"])
def test_new_series_over_10000_metrics_stay_within_the_memory(limited, label):
    attack, _ = attacked(limited, new_series(f"attack_{METRIC.decode()}_total", label),
                         attack_series(limited))
    assert set(attack.codes) <= {"memory_limit", "names_limit"}
    assert stored_series(limited) == attack.accepted + 1000
    answer = limited.query(metric="attack_00007_total", start="now-10m", end="now+10m", aggregate="count",
                           by="")
    assert answer["series"]


def test_a_flood_of_label_names_costs_no_series_whose_names_are_known(make_server):
    server = make_server("memory.limit=96MiB", "cardinality.max_series_per_metric=0").start()
    labels = {f"label_{number}_{NUMBER.decode()}": "x" for number in range(8)}
    beside = Beside(server, 96 << 20)
    beside.round()
    attack = Attack(server, new_series(f"attack_{METRIC.decode()}_total", labels), 30_000)
    while attack.running():
        beside.round()
    assert not attack.wrong, attack.wrong[0]
    assert attack.codes.get("names_limit", 0) > 0, attack.codes
    # New series of other metrics come in, and one that is refused says which name is too many.
    newcomers = b"".join(wire.series(HEALTHY_METRICS[1], {"instance": f"new-{number:04}", "job": "new"},
                                     [(now_ms(), 1.0)]) for number in range(1000))
    assert wire.remote_write(server, newcomers).status_code == 204
    refused = wire.remote_write(server, wire.series(HEALTHY_METRICS[1], {"late_name": "x"}, [(now_ms(), 1.0)]))
    error, = refused.json()["errors"]
    assert error["code"] == "names_limit"
    assert '"late_name"' in error["message"] and "memory.limit" in error["message"]
    beside.check()


def test_known_series_in_ever_new_orders_of_their_labels_fill_no_memory(limited):
    _, beside = attacked(limited, permuted(), attack_series(limited))
    assert stored_series(limited) == 2000
    if not limited.sanitized:
        quarter = beside.anonymous_kb[len(beside.anonymous_kb) // 4]
        assert max(beside.anonymous_kb) - quarter < 16 * 1024


# ---- requests that are too large -------------------------------------------------------------


def many_labels(size, salt):
    labels = {f"label_{salt}_{number:06}": "x" for number in range(size)}
    return wire.snappy(wire.series("attack_labels_total", labels, [(now_ms(), 1.0)]))


def long_value(size, salt):
    return wire.snappy(wire.series("attack_value_total", {"value": f"{salt}" + "v" * size}, [(now_ms(), 1.0)]))


def many_names(size, salt):
    """Ten to a series."""
    labels = [wire.label(f"label_{number}_{NUMBER.decode()}", "x") for number in range(10)]
    plain = wire.field(1, b"".join([wire.label("__name__", ATTACKED), *labels, wire.sample(1.0, now_ms())]))
    return wire.snappy(b"".join(plain.replace(NUMBER, b"%04x%012x" % (salt, number))
                                for number in range(size // 10)))


HUGE = [(many_labels, 10_000, {"label_limit", "labels_too_large"}),
        (long_value, 10_000_000, {"label_value_too_long"}),
        (many_names, 1_000_000, {"cardinality_limit"})]


@pytest.mark.parametrize("make, size, codes", HUGE, ids=["labels", "value", "names"])
def test_what_is_too_large_is_refused_by_name_and_in_linear_time(make_server, make, size, codes):
    # Room for a body of 1,000,000 names at once: else its size alone is the reason.
    roomy = make_server("memory.limit=2GiB", "server.max_body_size=64MiB").start()
    beside = Beside(roomy, 2 << 30)
    beside.round()

    def send(body):
        return roomy.post("/api/v1/write", body, headers=wire.WRITE_HEADERS)

    send(make(size // 4, 0))  # fills the metric, and makes buffers that stay
    costs = {}
    for part in (size // 4, size // 2, size):
        costs[part] = 1e9
        for repeat in range(1 if roomy.sanitized else 3):
            body, before = make(part, len(costs) * 10 + repeat), cpu_s(roomy)
            answer = send(body)
            costs[part] = min(costs[part], cpu_s(roomy) - before)
            assert answer.status_code == 400, answer.text
            assert {error["code"] for error in answer.json()["errors"]} <= codes
            assert answer.json()["accepted"] == 0
        beside.round()
    assert costs[size] < max(0.005, 6 * costs[size // 4]), costs
    beside.check()
