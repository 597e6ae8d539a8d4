"""What damage on disk costs, and that it never shows one series' samples under another's name."""

import json
import os

import pytest

FIRST_MS = 1795305600000


def samples(name, count, points):
    return [{"name": name, "labels": {"n": str(i)}, "value": i, "timestamp": FIRST_MS + 1000 * p}
            for i in range(count) for p in range(points)]


def flip_middle_byte(path):
    with open(path, "r+b") as damaged:
        damaged.seek(os.path.getsize(path) // 2)
        byte = damaged.read(1)
        damaged.seek(-1, os.SEEK_CUR)
        damaged.write(bytes([byte[0] ^ 0x10]))


def stored(server, name):
    answer = server.query(metric=name, start=str(FIRST_MS), end=str(FIRST_MS + 86_400_000),
                          aggregate="count", by="")
    return answer, sum(point[1] for series in answer["series"] for point in series["points"])


@pytest.mark.parametrize("how", ["flipped", "removed"])
def test_lost_definitions_make_answers_partial_and_their_ids_are_not_given_again(make_server, how):
    server = make_server().start()
    server.ingest(samples("aaa", 50, 20))
    assert server.stop() == 0
    folder = os.path.join(server.data, "index")
    segment = max((os.path.join(folder, name) for name in os.listdir(folder)), key=os.path.getsize)
    if how == "flipped":
        flip_middle_byte(segment)
    else:
        os.rename(segment, os.path.join(server.data, "gone"))
    server.start()
    for _ in range(2):
        server.ingest(samples("bbb", 60, 1))
        answer, count = stored(server, "bbb")
        assert count == 60, "samples of lost series under another name"
        assert answer["partial"] and answer["warnings"]
        export = server.session.get(server.url + "/api/v1/metrics/export", timeout=60)
        assert export.status_code == 500 and "verify" in export.text
        assert server.session.get(server.url + "/api/v1/health").json()["status"] == "degraded"
        assert server.stop() == 0
        server.start()


def test_a_part_that_is_gone_makes_answers_about_its_day_partial_and_no_others(make_server):
    server = make_server().start()
    server.ingest(samples("aaa", 5, 5))
    assert server.stop() == 0
    folder = os.path.join(server.data, "parts")
    for name in os.listdir(folder):
        os.rename(os.path.join(folder, name), os.path.join(server.data, name))
    server.start()
    assert stored(server, "aaa")[0]["partial"]
    server.ingest([{"name": "now", "value": 1}])
    assert not server.query(metric="now", start="now-1m")["partial"]


def test_refused_batches_take_no_days_and_the_present_always_has_one(make_server):
    server = make_server("storage.max_chunks=10").start()
    day_ms = 86_400_000
    lines = [json.dumps({"name": "odd", "value": 1, "timestamp": i * day_ms}) for i in range(30)]
    answer = server.post("/api/v1/metrics/ingest/batch", "\n".join(lines + ["{"]),
                         "application/x-ndjson", params={"atomic": "true", "precision": "ms"})
    assert answer.status_code == 400
    body = server.post("/api/v1/metrics/ingest/batch", "\n".join(lines), "application/x-ndjson",
                       params={"precision": "ms"}).json()
    assert (body["accepted"], body["rejected"]) == (10, 20)
    assert {error["code"] for error in body["errors"]} == {"chunk_limit"}
    assert server.ingest([{"name": "now", "value": 1}])["accepted"] == 1
