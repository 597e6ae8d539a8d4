"""memory.limit is divided: every owner is shown with its share, and keeps to it."""

import concurrent.futures

import pytest

from store import line
from test_metrics import scrape

MIB = 1 << 20
BATCH = "/api/v1/metrics/ingest/batch"
NDJSON = "application/x-ndjson"


def owners(server):
    """{owner: (used, share)}"""
    values = scrape(server)
    used = {key: value for key, value in values.items() if key.startswith("metric_store_memory_bytes{")}
    return {key.split('"')[1]: (value, values[key.replace("_bytes{", "_share_bytes{")])
            for key, value in used.items()}


@pytest.mark.parametrize("limit", [32 * MIB, 256 * MIB, 4096 * MIB])
def test_the_shares_of_all_owners_fit_into_the_limit(make_server, limit):
    server = make_server(f"memory.limit={limit}").start()
    server.ingest([{"name": "m", "value": 1}])
    server.query(metric="m")
    shares = owners(server)
    assert {"head", "sealed_head", "series_table", "active_series", "raw_cache", "queries",
            "request_bodies", "batches", "part_indexes", "refusals", "evidence", "tombstones"} == set(shares)
    assert 0.5 * limit < sum(share for _, share in shares.values()) <= limit
    for owner, (used, share) in shares.items():
        assert 0 <= used <= share, owner


def lines(first, count):
    return "".join(line("m", {"i": str(i), "room": "r" * 40}, i, 1795305600000 + i) + "\n"
                   for i in range(first, first + count)).encode()


def test_writers_that_take_all_memory_together_are_told_to_come_again_and_lose_nothing(make_server):
    server = make_server("memory.limit=64MiB", "cardinality.max_series_per_metric=0").start()
    bodies = [lines(i * 1000, 4000) for i in range(24)]
    share = owners(server)["batches"][1]

    def send(body):
        answers = set()
        for _ in range(200):
            answer = server.post(BATCH, body, NDJSON)
            answers.add((answer.status_code, answer.json().get("code")))
            if answer.status_code == 200:
                return answers
            assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
        raise AssertionError(answers)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = set().union(*pool.map(send, bodies))
    assert answers <= {(200, None), (503, "batches_memory"), (503, "bodies_memory"),
                       (503, "ingest_queue_full"), (503, "busy")}
    assert owners(server)["batches"][0] <= share
    answer = server.query(metric="m", aggregate="count", by="", start="1795305600000",
                          end="1795305700000")
    assert sum(p[1] for s in answer["series"] for p in s["points"]) == 27000


def test_a_body_that_is_no_batch_within_the_share_is_told_to_be_sent_in_pieces(make_server):
    server = make_server("memory.limit=32MiB", "cardinality.max_series_per_metric=0").start()
    # A line takes three times as much memory as it is long.
    answer = server.post(BATCH, b'{"name":"m","value":1}\n' * 100_000, NDJSON)
    assert answer.status_code == 413, answer.text
    problem = answer.json()
    assert problem["code"] == "body_too_large" and "memory" in problem["detail"]
    assert server.post(BATCH, lines(0, 1000), NDJSON).json()["accepted"] == 1000
