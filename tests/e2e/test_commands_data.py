"""Samples in and out by import, export and query: stopped stores and running servers."""

import gzip
import json
import os
import pty
import select
import signal
import socket
import subprocess
import threading
import unicodedata

import pytest

from conftest import ROOT
from server import wait_until
from store import Commands, line

RECORDING = os.path.join(os.environ.get("METRIC_STORE_RECORDINGS",
                                        os.path.join(ROOT, "..", "shared", "data")),
                         "exporters-5s.txt.zst")
LIFTED = ["--set", "cardinality.max_labels_per_metric=0",
          "--set", "cardinality.max_label_value_length=0",
          "--set", "cardinality.max_series_per_metric=0"]
NOON = 1795305600000

# Every kind of value and time that a store may hold, as export writes them.
STRANGE = [
    line("plain", {}, 1.5, NOON),
    line("plain", {"a": "b", "ü": "日本\n\"\\"}, 0.1, NOON + 1),
    line("zero", {}, "X", NOON).replace('"X"', "-0.0"),
    line("zero", {}, "X", NOON + 1).replace('"X"', "0"),
    line("nan", {}, "NaN", NOON),
    line("nan", {}, "stale", NOON + 1),
    line("nan", {}, "nan:7ff4000000000abc", NOON + 2),
    line("infinite", {}, "+Inf", NOON),
    line("infinite", {}, "-Inf", NOON + 1),
    line("tiny", {}, "X", NOON).replace('"X"', "5e-324"),
    line("large", {}, "X", NOON).replace('"X"', "1.7976931348623157e+308"),
    line("old", {}, 1, -1),
    line("old", {}, 2, -9214560000000),
    line("late", {}, 3, 9214646399999),
]


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


def write(commands, name, content):
    path = os.path.join(commands.directory, name)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def unzstd(data):
    return subprocess.run(["zstd", "-dqc"], input=data, capture_output=True, check=True).stdout


def lines_of(count, name="m"):
    return "".join(line(name, {"host": f"h{i % 7}"}, i, NOON + i * 1000) + "\n"
                   for i in range(count))


# ---- there and back -----------------------------------------------------------------------------


def test_what_export_writes_import_reads_back_bit_for_bit(commands):
    path = write(commands, "in.ndjson", "\n".join(STRANGE) + "\n")
    summary = commands.import_json("--data", "a", "--precision", "ms", path)
    assert summary["accepted"] == len(STRANGE) and summary["rejected"] == 0
    assert summary["new_series"] == 9 and summary["complete"] is True
    assert commands.export_lines("--data", "a") == sorted(STRANGE)
    commands.ok("export", "--data", "a", "-o", "out.ndjson")
    commands.import_json("--data", "b", "--precision", "ms", "out.ndjson")
    assert commands.export_lines("--data", "b") == sorted(STRANGE)


@pytest.mark.parametrize("name, pack", [
    ("in.ndjson", lambda data: data),
    ("in.gz", gzip.compress),
    ("two-members.gz", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
    ("in.zst", zstd),
    ("two-frames.zst", lambda data: zstd(data[:1000]) + zstd(data[1000:])),
])
def test_compressed_files_and_standard_input_are_read(commands, name, pack):
    text = lines_of(2000)
    packed = pack(text.encode())
    path = write(commands, name, packed)
    assert commands.import_json("--data", "file", path)["accepted"] == 2000
    assert commands.import_json("--data", "pipe", "-", data=packed)["accepted"] == 2000
    assert commands.export_lines("--data", "file") == sorted(text.splitlines())
    assert commands.export_lines("--data", "pipe") == sorted(text.splitlines())


def test_a_pipe_that_gives_one_byte_at_first_is_still_recognised(commands):
    packed = zstd(lines_of(10).encode())
    process = commands.start("import", "--json", "--data", "a", "-", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    process.stdin.write(packed[:1])
    process.stdin.flush()
    out, _ = process.communicate(packed[1:], timeout=60)
    assert json.loads(out)["accepted"] == 10


def test_a_named_pipe_is_read_to_its_writers_end(commands):
    pipe = os.path.join(commands.directory, "pipe")
    os.mkfifo(pipe)
    process = commands.start("import", "--json", "--data", "d", pipe, stdout=subprocess.PIPE)
    # Opening waits for the reader.
    with open(pipe, "wb") as writer:
        for text in lines_of(1000).splitlines(keepends=True):
            writer.write(text.encode())
            writer.flush()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(output)["accepted"] == 1000


def open_files(pid):
    folder = f"/proc/{pid}/fd"
    return [os.readlink(os.path.join(folder, number)) for number in os.listdir(folder)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_waits_for_a_pipes_writer_can_be_interrupted(commands, number):
    pipe = os.path.join(commands.directory, "pipe")
    os.mkfifo(pipe)
    process = commands.start("import", "--data", "d", pipe, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    try:
        wait_until(lambda: pipe in open_files(process.pid), what="the pipe being open")
        process.send_signal(number)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130


@pytest.mark.parametrize("reader", ["absent", "stalled", "of standard output"])
def test_an_export_whose_reader_keeps_it_waiting_can_be_interrupted(commands, reader):
    commands.import_json("--data", "d", write(commands, "in.ndjson", lines_of(20000)))
    pipe = os.path.join(commands.directory, "pipe")
    os.mkfifo(pipe)
    # Opened for both ways it needs nobody else.
    held = None if reader == "absent" else os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    standard = os.open(pipe if reader == "of standard output" else os.devnull, os.O_WRONLY)
    output = [] if reader == "of standard output" else ["-o", pipe]
    process = commands.start("export", "--data", "d", *output, stdout=standard,
                             stderr=subprocess.PIPE)
    os.close(standard)
    try:
        if held is None:
            wait_until(lambda: any("signalfd" in name for name in open_files(process.pid)),
                       what="signals being waited for")
        else:
            wait_until(lambda: not select.select([], [held], [], 0)[1], what="a full pipe")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        if held is not None:
            os.close(held)
    assert process.returncode == 130


def test_several_files_of_different_formats_come_in_one_after_the_other(commands):
    paths = [
        write(commands, "a.ndjson", lines_of(3, "a")),
        write(commands, "b.json", json.dumps({"metrics": [
            {"name": "b", "value": 1, "timestamp": NOON}]}, indent=1)),
        write(commands, "c.json", json.dumps([{"name": "c", "value": 1, "timestamp": NOON}])),
        write(commands, "d.json", json.dumps({"name": "d", "value": 2, "timestamp": NOON},
                                             indent=2)),
        write(commands, "e.txt", f'# TYPE e gauge\ne{{x="y"}} 4 {NOON}\n'),
        write(commands, "f.txt", '# TYPE f counter\nf_total 4 1795305600.5\n# EOF\n'),
        write(commands, "g.txt", '#SCRAPE 1795305600000 http://host:9100/metrics\ng 1\n'),
        write(commands, "h.ndjson", ""),
    ]
    summary = commands.import_json("--data", "s", *paths)
    assert summary["accepted"] == 9 and summary["rejected"] == 0
    assert commands.export_lines("--data", "s") == sorted(
        lines_of(3, "a").splitlines() + [
            line("b", {}, 1, NOON), line("c", {}, 1, NOON), line("d", {}, 2, NOON),
            line("e", {"x": "y"}, 4, NOON), line("f_total", {}, 4, NOON + 500),
            line("g", {"instance": "host:9100", "job": "import"}, 1, NOON)])


def test_text_whose_seconds_could_be_milliseconds_is_not_guessed(commands):
    text = "".join(f"m{i} 1 1795305600\n" for i in range(6000)).encode()
    assert len(text) > 64 * 1024
    result = commands.run("import", "--data", "s", "-", data=text)
    assert result.returncode == 1
    assert b"--format openmetrics or --format text" in result.stderr
    summary = commands.import_json("--data", "s", "--format", "text", "-", data=text)
    assert summary["accepted"] == 6000


def test_an_openmetrics_export_larger_than_a_piece_comes_back_whole(commands):
    # Families of very different size: one is larger than the 16 MiB of a piece.
    lines = [line("big", {"host": f"host-{i % 50:03}", "zone": "z" * 60}, i, NOON + i)
             for i in range(180000)]
    lines += [line(f"small_{i}", {}, i, NOON) for i in range(500)]
    path = write(commands, "in.ndjson", "\n".join(lines) + "\n")
    commands.import_json("--data", "a", path)
    commands.ok("export", "--data", "a", "--format", "openmetrics", "-o", "out.om")
    assert os.path.getsize(os.path.join(commands.directory, "out.om")) > 16 << 20
    assert commands.import_json("--data", "b", "out.om")["accepted"] == len(lines)
    assert commands.export_lines("--data", "b") == sorted(lines)


def test_export_selects_by_labels_time_and_number(commands):
    commands.import_json("--data", "s", write(commands, "in", lines_of(70) + lines_of(7, "other")))
    one = commands.export_lines("--data", "s", "--match", 'm{host="h3"}')
    assert len(one) == 10 and all('"host":"h3"' in text for text in one)
    both = commands.export_lines("--data", "s", "--match", 'm{host="h3"}', "--match", "other")
    assert len(both) == 17
    part = commands.export_lines("--data", "s", "--start", "2026-11-22T00:00:10Z",
                                 "--end", str(NOON + 20000))
    assert sorted(json.loads(text)["timestamp"] for text in part) == [
        NOON + i * 1000 for i in range(10, 20)]
    assert len(commands.export_lines("--data", "s", "--limit", "1", "--match", "m")) == 10
    result = commands.run("export", "--data", "s", "--match", "m{")
    assert result.returncode != 0 and b"selector" in result.stderr


@pytest.mark.parametrize("name, unpack", [
    ("out.ndjson", lambda data: data), ("out.gz", gzip.decompress), ("out.zst", unzstd)])
def test_an_export_file_gets_its_name_when_it_is_whole(commands, name, unpack):
    commands.import_json("--data", "s", write(commands, "in", lines_of(5000)))
    commands.ok("export", "--data", "s", "-o", name)
    with open(os.path.join(commands.directory, name), "rb") as file:
        assert sorted(unpack(file.read()).decode().splitlines()) == sorted(
            lines_of(5000).splitlines())
    assert commands.run("export", "--data", "s", "--match", "m{", "-o", "never").returncode != 0
    assert not [left for left in os.listdir(commands.directory)
                if left.startswith("never") or left.endswith(".partial")]


@pytest.mark.parametrize("name, unpack, begins, ends", [
    ("out.jsonl", lambda data: data, b'{"', b"}\n"),
    ("out.csv", lambda data: data, b"name,", b"\n"),
    ("out.csv.zst", unzstd, b"name,", b"\n"),
    ("out.om.gz", gzip.decompress, b"# TYPE ", b"# EOF\n"),
    ("out.openmetrics", lambda data: data, b"# TYPE ", b"# EOF\n"),
    ("csv", lambda data: data, b'{"', b"}\n"),
])
def test_the_name_of_an_export_file_says_its_format(commands, name, unpack, begins, ends):
    commands.import_json("--data", "s", write(commands, "in", lines_of(10)))
    commands.ok("export", "--data", "s", "-o", name)
    with open(os.path.join(commands.directory, name), "rb") as file:
        content = unpack(file.read())
    assert content.startswith(begins) and content.endswith(ends), content
    commands.ok("export", "--data", "s", "--format", "ndjson", "-o", name)
    with open(os.path.join(commands.directory, name), "rb") as file:
        assert unpack(file.read()).startswith(b'{"')


def test_a_format_that_there_is_not_yet_is_refused_by_name_too(commands):
    result = commands.run("export", "--data", "s", "-o", "out.parquet")
    assert result.returncode == 2 and b"parquet is not available" in result.stderr


# ---- refusals -----------------------------------------------------------------------------------


def test_refused_lines_are_counted_by_reason_with_the_first_of_each(commands):
    text = "\n".join([
        line("good", {}, 1, NOON),
        "{broken",
        line("good", {}, "much", NOON),
        line("good", {}, 2, 1795305600),
        line("m", {f"l{i}": "x" for i in range(11)}, 1, NOON),
        line("m", {"long": "x" * 101}, 1, NOON),
        line("good", {}, "none", NOON + 1),
    ] + [line("many", {"id": str(i)}, 1, NOON) for i in range(12)])
    path = write(commands, "in.ndjson", text)
    summary = commands.import_json("--data", "s", "--set", "cardinality.max_series_per_metric=10",
                                   path, code=3)
    assert summary["accepted"] == 11 and summary["rejected"] == 8
    reasons = {reason["code"]: reason for reason in summary["reasons"]}
    assert {code: reason["samples"] for code, reason in reasons.items()} == {
        "json_invalid": 1, "value_invalid": 2, "timestamp_implausible": 1, "label_limit": 1,
        "label_value_limit": 1, "cardinality_limit": 2}
    assert reasons["value_invalid"]["line"] == 3 and reasons["label_value_limit"]["line"] == 6
    assert "cardinality.max_labels_per_metric" in reasons["label_limit"]["message"]
    assert "cardinality.max_label_value_length" in reasons["label_value_limit"]["message"]
    assert "cardinality.max_series_per_metric" in reasons["cardinality_limit"]["message"]
    assert all(reason["file"] == path for reason in reasons.values())
    shown = commands.ok("import", "--data", "s", path, code=3)
    assert "rejected    " in shown and "timestamp_implausible" in shown


def test_lines_beyond_every_buffer_are_refused_and_the_rest_is_kept(commands):
    huge = line("huge", {"l": "x" * (9 << 20)}, 1, NOON)
    text = line("before", {}, 1, NOON) + "\n" + huge + "\n" + line("after", {}, 1, NOON)
    summary = commands.import_json("--data", "s", "-", data=text.encode(), code=3)
    assert summary["accepted"] == 2 and summary["rejected"] == 1
    assert summary["reasons"][0]["code"] == "sample_too_large"
    assert summary["reasons"][0]["line"] == 2


def test_line_numbers_count_over_all_pieces_of_a_file(commands):
    good = lines_of(60000)
    assert len(good) > 4 << 20
    summary = commands.import_json("--data", "s", "-", data=(good + "{broken\n").encode(), code=3)
    assert summary["accepted"] == 60000
    assert summary["reasons"][0]["line"] == 60001


@pytest.mark.parametrize("name, content, sentence", [
    ("cut.gz", gzip.compress(lines_of(5000).encode())[:-40], "cut off"),
    ("flipped.gz", None, "damaged"),
    ("cut.zst", zstd(lines_of(5000).encode())[:-40], "cut off"),
    ("binary", bytes(range(256)) * 10, "is not text of any format"),
    ("cut.json", b'[{"name":"x","value":1},', "json"),
    ("no-eof.om", b"# TYPE a gauge\na 1\n", "EOF"),
])
def test_broken_files_are_named_with_what_is_wrong(commands, name, content, sentence):
    if content is None:
        packed = bytearray(gzip.compress(lines_of(5000).encode()))
        packed[len(packed) // 2] ^= 0x10
        content = bytes(packed)
    path = write(commands, name, content)
    result = commands.run("import", "--json", "--data", "s", path)
    assert result.returncode == 1, result.stdout
    assert name in result.stderr.decode() and sentence.lower() in result.stderr.decode().lower()
    assert json.loads(result.stdout)["complete"] is False
    commands.ok("verify", "--data", "s")


def test_a_broken_file_does_not_keep_the_next_one_out(commands):
    broken = write(commands, "broken.json", "[")
    good = write(commands, "good.ndjson", lines_of(5))
    result = commands.run("import", "--json", "--data", "s", broken, good)
    assert result.returncode == 1 and json.loads(result.stdout)["accepted"] == 5
    result = commands.run("import", "--data", "t", good, "missing")
    assert result.returncode == 1 and b"missing" in result.stderr
    assert not os.path.exists(os.path.join(commands.directory, "t"))


# ---- recordings ---------------------------------------------------------------------------------


needs_recording = pytest.mark.skipif(not os.path.exists(RECORDING),
                                     reason="the recording of exporters is not part of this one")


@needs_recording
def test_a_recording_comes_in_whole_where_limits_are_lifted(commands):
    with open(RECORDING, "rb") as file:
        text = unzstd(file.read()).decode()
    samples = sum(1 for text_line in text.splitlines() if text_line and text_line[0] != "#")
    summary = commands.import_json("--data", "s", *LIFTED, RECORDING)
    assert summary["accepted"] == samples and summary["rejected"] == 0
    exported = commands.export_lines("--data", "s")
    assert len(exported) == samples == len(set(exported))
    again = commands.import_json("--data", "s", *LIFTED, RECORDING)
    assert again["accepted"] == samples and again["new_series"] == 0
    assert commands.export_lines("--data", "s") == exported
    commands.ok("verify", "--data", "s")


@needs_recording
def test_a_recording_meets_the_default_limits_exactly(commands):
    with open(RECORDING, "rb") as file:
        text = unzstd(file.read()).decode()
    commands.import_json("--data", "all", *LIFTED, RECORDING)
    all_lines = commands.export_lines("--data", "all")
    refused_labels = refused_values = 0
    expected = []
    for text in all_lines:
        labels = json.loads(text)["labels"]
        if len(labels) > 10:
            refused_labels += 1
        elif any(len(value.encode()) > 100 for value in labels.values()):
            refused_values += 1
        else:
            expected.append(text)
    assert refused_labels + refused_values > 0
    summary = commands.import_json("--data", "some", RECORDING, code=3)
    by_code = {reason["code"]: reason for reason in summary["reasons"]}
    assert {code: reason["samples"] for code, reason in by_code.items()} == {
        code: count for code, count in (("label_limit", refused_labels),
                                        ("label_value_limit", refused_values)) if count}
    if refused_values:
        assert "cardinality.max_label_value_length" in by_code["label_value_limit"]["message"]
    if refused_labels:
        assert "cardinality.max_labels_per_metric" in by_code["label_limit"]["message"]
    assert commands.export_lines("--data", "some") == expected


@needs_recording
def test_a_recording_comes_back_through_openmetrics(commands):
    commands.import_json("--data", "a", *LIFTED, RECORDING)
    previous = "a"
    for copy in ("b", "c"):
        commands.ok("export", "--data", previous, "--format", "openmetrics", "-o", f"{copy}.om")
        commands.import_json("--data", copy, *LIFTED, "--format", "openmetrics", f"{copy}.om")
        previous = copy
    texts = []
    for name in ("b.om", "c.om"):
        with open(os.path.join(commands.directory, name), "rb") as file:
            texts.append(file.read())
    same = texts[0] == texts[1]
    assert same
    assert texts[0].count(b" counter\n") > 100
    for copy in ("b", "c"):
        same = commands.export_lines("--data", copy) == commands.export_lines("--data", "a")
        assert same


# ---- interruptions ------------------------------------------------------------------------------


def test_an_interrupted_import_keeps_what_it_counted(commands):
    process = commands.start("import", "--json", "--data", "s", "-", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # More than a piece, and then the sender falls silent with the pipe open.
    process.stdin.write(lines_of(120000).encode())
    process.stdin.flush()
    wal = os.path.join(commands.directory, "s", "manifest")
    wait_until(lambda: os.path.exists(wal), what="the store")
    process.send_signal(signal.SIGINT)
    code = process.wait(60)
    summary = json.loads(process.stdout.read())
    errors = process.stderr.read().decode()
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()
    assert code == 130
    assert summary["complete"] is False and "interrupted" in errors
    assert len(commands.export_lines("--data", "s")) == summary["accepted"]
    commands.ok("verify", "--data", "s")


def test_an_export_whose_reader_leaves_ends_quietly(commands):
    commands.import_json("--data", "s", write(commands, "in", lines_of(60000)))
    process = commands.start("export", "--data", "s", stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert errors == b""
    commands.ok("verify", "--data", "s")


def test_a_progress_bar_is_drawn_on_a_terminal_and_taken_away_again(commands):
    try:
        master, terminal = pty.openpty()
    except OSError:  # a chroot without /dev/pts
        pytest.skip("no pseudo-terminals here")
    process = commands.start("import", "--data", "s", "-", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    os.set_blocking(master, False)
    drawn = b""
    piece = lines_of(65000).encode()

    def read_terminal():
        nonlocal drawn
        try:
            drawn += os.read(master, 65536)
        except OSError:  # nothing there, or nobody writes any more
            pass
        return drawn

    def feed():
        process.stdin.write(piece)
        process.stdin.flush()
        return b"MiB" in read_terminal()

    wait_until(feed, what="a progress bar")
    process.stdin.close()
    out = process.stdout.read()
    assert process.wait(60) == 0
    process.stdout.close()
    read_terminal()
    os.close(master)
    assert drawn.startswith(b"\r\x1b[Kimport  ")
    assert drawn.endswith(b"\r\x1b[K")
    assert b"\x1b" not in out and out.startswith(b"accepted")


# ---- queries ------------------------------------------------------------------------------------


def width(text):
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def test_query_prints_a_table_that_lines_up(commands):
    text = "\n".join([line("m", {"city": "Köln"}, 1.5, NOON), line("m", {"city": "東京"}, 22, NOON),
                      line("m", {"evil": "\x1b[2J\n"}, 3, NOON)])
    commands.import_json("--data", "s", write(commands, "in", text))
    times = ["--start", "2026-11-22T00:00:00Z", "--end", "2026-11-23T00:00:00Z"]
    shown = commands.ok("query", "--data", "s", *times, "m").splitlines()
    assert [row.split() for row in shown] == [
        ["metric", "city", "evil", "time", "value"],
        ["m", "Köln", "2026-11-22T00:00:00Z", "1.5"],
        ["m", "東京", "2026-11-22T00:00:00Z", "22"],
        ["m", "\\x1b[2J\\n", "2026-11-22T00:00:00Z", "3"],
    ]
    assert len({width(row) for row in shown}) == 1
    assert len({width(row[:row.index("2026")]) for row in shown[1:]}) == 1
    answer = json.loads(commands.ok("query", "--data", "s", *times, "--json", "--metric", "m",
                                    "--aggregate", "sum", "--by", ""))
    assert answer["series"][0]["points"] == [[NOON, 26.5]]


def test_a_query_that_means_nothing_is_wrong_usage(commands):
    commands.import_json("--data", "s", write(commands, "in", lines_of(1)))
    for arguments in (["m{"], ["m", "--aggregate", "total"], ["m", "--start", "yesterday"]):
        result = commands.run("query", "--data", "s", *arguments)
        assert result.returncode == 2, result.stderr


# ---- a running server ---------------------------------------------------------------------------


def test_import_and_export_through_a_server_keep_every_bit(commands, make_server):
    server = make_server().start()
    path = write(commands, "in.ndjson", "\n".join(STRANGE) + "\n")
    summary = commands.import_json("--url", server.url, "--precision", "ms", path)
    assert summary["accepted"] == len(STRANGE) and summary["rejected"] == 0
    assert commands.export_lines("--url", server.url) == sorted(STRANGE)
    commands.ok("export", "--url", server.url, "--format", "openmetrics", "-o", "out.om")
    with open(os.path.join(commands.directory, "out.om"), encoding="utf-8") as file:
        assert file.read().endswith("# EOF\n")
    times = ["--start", "1970-01-01T00:00:00Z", "--end", "2100-01-01T00:00:00Z"]
    answer = json.loads(commands.ok("query", "--url", server.url, *times, "--json", "zero"))
    assert [point[0] for point in answer["series"][0]["points"]] == [NOON, NOON + 1]
    for arguments in (["export"], ["query", "zero"], ["verify"], ["import", path]):
        result = commands.run(*arguments, "--data", server.data)
        assert result.returncode == 1
        assert b"locked by process" in result.stderr
        if arguments[0] != "verify":
            assert b"--url" in result.stderr


def test_text_and_recordings_through_a_server_bring_their_descriptions(commands, make_server):
    server = make_server().start()
    text = ("# TYPE t_requests counter\n# HELP t_requests Requests \"seen\".\n"
            "#SCRAPE 1795305600000 http://host:9100/metrics\n"
            "t_requests 1\nt_requests 2 1795305601000\n"
            "nan_value NaN\n" 'utf8{l="ü"} 3\n' 'double{a="1",a="2"} 4\n')
    summary = commands.import_json("--url", server.url, "-", data=text.encode(), code=3)
    assert summary["accepted"] == 4
    assert [reason["code"] for reason in summary["reasons"]] == ["label_duplicate"]
    assert summary["reasons"][0]["line"] == 8
    metrics = server.session.get(server.url + "/api/v1/metrics").json()["metrics"]
    described = {metric["name"]: metric for metric in metrics}
    assert described["t_requests"]["type"] == "counter"
    assert described["t_requests"]["help"] == 'Requests "seen".'
    assert '"value":"NaN"' in "".join(commands.export_lines("--url", server.url))


def test_a_document_that_is_refused_whole_is_named_and_no_line_0_is(commands, make_server):
    server = make_server().start()
    path = write(commands, "array.json", json.dumps([{"name": "a", "value": "x"},
                                                     {"name": "b", "value": 1}]))
    for target in (["--data", "d"], ["--url", server.url]):
        failed = commands.run("import", *target, "--format", "openmetrics", path)
        assert failed.returncode == 1
        assert f"{path}: ".encode() in failed.stderr and b"line 1" in failed.stderr
        summary = commands.import_json(*target, path, code=3)
        assert [reason["code"] for reason in summary["reasons"]] == ["value_invalid"]
        assert "line" not in summary["reasons"][0]


def test_refusals_of_a_server_name_file_line_and_setting(commands, make_server):
    server = make_server("cardinality.max_label_value_length=5").start()
    text = lines_of(60000) + line("m", {"host": "longer"}, 1, NOON) + "\n"
    path = write(commands, "in.ndjson", text)
    summary = commands.import_json("--url", server.url, path, code=3)
    assert summary["accepted"] == 60000 and summary["rejected"] == 1
    assert summary["reasons"][0]["line"] == 60001
    assert "cardinality.max_label_value_length" in summary["reasons"][0]["message"]
    only = write(commands, "only.ndjson", line("m", {"host": "longer"}, 1, NOON))
    assert commands.import_json("--url", server.url, only, code=3)["rejected"] == 1


class Fake:
    """A server that sends what it is told, one answer a connection."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        for answer in self.answers:
            connection, _ = self.listener.accept()
            with connection:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                head, _, body = data.partition(b"\r\n\r\n")
                length = [int(field.split(b":")[1]) for field in head.split(b"\r\n")
                          if field.lower().startswith(b"content-length:")]
                while length and len(body) < length[0]:
                    body += connection.recv(65536)
                self.requests.append(head.split(b"\r\n")[0].decode())
                connection.sendall(answer)
        self.listener.close()


def answer(status, body, *fields, length=None):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}",
            "Connection: close", *fields]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


COUNTS = b'{"accepted":1,"rejected":0,"new_series":1,"errors":[],"warnings":[]}'


def test_import_tries_again_while_the_server_is_busy_and_after_a_lost_answer(commands):
    fake = Fake([
        answer("503 Service Unavailable", b'{"detail":"full"}', "Retry-After: 1"),
        answer("429 Too Many Requests", b"{}"),
        answer("200 OK", COUNTS[:20], length=len(COUNTS)),
        answer("200 OK", COUNTS),
    ])
    summary = commands.import_json("--url", fake.url, "-",
                                   data=(line("m", {}, 1, NOON) + "\n").encode())
    assert summary["accepted"] == 1 and summary["seconds"] >= 1
    assert fake.requests == ["POST /api/v1/metrics/ingest/batch HTTP/1.1"] * 4


def test_import_gives_up_after_the_time_it_was_given(commands):
    fake = Fake([answer("503 Service Unavailable", b'{"detail":"full"}')] * 50)
    result = commands.run("import", "--retry", "200ms", "--url", fake.url, "-",
                          data=(line("m", {}, 1, NOON) + "\n").encode())
    assert result.returncode == 1
    assert b"full" in result.stderr and b"gave up" in result.stderr


NDJSON = "Content-Type: application/x-ndjson"


@pytest.mark.parametrize("sent", [
    answer("200 OK", b'{"name":"x"}\n', NDJSON, length=100),
    f"HTTP/1.1 200 OK\r\n{NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcd\n\r\n".encode(),
    f"HTTP/1.1 200 OK\r\n{NDJSON}\r\nConnection: close\r\n\r\nabcd\n".encode(),
    answer("200 OK", b'{"name":"x"', NDJSON),
])
def test_an_export_that_is_cut_off_fails_and_leaves_no_file(commands, sent):
    fake = Fake([sent])
    result = commands.run("export", "--url", fake.url, "-o", "out")
    assert result.returncode == 1, result.stderr
    assert result.stderr != b""
    assert os.listdir(commands.directory) == []


def test_an_openmetrics_export_without_its_end_is_cut_off(commands):
    fake = Fake([answer("200 OK", b"# TYPE a gauge\na 1\n",
                        "Content-Type: application/openmetrics-text; version=1.0.0")])
    result = commands.run("export", "--format", "openmetrics", "--url", fake.url)
    assert result.returncode == 1 and b"cut off" in result.stderr


def test_an_answer_that_is_no_metric_store_is_named(commands):
    for status in ("404 Not Found", "500 Oops", "200 OK"):
        fake = Fake([answer(status, b"<html>hello</html>\n")] * 2)
        result = commands.run("query", "--url", fake.url, "x")
        assert result.returncode in (1, 2)
        assert result.stdout == b"" and b"metric-store" in result.stderr


def test_a_query_that_is_too_large_fails_in_the_same_way_from_a_server_and_from_a_store(
        commands, make_server):
    server = make_server("query.max_points=100").start()
    too_many = ["--aggregate", "sum", "--interval", "1s", "--start", "now-1h", "m"]
    senseless = ["--start", "nonsense", "m"]
    server.ingest([{"name": "m", "value": 1}])
    asked = [commands.run("query", "--url", server.url, *arguments).returncode
             for arguments in (too_many, senseless)]
    assert commands.run("query", "--url", server.url + "/elsewhere", "m").returncode == 1
    assert server.stop() == 0
    read = [commands.run("query", "--data", server.data, "--set", "query.max_points=100",
                         *arguments).returncode for arguments in (too_many, senseless)]
    assert asked == read == [1, 2]


def test_an_empty_table_says_where_it_looked(commands):
    commands.import_json("--data", "s", "-", data=lines_of(1).encode())
    result = commands.run("query", "--data", "s", "nothing")
    assert result.returncode == 0 and b"--start now-1d looks further back" in result.stderr
    assert commands.run("query", "--data", "s", "--start", "now-1d", "nothing").stderr == b""
    assert commands.run("query", "--data", "s", "--json", "nothing").stderr == b""


def test_an_export_for_what_cannot_be_is_a_wrong_usage(commands, server):
    for arguments in (["--match", "x{"], ["--start", "nonsense"]):
        assert commands.run("export", "--url", server.url, *arguments).returncode == 2
    server.ingest([{"name": "m", "value": 1}])
    locked = commands.run("verify", "--data", server.data)
    assert locked.returncode == 1 and b"or verify a snapshot of it" in locked.stderr
    assert server.stop() == 0
    for arguments in (["--match", "x{"], ["--start", "nonsense"]):
        assert commands.run("export", "--data", server.data, *arguments).returncode == 2
