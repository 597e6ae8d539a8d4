"""--json: whatever happens, standard output holds one object that a program can read."""

import http.server
import json
import os
import signal
import socket
import threading

import pytest

from store import Commands, line

NOON = 1795305600000


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


def failure(result, code):
    """The sentence of a failed command, which stderr and stdout agree about."""
    assert result.returncode == code, (result.returncode, result.stderr)
    assert result.stdout.count(b"\n") == 1 and result.stdout.endswith(b"\n")
    answer = json.loads(result.stdout)
    assert set(answer) == {"status", "exit_code", "error"}
    assert answer["status"] == "error" and answer["exit_code"] == code
    assert answer["error"] and answer["error"] in result.stderr.decode()
    return answer["error"]


@pytest.mark.parametrize("arguments, code, sentence", [
    (["query", "x", "--bogus", "--json"], 2, "there is no option --bogus"),
    (["query", "--json"], 2, "which series?"),
    (["query", "--json", "--url", "http://127.0.0.1:9", "x"], 1, "cannot reach a server"),
    (["query", "--json", "--follow", "--url", "http://127.0.0.1:9", "x"], 1, "cannot reach"),
    (["query", "--json", "--data", "nothing", "x"], 1, "there is no store in nothing"),
    (["query", "--json", "--config", "nothing.yml", "x"], 2, "nothing.yml"),
    (["verify", "--json", "--data", "nothing"], 1, "there is no store in nothing"),
    (["verify", "--json", "--repair", "--data", "nothing"], 1, "there is no store in nothing"),
    (["snapshot", "--json", "--url", "http://127.0.0.1:9"], 1, "cannot reach a server"),
    (["snapshot", "--json", "--data", "nothing", "new"], 1, "there is no store in nothing"),
    (["snapshot", "--json", "--data", "nothing"], 2, "name the directory to make"),
    (["import", "--json", "--data", "new", "nothing.csv"], 1, "cannot read nothing.csv"),
    (["import", "--json"], 2, "no FILE is named"),
    (["import", "--json", "--data", "no/such/place", "-"], 1, "no/such"),
    (["inspect", "--json", "nothing"], 1, "cannot open nothing"),
    (["inspect", "--json", "--blocks", "nothing"], 1, "cannot open nothing"),
    (["config", "--json", "--check", "nothing.yml"], 2, "nothing.yml"),
    (["config", "--json", "--set", "storage.pth=x"], 2, "storage.path"),
    (["version", "--json", "--bogus"], 2, "there is no option --bogus"),
])
def test_a_failure_with_json_is_one_object_and_the_same_sentence(commands, arguments, code,
                                                                 sentence):
    result = commands.run(*arguments, data=b"")
    assert sentence in failure(result, code)
    plain = commands.run(*[argument for argument in arguments if argument != "--json"], data=b"")
    if "--blocks" not in arguments:
        assert plain.returncode == code and plain.stdout == b""


def test_json_as_a_value_or_behind_two_dashes_asks_for_no_json(commands):
    for arguments in (["import", "--data", "d", "--", "--json"],
                      ["query", "--data", "nothing", "--match", "--json"],
                      ["query", "--json=yes", "x"]):
        result = commands.run(*arguments)
        assert result.returncode in (1, 2) and result.stdout == b"", arguments


def test_a_good_file_of_settings_is_an_object_too(commands):
    path = os.path.join(commands.directory, "a \"b\".yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("server:\n  listen: 127.0.0.1:1\n")
    assert json.loads(commands.ok("config", "--json", "--check", path)) == {"file": path,
                                                                           "good": True}


def test_a_store_that_a_server_has_open_is_an_object(commands, server):
    path = os.path.join(commands.directory, "in")
    with open(path, "w", encoding="utf-8") as file:
        file.write(line("m", {}, 1, NOON) + "\n")
    for arguments in (["query", "m"], ["verify"], ["verify", "--repair"], ["import", path],
                      ["snapshot", "new"]):
        result = commands.run(arguments[0], "--json", "--data", server.data, *arguments[1:])
        assert "locked" in failure(result, 1), arguments


def test_what_was_shown_of_a_file_that_cannot_be_read_further_is_not_half_an_object(commands):
    commands.import_json("--data", "s", "-", data=(line("m", {}, 1, NOON) + "\n").encode())
    parts = os.path.join(commands.directory, "s", "parts")
    path = os.path.join(parts, os.listdir(parts)[0])
    size = os.path.getsize(path)
    for cut in range(0, size, max(1, size // 40)):
        os.truncate(path, size - cut)
        for flags in (), ("--blocks",):
            result = commands.run("inspect", "--json", *flags, path)
            assert result.returncode in (0, 1, 4)
            answer = json.loads(result.stdout)
            assert answer.get("exit_code", result.returncode) == result.returncode


def test_a_summary_of_an_import_names_the_files_that_failed(commands):
    for name, text in (("broken.json", "["), ("good", line("m", {}, 1, NOON) + "\n")):
        with open(os.path.join(commands.directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    result = commands.run("import", "--json", "--data", "s", "broken.json", "good")
    summary = json.loads(result.stdout)
    assert result.returncode == 1
    assert summary["accepted"] == 1 and summary["complete"] is False
    assert len(summary["failures"]) == 1 and "broken.json" in summary["failures"][0]
    assert commands.import_json("--restart", "--data", "s", "good")["failures"] == []


def test_a_result_of_a_server_is_one_line_or_one_object_without_a_blank_line(commands, server):
    server.ingest([{"name": "x", "value": 1}])
    for arguments in (["query", "--json", "x"], ["snapshot", "--json", "a"]):
        text = commands.ok(*arguments, "--url", server.url)
        json.loads(text)
        assert text.endswith("}\n") and "\n\n" not in text
    assert server.stop() == 0
    for arguments in (["query", "x"], ["snapshot", "new"], ["verify"]):
        text = commands.ok(arguments[0], "--json", "--data", server.data, *arguments[1:])
        json.loads(text)
        assert text.endswith("}\n") and "\n\n" not in text


@pytest.mark.parametrize("arguments", [
    ["query", "--json", "x"], ["query", "--json", "--follow", "x"], ["snapshot", "--json"]])
def test_an_interrupted_command_is_an_object(commands, arguments):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = commands.start(*arguments, "--url", url, stdout=-1, stderr=-1)
        connection = listener.accept()[0]
        with connection:
            assert connection.recv(1)  # the request is under way
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
    if "--follow" in arguments:
        assert process.returncode == 0 and out == b""
        return
    assert process.returncode == 130
    assert json.loads(out) == {"status": "error", "exit_code": 130, "error": "interrupted"}


class Page(http.server.BaseHTTPRequestHandler):
    """What another server than ours answers to everything."""

    def do_GET(self):
        body = b"<html>hello</html>\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format, *args):
        pass


def test_the_page_of_another_server_is_no_result(commands):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{other.server_port}"
        for arguments in (["query", "--json", "x"], ["snapshot", "--json"]):
            result = commands.run(*arguments, "--url", url)
            assert "is it one?" in failure(result, 1)
        result = commands.run("export", "--url", url)
        assert result.returncode == 1 and result.stdout == b""
        other.shutdown()
        thread.join()


def test_an_answer_that_breaks_off_is_followed_by_nothing(commands):
    """What has left cannot be taken back; a second object behind half a one would be no help."""
    part = b'{"status":"success","series":[' + b" " * (1 << 20)
    path = os.path.join(commands.directory, "out")
    # Into a file: nobody reads a pipe while the answer is sent.
    with socket.create_server(("127.0.0.1", 0)) as listener, open(path, "wb") as file:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = commands.start("query", "--json", "x", "--url", url, stdout=file, stderr=-1)
        connection = listener.accept()[0]
        with connection:
            assert connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               b"Content-Length: 9999999\r\n\r\n" + part)
        _, err = process.communicate(timeout=60)
    with open(path, "rb") as file:
        out = file.read()
    assert process.returncode == 1 and b"cut off" in err
    assert part.startswith(out) and b"error" not in out


def test_following_that_fails_ends_its_lines_with_the_failure(commands):
    answer = json.dumps({"status": "success", "series": [
        {"metric": "x", "labels": {}, "points": [[NOON, 1]]}], "partial": False, "warnings": [],
        "next": None}).encode()
    good = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(answer)) + answer
    bad = (b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n"
           b"Content-Length: 18\r\n\r\n" + b'{"detail":"wrong"}')
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = commands.start("query", "--json", "--follow", "--every", "50ms", "--start",
                                 "now-1h", "x", "--url", url, stdout=-1, stderr=-1)
        connection = listener.accept()[0]
        with connection:
            for reply in (good, good, bad):
                assert connection.recv(65536)
                connection.sendall(reply)
            out, _ = process.communicate(timeout=60)
    lines = [json.loads(text) for text in out.splitlines()]
    assert process.returncode == 2
    assert lines[0]["name"] == "x" and lines[0]["timestamp"] == NOON
    assert lines[-1]["status"] == "error" and "wrong" in lines[-1]["error"] and len(lines) == 2
