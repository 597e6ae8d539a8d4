"""An import that was cut short goes on behind what was acknowledged, and nothing is missing."""

import gzip
import http.client
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from server import wait_until
from store import Commands

NOON = 1795305600000
# An import remembers at most every half second how far it is.
SAVE_INTERVAL_S = 0.55


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


def zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def write(commands, name, content):
    path = os.path.join(commands.directory, name)
    content = content if isinstance(content, bytes) else content.encode()
    pack = {"gz": gzip.compress, "zst": zstd}.get(name.rsplit(".", 1)[-1], lambda data: data)
    with open(path, "wb") as file:
        file.write(pack(content))
    return path


def states(commands):
    folder = os.path.join(commands.directory, "state", "metric-store", "import")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                  if "." not in name) if os.path.isdir(folder) else []


class SlowServer:
    """Stands before a real server. The first write is answered after the interval in which an import
    remembers, the next ones at once, and from `held` on none until release()."""

    def __init__(self, port, held):
        self.writes = 0
        self.let_go = threading.Event()
        self.held = held
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                size = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(size)
                if self.command == "POST" and not self.path.endswith("/register"):
                    outer.writes += 1
                    if outer.writes >= outer.held and not outer.let_go.is_set():
                        outer.let_go.wait(300)
                        self.close_connection = True
                        return
                    if outer.writes == 1:
                        time.sleep(SAVE_INTERVAL_S)
                real = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                headers = {name: value for name, value in self.headers.items()
                           if name.lower() not in ("host", "connection", "expect",
                                                   "accept-encoding")}
                real.request(self.command, self.path, body or None, headers)
                answer = real.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                real.close()

            do_GET = do_POST = forward

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def release(self):
        self.let_go.set()

    def close(self):
        self.release()
        self.server.shutdown()
        self.server.server_close()


PAD = "x" * 80


def ndjson():
    return "".join(f'{{"name":"m","labels":{{"n":"{i % 97}","pad":"{PAD}"}},"value":{i},'
                   f'"timestamp":{NOON + i}}}\n' for i in range(120_000))


def csv():
    return "name,labels,value,timestamp,pad\n" + "".join(
        f'm,"{{""n"":""{i % 97}""\n}}",{i},{NOON + i},{PAD}\n' for i in range(130_000))


def text():
    return "# TYPE m counter\n" + "".join(f'm{{n="{i % 97}",pad="{PAD}"}} {i} {NOON + i}\n'
                                          for i in range(130_000))


def recording():
    lines = []
    for scrape in range(10):
        lines.append(f"#SCRAPE {NOON + scrape * 1000} http://host-{scrape % 3}:9100/metrics\n")
        # Some scrapes are larger than the buffer, so that reading stops in the middle of one.
        lines += [f'm{{n="{i}",pad="{PAD}"}} {i * scrape}\n'
                  for i in range(60_000 if scrape % 5 == 1 else 3000)]
    return "".join(lines)


def openmetrics():
    """One family larger than all pieces between two small ones."""
    lines = ["# TYPE a gauge\n", "a 1 5\n", "# TYPE m gauge\n# HELP m of many\n"]
    lines += [f'm{{n="{i // 3000}",pad="{PAD * 3}"}} {i} {NOON // 1000 + i}.5\n'
              for i in range(140_000)]
    lines += ["# TYPE z gauge\n", "z 1 7\n", "# EOF\n"]
    return "".join(lines)


# At which write the import is stopped, and how.
CASES = [
    ("f.ndjson", ndjson, 3, signal.SIGKILL), ("f.ndjson.gz", ndjson, 3, signal.SIGINT),
    ("f.csv", csv, 3, signal.SIGINT), ("f.csv.zst", csv, 5, signal.SIGKILL),
    ("f.prom", text, 3, signal.SIGINT), ("f.txt.gz", recording, 5, signal.SIGINT),
    ("f.txt", recording, 7, signal.SIGKILL), ("f.om", openmetrics, 3, signal.SIGKILL),
    ("f.om.zst", openmetrics, 3, signal.SIGINT),
]
LIFTED = ("cardinality.max_series_per_metric=0", "cardinality.max_labels_per_metric=0",
          "cardinality.max_label_value_length=0")


@pytest.mark.parametrize("name, make, held, stop", CASES, ids=[case[0] for case in CASES])
def test_an_import_that_was_cut_short_goes_on_and_nothing_is_missing(
        commands, make_server, tmp_path, name, make, held, stop):
    path = write(commands, name, make())
    real = make_server(*LIFTED, data=tmp_path / "cut").start()
    slow = SlowServer(real.port, held)
    arguments = ["import", "--json", "--precision", "ms", "--url", slow.url, path]
    process = commands.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: slow.writes >= held, 120, "the piece that is held")
    assert len(states(commands)) == 1
    process.send_signal(stop)
    out, errors = process.communicate(timeout=60)
    slow.release()
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert json.loads(out)["complete"] is False
        assert b"the same command again goes on in" in errors
    assert len(states(commands)) == 1
    before = slow.writes
    result = commands.run(*arguments)
    assert result.returncode == 0, result.stderr
    assert b"going on at line" in result.stderr
    summary = json.loads(result.stdout)
    whole = commands.import_json("--precision", "ms", "--data", "whole", path,
                                 *[word for setting in LIFTED for word in ("--set", setting)])
    assert 0 < summary["accepted"] < whole["accepted"]
    assert slow.writes > before
    assert states(commands) == []
    slow.close()
    there = commands.export_lines("--url", real.url)
    assert there == commands.export_lines("--data", "whole")


def cut_short(commands, slow, path, *more):
    """Interrupts an import into `slow` at the piece that it holds."""
    process = commands.start("import", "--url", slow.url, *more, path, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    wait_until(lambda: slow.writes >= slow.held, 120, "the piece that is held")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    slow.release()
    assert len(states(commands)) == 1
    return errors


def test_going_on_after_a_restart_is_told_without_it(commands, make_server, tmp_path):
    path = write(commands, "f.csv", csv())
    real = make_server(data=tmp_path / "cut").start()
    slow = SlowServer(real.port, 3)
    errors = cut_short(commands, slow, path, "--restart")
    assert b"the same command without --restart goes on in" in errors
    result = commands.run("import", "--url", slow.url, path)
    slow.close()
    assert b"going on at line" in result.stderr and b"were refused" not in result.stderr


@pytest.fixture
def cut(commands, make_server, tmp_path):
    """A file whose import into a server was cut short."""
    path = write(commands, "f.ndjson", ndjson())
    real = make_server(data=tmp_path / "cut").start()
    slow = SlowServer(real.port, 3)
    cut_short(commands, slow, path, "--precision", "ms")
    yield real, slow, path
    slow.close()


def again(commands, slow, path, *more):
    result = commands.run("import", "--json", "--precision", "ms", "--url", slow.url, *more, path)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["accepted"], result.stderr.decode()


def test_a_store_that_was_made_anew_gets_the_whole_file(commands, cut, make_server, tmp_path):
    real, slow, path = cut
    real.stop()
    empty = make_server(data=tmp_path / "anew")
    empty.port = real.port
    empty.url = real.url
    empty.start()
    accepted, errors = again(commands, slow, path)
    assert accepted == 120_000
    assert "is not there any more" in errors
    assert len(empty.export()) == 120_000


def test_another_file_under_the_same_name_is_read_whole(commands, cut):
    _, slow, path = cut
    about = os.stat(path)
    with open(path, "r+b") as file:
        content = file.read().replace(b'"n":"1"', b'"n":"2"')
        file.seek(0)
        file.write(content)
    # Not even the size and the time of change tell them apart.
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    accepted, errors = again(commands, slow, path)
    assert accepted == 120_000 and "the file has changed" in errors


def test_another_target_gets_the_whole_file(commands, cut):
    _, _, path = cut
    assert commands.import_json("--precision", "ms", "--data", "other", path)["accepted"] == 120_000
    assert len(states(commands)) == 1


def test_other_options_read_the_whole_file(commands, cut):
    _, slow, path = cut
    accepted, _ = again(commands, slow, path, "--format", "ndjson")
    assert accepted == 120_000


def test_restart_reads_the_whole_file(commands, cut):
    _, slow, path = cut
    accepted, errors = again(commands, slow, path, "--restart")
    assert accepted == 120_000 and "going on" not in errors
    assert states(commands) == []


def test_a_damaged_memory_is_not_believed(commands, cut):
    _, slow, path = cut
    [state] = states(commands)
    with open(state, "rb") as file:
        content = file.read()
    for damaged in (b"", content[:-5], content + b"x", content.replace(b"\noffset ", b"\noffset 1"),
                    b"\0" * 100, b"\xff" * 300_000):
        with open(state, "wb") as file:
            file.write(damaged)
        accepted, errors = again(commands, slow, path)
        assert accepted == 120_000 and "cannot be read" in errors
        assert states(commands) == []


def test_a_server_that_is_gone_is_gone_on_with_later(commands, cut):
    real, slow, path = cut
    real.stop()
    failed = commands.run("import", "--precision", "ms", "--retry", "0", "--url", slow.url, path)
    assert failed.returncode == 1
    assert len(states(commands)) == 1
    real.start()
    accepted, errors = again(commands, slow, path)
    assert 0 < accepted < 120_000 and "going on" in errors
    assert len(real.export()) == 120_000


def test_files_that_were_whole_are_skipped_until_all_are(commands, make_server, tmp_path):
    small = [write(commands, f"s{i}.ndjson",
                   f'{{"name":"s","labels":{{"i":"{i}"}},"value":{i},"timestamp":{NOON}}}\n')
             for i in range(3)]
    large = write(commands, "large.ndjson", ndjson())
    real = make_server(data=tmp_path / "cut").start()
    slow = SlowServer(real.port, 5)
    arguments = ["import", "--json", "--precision", "ms", "--url", slow.url, *small, large]
    process = commands.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: slow.writes >= 5, 120, "the piece that is held")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    slow.release()
    assert len(states(commands)) == 4
    summary = json.loads(commands.ok(*arguments))
    assert summary["skipped_files"] == 3 and summary["complete"] is True
    assert len(real.export()) == 120_003
    assert states(commands) == []
    # It came through: the next run is a new one.
    assert json.loads(commands.ok(*arguments))["accepted"] == 120_003
    slow.close()


def test_a_memory_that_cannot_be_written_is_said_once_and_harms_nothing(commands, make_server):
    path = write(commands, "f.ndjson", ndjson())
    write(commands, "file", "")
    real = make_server().start()
    slow = SlowServer(real.port, 1000)
    result = commands.run("import", "--json", "--precision", "ms", "--state", "file/below", "--url",
                          slow.url, path)
    slow.close()
    assert result.returncode == 0
    assert result.stderr.count(b"cannot remember") == 1 and b"--state" in result.stderr
    assert json.loads(result.stdout)["accepted"] == 120_000


def test_lines_are_numbered_and_refusals_told_over_both_runs(commands, make_server, tmp_path):
    lines = csv().split("\n", 1)
    head, rest = lines[0] + "\n", lines[1]
    bad = "bad,{},x,1,\n"
    content = head + bad + rest + bad
    path = write(commands, "f.csv", content)
    real = make_server(data=tmp_path / "cut").start()
    slow = SlowServer(real.port, 3)
    cut_short(commands, slow, path)
    result = commands.run("import", "--json", "--url", slow.url, path)
    slow.close()
    assert result.returncode == 3
    assert b"(1 samples of that were refused)" in result.stderr
    [reason] = json.loads(result.stdout)["reasons"]
    assert reason["line"] == content.count("\n")
    assert len(real.export()) == 130_000


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_an_import_into_a_stopped_store_goes_on(commands, stop):
    rows = 4_000_000
    path = write(commands, "f.csv", "name,labels,value,timestamp\n" + "".join(
        f"m,{{}},{i},{NOON + i}\n" for i in range(rows)))
    arguments = ["import", "--json", "--data", "s", "--state", "mine", path]
    process = commands.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    mine = os.path.join(commands.directory, "mine")
    wait_until(lambda: process.poll() is not None or
               (os.path.isdir(mine) and any("." not in name for name in os.listdir(mine))),
               what="what it remembers")
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert process.returncode in (130, -9), "the import was over before it was interrupted"
    result = commands.run(*arguments)
    assert result.returncode == 0 and b"going on at line" in result.stderr
    assert 0 < json.loads(result.stdout)["accepted"] < rows
    assert os.listdir(mine) == []
    got = commands.ok("export", "--data", "s", "--format", "csv")
    with open(path, encoding="ascii") as file:
        same = got == file.read()
    assert same


def test_standard_input_is_remembered_nowhere(commands):
    commands.ok("import", "--data", "s", "-", data=csv().encode())
    assert states(commands) == []
