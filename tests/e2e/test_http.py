"""The HTTP face itself: paths, methods, request ids, connections, and the life of the process."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest
import requests

import wire
from server import free_port, wait_until

BATCH = "/api/v1/metrics/ingest/batch"
ROUTES = {
    "/api/v1/metrics/register": ["POST"],
    "/api/v1/metrics/ingest": ["POST"],
    BATCH: ["POST"],
    "/api/v1/import/prometheus": ["POST"],
    "/api/v1/write": ["POST"],
    "/api/v1/metrics": ["GET"],
    "/api/v1/metrics/query": ["GET", "POST"],
    "/api/v1/metrics/export": ["GET"],
    "/api/v1/health": ["GET"],
    "/-/healthy": ["GET"],
    "/-/ready": ["GET"],
    "/metrics": ["GET"],
}


@pytest.fixture(scope="module", name="server")
def shared_server(make_module_server):
    return make_module_server().start()


def call(server, method, path, **options):
    return requests.request(method, server.url + path, timeout=30, **options)


def check_problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id"}
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, "about:blank")
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem


# ---- paths and methods -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ROUTES)
def test_other_methods_are_405_and_the_header_allow_names_those_there_are(server, path):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        if method in ROUTES[path]:
            continue
        answer = call(server, method, path)
        check_problem(answer, 405, "method_not_allowed")
        allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
        assert allowed == {"OPTIONS", *ROUTES[path],
                           *(["HEAD"] if "GET" in ROUTES[path] else [])}
    answer = call(server, "OPTIONS", path)
    assert answer.status_code == 204 and {*ROUTES[path]} <= {
        name.strip() for name in answer.headers["Allow"].split(",")}


def test_unknown_paths_are_404(server):
    for path in ("/", "/api", "/api/v1", "/api/v1/metrics/", "/api/v1/metrics/query/x",
                 "/METRICS", "/api/v2/metrics"):
        assert path in check_problem(call(server, "GET", path), 404, "not_found")["detail"]
    for path in (b"/../metrics", b"//metrics", b"/%00", b"/metrics/../metrics", b"/m%65trics/x"):
        client = wire.connect(server)
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert wire.receive_all(client).startswith(b"HTTP/1.1 404 "), path


def test_head_is_get_without_its_body(server):
    for path in ("/-/healthy", "/-/ready", "/api/v1/health", "/metrics", "/api/v1/metrics",
                 "/api/v1/metrics/query?metric=x", "/nothing"):
        got = call(server, "GET", path)
        answer = call(server, "HEAD", path)
        assert answer.status_code == got.status_code
        assert answer.content == b""
        assert answer.headers["Content-Type"] == got.headers["Content-Type"]


def test_a_query_by_head_leaves_the_connection_in_order(server):
    client = wire.connect(server)
    client.sendall(b"HEAD /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
                   b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = wire.receive_all(client)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.count(b"metric-store is") == 1


def test_probes_answer_in_plain_text(server):
    for path, word in (("/-/healthy", "alive"), ("/-/ready", "ready")):
        answer = call(server, "GET", path)
        assert answer.status_code == 200 and word in answer.text
        assert answer.headers["Content-Type"].startswith("text/plain")


def test_health_has_its_members(server):
    health = call(server, "GET", "/api/v1/health").json()
    assert set(health) == {"status", "version", "uptime_s", "checks"}
    assert health["status"] == "ok" and health["uptime_s"] >= 0
    assert re.match(r"\d+\.\d+\.\d+", health["version"])
    for check in health["checks"].values():
        assert set(check) == {"status", "message", "latency_ms"}
        assert check["status"] == "ok"


# ---- request ids and connections ---------------------------------------------------------------


def test_every_answer_has_an_id_and_a_good_one_of_the_client_s_is_kept(server):
    ids = set()
    for path in ROUTES:
        answer = call(server, "GET", path)
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"]), path
        ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == len(ROUTES)
    for given in ("abc-123", "a" * 64, "Trace:1/2_3.4"):
        answer = call(server, "GET", "/-/ready", headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"] == given
    for given in ("a" * 65, "a b", "a\"b", "<x>"):
        answer = call(server, "GET", "/-/ready", headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"] != given


def test_a_connection_serves_many_requests(server):
    client = wire.connect(server)
    request = (b"POST " + BATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: "
               b"application/json\r\nContent-Length: 2\r\n\r\n[]")
    for _ in range(50):
        client.sendall(request)
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
    # Chunked, and after a refusal.
    client.sendall(b"POST " + BATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: "
                   b"application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n"
                   b"0\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    client.sendall(request.replace(b"[]", b"[}"))
    assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    client.sendall(request.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
    assert wire.receive_all(client).startswith(b"HTTP/1.1 200 ")


def test_a_client_may_wait_for_100_continue(server):
    client = wire.connect(server)
    client.sendall(b"POST " + BATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: "
                   b"application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
                   b"Connection: close\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
    client.sendall(b"[]")
    assert wire.receive_all(client).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_their_order(server):
    client = wire.connect(server)
    client.sendall(b"".join(b"GET /-/ready HTTP/1.1\r\nHost: x\r\nX-Request-Id: id-%d\r\n\r\n" % i
                            for i in range(20)) +
                   b"GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = wire.receive_all(client).decode()
    assert [int(text) for text in re.findall(r"(?i)x-request-id: id-(\d+)", answers)] == list(
        range(20))


# ---- the life of the process -------------------------------------------------------------------


def test_sigterm_answers_what_is_in_flight_and_ends_within_10_seconds(make_server):
    server = make_server().start()
    client = wire.connect(server)
    body = json.dumps([{"name": "drain", "value": 7, "timestamp": 1699920000000}]).encode()
    client.sendall(b"POST " + BATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: "
                   b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:10])
    idle = wire.connect(server)
    idle.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.recv(4096).startswith(b"HTTP/1.1 200 ")
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    # New connections are refused while what runs goes on.
    wait_until(lambda: not server.ready(), 10, "the end of accepting")
    assert server.process.poll() is None
    client.sendall(body[10:])
    answer = wire.receive_all(client)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b'"accepted":1' in answer
    assert server.process.wait(20) == 0
    assert time.monotonic() - began < 10
    server.start()
    assert server.query(metric="drain", start=1699920000000, end=1795305600001)["series"]


def test_sigterm_ends_in_time_under_load_and_loses_nothing_acknowledged(make_server):
    server = make_server().start()
    stored = []
    stopped = threading.Event()

    def write(number):
        session = requests.Session()
        for index in range(100_000):
            stamp = 1699920000000 + index
            try:
                answer = session.post(server.url + BATCH, timeout=30, json=[
                    {"name": f"load_{number}", "value": index, "timestamp": stamp}])
            except requests.RequestException:
                break
            if answer.status_code != 200:
                break
            stored.append((f"load_{number}", stamp))
        stopped.set()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(stored) > 200, 30, "some load")
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10
    for writer in writers:
        writer.join()
    server.start()
    held = {(sample["name"], sample["timestamp"]) for sample in server.export()}
    assert set(stored) <= held


def test_sigterm_does_not_wait_for_clients_that_read_nothing(make_server):
    server = make_server("server.drain_timeout=1s").start()
    message = wire.same_samples(500, [(1699920000000 + i, i) for i in range(200)])
    assert wire.remote_write(server, message).status_code == 204
    clients = [wire.connect(server) for _ in range(2)]
    for client in clients:
        client.sendall(b"GET /api/v1/metrics/export HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(16)
    assert server.stop() == 0


def serve(binary, *arguments):
    return subprocess.run([binary, "serve", *arguments], capture_output=True, text=True,
                          timeout=30, check=False)


def test_a_second_process_on_the_same_data_is_refused(server, binary):
    result = serve(binary, "--listen", f"127.0.0.1:{free_port()}", "--data", server.data)
    assert result.returncode == 1
    assert server.data in result.stderr
    assert f"locked by process {server.process.pid}" in result.stderr
    assert server.ready()


def test_a_taken_port_ends_the_start_with_1_and_is_named(server, binary, tmp_path):
    result = serve(binary, "--listen", f"127.0.0.1:{server.port}", "--data", str(tmp_path / "x"))
    assert result.returncode == 1
    assert str(server.port) in result.stderr


@pytest.mark.parametrize("arguments, words", [
    (["--set", "cardinality.max_serie_per_metric=1"], ["max_series_per_metric", "--set"]),
    (["--set", "query.timeout=fast"], ["query.timeout", "fast"]),
    (["--set", "query.timeout"], ["--set"]),
    (["--preset", "kubernets"], ["kubernetes"]),
    (["--config", "/nonexistent.yaml"], ["/nonexistent.yaml"]),
    (["--listn", "127.0.0.1:1"], ["--listn"]),
    (["--listen"], ["--listen"]),
    (["--listen", "127.0.0.1:99999"], ["99999"]),
])
def test_a_wrong_configuration_ends_the_start_with_2_and_is_named(binary, tmp_path, arguments,
                                                                  words):
    result = serve(binary, "--data", str(tmp_path / "data"), *arguments)
    assert result.returncode == 2, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    assert not os.path.exists(tmp_path / "data")


def test_a_fault_in_the_file_names_line_key_and_nearest_key(binary, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("server:\n  threads: 2\nqery:\n  timeout: 1s\n")
    result = serve(binary, "--config", str(path))
    assert result.returncode == 2
    for word in (str(path), ":3:", "qery", "query"):
        assert word in result.stderr, result.stderr


def test_every_json_answer_is_a_text_that_ends_with_one_newline(server):
    sample = json.dumps({"name": "x", "value": 1})
    answers = [
        server.post("/api/v1/metrics/ingest", sample),
        server.post("/api/v1/metrics/ingest/batch", "[]"),
        server.post("/api/v1/metrics/ingest", json.dumps({"name": "x"})),
        server.post("/api/v1/metrics/register", json.dumps({"name": "x", "type": "gauge"})),
        server.post("/api/v1/admin/snapshot?name=a", None),
        server.post("/api/v1/admin/snapshot?name=a", None),
        call(server, "DELETE", "/api/v1/metrics/series?match[]=y"),
        call(server, "GET", "/api/v1/metrics/query?metric=x"),
        call(server, "GET", "/api/v1/metrics"),
        call(server, "GET", "/api/v1/metrics/export"),
        call(server, "GET", "/api/v1/health"),
        call(server, "GET", "/nothing"),
    ]
    for answer in answers:
        assert "json" in answer.headers["Content-Type"], answer.text
        json.loads(answer.text)
        assert answer.text.endswith("}\n") and not answer.text.endswith("\n\n"), answer.text
