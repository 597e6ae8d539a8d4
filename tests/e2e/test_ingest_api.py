"""Ways in: every format, encoding and answer that docs/API.md promises to those who write."""

import gzip
import json
import time

import pytest

import wire

BATCH = "/api/v1/metrics/ingest/batch"
REGISTER = "/api/v1/metrics/register"
IMPORT = "/api/v1/import/prometheus"
NDJSON = "application/x-ndjson"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
T0 = 1699920000000
MEMBERS = {"accepted", "rejected", "new_series", "errors", "errors_truncated", "warnings"}
PROBLEM_MEMBERS = {"type", "title", "status", "code", "detail", "request_id"}


@pytest.fixture(scope="module", name="server")
def shared_server(make_module_server):
    """One for all tests of this file: each uses metric names of its own."""
    return make_module_server().start()


def line(name, value=1, time_ms=T0, **labels):
    return {"name": name, "labels": labels, "value": value, "timestamp": time_ms}


def post_lines(server, lines, **params):
    body = "\n".join(text if isinstance(text, str) else json.dumps(text) for text in lines)
    return server.post(BATCH, body, NDJSON, params=params)


def points(server, metric, **params):
    answer = server.query(metric=metric, start="1700-01-01T00:00:00Z",
                          end="2262-01-01T00:00:00Z", **params)
    return {tuple(sorted(one["labels"].items())): one["points"] for one in answer["series"]}


def counts(answer):
    return tuple(answer[key] for key in ("accepted", "rejected", "new_series"))


def check_problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert PROBLEM_MEMBERS <= set(problem), problem
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert problem["detail"]
    return problem


# ---- JSON ------------------------------------------------------------------------------------


def test_a_single_sample_is_answered_as_a_batch(server):
    answer = server.post("/api/v1/metrics/ingest", json.dumps(line("one", 2.5, a="b")))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"accepted": 1, "rejected": 0, "new_series": 1, "errors": [],
                             "errors_truncated": False, "warnings": []}
    assert points(server, "one") == {(("a", "b"),): [[T0, 2.5]]}


def test_array_object_and_lines_are_the_same_batch(server):
    samples = [line("form"), line("form_b", x="1"), line("form", 2, T0 + 1)]
    for number, (body, kind) in enumerate([
            (json.dumps(samples), "application/json"),
            (json.dumps({"metrics": samples}), "application/json; charset=utf-8"),
            ("\n".join(map(json.dumps, samples)), NDJSON),
            ("\r\n".join(map(json.dumps, samples)) + "\r\n\r\n", NDJSON)]):
        answer = server.post(BATCH, body, kind)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == MEMBERS
        assert counts(answer.json()) == (3, 0, 2 if number == 0 else 0)
    assert points(server, "form") == {(): [[T0, 1], [T0 + 1, 2]]}


def test_nothing_to_store_is_200_with_zeros_but_an_empty_json_body_is_400(server):
    for body, kind in [("[]", "application/json"), ('{"metrics":[]}', "application/json"),
                       ("", NDJSON), ("\n\n", NDJSON), ("", "text/plain")]:
        path = IMPORT if kind == "text/plain" else BATCH
        answer = server.post(path, body, kind)
        assert answer.status_code == 200, (body, answer.text)
        assert answer.json() == {"accepted": 0, "rejected": 0, "new_series": 0, "errors": [],
                                 "errors_truncated": False, "warnings": []}
    check_problem(server.post(BATCH, ""), 400, "json_invalid")
    check_problem(server.post("/api/v1/metrics/ingest", ""), 400, "json_invalid")


def test_index_counts_from_0_and_line_from_1_over_empty_lines(server):
    answer = post_lines(server, [line("places"), "", '{"name":"bad","value":"x"}', "",
                                 "{broken", line("places", 2, T0 + 1)])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert counts(body) == (2, 2, 1)
    first, second = body["errors"]
    assert set(first) == {"index", "line", "code", "metric", "message"}
    assert (first["index"], first["line"], first["code"], first["metric"]) == (
        1, 3, "value_invalid", "bad")
    assert (second["index"], second["line"], second["code"]) == (2, 5, "json_invalid")
    assert second["message"]


def test_in_an_array_the_index_names_the_refused_sample(server):
    answer = server.post(BATCH, json.dumps([line("good"), {"value": 1}, line("good", "no")]))
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert [(error["index"], error["code"]) for error in body["errors"]] == [
        (1, "metric_name_missing"), (2, "value_invalid")]
    assert all("line" not in error for error in body["errors"])


def test_nothing_stored_is_400_with_the_batch_s_members(server):
    answer = post_lines(server, [{"name": "none", "value": None}, {"name": "none"}])
    problem = check_problem(answer, 400, "samples_refused")
    assert MEMBERS <= set(problem)
    assert counts(problem) == (0, 2, 0)
    assert [error["code"] for error in problem["errors"]] == ["value_invalid", "value_missing"]
    assert points(server, "none") == {}


def test_a_json_document_that_does_not_parse_stores_nothing(server):
    text = json.dumps([line("whole"), line("whole", 2, T0 + 1)])
    for body in (text[:-1], text + "x", text.replace("}, {", "} {"), '{"metrics":[' + text):
        problem = check_problem(server.post(BATCH, body), 400, "json_invalid")
        assert "line 1" in problem["detail"]
    assert points(server, "whole") == {}


def test_at_most_100_errors_are_listed_and_the_rest_counted(server):
    lines = ['{"name":"unlisted","value":"no"}'] * 150 + [json.dumps(line("listed"))]
    body = post_lines(server, lines).json()
    assert counts(body) == (1, 150, 1)
    assert len(body["errors"]) == 100
    assert body["errors_truncated"] is True
    body = post_lines(server, lines[50:]).json()
    assert len(body["errors"]) == 100
    assert body["errors_truncated"] is False


def test_atomic_stores_all_or_nothing(server):
    lines = [line("atom"), '{"name":"atom","value":"no"}', line("atom", 3, T0 + 2)]
    problem = check_problem(post_lines(server, lines, atomic="true"), 400, "samples_refused")
    assert counts(problem) == (0, 3, 0)
    assert points(server, "atom") == {}
    assert counts(post_lines(server, [lines[0], lines[2]], atomic="true").json()) == (2, 0, 1)
    assert counts(post_lines(server, lines, atomic="false").json()) == (2, 1, 0)
    problem = check_problem(server.post(IMPORT, "ok 1\nbroken{ 2\n", "text/plain",
                                        params={"atomic": "true"}), 400, "samples_refused")
    assert problem["rejected"] == 2
    assert points(server, "ok") == {}
    problem = check_problem(post_lines(server, lines, atomic="yes"), 400, "invalid_parameter")
    assert "atomic" in problem["detail"]


def test_each_precision_is_the_unit_of_whole_numbers(server):
    for unit, factor in (("s", 0.001), ("ms", 1), ("us", 1000), ("ns", 1000000)):
        stamp = int(T0 * factor)
        answer = post_lines(server, [line(f"in_{unit}", 1, stamp)], precision=unit)
        assert answer.status_code == 200, answer.text
        assert points(server, f"in_{unit}") == {(): [[T0, 1]]}
    # Finer units round down, also before 1970.
    post_lines(server, [line("floor", 1, -1), line("floor", 2, 1999)], precision="us")
    assert points(server, "floor") == {(): [[-1, 1], [1, 2]]}
    problem = check_problem(post_lines(server, [line("x")], precision="m"), 400,
                            "invalid_parameter")
    assert "precision" in problem["detail"]


def test_an_implausible_time_is_refused_with_the_precision_that_would_fit(server):
    seconds = T0 // 1000
    for stamp, unit in ((seconds, "s"), (T0 * 1000, "us"), (T0 * 1000000, "ns")):
        problem = check_problem(post_lines(server, [line("when", 1, stamp)]), 400, "samples_refused")
        error = problem["errors"][0]
        assert error["code"] == "timestamp_implausible"
        assert f"precision={unit}" in error["message"]
        assert "2023-11-14T00:00:00Z" in error["message"]
    now_ms = int(time.time() * 1000)
    assert post_lines(server, [line("when", 1, now_ms + 2 * 3600000)]).status_code == 400
    assert post_lines(server, [line("when", 1, now_ms + 1800000)]).status_code == 200
    assert post_lines(server, [line("when", 1, 631151999999)]).status_code == 400
    assert post_lines(server, [line("when", 1, 631152000000)]).status_code == 200
    # Who says the unit, or writes RFC 3339, may mean any year.
    assert post_lines(server, [line("when", 1, 5)], precision="ms").status_code == 200
    assert post_lines(server, [line("when", 1, "1925-01-01T00:00:00Z")]).status_code == 200
    assert [point[0] for point in points(server, "when")[()]] == [
        -1420070400000, 5, 631152000000, now_ms + 1800000]


def test_times_outside_1678_to_2262_are_refused_in_every_format(server):
    first, last = -9214560000000, 9223372036855  # the first that holds, the first that does not
    body = post_lines(server, [line("edge", 1, first), line("edge", 2, first - 1),
                               line("edge", 3, last - 1), line("edge", 4, last)],
                      precision="ms").json()
    assert body["accepted"] == 2, body
    assert {error["code"] for error in body["errors"]} == {"timestamp_out_of_range"}
    body = server.post(IMPORT, f"edge 1 {first - 1}\nedge 2 {first + 1}\n", "text/plain").json()
    assert counts(body)[:2] == (1, 1)
    assert body["errors"][0]["code"] == "timestamp_out_of_range"


def test_no_timestamp_means_now(server):
    before = int(time.time() * 1000)
    server.ingest([{"name": "now", "value": 1}])
    after = int(time.time() * 1000)
    assert before <= points(server, "now")[()][0][0] <= after


def test_words_for_values_come_back_as_they_were_written(server):
    words = ["NaN", "+Inf", "-Inf", "stale", "nan:7ff8000000000002", "nan:fff0000000000001"]
    numbers = [5e-324, -1.7976931348623157e308, 0.1, 1e21, 123456789012345680000, -0.0]
    server.ingest([line("v", value, T0 + i) for i, value in enumerate(words + numbers)])
    exported = [sample["value"] for sample in server.export(**{"match[]": "v"})]
    assert exported[:6] == words
    assert [repr(float(value)) for value in exported[6:]] == [repr(float(v)) for v in numbers]
    # Another spelling of one bit pattern is the same value.
    server.ingest([line("w", "nan:7ff0000000000002"), line("w", "nan:7ff8000000000001", T0 + 1)])
    assert [sample["value"] for sample in server.export(**{"match[]": "w"})] == ["stale", "NaN"]


def test_the_later_of_two_writes_at_one_time_wins(server):
    server.ingest([line("twice", 1), line("twice", 2)])
    assert points(server, "twice") == {(): [[T0, 2]]}
    server.ingest([line("twice", 3)])
    assert points(server, "twice") == {(): [[T0, 3]]}
    assert server.query(metric="twice", start=T0, end=T0 + 1,
                        aggregate="count")["series"][0]["points"] == [[T0, 1]]


def test_a_label_without_a_value_is_no_label(server):
    body = server.ingest([line("e", 1, T0, a="", b="x"), line("e", 2, T0 + 1, b="x")])
    assert body["new_series"] == 1
    assert points(server, "e") == {(("b", "x"),): [[T0, 1], [T0 + 1, 2]]}


def test_unknown_members_are_refused_with_the_nearest_name(server):
    problem = check_problem(post_lines(server, [{"name": "x", "valeu": 1}]), 400,
                            "samples_refused")
    error = problem["errors"][0]
    assert error["code"] == "unknown_field"
    assert "value" in error["message"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("kind", ["json", "ndjson", "text", "openmetrics"])
def test_compressed_bodies_are_stored(server, coding, kind):
    path, content_type, body = {
        "json": (BATCH, "application/json", json.dumps([line("z"), line("z", 2, T0 + 1)])),
        "ndjson": (BATCH, NDJSON, f"{json.dumps(line('z'))}\n{json.dumps(line('z', 2, T0 + 1))}"),
        "text": (IMPORT, "text/plain; version=0.0.4", f"z 1 {T0}\nz 2 {T0 + 1}\n"),
        "openmetrics": (IMPORT, OPENMETRICS,
                        f"# TYPE z gauge\nz 1 {T0 / 1000}\nz 2 {T0 / 1000 + 0.001:.3f}\n# EOF\n"),
    }[kind]
    answer = server.post(path, wire.ENCODERS[coding](body.encode()), content_type,
                         headers={"Content-Encoding": coding})
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 2
    assert points(server, "z") == {(): [[T0, 1], [T0 + 1, 2]]}


@pytest.mark.parametrize("count", [10_000, 100_000])
def test_large_batches_are_accepted_whole(server, count):
    body = "\n".join(f'{{"name":"big","labels":{{"s":"{i % 1000}"}},"value":{i},'
                     f'"timestamp":{T0 + i // 1000}}}' for i in range(count))
    for form, kind in ((body, NDJSON), ("[" + body.replace("\n", ",") + "]", "application/json")):
        answer = server.post(BATCH, form, kind)
        assert answer.status_code == 200, answer.text[:500]
        assert answer.json()["accepted"] == count
    total = server.query(metric="big", start=T0, end=T0 + 1000, aggregate="sum", by="")
    assert total["series"][0]["points"] == [[T0, count * (count - 1) // 2]]


# ---- descriptors -----------------------------------------------------------------------------


def register(server, **metric):
    return server.post(REGISTER, json.dumps(metric))


def listed(server, name):
    answer = server.session.get(server.url + "/api/v1/metrics", params={"search": name},
                                timeout=30).json()
    return {metric["name"]: metric for metric in answer["metrics"]}.get(name)


def test_register_is_201_when_new_200_when_known_and_409_against_another_type(server):
    metric = {"name": "jobs_total", "type": "counter", "unit": "jobs", "help": "Jobs done."}
    assert register(server, **metric).status_code == 201
    assert register(server, **metric).status_code == 200
    assert register(server, **{**metric, "help": "Jobs that ended."}).status_code == 200
    assert register(server, **{**metric, "limits": {"max_series": 5}}).status_code == 200
    problem = check_problem(register(server, **{**metric, "type": "gauge"}), 409,
                            "metric_type_conflict")
    assert "counter" in problem["detail"] and "gauge" in problem["detail"]
    server.kill()
    server.start()
    known = listed(server, "jobs_total")
    assert (known["type"], known["unit"], known["limit"]) == ("counter", "jobs", 5)
    assert register(server, name="jobs_total", type="summary").status_code == 409


@pytest.mark.parametrize("metric, code", [
    ({"type": "gauge"}, "metric_name_missing"),
    ({"name": ""}, "metric_name_missing"),
    ({"name": 5}, "name_invalid"),
    ({"name": "x", "type": "meter"}, "type_invalid"),
    ({"name": "x", "unit": "u" * 300}, "unit_invalid"),
    ({"name": "x", "help": "h" * 20000}, "help_invalid"),
    ({"name": "x", "limits": {"max_series": -1}}, "limits_invalid"),
    ({"name": "x", "limits": {"max_series": 1.5}}, "limits_invalid"),
    ({"name": "x", "limits": 7}, "limits_invalid"),
    ({"name": "x", "limits": {"max": 1}}, "unknown_field"),
    ({"name": "x", "tpye": "gauge"}, "unknown_field"),
    ({"name": "x\0y"}, "name_invalid"),
    ([], "metric_invalid"),
])
def test_a_descriptor_with_a_fault_is_refused_and_named(server, metric, code):
    problem = check_problem(server.post(REGISTER, json.dumps(metric)), 400, code)
    assert len(problem["detail"]) > 10


def test_the_limit_of_a_registered_metric_goes_before_the_setting(make_server):
    server = make_server("cardinality.max_series_per_metric=3").start()
    assert register(server, name="few", limits={"max_series": 2}).status_code == 201
    assert register(server, name="many", limits={"max_series": 5}).status_code == 201
    assert register(server, name="all", limits={"max_series": 0}).status_code == 201
    for name, stored, said in (("few", 2, "limits.max_series"), ("many", 5, "limits.max_series"),
                               ("other", 3, "cardinality.max_series_per_metric"),
                               ("all", 8, None)):
        body = post_lines(server, [line(name, i, T0, n=str(i)) for i in range(8)]).json()
        assert counts(body) == (stored, 8 - stored, stored)
        for error in body["errors"]:
            assert (error["code"], error["metric"]) == ("cardinality_limit", name)
            assert said in error["message"] and str(stored) in error["message"]
    assert register(server, name="few", limits={"max_series": 4}).status_code == 200
    body = post_lines(server, [line("few", i, T0 + 1, n=str(i)) for i in range(8)]).json()
    assert counts(body) == (4, 4, 2)


def test_a_descriptor_rides_along_and_a_contradiction_is_stored_with_a_warning(server):
    body = server.ingest([{**line("ride", 1), "type": "counter", "unit": "s", "help": "Rides."}])
    assert body["warnings"] == []
    known = listed(server, "ride")
    assert (known["type"], known["unit"], known["help"]) == ("counter", "s", "Rides.")
    body = server.ingest([{**line("ride", 2, T0 + 1), "type": "gauge"}])
    assert body["accepted"] == 1
    assert len(body["warnings"]) == 1
    assert all(word in body["warnings"][0] for word in ("ride", "counter", "gauge"))
    assert listed(server, "ride")["type"] == "counter"
    answer = server.post(IMPORT, f"# TYPE ride summary\nride 3 {T0 + 2}\n", "text/plain")
    assert answer.status_code == 200 and len(answer.json()["warnings"]) == 1, answer.text
    assert points(server, "ride") == {(): [[T0, 1], [T0 + 1, 2], [T0 + 2, 3]]}


def test_of_two_types_in_one_body_the_first_counts_and_a_warning_says_so(server):
    def warned(body, name):
        assert len(body["warnings"]) == 1, body
        assert all(word in body["warnings"][0] for word in (name, "counter", "gauge"))
        assert listed(server, name)["type"] == "counter"

    bodies = {
        "together": "# TYPE together counter\n# TYPE together gauge\ntogether 1\n",
        "apart": "# TYPE apart counter\napart 1\n# TYPE other counter\n# TYPE apart gauge\n",
    }
    for name, body in bodies.items():
        answer = server.post(IMPORT, body, "text/plain")
        assert answer.status_code == 200, answer.text
        warned(answer.json(), name)
    warned(server.ingest([{**line("in_json", 1), "type": "counter"},
                          {**line("in_json", 2, T0 + 1), "type": "gauge"}]), "in_json")
    answer = server.post(IMPORT, "# TYPE same counter\n# TYPE same untyped\n# TYPE same counter\n"
                                 "same 1\n", "text/plain")
    assert answer.json()["warnings"] == []
    assert listed(server, "same")["type"] == "counter"


def test_the_list_of_metrics_is_paged_searched_and_matched(server):
    server.ingest([line(f"list_{i:02}", 1, T0 + i, even=str(i % 2 == 0)) for i in range(20)])
    register(server, name="list_only_registered", type="info", help="No series.")

    def page(**params):
        answer = server.session.get(server.url + "/api/v1/metrics", params=params, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    names, after = [], None
    while True:
        answer = page(search="list_", limit=6, **({"after": after} if after else {}))
        names += [metric["name"] for metric in answer["metrics"]]
        after = answer["next"]
        if after is None:
            break
    assert names == [f"list_{i:02}" for i in range(20)] + ["list_only_registered"]
    assert [m["name"] for m in page(search="_1")["metrics"]] == [f"list_{i}" for i in range(10, 20)]
    assert len(page(search="list_", **{"match[]": '{even="True"}'})["metrics"]) == 10
    assert page(search="list_03")["metrics"] == [
        {"name": "list_03", "type": "unknown", "unit": "", "help": "", "series": 1, "limit": None,
         "first": T0 + 3, "last": T0 + 3}]
    only = page(search="only")["metrics"][0]
    assert (only["series"], only["first"], only["last"]) == (0, None, None)
    answer = server.session.get(server.url + "/api/v1/metrics", params={"limit": "0"}, timeout=30)
    check_problem(answer, 400, "invalid_parameter")


# ---- text ------------------------------------------------------------------------------------


def test_a_broken_line_of_text_spoils_no_other(server):
    text = ('# HELP up Is it up?\n# TYPE up gauge\nup{job="a"} 1 TIME\n'
            'up{job="b} 1 TIME\n\nup{job="c"} x TIME\nup{job="d"} 4 TIME\n')
    text = text.replace("TIME", str(T0))
    answer = server.post(IMPORT, text, "text/plain; version=0.0.4")
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert set(body) == MEMBERS
    assert counts(body) == (2, 2, 2)
    assert [error["line"] for error in body["errors"]] == [4, 6]
    assert all(error["message"].startswith("column ") for error in body["errors"])
    assert points(server, "up") == {(("job", "a"),): [[T0, 1]], (("job", "d"),): [[T0, 4]]}
    assert (listed(server, "up")["type"], listed(server, "up")["help"]) == ("gauge", "Is it up?")


def test_a_fault_of_an_openmetrics_document_refuses_it_whole(server):
    good = f"# TYPE om_a gauge\nom_a 1 {T0 // 1000}\n# EOF\n"
    for text in (good[:-6], good + "om_a 2\n",
                 "# TYPE om_a gauge\nom_a 1\n# TYPE om_b gauge\nom_b 1\nom_a 2\n# EOF\n",
                 "# TYPE om_a counter\nom_a_total 1\n# TYPE om_a_total gauge\nom_a_total 2\n"
                 "# EOF\n"):
        problem = check_problem(server.post(IMPORT, text, OPENMETRICS), 400, "openmetrics_invalid")
        assert "line " in problem["detail"]
    assert listed(server, "om_a") is None and listed(server, "om_a_total") is None
    assert server.post(IMPORT, good, OPENMETRICS).json()["accepted"] == 1
    # As text the missing end is none.
    assert server.post(IMPORT, good[:-6], "text/plain").status_code == 200


# ---- remote write ----------------------------------------------------------------------------


def test_remote_write_is_204_and_every_bit_is_kept(server):
    values = [(T0, 1.5), (T0 + 15000, float("inf")), (T0 + 30000, -0.0), (-1, 2.0)]
    message = (wire.series("rw_total", {"job": "x"}, values) + wire.metadata("rw_total", 1, "Help"))
    answer = wire.remote_write(server, message)
    assert answer.status_code == 204, answer.text
    assert answer.content == b""
    exported = [(sample["timestamp"], sample["value"])
                for sample in server.export(**{"match[]": "rw_total"})]
    assert [(stamp, str(value)) for stamp, value in exported] == [
        (-1, "2"), (T0, "1.5"), (T0 + 15000, "+Inf"), (T0 + 30000, "-0.0")]
    assert (listed(server, "rw_total")["type"], listed(server, "rw_total")["help"]) == (
        "counter", "Help")
    # A sender that saw no answer sends again.
    assert wire.remote_write(server, message).status_code == 204
    assert len(server.export(**{"match[]": "rw_total"})) == 4


def test_remote_write_keeps_the_good_samples_and_names_the_others(server):
    message = (wire.series("ok", {}, [(T0, 1)]) +
               wire.series("wide", {f"l{i}": "x" for i in range(11)}, [(T0, 1), (T0 + 1, 2)]) +
               wire.series("native", {}, [], extra=wire.native_histogram(T0)) +
               wire.series("mixed", {}, [(T0, 7)], extra=wire.native_histogram(T0)))
    problem = check_problem(wire.remote_write(server, message), 400, "samples_refused")
    assert counts(problem) == (2, 4, 2)
    refused = {(error["code"], error["metric"]) for error in problem["errors"]}
    assert refused == {("label_limit", "wide"), ("native_histogram_unsupported", "native"),
                       ("native_histogram_unsupported", "mixed")}
    assert points(server, "ok") == {(): [[T0, 1]]}
    assert points(server, "mixed") == {(): [[T0, 7]]}


@pytest.mark.parametrize("headers", [
    {"Content-Type": "application/json"},
    {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "zstd"},
    {"Content-Encoding": "snappy, gzip"},
    {"Content-Encoding": None},
])
def test_remote_write_of_another_kind_is_415(server, headers):
    answer = wire.remote_write(server, wire.series("x", {}, [(T0, 1)]), headers=headers)
    assert answer.status_code == 415, answer.text
    assert answer.json()["code"] in ("unsupported_media_type", "unsupported_content_encoding")


def test_types_of_body_that_a_route_does_not_take_are_415_and_name_what_it_takes(server):
    for path, kind in ((BATCH, "text/plain"), (BATCH, "application/x-protobuf"),
                       ("/api/v1/metrics/ingest", NDJSON), (REGISTER, "text/html"),
                       (IMPORT, "application/json")):
        problem = check_problem(server.post(path, "x", kind), 415, "unsupported_media_type")
        assert "takes" in problem["detail"]


def test_a_gzip_body_of_several_members_is_one_body(server):
    lines = [json.dumps(line("member", i, T0 + i)).encode() + b"\n" for i in range(3)]
    answer = server.post(BATCH, b"".join(map(gzip.compress, lines)), NDJSON,
                         headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 3
