"""What is broken or hostile gets a clear answer at once and costs nothing; its neighbours go on."""

import gzip
import json
import struct
import time
import zlib

import pytest

import wire
from cost import hold_to_bars, start_flat

BATCH = "/api/v1/metrics/ingest/batch"
IMPORT = "/api/v1/import/prometheus"
NDJSON = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"
T0 = 1699920000000
MIB = 1 << 20

BODY_LIMIT = 64 * MIB
BOMB_S = 0.050
# Of a request of 10 MB, which has to be received and read before it can be refused.
LARGE_S = 0.050


@pytest.fixture(scope="module", name="server")
def shared_server(make_module_server):
    server = start_flat(make_module_server())
    # Buffers that are kept between requests are made now.
    server.ingest([{"name": "warm", "value": 1}])
    wire.remote_write(server, wire.series("warm", {}, [(T0, 1)]))
    return server


def refused(server, post, status, code, **bars):
    """A problem with this status and code, promptly, memory flat (cost.hold_to_bars)."""
    def checked():
        answer = post()
        assert answer.status_code == status, answer.text[:500]
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == code, problem
        assert problem["detail"]
        return problem

    problem = hold_to_bars(server, checked, **bars)
    assert server.ready()
    return problem


# ---- encodings -------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_body_that_is_cut_off_or_damaged_or_followed_is_refused(server, coding):
    whole = wire.ENCODERS[coding](b'{"name":"cut","value":1}\n' * 1000)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x55
    for body in (whole[:-1], whole[:len(whole) // 2], whole[:3], bytes(flipped), whole + b"more",
                 b"not compressed at all"):
        refused(server, lambda body=body: server.post(
            BATCH, body, NDJSON, headers={"Content-Encoding": coding}), 400,
            "body_encoding_invalid")
    assert server.query(metric="cut")["series"] == []


GZIP, ZLIB = 31, 15


def deflate_bomb(declared, kind):
    """`declared` zero bytes in one of zlib's forms, 1000:1."""
    packer = zlib.compressobj(9, zlib.DEFLATED, kind)
    piece = bytes(MIB)
    body = b"".join(packer.compress(piece) for _ in range(declared // MIB))
    return body + packer.flush()


def bare_inflate_s(body, kind):
    """What zlib alone takes to come to the limit, of CPU time."""
    cheapest = 1e9
    for _ in range(5):
        began = time.process_time()
        inflater, rest, size = zlib.decompressobj(kind), body, 0
        while size < BODY_LIMIT:
            size += len(inflater.decompress(rest, 65536))
            rest = inflater.unconsumed_tail
        cheapest = min(cheapest, time.process_time() - began)
    return cheapest


def bare_fill_s():
    """What it takes to have and fill as much memory as the limit lets a body have, of CPU time."""
    cheapest = 1e9
    for _ in range(5):
        began = time.process_time()
        assert len(b"x" * BODY_LIMIT) == BODY_LIMIT
        cheapest = min(cheapest, time.process_time() - began)
    return cheapest


def zstd_bomb(declared):
    """A zstd frame of run-length blocks: 4 bytes for 128 KiB each."""
    body = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", declared)
    blocks = declared // (128 << 10)
    for i in range(blocks):
        header = (128 << 10) << 3 | 1 << 1 | (i == blocks - 1)
        body += struct.pack("<I", header)[:3] + b" "
    return body


def zstd_bomb_unsized(size):
    """As above, without the declaration."""
    body = b"\x28\xb5\x2f\xfd\x00\x58"
    blocks = size // (128 << 10)
    for i in range(blocks):
        header = (128 << 10) << 3 | 1 << 1 | (i == blocks - 1)
        body += struct.pack("<I", header)[:3] + b" "
    return body


GZIP_BOMB, ZLIB_BOMB = deflate_bomb(128 * MIB, GZIP), deflate_bomb(128 * MIB, ZLIB)


@pytest.mark.parametrize("coding, bomb, kind", [
    ("gzip", GZIP_BOMB, None),
    ("gzip", GZIP_BOMB[:-4] + struct.pack("<I", 1000), GZIP),
    ("deflate", ZLIB_BOMB, ZLIB),
    ("zstd", zstd_bomb(512 * MIB), None),
    ("zstd", zstd_bomb_unsized(512 * MIB), None),
    ("zstd", b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40) + b"\x01\x00\x00", None),
], ids=["gzip", "gzip-lies", "deflate", "zstd", "zstd-unsized", "zstd-declares-1TiB"])
def test_a_bomb_is_refused_at_the_limit_and_leaves_no_memory_behind(server, coding, bomb, kind):
    """Where a form of zlib's does not say its size, or lies, zlib alone takes the CPU time of a whole
    bomb until it comes to the limit: such a bomb may cost that beside. What this machine takes to fill
    the memory of the limit comes on top: some are slow at it while other tests run."""
    bar_s = BOMB_S + bare_fill_s() + (bare_inflate_s(bomb, kind) if kind else 0)
    problem = refused(server, lambda: server.post(BATCH, bomb, NDJSON,
                                                  headers={"Content-Encoding": coding}),
                      413, "body_too_large", cpu_bar_s=bar_s,
                      peak_bar_kb=(BODY_LIMIT + len(bomb) + MIB) // 1024)
    assert str(BODY_LIMIT) in problem["detail"]


def test_plain_bodies_over_the_limit_are_refused_before_they_are_read(server):
    client = wire.connect(server)
    client.sendall(b"POST " + BATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: " +
                   NDJSON.encode() + b"\r\nContent-Length: 10000000000\r\n\r\n")
    answer = wire.receive_all(client)
    assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert b'"body_too_large"' in answer
    compressed = b"x" * (17 * MIB)
    refused(server, lambda: server.post(BATCH, compressed, NDJSON,
                                        headers={"Content-Encoding": "gzip"}),
            413, "body_too_large", cpu_bar_s=LARGE_S)


def test_unknown_and_stacked_encodings_are_415(server):
    for coding in ("br", "gzip, gzip", "zstd, gzip", "compress", "snappy", "\"gzip"):
        refused(server, lambda coding=coding: server.post(
            BATCH, b"[]", headers={"Content-Encoding": coding}), 415,
            "unsupported_content_encoding")
    assert server.post(BATCH, b"[]", headers={"Content-Encoding": "identity"}).status_code == 200


# ---- remote write ----------------------------------------------------------------------------


def test_snappy_that_is_cut_off_or_damaged_is_refused(server):
    message = wire.series("cut_rw", {}, [(T0 + i, i) for i in range(200)])
    whole = wire.snappy(message)
    for body in (whole[:-1], whole[:len(whole) // 2], whole[:1], b"", whole + b"x",
                 b"\xff" * 12, gzip.compress(message)):
        refused(server, lambda body=body: wire.remote_write(server, b"", body), 400,
                "snappy_invalid")


def test_25_bytes_of_snappy_that_declare_900_mib_are_refused(server):
    body = wire.varint(900 * MIB) + b"\xf0" + b"\x00" * 19
    assert len(body) == 25
    refused(server, lambda: wire.remote_write(server, b"", body), 413, "body_too_large")
    within = wire.varint(60 * MIB) + b"\xf0" + b"\x00" * 19
    refused(server, lambda: wire.remote_write(server, b"", within), 400, "snappy_invalid")


def test_a_message_that_is_no_protobuf_is_refused_and_says_where(server):
    good = wire.series("pb", {}, [(T0, 1)])
    for message in (good[:-1], b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 100, b"\x0a" * 1000,
                    wire.field(1, wire.field(1, b"\x08\x01"))):
        problem = refused(server, lambda message=message: wire.remote_write(server, message), 400,
                          "protobuf_invalid")
        assert "byte" in problem["detail"], problem
    assert server.query(metric="pb")["series"] == []


def test_labels_that_no_series_may_have_refuse_only_their_series(server):
    bad = {
        "utf8": wire.field(1, wire.label("__name__", "bad") + wire.label("a", b"\xff\xfe") +
                           wire.sample(1, T0)),
        "nul": wire.field(1, wire.label("__name__", "bad") + wire.label("a", b"x\0y") +
                          wire.sample(1, T0)),
        "empty name": wire.field(1, wire.label("", "v") + wire.label("__name__", "bad") +
                                 wire.sample(1, T0)),
        "twice": wire.field(1, wire.label("__name__", "bad") + wire.label("a", "1") +
                            wire.label("a", "2") + wire.sample(1, T0)),
        "no name": wire.field(1, wire.label("a", "1") + wire.sample(1, T0)),
        "10 MB": wire.field(1, wire.label("__name__", "bad") + wire.label("a", "x" * 10_000_000) +
                            wire.sample(1, T0)),
    }
    codes = {"utf8": "label_invalid", "nul": "label_invalid", "empty name": "label_invalid",
             "twice": "label_duplicate", "no name": "metric_name_missing",
             "10 MB": "label_value_too_long"}
    for number, (name, series) in enumerate(bad.items()):
        good = wire.series("good_beside", {"n": str(number)}, [(T0, number)])
        problem = refused(server, lambda: wire.remote_write(server, good + series + good), 400,
                          "samples_refused", cpu_bar_s=LARGE_S)
        assert (problem["accepted"], problem["rejected"]) == (2, 1), name
        assert [error["code"] for error in problem["errors"]] == [codes[name]], name
    assert len(server.query(metric="good_beside", start=T0, end=T0 + 1)["series"]) == len(bad)
    assert server.query(metric="bad", start=T0, end=T0 + 1)["series"] == []


# ---- JSON ------------------------------------------------------------------------------------

BROKEN_LINES = [
    ("[" * 100_000, "json_too_deep"),
    ('{"name":"x","value":' + "[" * 100_000, "json_too_deep"),
    ('{"name":"x","value":1e400}', "value_out_of_range"),
    ('{"name":"x","value":-1e400}', "value_out_of_range"),
    ('{"name":"x","value":01}', "json_invalid"),
    ('{"name":"x","value":1', "json_invalid"),
    ('{"name":"x","value":1}}', "json_invalid"),
    ('{"name":"x","value":true}', "value_invalid"),
    ('{"name":"x","value":"1"}', "value_invalid"),
    ('{"name":"x","value":NaN}', "json_invalid"),
    ('{"name":"x","value":1,"value":2}', "field_duplicate"),
    ('{"name":"x","labels":{"a":"1","a":"2"},"value":1}', "label_duplicate"),
    ('{"name":"x","labels":{"a":1},"value":1}', "label_invalid"),
    ('{"name":"x","labels":{"":"1"},"value":1}', "label_invalid"),
    ('{"name":"x","labels":{"a":"\\u0000"},"value":1}', "label_invalid"),
    ('{"name":"x","labels":{"a":"\\ud800"},"value":1}', "json_invalid"),
    ('{"name":"x","labels":["a"],"value":1}', "label_invalid"),
    ('{"name":"","value":1}', "metric_name_missing"),
    ('{"name":"x","value":1,"timestamp":1.5}', "timestamp_invalid"),
    ('{"name":"x","value":1,"timestamp":1e-3}', "timestamp_invalid"),
    ('{"name":"x","value":1,"timestamp":1e3}', "timestamp_implausible"),
    ('{"name":"x","value":1,"timestamp":99999999999999999999}', "timestamp_out_of_range"),
    ('{"name":"x","value":1,"timestamp":"yesterday"}', "timestamp_invalid"),
    ('{"name":"x","value":1,"timestamp":"2026-02-30T00:00:00Z"}', "timestamp_invalid"),
    ('{"name":"x","value":1,"timestamp":null}', "timestamp_invalid"),
    ('"text"', "sample_invalid"),
    ("17", "sample_invalid"),
    (b'{"name":"x","labels":{"a":"\xff"},"value":1}', "utf8_invalid"),
    (b'{"name":"x\xc3","value":1}', "utf8_invalid"),
    (b'{"name":"x","value":1}\0', "json_invalid"),
    (b'{"name":"x\0","value":1}', "json_invalid"),
]


@pytest.mark.parametrize("text, code", BROKEN_LINES,
                         ids=[f"{i}-{code}" for i, (_, code) in enumerate(BROKEN_LINES)])
def test_a_broken_line_is_refused_by_its_code_and_spoils_no_other(server, text, code):
    broken = text if isinstance(text, bytes) else text.encode()
    good = b'{"name":"beside","value":1,"timestamp":%d}'
    answer = hold_to_bars(server, lambda: server.post(
        BATCH, good % T0 + b"\n" + broken + b"\n" + good % (T0 + 1), NDJSON))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 1), body
    assert (body["errors"][0]["code"], body["errors"][0]["line"]) == (code, 2), body
    assert body["errors"][0]["message"]


def test_deep_nesting_of_a_document_is_refused(server):
    for body in ("[" * 100_000, '{"metrics":' + "[" * 100_000, "[" * 100_000 + "]" * 100_000,
                 '[{"name":"x","value":' + '{"a":' * 100_000):
        refused(server, lambda body=body: server.post(BATCH, body), 400, "json_too_deep")


def test_a_label_of_10_mb_is_refused(server):
    text = "x" * 10_000_000
    sample = {"name": "long", "labels": {"a": text}, "value": 1}
    # The parser sees a document through a window, which is what a sample may have at most.
    problem = refused(server, lambda: server.post(BATCH, json.dumps([sample])), 413,
                      "sample_too_large", cpu_bar_s=LARGE_S)
    assert "4 MiB" in problem["detail"]
    sample["labels"]["a"] = "x" * 100_000
    problem = refused(server, lambda: server.post(BATCH, json.dumps([sample])), 400,
                      "samples_refused")
    assert problem["errors"][0]["code"] == "label_value_too_long"
    assert "65536" in problem["errors"][0]["message"]
    sample["labels"]["a"] = text
    answer = server.post(BATCH, json.dumps(sample) + '\n{"name":"beside_long","value":1}', NDJSON)
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    answer = server.post(IMPORT, f'long{{a="{text}"}} 1\nbeside_long 1\n', "text/plain")
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["errors"][0]["code"] in ("label_value_too_long", "labels_too_large")


def test_a_megabyte_of_labels_is_the_most_a_series_may_have(make_server):
    server = make_server("cardinality.max_labels_per_metric=0",
                         "cardinality.max_label_value_length=0").start()
    labels = {f"l{i}": "x" * 60000 for i in range(18)}
    refused(server, lambda: server.post(BATCH, json.dumps(
        [{"name": "wide", "labels": labels, "value": 1}])), 400, "samples_refused")
    labels = {f"l{i}": "x" * 60000 for i in range(16)}
    assert server.ingest([{"name": "wide", "labels": labels, "value": 1}])["accepted"] == 1
    assert server.query(metric="wide")["series"][0]["labels"] == labels


# ---- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, code", [
    (b'x{a="\xff"} 1', "label_invalid"),
    (b'x{a="\0"} 1', "label_invalid"),
    (b'x{a="1",a="2"} 1', "label_duplicate"),
    (b'x{a="1" 1', "text_syntax"),
    (b"x{a=1} 1", "text_syntax"),
    (b"x", "text_syntax"),
    (b"x 1 2 3", "text_syntax"),
    (b"x one", "text_syntax"),
    (b"x 1 1.5", "text_syntax"),
    (b"{} 1", "text_syntax"),
    (b"x 1 99999999999999999", "timestamp_out_of_range"),
])
def test_a_broken_line_of_text_is_refused_by_its_code(server, text, code):
    body = b"beside_text 1\n" + text + b"\nbeside_text 2\n"
    answer = server.post(IMPORT, body, "text/plain")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 1), answer.text
    error = answer.json()["errors"][0]
    assert (error["code"], error["line"]) == (code, 2), error


# ---- HTTP ------------------------------------------------------------------------------------


def raw(server, request):
    client = wire.connect(server)
    client.sendall(request)
    answer = wire.receive_all(client)
    client.close()
    return answer


def test_requests_that_are_no_http_are_answered_or_closed_at_once(server):
    for request in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
                    b"GET\r\n\r\n", b"\r\n\r\n\r\n\r\nhello world\r\n\r\n",
                    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"):
        began = time.monotonic()
        answer = raw(server, request)
        assert time.monotonic() - began < 10
        assert answer == b"" or answer.startswith(b"HTTP/1."), answer
    assert server.ready()


def test_malformed_http_is_a_problem_of_the_client_and_counted(make_server):
    server = make_server().start()
    chunked = (b"POST /api/v1/metrics/ingest HTTP/1.1\r\nHost: x\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n")
    for request in (chunked + b"5;" + b"x" * 100_000, chunked + b"5\r\nhelloworld\r\n",
                    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"GET /\r\n\r\n"):
        head, body = raw(server, request).split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 400 "), head
        assert b"Content-Type: application/problem+json" in head
        problem = json.loads(body)
        assert (problem["status"], problem["code"]) == (400, "http_malformed"), problem
        assert f"X-Request-Id: {problem['request_id']}".encode() in head
    metrics = server.session.get(server.url + "/metrics", timeout=30).text
    assert 'metric_store_http_refused_total{reason="malformed"} 4' in metrics
    assert 'code="5' not in metrics


def test_ambiguous_lengths_are_refused(server):
    start = b"POST " + BATCH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for lengths in (b"Content-Length: 2\r\nContent-Length: 3\r\n",
                    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                    b"Content-Length: -1\r\n", b"Content-Length: 0x2\r\n",
                    b"Content-Length: 99999999999999999999999\r\n",
                    b"Transfer-Encoding: gzip, chunked\r\n"):
        answer = raw(server, start + lengths + b"\r\n[]0\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), (lengths, answer)


def test_targets_and_headers_over_their_limits_are_refused(server):
    long = server.session.get(server.url + "/api/v1/metrics?search=" + "x" * 9000, timeout=30)
    assert (long.status_code, long.json()["code"]) == (414, "target_too_long")
    # Also where the URL makes the header too large, with which it is counted.
    for size, more in ((16370, 0), (20000, 0), (60000, 0), (70000, 0), (9000, 20000)):
        answer = raw(server, b"GET /-/ready?" + b"x" * size + b" HTTP/1.1\r\nHost: x\r\nX-Long: "
                     + b"x" * more + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 414 "), (size, more, answer)
        assert b"target_too_long" in answer, (size, more, answer)
    answer = raw(server, b"GET /-/ready?" + b"x" * 8000 + b" HTTP/1.1\r\nHost: x\r\nX-Long: "
                 + b"x" * 8500 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 "), answer
    assert b"with the request line, is larger than 16384 bytes" in answer
    answer = raw(server, b"GET /-/ready HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 "), answer
    answer = raw(server, b"GET /-/ready HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 "), answer


def test_parameters_that_are_broken_are_refused(server):
    for query, code in (("metric=%zz", "invalid_parameter"), ("metric=%f", "invalid_parameter"),
                        ("metric=%ff", "invalid_parameter"),
                        ("&".join(["label=a=b"] * 1001) + "&metric=x", "too_many_parameters")):
        answer = server.post("/api/v1/metrics/query", query, FORM)
        assert (answer.status_code, answer.json().get("code")) == (400, code), answer.text
    answer = raw(server, b"GET /api/v1/metrics/query?metric=%zz HTTP/1.1\r\nHost: x\r\n"
                 b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 "), answer


def test_a_query_s_body_that_is_no_form_is_415(server):
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        refused(server, lambda kind=kind: server.post("/api/v1/metrics/query", "metric=x", kind),
                415, "unsupported_media_type")


def test_expressions_and_selectors_that_would_cost_much_are_refused_at_once(server):
    server.ingest([{"name": "regex", "labels": {"a": "a" * 90}, "value": 1}])
    for params, code in (
            ({"match": "{" * 5000}, "selector_syntax"),
            ({"metric": "regex", "label": "a=~" + "(" * 1000}, "regex_invalid"),
            ({"metric": "regex", "label": "a=~" + "x" * 2000}, "regex_too_long"),
            ({"metric": "regex", "label": "a=~((x{100}){100}){100}"}, "regex_invalid"),
            ({"match": "{}"}, "selector_too_wide"),
            ({"match": '{a=~".*"}'}, "selector_too_wide"),
            ({"match": '{a="b"'}, "selector_syntax")):
        answer = hold_to_bars(server, lambda params=params: server.post(
            "/api/v1/metrics/query", params, FORM))
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["code"] == code, answer.text
    answer = hold_to_bars(server, lambda: server.query(metric="regex",
                                                       label="a=~(a+)+(a+)+(a|a|a)*b"))
    assert answer["series"] == []


def test_a_request_that_would_be_cut_off_at_a_byte_0_does_nothing(server):
    server.ingest([{"name": "kept", "labels": {"n": str(i)}, "value": 1} for i in range(5)])
    selector = b"/api/v1/metrics/series?match[]=kept"
    body = b'{"name":"new","value":1}'
    post = b"POST /api/v1/metrics/ingest HTTP/1.1\r\nContent-Type: application/json\r\n"
    for request in (b"DELETE " + selector + b'\0{n="9"}&end=5 HTTP/1.1\r\nHost: x\r\n\r\n',
                    b"DELETE " + selector + b"&end=now\0-50d HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"DELETE " + selector + b"\0HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"DELETE " + selector + b"\0HTTP/1.1\0&end=5 HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /-/ready\0/../x HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /-/ready HTTP/1.1\r\nHost: x\0y\r\nAccept: */*\r\n\r\n",
                    post + b"Content-Length: 24\0\0009\r\nHost: x\r\n\r\n" + body,
                    post + b"Transfer-Encoding : chunked\r\nContent-Length: 24\r\nHost: x\r\n\r\n" + body,
                    b"GET /-/ready HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
                    b"GET /-/ready HTTP/1.1\r\nHost: x\0y\r\n\r\n",
                    b"GET /-/ready HTTP/1.1\r\nHost: x\r\nAccept: text/\0html\r\n\r\n",
                    b"GET /-/ready HTTP/1.1\r\nHost: x\r\nContent-Length: 0\0007\r\n\r\n",
                    b"GET /-/ready HTTP/1.0\0HTTP/1.1\r\n\r\n",
                    b"GET /-/ready HTTP/1.1\0x\r\nHost: x\r\n\r\n",
                    b"GET\0X /-/ready HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"DELETE\0E " + selector + b" HTTP/1.1\r\nHost: x\r\n\r\n"):
        head, answer = raw(server, request).split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 400 "), (request, head, answer)
        assert json.loads(answer)["code"] == "http_malformed", (request, answer)
    start = b"GET /-/ready HTTP/1.1\r\nConnection: close\r\n"
    for request in (start + b"Host: x\r\nAccept:\r\n\r\n", start + b"Host: x  \r\n\r\n",
                    start + b"Host: x\r\nX: y \t\r\n\r\n", start + b"Host: x\n\n",
                    b"GET /-/ready HTTP/1.0\r\n\r\n", b"GET /-/ready HTTP/1.0\n\n"):
        assert raw(server, request).startswith(b"HTTP/1.1 200 "), request
    counted = server.query(metric="kept", aggregate="count", by="", start="now-1h")
    assert [series["points"][0][1] for series in counted["series"]] == [5]
