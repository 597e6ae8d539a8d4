"""verify and inspect: what is sound, what is damaged, and which file it is."""

import json
import os
import shutil

import pytest

from store import Commands, line

NOON = 1795305600000


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


@pytest.fixture
def crashed(commands, make_server):
    """A store with parts, index segments and a log that still holds samples, as a crash left it."""
    server = make_server("storage.wal_segment_size=256KiB").start()
    for start in (0, 100):
        server.ingest([{"name": "flushed", "labels": {"i": str(i % 7)}, "value": i * 0.37,
                        "timestamp": NOON + (start + i) * 1000, "help": "A metric."}
                       for i in range(100)], precision="ms")
        assert server.stop() == 0
        server.start()
    for batch in range(20):
        server.ingest([{"name": "logged", "labels": {"i": str(i)}, "value": batch + i,
                        "timestamp": NOON + batch * 1000} for i in range(10)], precision="ms")
    server.kill()
    return server.data


def files_of(data, folder, ending):
    path = os.path.join(data, folder)
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(ending))


def verify(commands, data, code):
    return json.loads(commands.ok("verify", "--json", "--data", data, code=code))


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << offset % 8]))


def damaged_paths(result):
    return {finding["path"] for finding in result["findings"] if finding["kind"] == "damage"}


def test_a_store_after_a_crash_is_sound_and_counted(commands, crashed):
    before = {path: open(path, "rb").read() for folder in ("parts", "index", "wal")
              for path in files_of(crashed, folder, "")}
    result = verify(commands, crashed, 0)
    assert result["samples"] == 400 and result["series"] == 17
    assert result["damaged"] == 0 and result["findings"] == []
    assert len(commands.export_lines("--data", crashed)) == 400
    for path, content in before.items():
        with open(path, "rb") as file:
            assert file.read() == content, f"{path} was written to by reading"
    assert "0 damaged" in commands.ok("verify", "--data", crashed)


@pytest.mark.parametrize("folder, ending", [("parts", ".part"), ("index", ".seg")])
def test_a_flipped_bit_anywhere_is_found_and_its_file_named(commands, crashed, folder, ending):
    for path in files_of(crashed, folder, ending)[:2]:
        size = os.path.getsize(path)
        for offset in range(0, size, max(1, size // 60)):
            flip(path, offset)
            result = verify(commands, crashed, 4)
            assert path in damaged_paths(result), (path, offset)
            flip(path, offset)
    verify(commands, crashed, 0)


def test_a_flipped_bit_in_the_manifest_is_found(commands, crashed):
    """In some places of it; tests/sim does so with every byte."""
    path = os.path.join(crashed, "manifest")
    size = os.path.getsize(path)
    for offset in sorted({*range(0, 64, 7), *range(64, size, size // 60), size - 1}):
        flip(path, offset)
        result = commands.run("verify", "--json", "--data", crashed)
        assert result.returncode == 4, (offset, result.stderr)
        assert path in damaged_paths(json.loads(result.stdout))
        flip(path, offset)
    verify(commands, crashed, 0)


def log_records(commands, path):
    """(offset, bytes) of each record that inspect lists as good."""
    for text in commands.ok("inspect", "--blocks", path).splitlines():
        if text.startswith(("record ", "begin ", "commit ")) and "state=good" in text:
            fields = dict(field.split("=") for field in text.split()[1:])
            yield int(fields["offset"]), int(fields["bytes"])


def test_a_flipped_bit_in_the_log_is_found_where_it_was_synced(commands, crashed):
    path = files_of(crashed, "wal", ".wal")[0]
    records = [record for wal in files_of(crashed, "wal", ".wal")
               for record in log_records(commands, wal) if wal == path]
    assert len(records) > 30
    # The last frame names the one before as synced: what lies before that is known to be damage.
    for offset, size in records[:-6:3]:
        for at in (offset, offset + size // 2):
            flip(path, at)
            result = verify(commands, crashed, 4)
            assert path in damaged_paths(result), (offset, at)
            flip(path, at)
    verify(commands, crashed, 0)
    for at in (8, 2048 + 8):
        flip(path, at)
        assert path in damaged_paths(verify(commands, crashed, 4)), at
        flip(path, at)


@pytest.mark.parametrize("folder, ending", [("parts", ".part"), ("index", ".seg")])
def test_files_that_are_cut_or_missing_are_found(commands, crashed, folder, ending):
    path = files_of(crashed, folder, ending)[0]
    shutil.copy(path, os.path.join(commands.directory, "kept"))
    os.truncate(path, os.path.getsize(path) - 10)
    assert path in damaged_paths(verify(commands, crashed, 4))
    os.remove(path)
    result = verify(commands, crashed, 4)
    assert path in damaged_paths(result)
    assert any("missing" in finding["message"] for finding in result["findings"])


def put_pipe(path):
    os.remove(path)
    os.mkfifo(path)


@pytest.mark.parametrize("folder", ["parts", "index", "wal", ""])
def test_a_pipe_in_the_place_of_a_file_is_a_finding_and_nobody_waits_for_it(commands, crashed,
                                                                            folder):
    path = files_of(crashed, folder, "manifest" if folder == "" else "")[0]
    put_pipe(path)
    result = verify(commands, crashed, 4)
    found = [finding for finding in result["findings"] if finding["kind"] == "damage"]
    assert any(path in finding["path"] + finding["message"] and "a pipe" in finding["message"]
               for finding in found), found
    inspected = commands.run("inspect", path)
    assert inspected.returncode == 1 and b"it is a pipe, not a file" in inspected.stderr


def test_a_part_in_the_place_of_another_is_found(commands, crashed):
    first, second = files_of(crashed, "parts", ".part")[:2]
    shutil.copy(first, second)
    assert second in damaged_paths(verify(commands, crashed, 4))


def test_parts_whose_series_are_defined_nowhere_are_found(commands, crashed):
    """The series segment is there, but it is another file."""
    segments = files_of(crashed, "index", ".seg")
    by_kind = {json.loads(commands.ok("inspect", "--json", path))["kind"]: path
               for path in segments}
    assert set(by_kind) == {"series segment", "index segment"}
    shutil.copy(by_kind["index segment"], by_kind["series segment"])
    result = verify(commands, crashed, 4)
    paths = damaged_paths(result)
    assert by_kind["series segment"] in paths
    assert set(files_of(crashed, "parts", ".part")) <= paths


def test_leftovers_are_listed_and_are_no_damage(commands, crashed):
    left = os.path.join(crashed, "parts", "00000000000000ff.part")
    shutil.copy(files_of(crashed, "parts", ".part")[0], left)
    result = verify(commands, crashed, 0)
    assert result["leftovers"] == 1 and result["damaged"] == 0
    assert result["findings"] == [
        {"kind": "leftover", "path": left, "message": "nothing names it"}]
    assert f"leftover  {left}" in commands.ok("verify", "--data", crashed)


def test_an_export_of_a_damaged_store_says_that_it_is_partial(commands, crashed):
    path = files_of(crashed, "parts", ".part")[0]
    flip(path, 60)
    result = commands.run("export", "--data", crashed)
    assert result.returncode == 4
    assert b"damaged blocks were left out" in result.stderr
    assert 200 <= len(result.stdout.splitlines()) < 400


@pytest.mark.parametrize("served", [False, True])
def test_a_query_that_damage_made_partial_exits_with_4(commands, crashed, make_server, served):
    os.remove(files_of(crashed, "parts", ".part")[0])
    source = ["--data", crashed]
    if served:
        source = ["--url", make_server(data=crashed).start().url]
    day = ["--start", str(NOON - 3600_000), "--end", str(NOON + 3600_000)]
    table = commands.run("query", *source, *day, "--aggregate", "count", "flushed")
    assert table.returncode == 4, table
    assert table.stderr.count(b"partial") == table.stderr.count(b"blocks were left out") == 1
    assert b"flushed" in table.stdout
    text = commands.ok("query", "--json", *source, *day, "flushed", code=4)
    assert json.loads(text)["partial"] is True


def test_a_label_that_reads_like_partial_makes_no_query_partial(commands):
    path = os.path.join(commands.directory, "in.ndjson")
    with open(path, "w", encoding="utf-8") as file:
        file.write(line("m", {"partial": '"partial":true'}, 1, NOON) + "\n")
    commands.ok("import", "--data", "d", path)
    answer = json.loads(commands.ok("query", "--json", "--data", "d", "--start", str(NOON),
                                    "--end", str(NOON + 1), "m"))
    assert answer["series"][0]["labels"] == {"partial": '"partial":true'}


def test_inspect_knows_every_file_of_a_store(commands, crashed):
    paths = [os.path.join(crashed, "manifest")]
    for folder in ("parts", "index", "wal"):
        paths += files_of(crashed, folder, "")
    kinds = {}
    for path in paths:
        found = json.loads(commands.ok("inspect", "--json", path))
        kinds.setdefault(found["kind"], []).append(found)
        assert found["damaged"] == 0
        text = commands.ok("inspect", path)
        assert found["kind"] in text
        assert len(commands.ok("inspect", "--blocks", path)) >= len(text)
    assert sorted(kinds) == ["index segment", "log segment", "manifest", "part", "series segment"]
    assert sum(part["samples"] for part in kinds["part"]) == 200
    assert kinds["manifest"][0]["part_samples"] == 200
    assert sum(log["samples"] for log in kinds["log segment"]) >= 200


def test_what_inspect_shows_of_blocks_is_the_same_as_json(commands, crashed):
    seen = set()
    for path in [os.path.join(crashed, "manifest"), *(
            path for folder in ("parts", "index", "wal") for path in files_of(crashed, folder, ""))]:
        answer = json.loads(commands.ok("inspect", "--json", "--blocks", path))
        details = answer.pop("details")
        assert answer == json.loads(commands.ok("inspect", "--json", path))
        seen.update(f"{answer['kind']}: {detail['detail']}" for detail in details)
        lines = commands.ok("inspect", "--blocks", path)
        for detail in details:
            kind = detail.pop("detail")
            if kind == "page":
                kind = f"page {detail.pop('page')}"
            if "labels" in detail:
                labels = ",".join(f'"{name}"="{value}"' for name, value in detail.pop("labels").items())
                assert f"{kind} id={detail['id']} metric={detail['metric']} labels={{{labels}}}\n" in lines
            elif kind not in ("metric", "part"):
                fields = [key + "=" + (f"[{value}]" if key == "values" else "%.17g" % value
                                       if isinstance(value, float) else str(value))
                          for key, value in detail.items()]
                assert " ".join([kind, *fields]) + "\n" in lines
        if answer["kind"] == "part":
            blocks = [detail for detail in details if "values" in detail]
            assert len(blocks) == answer["blocks"]
            assert sum(block["count"] for block in blocks) == answer["samples"]
    assert {"manifest: part", "manifest: index", "part: page", "part: block", "series segment: series",
            "series segment: metric", "log segment: commit"} <= seen


def test_inspect_recognises_files_by_content_and_names_what_is_none(commands, crashed):
    for index, path in enumerate([os.path.join(crashed, "manifest"),
                                  files_of(crashed, "parts", ".part")[0]]):
        copy = os.path.join(commands.directory, f"copy-{index}")
        shutil.copy(path, copy)
        commands.ok("inspect", copy)
    other = os.path.join(commands.directory, "other")
    with open(other, "w", encoding="utf-8") as file:
        file.write(line("m", {}, 1, NOON))
    for path in (other, "missing", commands.directory):
        result = commands.run("inspect", path)
        assert result.returncode == 1 and result.stderr != b""
    part = files_of(crashed, "parts", ".part")[0]
    flip(part, 60)
    assert json.loads(commands.ok("inspect", "--json", part, code=4))["damaged"] > 0


def test_verify_refuses_a_store_that_is_open(commands, make_server):
    server = make_server().start()
    result = commands.run("verify", "--data", server.data)
    assert result.returncode == 1
    assert b"locked by process" in result.stderr
