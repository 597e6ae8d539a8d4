"""Every limit refuses what is beyond it, says which setting and how many, and spares the rest."""

import json
import re
import socket
import struct
import threading
import time

import pytest
import requests

import wire
from server import wait_until

BATCH = "/api/v1/metrics/ingest/batch"
NDJSON = "application/x-ndjson"
T0 = 1699920000000
MINUTE = 60_000


def post_lines(server, lines, **params):
    return server.post(BATCH, "\n".join(map(json.dumps, lines)), NDJSON, params=params)


def line(name, value=1, time_ms=T0, **labels):
    return {"name": name, "labels": labels, "value": value, "timestamp": time_ms}


def get_query(server, **params):
    return server.session.get(server.url + "/api/v1/metrics/query", params=params, timeout=60)


def metric_value(server, name):
    for text in server.session.get(server.url + "/metrics", timeout=30).text.splitlines():
        if text.startswith(name) and text[len(name)] in " {":
            return float(text.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name}")


def only_error(answer, code):
    body = answer.json()
    assert [error["code"] for error in body["errors"]] == [code], body
    return body["errors"][0]


# ---- cardinality -----------------------------------------------------------------------------


def test_of_16_writers_that_race_for_the_last_place_one_wins(make_server):
    server = make_server("cardinality.max_series_per_metric=10").start()
    for number in range(1 if server.sanitized else 20):
        name = f"raced_{number}"
        assert post_lines(server, [line(name, n=str(i)) for i in range(9)]).json()["accepted"] == 9
        answers, start = [], threading.Barrier(16)

        def write(part, name=name, answers=answers, start=start):
            with requests.Session() as session:
                start.wait()
                answers.append(session.post(server.url + BATCH, json.dumps(line(name, n=f"x{part}")), timeout=60,
                                            headers={"Content-Type": NDJSON}).json())

        writers = [threading.Thread(target=write, args=(part,)) for part in range(16)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(answer["accepted"] for answer in answers) == [0] * 15 + [1]


def test_10000_series_of_a_metric_is_exact_and_those_that_exist_go_on(server):
    """Many writers at once do not get one series more in."""
    answers = []

    def write(part):
        lines = [line("many", 1, T0, n=str(part * 3000 + i)) for i in range(3000)]
        answers.append(server.post(BATCH, "\n".join(map(json.dumps, lines)), NDJSON).json())

    writers = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sum(answer["accepted"] for answer in answers) == 10_000
    assert sum(answer["rejected"] for answer in answers) == 2_000
    assert sum(answer["new_series"] for answer in answers) == 10_000
    error = next(answer for answer in answers if answer["errors"])["errors"][0]
    assert (error["code"], error["metric"]) == ("cardinality_limit", "many")
    for word in ("many", "10000", "cardinality.max_series_per_metric"):
        assert word in error["message"]
    listed = server.query(metric="many", start=T0, end=T0 + 1, aggregate="count", by="")
    assert listed["series"][0]["points"] == [[T0, 10_000]]
    # The series that exist are never refused, nor is another metric.
    exported = server.export(**{"match[]": "many"})
    for sample in exported:
        sample["timestamp"] += 1
    answer = post_lines(server, exported + [line("another")])
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (10_001, 0)
    # The same through the other protocols.
    answer = server.post("/api/v1/import/prometheus",
                         f'many{{n="1"}} 2 {T0 + 2}\nmany{{n="new"}} 2\n', "text/plain")
    assert only_error(answer, "cardinality_limit")["line"] == 2
    answer = wire.remote_write(server, wire.series("many", {"n": "new"}, [(T0, 1)]) +
                               wire.series("many", {"n": "2"}, [(T0 + 3, 1)]))
    assert answer.status_code == 400
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)


def test_10_labels_and_values_of_100_bytes_are_the_most(server):
    def labels(count):
        return {f"l{i}": "x" for i in range(count)}

    answer = post_lines(server, [line("wide", **labels(10)), line("wide", **labels(11))])
    error = only_error(answer, "label_limit")
    for word in ("wide", "11", "10", "cardinality.max_labels_per_metric"):
        assert word in error["message"]
    # A label without a value is none, and the name does not count.
    assert server.ingest([line("wide", **labels(10), empty="")])["new_series"] == 0

    answer = post_lines(server, [line("long", a="x" * 100), line("long", a="x" * 101),
                                 line("long", a="ä" * 50)])
    error = only_error(answer, "label_value_limit")
    for word in ("long", '"a"', "101", "100", "cardinality.max_label_value_length"):
        assert word in error["message"]
    # The length of a metric's name is no label value's.
    assert server.ingest([line("n" * 150)])["accepted"] == 1


def test_limits_of_0_are_none_but_64_kib_a_value_always_holds(make_server):
    server = make_server("cardinality.max_series_per_metric=0",
                         "cardinality.max_labels_per_metric=0",
                         "cardinality.max_label_value_length=0").start()
    body = "\n".join(json.dumps(line("all", n=str(i))) for i in range(12_000))
    assert server.post(BATCH, body, NDJSON).json()["new_series"] == 12_000
    assert server.ingest([line("wide", **{f"l{i}": "x" for i in range(200)})])["accepted"] == 1
    assert server.ingest([line("long", a="x" * 65536)])["accepted"] == 1
    only_error(post_lines(server, [line("long", a="x" * 65537)]), "label_value_too_long")


def test_a_metric_near_its_limit_is_warned_of_and_nothing_is_refused(make_server):
    server = make_server("cardinality.max_series_per_metric=10",
                         "cardinality.warning_threshold=0.8").start()
    assert server.ingest([line("near", n=str(i)) for i in range(7)])["warnings"] == []
    body = server.ingest([line("near", n=str(i)) for i in range(10)])
    assert (body["accepted"], body["new_series"], len(body["warnings"])) == (10, 3, 1)
    for word in ("near", "80%", "10", "cardinality.max_series_per_metric"):
        assert word in body["warnings"][0]
    # Only those who bring new series are told.
    assert server.ingest([line("near", n=str(i)) for i in range(10)])["warnings"] == []


def test_new_series_beyond_the_memory_of_a_flush_are_refused_until_it_made_room(make_server):
    """However many have come: those on disk take no memory."""
    server = make_server("memory.limit=64MiB", "cardinality.max_series_per_metric=0",
                         "cardinality.max_series=1000000").start()
    refused = 0
    first = 0
    while first < 600_000:
        answer = post_lines(server, [line("m", n=str(first + i)) for i in range(30_000)]).json()
        assert {error["code"] for error in answer["errors"]} <= {"memory_limit"}, answer["errors"][0]
        refused += answer["rejected"]
        if answer["rejected"] == 0:
            first += 30_000
            continue
        for word in ("memory.limit", "MiB"):
            assert word in answer["errors"][0]["message"]
        wait_until(lambda: only_new(server), 30, "room for another series")
    listed = server.session.get(server.url + "/api/v1/metrics", params={"search": "m"}, timeout=60)
    assert listed.json()["metrics"][0]["series"] == 600_000
    one = server.query(match='{__name__="m",n="599999"}', start=T0, end=T0 + 1)
    assert one["series"][0]["points"] == [[T0, 1]]
    assert server.sanitized or server.rss_anon_kb() < 120_000
    health = server.session.get(server.url + "/api/v1/health", timeout=30).json()
    assert health["checks"]["cardinality"]["status"] == "ok"


def test_series_in_all_have_a_limit_which_the_memory_budget_makes(make_server):
    server = make_server("memory.limit=64MiB", "cardinality.max_series_per_metric=0",
                         "cardinality.warning_threshold=1").start()
    most = (64 << 20) // 256
    deadline = time.monotonic() + 60
    while active(server) < most and time.monotonic() < deadline:
        # What waits for a flush is sent again.
        post_lines(server, [line("m", n=str(i)) for i in range(active(server), most + 1)][:20_000])
    assert active(server) == most
    error = only_error(post_lines(server, [line("other", n="1")]), "memory_limit")
    assert f"memory.limit has room for {most}" in error["message"] and "other" in error["message"]
    assert post_lines(server, [line("m", n="7")]).json()["accepted"] == 1
    server.kill()
    server.start()
    assert active(server) == most
    only_error(post_lines(server, [line("other", n="1")]), "memory_limit")


def test_a_refused_series_that_comes_in_with_its_labels_in_another_order_is_known(make_server):
    server = make_server("cardinality.max_series_per_metric=0").start()

    def limit(series):
        answer = server.post("/api/v1/metrics/register", json.dumps(
            {"name": "full", "type": "gauge", "limits": {"max_series": series}}))
        assert answer.status_code in (200, 201)

    limit(1)
    first, there, back = line("full", a="0", b="0"), line("full", a="1", b="1"), line("full")
    back["labels"] = {"b": "1", "a": "1"}
    assert server.ingest([first])["accepted"] == 1
    for _ in range(3):
        error = only_error(post_lines(server, [there]), "cardinality_limit")
        assert "full" in error["message"] and "limits.max_series allows 1" in error["message"]
    limit(2)
    assert server.ingest([back])["new_series"] == 1
    limit(1)
    only_error(post_lines(server, [line("full", a="2")]), "cardinality_limit")
    assert server.ingest([there, back, first])["accepted"] == 3


def test_series_that_come_too_fast_are_told_to_come_later(make_server):
    server = make_server("cardinality.max_new_series_per_metric_per_second=100").start()
    answer = post_lines(server, [line("fast", n=str(i)) for i in range(150)])
    body = answer.json()
    assert answer.status_code == 200 and body["accepted"] in range(100, 150)
    assert {error["code"] for error in body["errors"]} == {"series_rate_limit"}
    answer = post_lines(server, [line("fast", n=str(i)) for i in range(1000, 1001)])
    while answer.status_code == 200:
        answer = post_lines(server, [line("fast", n=str(time.monotonic()))])
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "1"
    assert answer.json()["code"] == "series_rate_limit"
    assert post_lines(server, [line("fast", n="0"), line("slow", n="0")]).json()["accepted"] == 2
    time.sleep(1.1)
    assert post_lines(server, [line("fast", n=str(i)) for i in range(150)]).json()["rejected"] == 0


def active(server):
    text = server.session.get(server.url + "/metrics", timeout=30).text
    return int(re.search(r"^metric_store_active_series (\d+)$", text, re.MULTILINE).group(1))


def only_new(server):
    """Whether a series that nobody has seen is taken now."""
    return post_lines(server, [line("fresh", n=str(time.monotonic()))]).json()["accepted"] == 1


def test_a_slip_in_a_parameter_s_name_stores_nothing(server):
    for path, name, nearest in ((BATCH, "atomc", "atomic"), (BATCH, "precison", "precision"),
                                ("/api/v1/import/prometheus", "atomik", "atomic")):
        answer = server.post(path, "" if "import" in path else "[]",
                             "text/plain" if "import" in path else "application/json",
                             params={name: "true"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
        assert name in answer.json()["detail"] and nearest in answer.json()["detail"]


# ---- admission of times and days ---------------------------------------------------------------


def test_ages_that_the_settings_forbid_are_refused(make_server):
    server = make_server("admission.max_age=1h", "admission.max_future=10m").start()
    now_ms = int(time.time() * 1000)
    lines = [line("aged", i, now_ms + offset) for i, offset in
             enumerate([-2 * 3600_000, -3500_000, 0, 500_000, 700_000])]
    body = post_lines(server, lines).json()
    assert body["accepted"] == 3
    assert [(error["index"], error["code"]) for error in body["errors"]] == [
        (0, "sample_too_old"), (4, "sample_too_far_ahead")]
    assert "admission.max_age" in body["errors"][0]["message"]
    assert "admission.max_future" in body["errors"][1]["message"]


def test_days_beyond_the_limit_of_chunks_are_refused(make_server):
    server = make_server("storage.max_chunks=3").start()
    day = 86_400_000
    body = post_lines(server, [line("daily", i, T0 - i * day) for i in range(5)]).json()
    assert (body["accepted"], body["rejected"]) == (3, 2)
    assert {error["code"] for error in body["errors"]} == {"chunk_limit"}
    assert "storage.max_chunks" in body["errors"][0]["message"]
    assert "3" in body["errors"][0]["message"]
    assert server.ingest([line("daily", 9, T0 - day + 1)])["accepted"] == 1
    # What happens now is stored however many old days there are.
    assert server.ingest([{"name": "daily", "value": 1}])["accepted"] == 1


# ---- queries ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heavy(make_module_server, tmp_path_factory):
    """A server with 1,000 series of 200 samples, and little room for queries."""
    server = make_module_server("query.max_samples=100000", "query.max_memory=2MiB",
                                "query.max_points=50", data=tmp_path_factory.mktemp("heavy"))
    fill(server.start(), 1000, 200)
    return server


def fill(server, series, samples):
    for first in range(0, samples, 200):
        message = wire.same_samples(series, [(T0 + i * 1000, i * 7919 % 1013)
                                             for i in range(first, min(first + 200, samples))])
        assert wire.remote_write(server, message).status_code == 204


def check_refused(answer, status, code, *words):
    assert answer.status_code == status, answer.text[:500]
    problem = answer.json()
    assert problem["code"] == code, problem
    for word in words:
        assert word in problem["detail"], problem


def test_a_query_that_decodes_too_many_samples_is_refused(heavy):
    check_refused(get_query(heavy, metric="heavy", start=T0, end=T0 + 200_000, aggregate="stddev",
                            by=""), 422, "query_samples_limit", "100000", "query.max_samples")


def test_a_query_that_takes_too_much_memory_is_refused(heavy):
    check_refused(get_query(heavy, metric="heavy", start=T0, end=T0 + 90_000, aggregate="p50",
                            by="n", over="samples"), 422, "query_memory_limit", "query.max_memory",
                  f" {2 << 20} bytes", "memory.limit")


def test_a_regular_expression_that_compiles_to_too_much_is_understood_and_impossible(heavy):
    check_refused(get_query(heavy, match=r'{n=~"\\pL{1000}"}'), 422, "regex_invalid", "too large")
    check_refused(get_query(heavy, match='{n=~"("}'), 400, "regex_invalid")


def test_a_query_for_too_many_points_is_refused(heavy):
    params = {"metric": "heavy", "label": "n=1", "start": T0, "aggregate": "sum",
              "interval": "1s"}
    assert len(get_query(heavy, end=T0 + 49_000, **params).json()["series"][0]["points"]) == 49
    check_refused(get_query(heavy, end=T0 + 51_000, **params), 422, "query_points_limit",
                  "interval", "50")


def test_a_query_that_takes_too_long_is_ended(make_server):
    server = make_server("query.timeout=5ms", "query.max_memory=1GiB").start()
    fill(server, series=400, samples=2000)
    began = time.monotonic()
    params = {"metric": "heavy", "start": T0, "end": T0 + 2_000_000, "aggregate": "p50", "by": ""}
    check_refused(get_query(server, **params), 503, "query_timeout", "5ms", "query.timeout")
    assert time.monotonic() - began < 5
    # A request may ask for less, never for more.
    check_refused(get_query(server, **{**params, "timeout": "1h"}), 503,
                  "query_timeout")
    check_refused(get_query(server, **{**params, "timeout": "1ms"}), 503, "query_timeout", "1ms")
    assert get_query(server, metric="nothing").status_code == 200


# ---- the queue, and clients that leave -------------------------------------------------------


class SlowReader:
    """A client of a query that runs until its client reads or leaves: the answer does not fit."""

    def __init__(self, server, source="127.0.0.1"):
        self.client = socket.socket()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.client.bind((source, 0))
        self.client.connect(("127.0.0.1", server.port))
        self.client.sendall(f"GET /api/v1/metrics/query?metric=heavy&start={T0}&end={T0 + 10**7} "
                            "HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def leave(self):
        # With a reset, as a client that died.
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()


@pytest.fixture(scope="module")
def narrow(make_module_server, tmp_path_factory):
    """Two query threads, and a queue of one."""
    server = make_module_server("query.threads=2", "query.queue=1",
                                data=tmp_path_factory.mktemp("narrow")).start()
    fill(server, series=500, samples=400)
    return server


def running(server):
    return metric_value(server, "metric_store_query_running")


def waiting(server):
    return metric_value(server, "metric_store_query_waiting")


def test_a_full_queue_is_503_with_retry_after_and_frees_itself(narrow):
    readers = []
    for count in (1, 2):  # one by one: until a thread takes it, a query fills the queue
        readers.append(SlowReader(narrow))
        wait_until(lambda count=count: running(narrow) == count, 10, "a running query")
    readers.append(SlowReader(narrow))
    wait_until(lambda: waiting(narrow) == 1, 10, "a waiting query")
    answer = get_query(narrow, metric="heavy")
    check_refused(answer, 503, "query_queue_full", "query.queue")
    assert int(answer.headers["Retry-After"]) >= 1
    # Writers and probes have nothing to do with it.
    assert narrow.ingest([line("beside")])["accepted"] == 1
    assert narrow.ready()
    for reader in readers:
        reader.leave()
    wait_until(lambda: running(narrow) + waiting(narrow) == 0, 10, "the end of all queries")
    assert get_query(narrow, metric="heavy").status_code == 200


def test_a_query_that_only_waited_runs_into_its_time_out_too(make_server):
    server = make_server("query.threads=1").start()
    fill(server, series=500, samples=400)
    reader = SlowReader(server)
    wait_until(lambda: running(server) == 1, 10, "a running query")
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(
        requests.get(server.url + "/api/v1/metrics/query", timeout=60,
                     params={"metric": "heavy", "label": "n=1", "timeout": "100ms"})))
    began = time.monotonic()
    waiter.start()
    wait_until(lambda: waiting(server) == 1 and time.monotonic() - began > 0.2, 10, "a waiting query")
    reader.leave()
    waiter.join()
    check_refused(answers[0], 503, "query_timeout", "100ms")


def test_a_long_answer_whose_client_leaves_ends_at_once(make_server):
    server = make_server("query.threads=1", "query.max_memory=2GiB").start()
    fill(server, series=500, samples=2000)
    url = ("/api/v1/metrics/query?metric=heavy&aggregate=max&over=series&interval=1s"
           f"&by=n&start={T0}&end={T0 + 2_000_000}")
    for _ in range(3):
        client = wire.connect(server)
        client.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_until(lambda: running(server) == 1, 10, "a running query")
        client.close()
        began = time.monotonic()
        wait_until(lambda: running(server) == 0, 10, "the end of the query")
        assert time.monotonic() - began < 3


def test_queries_whose_clients_left_while_they_waited_cost_nothing(make_server):
    server = make_server("query.threads=1", "query.max_memory=2GiB").start()
    fill(server, series=500, samples=1000)
    reader = SlowReader(server)
    wait_until(lambda: running(server) == 1, 10, "a running query")
    clients = [wire.connect(server, "127.0.0.7") for _ in range(40)]
    for client in clients:
        client.sendall(f"GET /api/v1/metrics/query?metric=heavy&aggregate=p50&by=&start={T0}"
                       f"&end={T0 + 2_000_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_until(lambda: waiting(server) == 40, 10, "40 waiting queries")
    scanned = metric_value(server, "metric_store_query_samples_scanned_total")
    for client in clients:
        client.close()

    # The thread that accepts is the one that notices ends: it has seen them once it accepts.
    assert requests.get(server.url + "/-/ready", timeout=10).status_code == 200
    reader.leave()
    wait_until(lambda: running(server) + waiting(server) == 0, 10, "the end of the queries")
    assert metric_value(server, 'metric_store_query_failures_total{code="query_cancelled"}') == 40
    # The first query itself had read a part.
    assert metric_value(server, "metric_store_query_samples_scanned_total") - scanned < 500_000


def test_a_full_commit_queue_is_503_and_takes_no_part_of_the_batch(make_server):
    server = make_server("ingest.queue_size=64KiB").start()
    stored, refused = [], []

    def write(number):
        body = "\n".join(json.dumps(line(f"queue_{number}", i, T0 + i)) for i in range(2000))
        for attempt in range(20):
            answer = requests.post(server.url + BATCH, body, timeout=60,
                                   headers={"Content-Type": NDJSON})
            if answer.status_code == 200:
                stored.append(number)
                return
            check_refused(answer, 503, "ingest_queue_full", "ingest.queue_size")
            assert int(answer.headers["Retry-After"]) >= 1
            refused.append(number)
            if attempt == 0 and number % 2 == 0:
                return  # and never again: nothing of it may be found

    for round_number in range(20):
        writers = [threading.Thread(target=write, args=(round_number * 8 + i,)) for i in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        if refused:
            break
    assert refused and stored
    answer = server.session.get(server.url + "/api/v1/metrics", timeout=30).json()
    assert ({metric["name"] for metric in answer["metrics"]} ==
            {f"queue_{number}" for number in stored})
    for number in stored:
        assert len(server.export(**{"match[]": f"queue_{number}"})) == 2000


def test_connections_of_one_address_are_limited_and_others_go_on(make_server):
    server = make_server("server.max_connections_per_address=4").start()
    held = [wire.connect(server, "127.0.0.9") for _ in range(4)]
    for client in held:
        client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    over = wire.connect(server, "127.0.0.9")
    answer = wire.receive_all(over)
    assert answer.startswith(b"HTTP/1.1 503 "), answer
    assert b'"too_many_connections"' in answer
    assert server.ready()
    held.pop().close()

    def again():
        client = wire.connect(server, "127.0.0.9")
        client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return wire.receive_all(client).startswith(b"HTTP/1.1 200 ")

    wait_until(again, 10, "a free place")


# ---- slow readers ----------------------------------------------------------------------------


def test_a_reader_that_stands_still_holds_a_query_thread_no_longer_than_the_time_out(make_server):
    server = make_server("query.threads=1", "query.timeout=1s", "server.idle_timeout=1h").start()
    for start in range(0, 400_000, 50_000):
        post_lines(server, [line("long", i, T0 + i) for i in range(start, start + 50_000)])
    target = f"/api/v1/metrics/query?metric=long&start={T0}&end={T0 + 400_000}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as reader:
        reader.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert reader.recv(64).startswith(b"HTTP/1.1 200")

        def answered():
            answer = get_query(server, metric="long", start=T0, end=T0 + 10, aggregate="count")
            return answer.status_code == 200 and answer.json()["series"][0]["points"] == [[T0, 10]]

        wait_until(answered, what="a query thread")
        rest = b""
        while piece := reader.recv(1 << 20):
            rest += piece
        assert not rest.endswith(b"\r\n0\r\n\r\n"), "a part that looks whole"
