"""Queries: every aggregate against a plain computation, over memory, files and both; pages; exports."""

import gzip
import json
import math
import random
import re
import time

import pytest
import requests

import reference
import wire
from server import wait_until
from store import Commands

NDJSON = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"
BATCH = "/api/v1/metrics/ingest/batch"
QUERY = "/api/v1/metrics/query"
DAY = 86_400_000
MINUTE = 60_000
# 23:00 UTC, so that the data cross into the next day.
T0 = 1699920000000 - 3_600_000
SAMPLES = 1200
STEP = 15_000
LOCATIONS = ("head", "parts", "both")
METRICS = ("gauge", "requests_total", "odd")
AGGREGATES = ("sum", "avg", "min", "max", "count", "first", "last", "stddev", "p50", "p90", "p95",
              "p99", "quantile:0", "quantile:0.333", "quantile:1", "rate", "increase")


def make_data(seed):
    """{metric: {labels: {time: value}}} and the same as batches in the order of writing."""
    pick = random.Random(seed)
    data = {metric: {} for metric in METRICS}
    writes = []
    for metric in METRICS:
        for number in range(12):
            labels = {"region": ("eu", "us", "ap")[number % 3], "n": str(number)}
            if number % 4 == 0:
                labels["job"] = "api"
            key = tuple(sorted(labels.items()))
            times = data[metric].setdefault(key, {})
            level = 0.0
            at = T0 + pick.randrange(0, STEP)
            for index in range(SAMPLES):
                # Gaps, some longer than the look-back.
                at += STEP if pick.random() < 0.98 else pick.randrange(STEP, 30 * MINUTE)
                if metric == "gauge":
                    value = pick.randrange(-4000, 4000) / 4
                elif metric == "requests_total":
                    level = 0.0 if pick.random() < 0.01 else level + pick.randrange(0, 50)
                    value = "stale" if pick.random() < 0.01 else level
                else:
                    value = pick.choice([pick.uniform(-1e6, 1e6)] * 30 +
                                        ["NaN", "stale", 0.1 * index])
                times[at] = value
                writes.append((metric, labels, at, value))
                # Now and then the past is written again.
                if pick.random() < 0.01:
                    again = pick.choice(list(times))
                    times[again] = float(pick.randrange(100))
                    writes.append((metric, labels, again, times[again]))
    # Each series keeps its order, and the series come mixed, the last third late by hours.
    writes.sort(key=lambda write: (write[2] // (40 * MINUTE), ))
    late = [write for write in writes if write[1]["n"] in ("3", "7")]
    writes = [write for write in writes if write[1]["n"] not in ("3", "7")] + late
    settle = {}
    for metric, labels, at, value in writes:
        settle.setdefault((metric, tuple(sorted(labels.items()))), {})[at] = value
    for (metric, key), times in settle.items():
        data[metric][key] = times
    return data, writes


def write_all(server, writes):
    for first in range(0, len(writes), 2000):
        body = "\n".join(json.dumps({"name": metric, "labels": labels, "value": value,
                                     "timestamp": at})
                         for metric, labels, at, value in writes[first:first + 2000])
        answer = server.post(BATCH, body, NDJSON, params={"precision": "ms"})
        assert answer.status_code == 200 and answer.json()["rejected"] == 0, answer.text


def metric_value(server, name):
    for text in server.session.get(server.url + "/metrics", timeout=30).text.splitlines():
        if text.startswith(name) and text[len(name)] == " ":
            return float(text.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name}")


@pytest.fixture(scope="module")
def data():
    return make_data(20261123)


@pytest.fixture(scope="module")
def servers(make_module_server, tmp_path_factory, data):
    """The same data in memory, in part files, and partly here and there."""
    made = {}
    for location in LOCATIONS:
        settings = [] if location == "head" else ["storage.head_size=256KiB"]
        server = make_module_server(*settings, data=tmp_path_factory.mktemp(location)).start()
        write_all(server, data[1])
        if location == "parts":
            assert server.stop() == 0
            server.start()
        made[location] = server
    assert metric_value(made["head"], "metric_store_parts") == 0
    assert metric_value(made["parts"], "metric_store_parts") > 0
    assert metric_value(made["parts"], 'metric_store_head_samples{head="active"}') == 0
    assert metric_value(made["both"], "metric_store_flushes_total") >= 2
    assert metric_value(made["both"], 'metric_store_head_samples{head="active"}') > 0
    return made


@pytest.fixture(params=LOCATIONS)
def stored(request, servers):
    return servers[request.param]


def as_groups(answer):
    groups = {}
    for one in answer["series"]:
        labels = tuple(sorted(one["labels"].items()))
        assert labels not in groups
        groups[labels] = one["points"]
    return groups


def check_same(answer, expected, what):
    groups = as_groups(answer)
    assert set(groups) == set(expected), what
    for labels, points in expected.items():
        got = groups[labels]
        assert [point[0] for point in got] == [point[0] for point in points], (what, labels)
        for (_, value), (at, wanted) in zip(got, points):
            value = reference.number(value)
            close = (math.isnan(value) and math.isnan(wanted)) or value == wanted or math.isclose(
                value, wanted, rel_tol=1e-9, abs_tol=1e-9)
            assert close, (what, labels, at, value, wanted)


def end_of(series):
    return max(max(times) for times in series.values()) + 1


# ---- aggregates ------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_an_aggregate_is_what_a_plain_computation_gives(stored, data, metric, aggregate):
    if metric == "odd" and aggregate in ("rate", "increase"):
        return  # differences of NaN are the next test's
    series = data[0][metric]
    end = end_of(series)
    middle = T0 + 37 * MINUTE + 123
    for start, stop, interval, by, over in (
            (T0, end, None, None, "samples"),
            (T0, end, None, [], "samples"),
            (T0, end, 10 * MINUTE, ["region"], "samples"),
            (middle, end - 50 * MINUTE, 7 * MINUTE, ["job", "region"], "samples"),
            (middle, end - 50 * MINUTE, 7 * MINUTE, ["region"], "series"),
            (middle, middle + MINUTE, 5000, None, "series"),
            (T0, end, DAY, ["absent"], "samples")):
        params = {"metric": metric, "start": start, "end": stop, "aggregate": aggregate,
                  "over": over}
        if interval is not None:
            params["interval"] = f"{interval}ms"
        if by is not None:
            params["by"] = ",".join(by)
        expected = reference.query(series, start, stop, aggregate, interval, by, over)
        check_same(stored.query(**params), expected, params)


def filled(points, start, end, interval, fill):
    """The points with every bucket of the range in its place."""
    values = dict(points)
    before = None
    answer = []
    for bucket in range(start // interval * interval, end, interval):
        value = values.get(bucket, before if fill == "previous" else None)
        before = value
        answer.append([bucket, value])
    return answer


@pytest.mark.parametrize("fill", ["null", "previous"])
def test_every_bucket_without_a_value_is_filled(stored, data, fill):
    series = data[0]["gauge"]
    start, end, interval = T0 - 10 * MINUTE + 1, end_of(series) + 5 * MINUTE, 3 * MINUTE
    for aggregate, by, over in (("avg", None, "samples"), ("max", ["region"], "series"),
                                ("rate", ["job"], "samples"), ("p90", [], "samples")):
        params = {"metric": "gauge", "start": start, "end": end, "aggregate": aggregate,
                  "interval": f"{interval}ms", "over": over, "fill": fill}
        if by is not None:
            params["by"] = ",".join(by)
        expected = reference.query(series, start, end, aggregate, interval, by, over)
        groups = as_groups(stored.query(**params))
        assert set(groups) == set(expected)
        for labels, points in expected.items():
            wanted = filled(points, start, end, interval, fill)
            got = groups[labels]
            assert [at for at, _ in got] == [at for at, _ in wanted]
            for (_, value), (_, want) in zip(got, wanted):
                assert (value is None) == (want is None)
                assert value is None or math.isclose(value, want, rel_tol=1e-9, abs_tol=1e-9)
            assert any(value is None for _, value in got)


def test_filled_buckets_have_the_limit_of_points(make_server):
    server = make_server("query.max_points=100").start()
    server.ingest([{"name": "x", "value": 1, "timestamp": T0}])
    params = {"metric": "x", "start": T0, "aggregate": "sum", "interval": "1m", "fill": "null"}
    assert len(server.query(**params, end=T0 + 99 * MINUTE)["series"][0]["points"]) == 99
    answer = server.session.get(server.url + QUERY, timeout=30,
                                params={**params, "end": T0 + 100 * MINUTE})
    assert (answer.status_code, answer.json()["code"]) == (422, "query_points_limit")


def test_sums_of_numbers_that_nearly_cancel_keep_their_digits(server):
    values = [1e16, 1.0, -1e16, 1.0, 1e-3, 3.0]
    server.ingest([{"name": "cancel", "value": value, "timestamp": T0 + i}
                   for i, value in enumerate(values)])
    answer = server.query(metric="cancel", start=T0, end=T0 + 10, aggregate="sum")
    assert math.isclose(answer["series"][0]["points"][0][1], math.fsum(values), rel_tol=1e-15)


def test_stale_markers_are_no_values_and_nan_is_one(server):
    def ingest(name, *values):
        server.ingest([{"name": name, "value": value, "timestamp": T0 + i}
                       for i, value in enumerate(values)])

    def value(name, aggregate):
        series = server.query(metric=name, start=T0, end=T0 + 100, aggregate=aggregate)["series"]
        return series[0]["points"][0][1] if series else None

    ingest("a", 1, "stale", 3)
    ingest("b", 1, "NaN", 3)
    ingest("c", "stale", "stale")
    ingest("d", "NaN")
    assert [value("a", how) for how in ("count", "sum", "avg", "min", "max", "p50", "last")] == [
        2, 4, 2, 1, 3, 2, 3]
    assert [value("b", how) for how in ("count", "sum", "avg", "min", "max", "p50", "last")] == [
        3, "NaN", "NaN", 1, 3, 2, 3]
    assert [value("c", how) for how in ("count", "sum", "avg", "min", "p50", "last")] == [None] * 6
    assert [value("d", how) for how in ("count", "sum", "min", "max", "p50")] == [
        1, "NaN", "NaN", "NaN", "NaN"]
    raw = server.query(metric="a", start=T0, end=T0 + 100)["series"][0]["points"]
    assert raw == [[T0, 1], [T0 + 2, 3]]
    assert [sample["value"] for sample in server.export(**{"match[]": "a"})] == [1, "stale", 3]


def test_increase_takes_its_first_predecessor_from_up_to_5_minutes_before(server):
    for name, distance in (("near", 300_000), ("far", 300_001)):
        server.ingest([{"name": name, "value": 10, "timestamp": T0 - distance},
                       {"name": name, "value": 14, "timestamp": T0},
                       {"name": name, "value": 3, "timestamp": T0 + 600_000}])

    def increase(name):
        return server.query(metric=name, start=T0, end=T0 + 900_000, aggregate="increase",
                            interval="5m")["series"][0]["points"]

    assert increase("near") == [[T0, 4], [T0 + 600_000, 3]]
    assert increase("far") == [[T0 + 600_000, 3]]


def test_buckets_are_aligned_to_1970_also_before_it(server):
    server.ingest([{"name": "old", "value": 1, "timestamp": "1969-12-31T23:59:59.999Z"},
                   {"name": "old", "value": 2, "timestamp": "1970-01-01T00:00:00Z"}])
    answer = server.query(metric="old", start="1969-12-31T23:59:31Z", end="1970-01-01T00:00:01Z",
                          aggregate="sum", interval="1m")
    assert answer["series"][0]["points"] == [[-60_000, 1], [0, 2]]


# ---- raw samples, selection, pages -----------------------------------------------------------


def test_raw_samples_are_every_sample_in_order(stored, data):
    for metric in METRICS:
        series = data[0][metric]
        start, end = T0 + 17 * MINUTE, T0 + 3 * 3_600_000
        groups = as_groups(stored.query(metric=metric, start=start, end=end))
        expected = {labels: [[at, value] for at, value in sorted(times.items())
                             if start <= at < end and value != "stale"] for labels, times in series.items()}
        assert groups == {labels: points for labels, points in expected.items() if points}


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("extra", [{}, {"aggregate": "avg"}, {"aggregate": "sum", "by": "n"},
                                   {"aggregate": "rate", "by": "n,region"}])
def test_pages_hold_everything_once_in_label_order(stored, limit, extra):
    params = {"metric": "gauge", "start": T0, "end": T0 + 4 * 3_600_000, **extra}
    whole = stored.query(**params)
    assert whole["next"] is None and len(whole["series"]) == 12
    pages, after = [], None
    while True:
        page = stored.query(limit=limit, **params, **({"after": after} if after else {}))
        assert 1 <= len(page["series"]) <= limit
        pages += page["series"]
        after = page["next"]
        if after is None:
            break
    assert pages == whole["series"]
    labels = [sorted(one["labels"].items()) for one in pages]
    assert labels == sorted(labels)


def test_matchers_select_as_they_say(stored, data):
    everything = dict(data[0]["gauge"])
    cases = {
        "region=eu": lambda labels: labels.get("region") == "eu",
        "region!=eu": lambda labels: labels.get("region") != "eu",
        "job=": lambda labels: "job" not in labels,
        "job!=": lambda labels: "job" in labels,
        "n=~1.": lambda labels: len(labels["n"]) == 2,
        "n!~1.?": lambda labels: not labels["n"].startswith("1"),
        "region=~eu|us": lambda labels: labels["region"] in ("eu", "us"),
        "n=~": lambda labels: False,
        "nothing=~x?": lambda labels: True,
    }
    window = {"start": T0, "end": T0 + 4 * 3_600_000}
    for condition, keeps in cases.items():
        expected = {labels for labels in everything if keeps(dict(labels))}
        got = set(as_groups(stored.query(metric="gauge", label=condition, **window)))
        assert got == expected, condition
    both = stored.query(metric="gauge", label=["region=eu", "n!=0"], **window)
    assert {dict(labels)["n"] for labels in as_groups(both)} == {"3", "6", "9"}
    selector = '{__name__=~"gauge|odd",region="eu",n!~"0|3"}'
    answer = stored.query(match=selector, **window)
    assert {(one["metric"], one["labels"]["n"]) for one in answer["series"]} == {
        ("gauge", "6"), ("gauge", "9"), ("odd", "6"), ("odd", "9")}
    assert stored.query(match='gauge{n="1"}', **window)["series"] == stored.query(
        metric="gauge", label="n=1", **window)["series"]
    pooled = stored.query(match=selector, aggregate="count", by="", **window)["series"]
    assert len(pooled) == 1 and pooled[0]["metric"] == "" and pooled[0]["labels"] == {}


def test_a_form_is_the_same_query(stored):
    params = [("metric", "gauge"), ("label", "region=~eu|us"), ("label", "n!=0"),
              ("start", str(T0)), ("end", str(T0 + 3_600_000)), ("aggregate", "avg"),
              ("interval", "10m"), ("by", "region"), ("limit", "7")]
    got = stored.session.get(stored.url + QUERY, params=params, timeout=30).json()
    posted = stored.session.post(stored.url + QUERY, data=params, timeout=30)
    assert posted.status_code == 200, posted.text
    posted = posted.json()
    for answer in (got, posted):
        answer["stats"].pop("duration_ms")
    assert got == posted and got["series"]
    mixed = stored.session.post(stored.url + QUERY, params=params[:4], data=params[4:],
                                timeout=30).json()
    assert mixed["series"] == got["series"]


# ---- times -----------------------------------------------------------------------------------


def test_times_may_be_written_in_every_way(server):
    at = 1_700_000_000_000
    server.ingest([{"name": "ways", "value": 1, "timestamp": at}])
    for start, end in ((at, at + 1), (at / 1000, at / 1000 + 0.001), ("1.7e9", "1700000000.001"),
                       ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.001Z"),
                       ("2023-11-14T23:13:20+01:00", "2023-11-14T23:13:20.001+01:00"),
                       ("-1", "now"), ("1678-01-01T00:00:00Z", "now+1h")):
        assert len(server.query(metric="ways", start=start, end=end)["series"]) == 1, start
    assert server.query(metric="ways", start=at + 1, end="now")["series"] == []
    assert server.query(metric="ways", start=at - 5, end=at)["series"] == []


def test_relative_times_and_the_default_range_of_an_hour(server):
    now_ms = int(time.time() * 1000)
    server.ingest([{"name": "ago", "value": minutes, "timestamp": now_ms - minutes * MINUTE}
                   for minutes in (0, 10, 50, 70, 300)])

    def values(**params):
        series = server.query(metric="ago", **params)["series"]
        return [point[1] for point in series[0]["points"]] if series else []

    assert values() == [50, 10, 0]
    assert values(start="now-2h") == [70, 50, 10, 0]
    assert values(start="now-6h", end="now-1h") == [300, 70]
    assert values(start="now-1d", end="now-20m") == [300, 70, 50]
    # What was written this very moment lies within the default range.
    server.ingest([{"name": "moment", "value": 1}])
    assert len(server.query(metric="moment")["series"]) == 1


# ---- stats -----------------------------------------------------------------------------------


def test_stats_tell_what_was_read(servers, data):
    series = data[0]["gauge"]
    total = sum(map(len, series.values()))
    for location, server in servers.items():
        params = {"metric": "gauge", "start": T0, "end": end_of(series)}
        raw = server.query(**params)
        assert set(raw["stats"]) == {"series", "samples_scanned", "blocks_skipped", "tiers",
                                     "duration_ms"}
        assert raw["stats"]["series"] == 12
        assert raw["stats"]["samples_scanned"] == total
        assert raw["stats"]["duration_ms"] > 0
        # Parts of these old days become warm some time after a start.
        assert raw["stats"]["tiers"] in ([["hot"]] if location == "head" else
                                         [["hot"], ["warm"], ["hot", "warm"]])
        assert (raw["partial"], raw["warnings"], raw["status"]) == (False, [], "success")
        one = server.query(**params, label="n=1")
        assert one["stats"]["series"] == 1
        assert one["stats"]["samples_scanned"] == len(
            next(times for labels, times in series.items() if ("n", "1") in labels))
        summed = server.query(**params, aggregate="sum", by="")
        if location == "parts":
            # The headers of blocks answer.
            assert summed["stats"]["blocks_skipped"] > 0
            assert summed["stats"]["samples_scanned"] < total / 2
        quantile = server.query(**params, aggregate="p50", by="")
        assert quantile["stats"]["samples_scanned"] == total
        nothing = server.query(metric="nothing_of_that_name")
        assert nothing["stats"]["series"] == 0 and nothing["stats"]["samples_scanned"] == 0
        assert nothing["stats"]["tiers"] == []


# ---- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("params, word", [
    ({}, "metric"),
    ({"metric": ""}, "metric"),
    ({"metric": "x", "match": "{a=\"b\"}"}, "match"),
    ({"metric": "x", "labels": "a=b"}, "label"),
    ({"metric": "x", "label": "a"}, "label"),
    ({"metric": "x", "label": "=b"}, "label"),
    ({"metric": "x", "start": "yesterday"}, "start"),
    ({"metric": "x", "start": "now-"}, "start"),
    ({"metric": "x", "end": "1e300"}, "end"),
    ({"metric": "x", "start": "100", "end": "100"}, "start"),
    ({"metric": "x", "start": "now", "end": "now-1h"}, "start"),
    ({"metric": "x", "aggregate": "mean"}, "aggregate"),
    ({"metric": "x", "aggregate": "quantile:1.1"}, "aggregate"),
    ({"metric": "x", "aggregate": "quantile:"}, "aggregate"),
    ({"metric": "x", "aggregate": "sum", "interval": "0s"}, "interval"),
    ({"metric": "x", "aggregate": "sum", "interval": "-1m"}, "interval"),
    ({"metric": "x", "aggregate": "sum", "interval": "5"}, "interval"),
    ({"metric": "x", "interval": "1m"}, "interval"),
    ({"metric": "x", "by": "a"}, "by"),
    ({"metric": "x", "aggregate": "sum", "by": "a,,b"}, "by"),
    ({"metric": "x", "aggregate": "sum", "over": "time"}, "over"),
    ({"metric": "x", "aggregate": "sum", "fill": "zero"}, "fill"),
    ({"metric": "x", "aggregate": "sum", "fill": "null"}, "fill"),
    ({"metric": "x", "aggregate": "sum", "fill": "previous"}, "fill"),
    ({"metric": "x", "fill": "null"}, "fill"),
    ({"metric": "x", "aggregate": "sum", "interval": "1d", "tz": "Europe/Nowhere"}, "tz"),
    ({"metric": "x", "aggregate": "sum", "interval": "1d", "tz": "../../etc/passwd"}, "tz"),
    ({"metric": "x", "aggregate": "sum", "tz": "Europe/Berlin"}, "tz"),
    ({"metric": "x", "tz": "Europe/Berlin"}, "tz"),
    ({"metric": "x", "limit": "0"}, "limit"),
    ({"metric": "x", "limit": "-1"}, "limit"),
    ({"metric": "x", "limit": "1e3"}, "limit"),
    ({"metric": "x", "after": "!!"}, "after"),
    ({"metric": "x", "after": "AAAA"}, "after"),
    ({"metric": "x", "timeout": "0"}, "timeout"),
    ({"metric": "x", "timeout": "soon"}, "timeout"),
    ({"metric": ["x", "y"]}, "metric"),
])
def test_a_parameter_with_a_fault_is_400_and_named(servers, params, word):
    answer = servers["head"].session.get(servers["head"].url + QUERY, params=params, timeout=30)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["code"] == "invalid_parameter"
    assert f'"{word}"' in problem["detail"]


@pytest.mark.parametrize("query, shown", [
    ("metric=x&start=%00", r'"start": "\x00" is not a time'),
    ("metric=x&end=a%1b%5B31m%C2%9B", r'"end": "a\x1b[31m\xc2\x9b" is not a time'),
    ("metric=x&start=%FF", r'"start": "\xff" is not valid UTF-8'),
    ("metric=x&limit=5%00", r'"limit": "5\x00" is not accepted'),
    ("metric=x&st%00art=1", r'"st\x00art": there is none of that name'),
    ("metric=x&st%FF=1", r'parameter 2, "st\xff", is not valid UTF-8'),
    ("match=%7B%00", r'"match": selector, position 2: expected a label name or "}", found "\x00"'),
    ("metric=x&label=a=~(%00", r'regular expression "(\x00": '),
])
def test_control_characters_are_shown_and_not_passed_on(servers, query, shown):
    answer = servers["head"].session.get(f"{servers['head'].url}{QUERY}?{query}", timeout=30)
    assert answer.status_code == 400, answer.text
    assert shown in answer.json()["detail"]
    assert all(letter >= " " for letter in answer.json()["detail"])


def test_a_cursor_of_another_query_is_refused(servers):
    server = servers["head"]
    after = server.query(metric="gauge", start=T0, end=T0 + DAY, limit=1)["next"]
    answer = server.session.get(server.url + QUERY, timeout=30, params={
        "metric": "gauge", "start": T0, "aggregate": "sum", "by": "n", "after": after})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


# ---- export ----------------------------------------------------------------------------------


def export(server, **params):
    answer = server.session.get(server.url + "/api/v1/metrics/export", params=params, timeout=120)
    assert answer.status_code == 200, answer.text
    answer.encoding = "utf-8"  # else requests looks at every byte for a guess
    return answer


def test_an_export_posted_back_gives_the_same_export(servers, data, make_server, tmp_path):
    texts = {location: export(server).text for location, server in servers.items()}
    same = texts["head"] == texts["parts"] == texts["both"]
    assert same
    lines = texts["head"].splitlines()
    assert len(lines) == sum(len(times) for series in data[0].values() for times in series.values())
    # OpenMetrics has no word for a stale marker; those are left out there.
    without_stale = [line for line in lines if '"value":"stale"' not in line]
    for form, kind, path, held in (
            ("ndjson", NDJSON, BATCH + "?precision=ms", lines),
            ("openmetrics", None, "/api/v1/import/prometheus", without_stale)):
        source = export(servers["both"], format=form)
        assert source.headers["Content-Type"].startswith(
            kind or "application/openmetrics-text; version=1.0.0")
        copy = make_server(data=tmp_path / form).start()
        answer = copy.post(path, source.content, kind or source.headers["Content-Type"])
        assert answer.status_code == 200 and answer.json()["rejected"] == 0, answer.text[:500]
        assert answer.json()["accepted"] == len(held)
        # Compared as booleans: a difference of megabytes takes pytest minutes to show.
        same = export(copy, format=form).content == source.content
        assert same
        same = export(copy).text.splitlines() == held
        assert same


def test_an_export_of_openmetrics_keeps_descriptors_and_families_together(make_server, tmp_path):
    text = ("# TYPE latency_seconds histogram\n# UNIT latency_seconds seconds\n"
            "# HELP latency_seconds How \\\"long\\\".\n"
            'latency_seconds_bucket{le="0.5"} 1 1700000000.000\n'
            'latency_seconds_bucket{le="+Inf"} 2 1700000000.000\n'
            "latency_seconds_count 2 1700000000.000\nlatency_seconds_sum 1.5 1700000000.000\n"
            "# TYPE jobs counter\njobs_total 5 1700000000.000\n"
            "# TYPE up gauge\nup NaN 1700000000.000\n# EOF\n")
    first = make_server(data=tmp_path / "first").start()
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    answer = first.post("/api/v1/import/prometheus", text, kind)
    assert answer.status_code == 200 and answer.json()["accepted"] == 6, answer.text
    exported = export(first, format="openmetrics")
    assert exported.text.endswith("# EOF\n") and exported.text.count("# EOF") == 1
    second = make_server(data=tmp_path / "second").start()
    answer = second.post("/api/v1/import/prometheus", exported.content, kind)
    assert answer.status_code == 200 and answer.json()["rejected"] == 0, answer.text
    assert export(second, format="openmetrics").content == exported.content
    assert "# TYPE jobs counter\n" in exported.text and "# TYPE up gauge\n" in exported.text


def test_counters_registered_by_their_family_come_back_through_openmetrics(make_server, tmp_path):
    first = make_server(data=tmp_path / "first").start()
    first.ingest([{"name": name, "labels": labels, "value": value, "timestamp": 1700000000000 + 1000 * at}
                  for name, labels, values in (
                      ("x_total", {"Zone": "1"}, [1, 2]), ("x_a_total", {"Zone": "2"}, [3, 4]),
                      ("x_a_total", {"n": "3"}, [5, 6]), ("y_total", {}, [7, "NaN", -1, "stale"]),
                      ("z_info", {"version": "1"}, [1, 1]), ("z_b_info", {"version": "2"}, [1, 2]),
                      ("x.y_total", {}, [0]), ("c d_total", {}, [1]))
                  for at, value in enumerate(values)])
    for name, kind in (("x", "counter"), ("x_a", "counter"), ("y", "counter"), ("z", "info"),
                       ("z_b", "info"), ("x.y", "counter"), ("c d", "counter")):
        answer = first.post("/api/v1/metrics/register", json.dumps({"name": name, "type": kind}))
        assert answer.status_code in (200, 201), answer.text
    exported = export(first, format="openmetrics")
    types = re.findall("^# TYPE (.*)", exported.text, re.MULTILINE)
    assert types == ['"c d" counter', '"x.y" counter', "x_a counter", "x counter",
                     "y_total unknown", "z_b_info unknown", "z info"]
    assert "y_total NaN 1700000001.000\ny_total -1 1700000002.000\n" in exported.text
    # A document cannot say what it lacks: the answer around it does.
    assert exported.headers["X-Samples-Left-Out"] == "1"
    assert exported.headers["X-NaN-Payloads-Lost"] == "0"
    assert "X-Samples-Left-Out" not in export(first, format="csv").headers
    wait_until(lambda: "samples_left_out=1 nan_payloads_lost=0" in first.log_tail(),
               what="the count of what was left out")
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    second = make_server(data=tmp_path / "second").start()
    answer = second.post("/api/v1/import/prometheus", exported.content, kind)
    assert answer.status_code == 200 and answer.json()["rejected"] == 0, answer.text
    assert export(second, format="openmetrics").content == exported.content
    assert "samples_left_out" not in second.log_tail()
    assert export(second).text.splitlines() == [
        line for line in export(first).text.splitlines() if '"stale"' not in line]


def test_a_long_openmetrics_export_tells_in_a_trailer_what_it_lacks(make_server, binary, tmp_path):
    server = make_server("cardinality.max_series_per_metric=0").start()
    for first in range(0, 60000, 20000):
        server.ingest([{"name": "m", "labels": {"n": str(n), "wide": "x" * 80}, "value": value,
                        "timestamp": T0} for n in range(first, first + 20000)
                       for value in ["stale" if n % 3 == 0 else "nan:7ff8000000000abc"]])
    with wire.connect(server) as client:
        client.sendall(b"GET /api/v1/metrics/export?format=openmetrics HTTP/1.1\r\n"
                       b"Host: x\r\nConnection: close\r\n\r\n")
        answer = wire.receive_all(client)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"\r\nTrailer: X-Samples-Left-Out, X-NaN-Payloads-Lost" in head
    assert b"chunked" in head and b"Left-Out: " not in head
    assert rest.endswith(b"\r\n\r\n")
    trailers = set(rest.rpartition(b"\r\n0\r\n")[2].split(b"\r\n")) - {b""}
    assert trailers == {b"X-Samples-Left-Out: 20000", b"X-NaN-Payloads-Lost: 40000"}
    assert len(export(server, format="openmetrics").content) > 1 << 20
    for match in ("m", 'm{n=~"1."}'):
        result = Commands(binary, tmp_path).run(
            "export", "--url", server.url, "--format", "openmetrics", "--match", match)
        assert result.returncode == 0 and result.stdout.endswith(b"# EOF\n")
        assert (b"20000 samples were left out" if match == "m" else b"3 samples were left out"
                ) in result.stderr, result.stderr
        assert b"left out" not in Commands(binary, tmp_path).run(
            "export", "--url", server.url, "--match", match).stderr


def test_an_export_is_of_the_series_and_the_time_that_were_asked_for(stored, data):
    lines = export(stored, **{"match[]": ['gauge{n="1"}', '{region="eu",n="3"}']}).text.splitlines()
    names = {(json.loads(line)["name"], json.loads(line)["labels"]["n"]) for line in lines}
    assert names == {("gauge", "1"), ("gauge", "3"), ("requests_total", "3"), ("odd", "3")}
    start, end = T0 + 100 * MINUTE, T0 + 130 * MINUTE
    part = [json.loads(line) for line in
            export(stored, **{"match[]": "gauge"}, start=start, end=end).text.splitlines()]
    wanted = sum(1 for times in data[0]["gauge"].values() for at in times if start <= at < end)
    assert len(part) == wanted
    assert all(start <= sample["timestamp"] < end for sample in part)
    few = export(stored, limit=2).text.splitlines()
    assert len({json.dumps(json.loads(line)["labels"], sort_keys=True) for line in few}) == 2
    assert export(stored, **{"match[]": "nothing"}).text == ""
    assert export(stored, **{"match[]": "nothing"}, format="openmetrics").text == "# EOF\n"


@pytest.mark.parametrize("params, code", [
    ({"format": "parquet"}, "invalid_parameter"), ({"match[]": "{"}, "selector_syntax"),
    ({"match[]": "{}"}, "selector_too_wide"), ({"limit": "x"}, "invalid_parameter"),
    ({"start": "x"}, "invalid_parameter"), ({"metric": "x"}, "invalid_parameter")])
def test_an_export_with_a_fault_is_refused(servers, params, code):
    answer = servers["head"].session.get(servers["head"].url + "/api/v1/metrics/export",
                                         params=params, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("path", ["/api/v1/metrics/export", QUERY + "?metric=gauge&start=0"])
def test_answers_are_compressed_for_those_who_ask(servers, coding, path):
    url = servers["parts"].url + path
    plain = requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=60)
    assert "Content-Encoding" not in plain.headers
    packed = requests.get(url, headers={"Accept-Encoding": coding}, stream=True, timeout=60)
    assert packed.headers["Content-Encoding"] == coding
    assert "Accept-Encoding" in packed.headers["Vary"]
    raw = packed.raw.read(decode_content=False)
    assert len(raw) < len(plain.content) / 2
    text = wire.unzstd(raw) if coding == "zstd" else gzip.decompress(raw)
    if path.endswith("export"):
        assert text == plain.content
    else:
        assert json.loads(text)["series"] == plain.json()["series"]
    none = requests.get(url, headers={"Accept-Encoding": "gzip;q=0, br"}, timeout=60)
    assert "Content-Encoding" not in none.headers


def test_an_export_of_millions_of_samples_takes_constant_memory(make_server):
    server = make_server("storage.head_size=4MiB").start()
    for first in range(0, 4000, 400):
        message = wire.same_samples(600, [(T0 + i * 1000, i * 7919 % 1013 / 8)
                                          for i in range(first, first + 400)])
        assert wire.remote_write(server, message).status_code == 204
    wait_until(lambda: metric_value(server, "metric_store_parts") > 0, 20, "parts")
    server.stop()
    server.start()
    before = peak = server.rss_anon_kb()
    lines = 0
    answer = requests.get(server.url + "/api/v1/metrics/export", stream=True, timeout=120)
    for number, piece in enumerate(answer.iter_content(1 << 20)):
        lines += piece.count(b"\n")
        if number % 10 == 0:
            peak = max(peak, server.rss_anon_kb())
    assert lines == 2_400_000
    assert peak - before < 24 * 1024
