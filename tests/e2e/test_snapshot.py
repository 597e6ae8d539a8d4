"""Snapshots of running and stopped stores: consistent, restored by copying, refused where unsafe."""

import json
import os
import shutil
import threading

import pytest
import requests

from server import files_below
from store import Commands

NOON = 1795305600000


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


def samples(name, first, count):
    return [{"name": name, "labels": {"n": str(i % 5)}, "value": i * 0.37,
             "timestamp": NOON + 1000 * i} for i in range(first, first + count)]


def take(server, **params):
    return server.session.post(server.url + "/api/v1/admin/snapshot", params=params, timeout=60)


def test_a_snapshot_under_load_holds_what_was_acknowledged_before_and_no_half_batches(
        make_server, commands, tmp_path):
    server = make_server("storage.head_size=1MiB", "storage.wal_segment_size=256KiB").start()
    acknowledged = [0]
    stop = threading.Event()
    size = 500
    session = requests.Session()

    def write():
        while not stop.is_set():
            first = acknowledged[0]
            body = json.dumps(samples("load", first, size))
            answer = session.post(
                server.url + "/api/v1/metrics/ingest/batch", data=body, timeout=60,
                params={"precision": "ms", "atomic": "true"},
                headers={"Content-Type": "application/json"})
            assert answer.status_code == 200, answer.text
            acknowledged[0] = first + size

    writer = threading.Thread(target=write)
    writer.start()
    made = []
    try:
        for number in range(4):
            while acknowledged[0] < (number + 1) * 20 * size and writer.is_alive():
                stop.wait(0.01)
            before = acknowledged[0]
            answer = take(server, name=f"s{number}")
            after = acknowledged[0]
            assert answer.status_code == 201, answer.text
            made.append((answer.json(), before, after))
    finally:
        stop.set()
        writer.join()
    for answer, before, after in made:
        assert os.path.realpath(os.path.join(server.data, "snapshots")) in answer["path"]
        restored = str(tmp_path / answer["name"])
        shutil.copytree(answer["path"], restored)
        commands.ok("verify", "--data", restored)
        lines = sorted((json.loads(line) for line in commands.export_lines("--data", restored)),
                       key=lambda line: line["timestamp"])
        assert len(lines) == answer["samples"]
        assert before <= len(lines) <= after + size and len(lines) % size == 0
        assert [(line["timestamp"], line["value"]) for line in lines] == \
            [(sample["timestamp"], sample["value"]) for sample in samples("load", 0, len(lines))]
    assert commands.run("verify", "--data", server.data).returncode == 1, "the server has it open"
    assert server.stop() == 0
    commands.ok("verify", "--data", server.data)


def test_a_restored_snapshot_serves_and_takes_writes(make_server, tmp_path):
    server = make_server().start()
    server.ingest(samples("one", 0, 100), precision="ms")
    server.post("/api/v1/metrics/register", json.dumps({"name": "lonely", "type": "gauge"}))
    path = take(server).json()["path"]
    server.ingest(samples("one", 100, 100), precision="ms")
    assert server.stop() == 0
    shutil.rmtree(os.path.join(server.data, "parts"))
    shutil.copytree(path, tmp_path / "restored")
    again = make_server(data=tmp_path / "restored").start()
    assert len(again.export()) == 100
    again.ingest(samples("one", 100, 50), precision="ms")
    listed = again.session.get(again.url + "/api/v1/metrics").json()
    assert {metric["name"]: metric["type"] for metric in listed["metrics"]}["lonely"] == "gauge"
    again.kill()
    assert len(again.start().export()) == 150


def test_damage_by_replacing_files_of_a_copy_does_not_reach_the_store(make_server, commands,
                                                                     tmp_path):
    server = make_server().start()
    server.ingest(samples("one", 0, 1000), precision="ms")
    shutil.copytree(take(server, name="x").json()["path"], tmp_path / "copy")
    for path in files_below(tmp_path / "copy"):
        with open(path, "wb"):
            pass
    assert server.stop() == 0
    commands.ok("verify", "--data", server.data)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "../x", "a b", "x" * 97, "\u00e4"])
def test_names_that_could_lead_elsewhere_are_refused(server, name):
    answer = take(server, name=name)
    assert answer.status_code == 400 and answer.json()["code"] == "invalid_parameter"
    assert not os.path.exists(os.path.join(server.data, "snapshots"))


def test_a_name_is_taken_once(server):
    server.ingest(samples("one", 0, 10), precision="ms")
    assert take(server, name="daily").status_code == 201
    again = take(server, name="daily")
    assert again.status_code == 409 and "not empty" in again.json()["detail"]
    assert server.session.get(server.url + "/api/v1/admin/snapshot").status_code == 405


def test_a_slip_in_a_parameter_makes_no_snapshot(server):
    slip = server.post("/api/v1/admin/snapshot?nam=b", None)
    assert (slip.status_code, slip.json()["code"]) == (400, "invalid_parameter")
    assert "the nearest is name" in slip.json()["detail"]
    form = server.post("/api/v1/admin/snapshot", "nmae=b", "application/x-www-form-urlencoded")
    assert form.status_code == 400
    assert not os.path.exists(os.path.join(server.data, "snapshots"))


def test_paths_are_whole_wherever_the_server_was_started(make_server, tmp_path):
    data = tmp_path / "data"
    server = make_server(data=os.path.relpath(data)).start()
    snapshots = os.path.realpath(data / "snapshots")
    assert server.post("/api/v1/admin/snapshot?name=a", None).json()["path"] == f"{snapshots}/a"
    again = server.post("/api/v1/admin/snapshot?name=a", None)
    assert again.status_code == 409
    assert f"{snapshots}/a is there already" in again.json()["detail"]


def test_the_command_asks_a_running_server(server, commands):
    server.ingest(samples("one", 0, 10), precision="ms")
    answer = json.loads(commands.ok("snapshot", "--json", "--url", server.url, "mine"))
    assert answer["samples"] == 10 and answer["path"].endswith("/snapshots/mine")
    assert "10 samples" in commands.ok("snapshot", "--url", server.url)
    refused = commands.run("snapshot", "--url", server.url, "mine")
    assert refused.returncode == 1 and b"not empty" in refused.stderr
    assert commands.run("snapshot", "--url", server.url, "/tmp/x/y").returncode == 2
    unnamed = commands.run("snapshot", "--url", server.url, ".hidden")
    assert unnamed.returncode == 2 and b'invalid parameter "name"' in unnamed.stderr
    running = commands.run("snapshot", "--data", server.data, "new")
    assert running.returncode == 1 and b"--url" in running.stderr


def test_a_stopped_store_is_snapshot_into_any_directory_but_its_own(make_server, commands,
                                                                   tmp_path):
    server = make_server().start()
    server.ingest(samples("one", 0, 10), precision="ms")
    server.kill()
    target = tmp_path / "new"
    answer = json.loads(commands.ok("snapshot", "--json", "--data", server.data, target))
    assert answer["samples"] == 10 and answer["path"] == str(target)
    assert len(commands.export_lines("--data", target)) == 10
    inside = commands.run("snapshot", "--data", server.data, os.path.join(server.data, "parts", "x"))
    assert inside.returncode == 1 and b"lies in the store itself" in inside.stderr
    missing = commands.run("snapshot", "--data", tmp_path / "nowhere", tmp_path / "n")
    assert missing.returncode == 1 and not (tmp_path / "nowhere").exists()
    assert commands.run("snapshot", "--data", server.data).returncode == 2


def test_another_file_system_needs_a_copy(make_server, commands, tmp_path):
    elsewhere = f"/dev/shm/metric-store-{os.getpid()}"
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system")
    server = make_server().start()
    server.ingest(samples("one", 0, 10), precision="ms")
    assert server.stop() == 0
    refused = commands.run("snapshot", "--data", server.data, elsewhere)
    assert refused.returncode == 1 and b"different file systems" in refused.stderr
    assert b"file systems; with --copy they are copied\n" in refused.stderr
    assert not os.path.exists(elsewhere)
    try:
        commands.ok("snapshot", "--copy", "--data", server.data, elsewhere)
        assert len(commands.export_lines("--data", elsewhere)) == 10
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)
