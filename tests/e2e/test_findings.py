"""Labels that fill a metric with series are told of before a limit is reached, and named when it is."""

import json
import uuid

BATCH = "/api/v1/metrics/ingest/batch"


def send(server, count, **labels):
    samples = [{"name": "http_requests_total", "labels": {"route": "/a", "user_id": str(uuid.uuid4()), **labels},
                "value": 1} for _ in range(count)]
    return server.post(BATCH, json.dumps(samples)).json()


def test_a_label_with_an_id_a_series_is_warned_of_and_blamed_at_the_limit(make_server):
    server = make_server("cardinality.max_series_per_metric=1000", "memory.limit=256MiB").start()
    assert send(server, 15)["warnings"] == []
    warning, = send(server, 200)["warnings"]
    assert 'label "user_id" of metric "http_requests_total" fills it with series' in warning
    assert "UUIDs" in warning
    send(server, 785)
    for _ in range(2):
        answer = send(server, 1)
        error, = answer["errors"]
        assert error["code"] == "cardinality_limit"
        for word in ("cardinality.max_series_per_metric allows 1000", 'its label "user_id" has the most values'):
            assert word in error["message"], error["message"]


def test_what_is_shown_of_odd_values_is_one_line_and_of_no_shape(make_server):
    server = make_server("cardinality.max_series_per_metric=300", "memory.limit=256MiB").start()
    samples = [{"name": "odd_total", "labels": {"user_id": f"%s%n\n\x1b[2J{number}"}, "value": 1}
               for number in range(320)]
    answer = server.post(BATCH, json.dumps(samples)).json()
    for message in [answer["warnings"][0], answer["errors"][0]["message"]]:
        assert r"%s%n\x0a\x1b[2J" in message, message
        assert "no shape" not in message
        assert all(character >= " " for character in message)


def test_examples_are_masked_where_the_operator_wants_it(make_server):
    server = make_server("cardinality.mask_examples=true", "memory.limit=256MiB").start()
    send(server, 15)
    warning, = send(server, 200)["warnings"]
    assert 'such as "' in warning
    assert set(warning.split('such as "')[1].split('"')[0]) <= set("9a-")


def test_a_label_that_the_operator_rejects_is_refused_and_one_that_is_off_is_not(make_server):
    patterns = '[{match: user_id, action: reject}, {match: session, action: "off"}]'
    server = make_server(f"cardinality.label_patterns={patterns}", "memory.limit=256MiB").start()
    answer = send(server, 200)
    assert 0 < answer["accepted"] < 100
    error = answer["errors"][0]
    assert error["code"] == "cardinality_finding"
    assert "cardinality.label_patterns refuses new series with it" in error["message"]
    samples = [{"name": "other_total", "labels": {"session": str(uuid.uuid4())}, "value": 1} for _ in range(500)]
    told = server.post(BATCH, json.dumps(samples)).json()
    assert (told["accepted"], told["warnings"]) == (500, [])
