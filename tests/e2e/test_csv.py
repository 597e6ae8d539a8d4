"""CSV in and out: the API and the commands, against Python's own reader and writer of CSV."""

import csv
import io
import json
import os

import pytest

from exact import json_of_bits
from store import Commands
from test_special_values import TIMES, VALUES

IMPORT = "/api/v1/import/csv"
HEADER = "name,labels,value,timestamp\n"
NOON = 1795305600000

# What readers of CSV stumble over: quotes, commas, line ends, marks, spaces, and nothing at all.
STRANGE = ["a", 'say "so"', '"', '""', ",", ",,", "two\nlines", "\r\n", "\r", " padded ", "\t", "#x",
           "\ufeff", "=1+1", "日本", "é☃😀", "\\", "\\n", "'", ";", "\x01\x1f\x7f", "null", "{}", "%s"]


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


def write(commands, name, content):
    path = os.path.join(commands.directory, name)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def strange_lines():
    """NDJSON of every strange text as a metric's name, a label's name and a label's value."""
    lines = []
    for i, text in enumerate(STRANGE):
        lines.append({"name": text, "labels": {}, "value": i, "timestamp": NOON + i})
        lines.append({"name": "x", "labels": {text: "v", "to": text}, "value": -i / 7,
                      "timestamp": NOON + i})
    texts = [json.dumps(line) for line in lines]
    for name, bits in VALUES.items():
        texts.append(f'{{"name":"values","labels":{{"k":"{name}"}},"value":{json_of_bits(bits)},'
                     f'"timestamp":{NOON}}}')
    for name, time_ms in TIMES.items():
        texts.append(f'{{"name":"times","labels":{{"k":"{name}"}},"value":0.1,'
                     f'"timestamp":{time_ms}}}')
    return "\n".join(texts) + "\n"


LIFTED = ("cardinality.max_series_per_metric=0", "cardinality.max_labels_per_metric=0",
          "cardinality.max_label_value_length=0")


def ingest_strange(server):
    body = strange_lines()
    answer = server.post("/api/v1/metrics/ingest/batch?precision=ms", body.encode(),
                         "application/x-ndjson").json()
    assert (answer["accepted"], answer["rejected"]) == (body.count("\n"), 0), answer


def export(server, form, **params):
    answer = server.session.get(server.url + "/api/v1/metrics/export", timeout=60,
                                params={"format": form, **params})
    assert answer.status_code == 200, answer.text
    return answer


def as_tuples(ndjson):
    """What an export holds; values as the text that stands there."""
    lines = [json.loads(line, parse_float=str, parse_int=str)
             for line in ndjson.decode().split("\n") if line]
    return [(line["name"], line["labels"], line["value"], line["timestamp"]) for line in lines]


def csv_tuples(text):
    rows = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert rows[0] == ["name", "labels", "value", "timestamp"]
    return [(name, json.loads(labels), value, timestamp) for name, labels, value, timestamp
            in rows[1:]]


def test_an_export_imported_again_gives_the_same_export(make_server, tmp_path):
    first = make_server(*LIFTED, data=tmp_path / "first").start()
    ingest_strange(first)
    answer = export(first, "csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    second = make_server(*LIFTED, data=tmp_path / "second").start()
    stored = second.post(IMPORT, answer.content, "text/csv").json()
    assert stored["rejected"] == 0 and stored["errors"] == []
    assert stored["accepted"] == strange_lines().count("\n")
    assert export(second, "csv").content == answer.content
    assert export(second, "ndjson").content == export(first, "ndjson").content


def test_another_reader_of_csv_reads_the_export(server):
    server.settings += LIFTED
    server.stop()
    server.start()
    ingest_strange(server)
    assert csv_tuples(export(server, "csv").content) == as_tuples(export(server, "ndjson").content)


def test_an_empty_store_gives_a_header_alone(server, commands):
    assert export(server, "csv").text == HEADER
    commands.ok("import", "--data", "s", write(commands, "empty.csv", HEADER))
    assert commands.ok("export", "--data", "s", "--format", "csv") == HEADER


def test_an_export_selects_and_is_compressed_as_asked(server):
    server.ingest([{"name": f"m{i}", "value": i, "timestamp": NOON} for i in range(500)])
    assert export(server, "csv", **{"match[]": "m3"}).text == f"{HEADER}m3,{{}},3,{NOON}\n"
    answer = server.session.get(server.url + "/api/v1/metrics/export", timeout=60,
                                params={"format": "csv"}, headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("Content-Encoding") == "gzip"
    assert answer.text.count("\n") == 501
    answer = server.session.get(server.url + "/api/v1/metrics/export", timeout=60,
                                params={"format": "xlsx"})
    assert answer.status_code == 400 and "csv" in answer.json()["detail"]


@pytest.mark.parametrize("dialect", ["excel", "unix"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_another_writer_of_csv_wrote_is_read(server, dialect, mark):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["time", "name", "host", "note", "value"], dialect=dialect)
    writer.writeheader()
    for i, strange in enumerate(STRANGE):
        writer.writerow({"time": NOON + i, "name": "x", "host": "h", "note": strange, "value": i})
    answer = server.post(IMPORT, (mark + text.getvalue()).encode(), "text/csv").json()
    assert (answer["accepted"], answer["rejected"]) == (len(STRANGE), 0), answer
    got = {(sample["labels"].get("note"), sample["value"], sample["timestamp"])
           for sample in server.export()}
    assert got == {(strange, i, NOON + i) for i, strange in enumerate(STRANGE)}


def test_a_mapping_reads_a_file_of_another_shape(server):
    body = ("2026-11-22 10:00:00+00,kitchen,21.5,40\n"
            "2026-11-22T10:01:00Z,kitchen,21.6,\n")
    answer = server.post(IMPORT, body, "text/csv", params={
        "format": "1:time:rfc3339,2:label:room,3:metric:celsius,4:metric:humidity"})
    assert answer.json()["accepted"] == 3, answer.text
    assert {(s["name"], s["labels"]["room"], s["value"], s["timestamp"])
            for s in server.export()} == {
                ("celsius", "kitchen", 21.5, 1795341600000),
                ("celsius", "kitchen", 21.6, 1795341660000),
                ("humidity", "kitchen", 40, 1795341600000)}


def test_times_follow_the_precision(server):
    body = "name,value,timestamp\nx,1,1795305600\n"
    assert server.post(IMPORT, body, "text/csv", params={"precision": "s"}).status_code == 200
    assert server.export()[0]["timestamp"] == NOON


def test_a_wrong_line_is_refused_alone(server):
    body = (HEADER + 'good,{},1,5\n' 'bad,{},x,5\n' 'bad,{"a"},1,5\n' '"bad"x,{},1,5\n'
            'bad,"{""a"":""b""}",1,noon\n' 'good,"{""a"":""two\nlines""}"\n' 'good,{},2,6\n'
            'bad,"never closed,1,5\n' 'good,{},3,7\n')
    answer = server.post(IMPORT, body, "text/csv")
    assert answer.status_code == 200
    answer = answer.json()
    assert (answer["accepted"], answer["rejected"]) == (3, 6), answer
    assert [(error["line"], error["code"]) for error in answer["errors"]] == [
        (3, "value_invalid"), (4, "csv_syntax"), (5, "csv_syntax"), (6, "timestamp_invalid"),
        (7, "csv_syntax"), (10, "csv_syntax")]
    assert all(error["message"] for error in answer["errors"])
    body = HEADER + "good,{},9,8\nbad,{},x,5\n"
    answer = server.post(IMPORT, body, "text/csv", params={"atomic": "true"})
    assert answer.status_code == 400
    assert [sample["value"] for sample in server.export()] == [1, 2, 3]


@pytest.mark.parametrize("body, params, code, sentence", [
    ("a,b\n1,2\n", {}, "csv_header_invalid", "there is no column for the metric's name"),
    ("name;value\na;1\n", {}, "csv_header_invalid",
     'one column, "name;value"; columns are separated by commas'),
    ("name\tvalue\na\t1\n", {}, "csv_header_invalid", "separated by commas"),
    ("name,value,\n", {}, "csv_header_invalid", "column 3 of the header has no name"),
    (b"name,value\xff\n", {}, "csv_header_invalid", "not valid UTF-8"),
    (HEADER, {"format": "1:nmae"}, "invalid_parameter", 'invalid parameter "format": "1:nmae"'),
    (HEADER, {"format": "1:metric:a,1:metric:b"}, "invalid_parameter", "mapped twice"),
    (HEADER, {"header": "perhaps"}, "invalid_parameter", "header"),
    (HEADER, {"header": "false"}, "invalid_parameter", "without a header columns must be mapped"),
    (HEADER, {"precision": "h"}, "invalid_parameter", "precision"),
    (HEADER, {"fromat": "1:name"}, "invalid_parameter", "the nearest is format"),
    (HEADER, {"xyz": "1"}, "invalid_parameter",
     "this route takes atomic, format, header, precision"),
])
def test_what_makes_a_document_unreadable_is_said(server, body, params, code, sentence):
    answer = server.post(IMPORT, body, "text/csv", params=params)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == code
    assert sentence in answer.json()["detail"]
    assert server.export() == []


def test_another_content_type_is_refused(server):
    answer = server.post(IMPORT, HEADER, "application/json")
    assert answer.status_code == 415 and "text/csv" in answer.json()["detail"]


def test_the_commands_keep_every_bit(commands, make_server):
    source = write(commands, "in.ndjson", strange_lines())
    lifted = [word for setting in LIFTED for word in ("--set", setting)]
    commands.ok("import", "--data", "a", *lifted, "--precision", "ms", source)
    commands.ok("export", "--data", "a", "--format", "csv", "-o", "a.csv.zst")
    assert commands.import_json("--data", "b", *lifted, "a.csv.zst")["rejected"] == 0
    assert commands.export_lines("--data", "a") == commands.export_lines("--data", "b")
    commands.ok("export", "--data", "b", "--format", "csv", "-o", "b.csv.gz")
    server = make_server(*LIFTED).start()
    assert commands.import_json("--url", server.url, "b.csv.gz")["rejected"] == 0
    there = commands.ok("export", "--url", server.url, "--format", "csv")
    assert there == commands.ok("export", "--data", "a", "--format", "csv")
    # Without a name: an export is known by its header.
    standard = commands.import_json("--data", "c", *lifted, "-", data=there.encode())
    assert standard["rejected"] == 0
    assert commands.export_lines("--data", "a") == commands.export_lines("--data", "c")


def test_lines_are_counted_over_all_pieces_of_a_file(commands):
    """Quoted line ends fall on every boundary between pieces of the file sooner or later."""
    rows, refused = 120_000, 0
    lines = [HEADER]
    for i in range(rows):
        if i % 20_000 == 19_999:
            lines.append("bad,{},x,1\n")
            refused += 1
        lines.append(f'm,"{{""n"":""{i % 50}""\n}}","{i}",{NOON + i}\n')
    content = "".join(lines)
    assert len(content) > 4 << 20
    summary = commands.import_json("--data", "s", write(commands, "big.csv", content), code=3)
    assert (summary["accepted"], summary["rejected"]) == (rows, refused)
    assert summary["reasons"][0]["line"] == content[:content.index("bad")].count("\n") + 1
    assert len(commands.export_lines("--data", "s")) == rows


def test_columns_are_mapped_on_the_command_line(commands):
    path = write(commands, "plain", "1795305600,21.5,kitchen\n")
    commands.ok("import", "--data", "s", "--no-header", "--columns",
                "1:time:unix_s,2:metric:celsius,3:label:room", path)
    assert commands.export_lines("--data", "s") == [
        f'{{"name":"celsius","labels":{{"room":"kitchen"}},"value":21.5,"timestamp":{NOON}}}']
    errors = commands.run("import", "--data", "s", "--columns", "1:nmae", path)
    assert errors.returncode == 2 and b"nmae" in errors.stderr
    errors = commands.run("import", "--data", "s", "--no-header", path)
    assert errors.returncode == 2 and b"--columns" in errors.stderr
    errors = commands.run("import", "--data", "s", "--columns", "room:label,t:metric", path)
    assert errors.returncode == 1 and b"none is" in errors.stderr
