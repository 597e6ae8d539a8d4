"""One attack on one server, with healthy series and queries beside it, and what came of it."""

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import threading
import time

from attack.cgroup import MemoryGroup
from attack.servers import QUERY_TIMEOUT_S, STORES
from figures.server import BUILD, fresh_directory, percentile

ATTACKER = os.path.join(BUILD, "bench", "attacker")
WRITE = "/api/v1/write"
CGROUP_BYTES = 512 << 20
HEALTHY_SERIES = 1000
WARM_UP_S = 3  # in which the healthy series come into being
QUERY_PAUSE_S = 1
NEWCOMERS_PAUSE_S, NEWCOMERS = 2, 10
SAMPLES_A_SECOND = 10
# The metric that is asked for.
ATTACKED = {
    "one-metric": "attack_requests_total",
    "many-metrics": "attack_00007_total",
    "label-names": "attack_requests_total",
    "many-names": "attack_00007_total",
    "permuted": "attack_permuted_total",
    "huge": "attack_names_total",
}
HUGE = {"labels": 10_000, "value": 10_000_000, "names": 1_000_000}
HUGE_REPEATS = 5


@dataclasses.dataclass
class Plan:
    series: int
    rate: int
    quiet_s: int
    settings: list

    @property
    def most_s(self):
        """An attack that the server does not take as fast ends after so long."""
        return 2 * self.series / self.rate + 60


def halves():
    """Processors for the server, and those for its clients."""
    every = sorted(os.sched_getaffinity(0))
    assert len(every) >= 2, "the server and its clients need a processor each"
    return set(every[:len(every) // 2]), set(every[len(every) // 2:])


class Client:
    """bench/attacker at work."""

    def __init__(self, store, mode, *words, nice=0):
        def favour():
            os.nice(nice)

        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [ATTACKER, mode, str(store.port), WRITE, *map(str, words)], stdout=subprocess.PIPE, text=True,
            preexec_fn=favour if nice else None)
        self.text = []
        # A pipe holds 64 KiB, and it has more to tell at its end.
        self.reader = threading.Thread(target=lambda: self.text.append(self.process.stdout.read()), daemon=True)
        self.reader.start()

    def running(self):
        return self.process.poll() is None

    def end(self):
        if self.running():
            self.process.send_signal(signal.SIGTERM)

    def result(self):
        self.process.wait(60)
        self.reader.join()
        assert self.text[0], f"bench/attacker ended with {self.process.returncode}"
        return json.loads(self.text[0])

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()


class Watch:
    """Looks at the server's memory, asks it queries, and has new series of a metric that nobody attacks,
    until it is closed."""

    def __init__(self, store, attacked):
        self.store, self.attacked = store, attacked
        self.anonymous, self.queries = [], []  # (time, bytes), (time, kind, seconds, outcome)
        self.newcomers = []  # (time, sent, stored)
        self.closed = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self.sample, self.ask, self.come)]
        for thread in self.threads:
            thread.start()

    def sample(self):
        while not self.closed.wait(1 / SAMPLES_A_SECOND):
            size = self.store.anonymous_bytes()
            if size is not None:
                self.anonymous.append((time.monotonic(), size))

    def ask_once(self):
        for kind, ask in (("healthy", self.store.query_healthy),
                          ("attacked", lambda: self.store.query_attacked(self.attacked))):
            began = time.monotonic()
            outcome = ask()
            self.queries.append((began, kind, time.monotonic() - began, outcome))

    def ask(self):
        while not self.closed.wait(QUERY_PAUSE_S):
            if self.store.running():
                self.ask_once()

    def come_once(self):
        began = time.monotonic()
        client = Client(self.store, "attack", "others", "--series", NEWCOMERS, "--batch", NEWCOMERS,
                        "--connections", 1, "--rate", 0, "--salt", 1000 * (len(self.newcomers) + 1))
        self.newcomers.append((began, NEWCOMERS, client.result()["accepted"]))

    def come(self):
        while not self.closed.wait(NEWCOMERS_PAUSE_S):
            if self.store.running():
                self.come_once()

    def close(self):
        self.closed.set()
        for thread in self.threads:
            thread.join()


# ---- what came of it ------------------------------------------------------------------------


def healthy_summary(requests, begin, end):
    """Of the requests that were due in [begin, end)."""
    chosen = [request for request in requests if begin <= request[0] < end]
    if not chosen:
        return {"requests": 0, "stored_share": None, "p50_ms": None, "p99_ms": None}
    sent, stored = sum(request[4] for request in chosen), sum(request[3] for request in chosen)
    delays = [request[1] for request in chosen]
    statuses = {}
    for request in chosen:
        statuses[str(request[2])] = statuses.get(str(request[2]), 0) + 1
    return {"requests": len(chosen), "stored_share": stored / sent, "p50_ms": percentile(delays, 0.5),
            "p99_ms": percentile(delays, 0.99), "statuses": statuses}


def query_summary(queries, kind, begin, end):
    chosen = [query for query in queries if query[1] == kind and begin <= query[0] < end]
    if not chosen:
        return {"asked": 0, "answered": 0, "worst_s": None, "failures": []}
    failures = sorted({outcome for _, _, _, outcome in chosen if outcome not in ("ok", "empty")})
    return {"asked": len(chosen), "answered": sum(query[3] in ("ok", "empty") for query in chosen),
            "median_s": statistics.median(query[2] for query in chosen),
            "worst_s": max(query[2] for query in chosen), "failures": failures[:3]}


def newcomers_summary(newcomers, begin, end):
    chosen = [some for some in newcomers if begin <= some[0] < end]
    return {"sent": sum(some[1] for some in chosen), "stored": sum(some[2] for some in chosen)}


def quarters(anonymous, begin, end):
    """Anonymous bytes at the begin, after each quarter, and at the end."""
    chosen = [sample for sample in anonymous if begin <= sample[0] <= end]
    return [chosen[(len(chosen) - 1) * i // 4][1] for i in range(5)] if chosen else []


# ---- attacks --------------------------------------------------------------------------------


def paced(kind):
    def attack(store, plan):
        client = Client(store, "attack", kind, "--series", plan.series, "--rate", plan.rate,
                        "--seconds", plan.most_s)
        try:
            while client.running():
                if not store.running():
                    client.end()
                time.sleep(0.05)
            return client.result()
        finally:
            client.kill()

    return attack


def huge(store, _plan):
    """Each kind in three sizes: what it costs the server, and what it answers."""
    result = {"sent": 0, "accepted": 0, "refused": 0, "unavailable": 0, "lost": 0, "huge": {}}
    salt = 0
    for kind, most in HUGE.items():
        sizes = {}
        # The first ones are let in until the metric is full, and make buffers that stay.
        for size in (most // 4, most // 4, most // 2, most):
            costs, answers = [], []
            for _ in range(HUGE_REPEATS):
                if not store.running():
                    break
                salt += 1
                cpu = store.cpu_s()
                answers.append(Client(store, "huge", kind, "--size", size, "--salt", salt).result())
                if store.running():
                    costs.append(store.cpu_s() - cpu)
                for count in ("accepted", "refused", "unavailable", "lost"):
                    result[count] += answers[-1][count]
                    result["sent"] += answers[-1][count]
            if answers:
                sizes[str(size)] = {"cpu_ms": min(costs) * 1e3 if costs else None,
                                    "ms": min(answer["ms"] for answer in answers),
                                    "status": answers[-1]["status"], "codes": answers[-1]["codes"],
                                    "refused_share": answers[-1]["refused"] / max(1, sum(
                                        answers[-1][count] for count in
                                        ("accepted", "refused", "unavailable", "lost"))),
                                    "message": answers[-1]["message"]}
        result["huge"][kind] = sizes
    return result


def attack_of(kind):
    return huge if kind == "huge" else paced(kind)


# ---- one run --------------------------------------------------------------------------------


def outcome_of(store, group, exit_code, result):
    after = [result[kind]["after"] for kind in ("query_healthy", "query_attacked")]
    if group.oom_kills() > 0:
        return "killed for its memory"
    if exit_code is not None:
        return f"ended with {exit_code}"
    if not store.running():
        return "ended afterwards"
    if all(query["asked"] > 0 and query["answered"] == 0 and query["worst_s"] > 0.9 * QUERY_TIMEOUT_S
           for query in after):
        return "hangs"
    return "lives"


def phases(store, kind, plan):
    """Quiet, attack, after: what was seen in each."""
    healthy = Client(store, "healthy", nice=-10)
    watch = Watch(store, ATTACKED[kind])
    try:
        begin = time.monotonic() + WARM_UP_S
        time.sleep(WARM_UP_S + plan.quiet_s)
        attack_begin, cpu_s = time.monotonic(), store.cpu_s()
        attack = attack_of(kind)(store, plan)
        attack_end = time.monotonic()
        exit_code = store.process.poll()
        cpu_s = store.cpu_s() - cpu_s if exit_code is None else None
        watch.close()
        if exit_code is None:
            watch.ask_once()
            watch.come_once()
        end = time.monotonic() + 1
        healthy.end()
        requests = healthy.result()["requests"]
    finally:
        watch.close()
        healthy.kill()
    # The requests on their way when it ended are the attack's; those after it aren't, and a server that
    # died answers none of them.
    result = {
        "attack": attack, "attack_s": attack_end - attack_begin, "cpu_s": cpu_s, "exit_code": exit_code,
        "anonymous_quiet": max((size for at, size in watch.anonymous if at < attack_begin), default=None),
        "anonymous_peak": max((size for _, size in watch.anonymous), default=None),
        "anonymous_quarters": quarters(watch.anonymous, attack_begin, attack_end),
        "healthy": {"quiet": healthy_summary(requests, begin, attack_begin),
                    "attack": healthy_summary(requests, attack_begin, attack_end)},
    }
    result["newcomers"] = {"quiet": newcomers_summary(watch.newcomers, begin, attack_begin),
                           "attack": newcomers_summary(watch.newcomers, attack_begin, attack_end),
                           "after": newcomers_summary(watch.newcomers, attack_end, end)}
    result["healthy_series"] = HEALTHY_SERIES + sum(some[2] for some in watch.newcomers)
    for asked in ("healthy", "attacked"):
        result["query_" + asked] = {
            "quiet": query_summary(watch.queries, asked, begin, attack_begin),
            "attack": query_summary(watch.queries, asked, attack_begin, attack_end),
            "after": query_summary(watch.queries, asked, attack_end, end)}
    return result


def run(server, kind, plan):
    """A dict of everything that was seen; raises Unavailable where there can be no cgroup."""
    server_processors, client_processors = halves()
    before = os.sched_getaffinity(0)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(fresh_directory())
        group = MemoryGroup(CGROUP_BYTES)
        stack.callback(group.remove)
        store = STORES[server](os.path.join(directory, "data"),
                               plan.settings if server == "metric-store" else ())
        os.sched_setaffinity(0, client_processors)  # and all clients, which inherit it
        stack.callback(os.sched_setaffinity, 0, before)
        stack.callback(lambda: store.process is not None and store.stop())
        store.start(group, server_processors)
        limit = store.memory_limit()
        result = phases(store, kind, plan)
        result.update(server=server, kind=kind, limit=limit,
                      series_after=store.series() if store.running() else None)
        result["outcome"] = outcome_of(store, group, result["exit_code"], result)
        result["log_end"] = "" if result["outcome"] == "lives" else store.log_end()
        return result
