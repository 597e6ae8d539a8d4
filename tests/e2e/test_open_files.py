"""A store with more parts than the process may have open files: all of it is read and written."""

import json

import pytest
from server import wait_until
from store import Commands, line

DAY_MS, DAYS, FILES = 86400 * 1000, 200, 100
BEGIN_MS = 1700000000000 // DAY_MS * DAY_MS


@pytest.fixture(name="store")
def fixture_store(binary, tmp_path):
    """Of a part a day."""
    commands = Commands(binary, tmp_path)
    lines = [line("m", {"n": str(number)}, day, BEGIN_MS + day * DAY_MS)
             for day in range(DAYS) for number in range(3)]
    commands.import_json("--data", "data", "-", data="\n".join(lines).encode() + b"\n")
    assert len(list((tmp_path / "data" / "parts").iterdir())) >= DAYS
    return commands


def metric_value(server, name):
    for text in server.session.get(server.url + "/metrics", timeout=30).text.splitlines():
        if text.startswith(name + " "):
            return float(text.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name}")


def few_files(binary, directory):
    shell = directory / "few_files"
    shell.write_text(f'#!/bin/sh\nulimit -n {FILES}\nexec "{binary}" "$@"\n')
    shell.chmod(0o755)
    return str(shell)


def test_a_command_reads_more_parts_than_it_may_open(store, binary, tmp_path):
    store.binary = few_files(binary, tmp_path)
    answer = json.loads(store.ok("query", "--data", "data", "--json", "--start", str(BEGIN_MS),
                                 "--end", str(BEGIN_MS + DAYS * DAY_MS), "m"))
    assert [len(series["points"]) for series in answer["series"]] == [DAYS] * 3
    assert len(store.export_lines("--data", "data")) == 3 * DAYS


def test_a_server_reads_and_merges_more_parts_than_it_may_open(store, make_server, tmp_path):
    server = make_server("storage.merge_fan_in=2", data=str(tmp_path / "data"))
    server.binary = few_files(server.binary, tmp_path)
    server.start()
    assert metric_value(server, "metric_store_parts") >= DAYS
    for _ in range(3):
        answer = server.query(metric="m", start=BEGIN_MS, end=BEGIN_MS + DAYS * DAY_MS)
        assert [len(series["points"]) for series in answer["series"]] == [DAYS] * 3
        assert metric_value(server, "metric_store_parts_open") <= FILES // 2
    assert metric_value(server, "metric_store_parts_reopened_total") > 0
    server.ingest([{"name": "m", "labels": {"n": "0"}, "value": 1, "timestamp": BEGIN_MS + 1}])
    server.stop()
    server.start()
    wait_until(lambda: metric_value(server, "metric_store_part_samples") == 3 * DAYS + 1, 30, "parts")
    assert len(server.export()) == 3 * DAYS + 1
