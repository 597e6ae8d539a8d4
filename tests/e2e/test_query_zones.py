"""Buckets by the clocks of a time zone, against Python's zoneinfo read minute by minute."""

import bisect
import datetime
import math
import os
import zoneinfo

import pytest

UTC = datetime.timezone.utc
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
STEP = 20 * MINUTE
MONDAY = 946_857_600_000  # 2000-01-03 00:00
INTERVALS = {"1h": HOUR, "2h": 2 * HOUR, "6h": 6 * HOUR, "1d": DAY, "1w": 7 * DAY}


def at(text):
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


# A fortnight around a change of the clocks.
WINDOWS = [
    ("Europe/Berlin", at("2026-03-22"), at("2026-04-05")),
    ("Europe/Berlin", at("2026-10-18"), at("2026-11-01")),
    ("America/New_York", at("2026-03-01"), at("2026-03-15")),
    ("America/New_York", at("2026-10-25"), at("2026-11-08")),
    ("Australia/Lord_Howe", at("2026-03-29"), at("2026-04-12")),
    ("Australia/Lord_Howe", at("2026-09-27"), at("2026-10-11")),
    ("Asia/Kolkata", at("2026-03-22"), at("2026-04-05")),
    ("Pacific/Apia", at("2011-12-23"), at("2012-01-06")),
    ("UTC", at("2026-03-22"), at("2026-04-05")),
]


def offset_ms(zone, time_ms):
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, zone)
    return int(moment.utcoffset().total_seconds()) * 1000


def starts(zone, start, end, interval):
    """Where buckets begin, from before `start` to beyond `end`."""
    found = []
    highest = None
    before = None
    for moment in range(start - 2 * interval - 2 * DAY, end + 2 * interval + 2 * DAY, MINUTE):
        offset = offset_ms(zone, moment)
        piece = (moment + offset - MONDAY) // interval
        put_back = before is not None and before - offset >= interval
        if highest is None or piece > highest or put_back:
            found.append(moment)
            highest = piece
        before = offset
    return found


def wanted(bounds, start, end, aggregate):
    """Samples lie every STEP from `start` on; the n-th is n."""
    samples = {}
    for number, moment in enumerate(range(start, end, STEP)):
        samples.setdefault(bisect.bisect(bounds, moment) - 1, []).append(number)
    points = []
    for bucket, numbers in sorted(samples.items()):
        length_s = (bounds[bucket + 1] - bounds[bucket]) / 1000
        # The sample before the first one is missing.
        growth = len(numbers) - (numbers[0] == 0)
        value = {"count": len(numbers), "sum": sum(numbers), "max": max(numbers),
                 "p50": (numbers[(len(numbers) - 1) // 2] + numbers[len(numbers) // 2]) / 2,
                 "rate": growth / length_s if growth else None}[aggregate]
        if value is not None:
            points.append([bounds[bucket], value])
    return points


@pytest.fixture(scope="module")
def server(make_module_server, tmp_path_factory):
    """All windows, one a series, in part files: with headers that may answer."""
    server = make_module_server("storage.head_size=256KiB",
                                data=tmp_path_factory.mktemp("zones")).start()
    for index, (_, start, end) in enumerate(WINDOWS):
        server.ingest([{"name": "x", "labels": {"n": str(index)}, "value": number,
                        "timestamp": moment}
                       for number, moment in enumerate(range(start, end, STEP))], precision="ms")
    assert server.stop() == 0
    return server.start()


@pytest.mark.parametrize("index", range(len(WINDOWS)))
@pytest.mark.parametrize("interval", INTERVALS)
def test_buckets_are_those_that_the_clocks_show(server, index, interval):
    name, start, end = WINDOWS[index]
    bounds = starts(zoneinfo.ZoneInfo(name), start, end, INTERVALS[interval])
    for aggregate in ("count", "sum", "max", "p50", "rate"):
        answer = server.query(metric="x", label=f"n={index}", start=start, end=end,
                              aggregate=aggregate, interval=interval, tz=name)
        points = answer["series"][0]["points"]
        expected = wanted(bounds, start, end, aggregate)
        assert [moment for moment, _ in points] == [moment for moment, _ in expected]
        for (_, value), (_, want) in zip(points, expected):
            assert math.isclose(value, want, rel_tol=1e-12)


def test_gaps_are_filled_by_the_buckets_of_the_zone(server):
    name, start, end = WINDOWS[1]
    bounds = starts(zoneinfo.ZoneInfo(name), start - 3 * DAY, end, DAY)
    answer = server.query(metric="x", label="n=1", start=start - 3 * DAY, end=end, by="",
                          aggregate="count", interval="1d", tz=name, fill="null")
    points = answer["series"][0]["points"]
    assert [moment for moment, _ in points] == [
        bound for bound, following in zip(bounds, bounds[1:])
        if following > start - 3 * DAY and bound < end]
    assert [value for _, value in points[:4]] == [None, None, None, 66]
    assert {value for _, value in points[4:-1]} == {72, 75}


def test_headers_of_blocks_answer_for_local_days(server):
    _, start, end = WINDOWS[1]
    stats = server.query(metric="x", label="n=1", start=start - DAY, end=end + DAY,
                         aggregate="sum", interval="1w", tz="Europe/Berlin")["stats"]
    assert stats["blocks_skipped"] > 0
    assert stats["samples_scanned"] < (end - start) / STEP / 2


def test_without_a_zone_weeks_begin_on_thursday_as_1970_did(server):
    start = WINDOWS[0][1]
    params = {"metric": "x", "label": "n=0", "start": start, "end": start + DAY,
              "aggregate": "count", "interval": "1w"}
    assert server.query(**params)["series"][0]["points"][0][0] == at("2026-03-19")
    assert server.query(**params, tz="UTC")["series"][0]["points"][0][0] == at("2026-03-16")


def test_a_machine_without_a_time_zone_database_says_so(make_server, tmp_path, monkeypatch):
    monkeypatch.setenv("TZDIR", str(tmp_path / "nothing"))
    server = make_server().start()
    params = {"metric": "x", "aggregate": "sum", "interval": "1d"}
    answer = server.session.get(server.url + "/api/v1/metrics/query", timeout=30,
                                params={**params, "tz": "Europe/Berlin"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported")
    assert "tzdata" in answer.json()["detail"]
    assert server.query(**params, tz="UTC")["series"] == []


def test_names_that_are_asked_for_in_vain_take_no_memory(make_server, monkeypatch):
    # A sanitizer keeps what is freed.
    monkeypatch.setenv("ASAN_OPTIONS",
                       os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    server = make_server().start()

    def ask(numbers):
        for number in numbers:
            answer = server.session.get(server.url + "/api/v1/metrics/query", timeout=30, params={
                "metric": "x", "aggregate": "sum", "interval": "1d",
                "tz": f"Europe/Nowhere_or_wherever_else_that_may_be_found_{number}"})
            assert answer.status_code == 400
        return server.rss_anon_kb()

    before = ask(range(1000))
    # What a sanitizer notes of each stack it has seen is a little more each time.
    assert ask(range(1000, 8000)) < before + (8192 if server.sanitized else 512)
