"""Clients that hold connections without sending what they should: they end, and hinder no one."""

import resource
import threading
import time

import pytest

import wire
from test_bad_input import start_flat

PROMPT_S = 2.0


def test_a_header_that_drips_ends_at_the_deadline(make_server):
    server = make_server("server.header_timeout=1s").start()
    client = wire.connect(server)
    began = time.monotonic()
    client.sendall(b"GET /-/ready HTTP/1.1\r\n")
    while not wire.is_closed(client):
        assert time.monotonic() - began < 10, "the drip went on for ever"
        try:
            client.sendall(b"x")
        except (BrokenPipeError, ConnectionResetError):
            break
        time.sleep(0.05)
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("addresses, bound_s", [(7, PROMPT_S), (80, 5.0)])
def test_10000_half_open_connections_end_and_hinder_no_one(make_server, addresses, bound_s):
    """From 7 addresses their limit of 128 each leaves room; 80 take every place there is, again and
    again, and each wave must give way at once."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    server = start_flat(make_server("server.header_timeout=3s"))
    clients = []

    def attack():
        for number in range(10_000):
            client = wire.connect(server, f"127.0.1.{number % addresses + 1}")
            clients.append(client)
            try:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass

    def healthy():
        began = time.monotonic()
        client = wire.connect(server, "127.0.0.250")
        client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = wire.receive_all(client)
        client.close()
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        return time.monotonic() - began

    before = server.rss_anon_kb()
    attacker = threading.Thread(target=attack)
    attacker.start()
    took = []
    while attacker.is_alive() or not all(map(wire.is_closed, clients)):
        took.append(healthy())
        assert sum(took) < 60
        attacker.join(0.02)
    took.append(healthy())
    assert len(clients) == 10_000
    assert max(took) < bound_s
    assert server.rss_anon_kb() - before < 64 * 1024
    for client in clients:
        client.close()


def probe(server, timeout_s=30):
    """Seconds until health answers a client of another address."""
    began = time.monotonic()
    client = wire.connect(server, "127.0.0.250")
    client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = wire.receive_all(client, timeout_s)
    client.close()
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return time.monotonic() - began


def hold(server, count, text):
    """Connections of many addresses that each send `text` and no more."""
    clients = []
    for number in range(count):
        clients.append(wire.connect(server, f"127.1.{number % 250}.1"))
        try:
            clients[-1].sendall(text)
        except (BrokenPipeError, ConnectionResetError):
            pass
    return clients


def test_1500_bodies_that_do_not_come_hinder_no_one(make_server):
    """Each has sent its header and one byte: they hold every place, and must give way."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    server = make_server().start()
    clients = hold(server, 1500, b"POST /api/v1/metrics/ingest HTTP/1.1\r\nHost: x\r\n"
                                 b"Content-Length: 1000000\r\n\r\n{")
    took = [probe(server) for _ in range(10)]
    assert max(took) < PROMPT_S, took
    for _ in range(30):
        assert server.ingest([{"name": "beside", "value": 1}])["accepted"] == 1
    for client in clients:
        client.close()


def server_with_few_files(make_server, tmp_path, count, kind):
    server = make_server()
    shell = tmp_path / "few_files"
    shell.write_text(f'#!/bin/sh\nulimit {kind} -n {count}\nexec "{server.binary}" "$@"\n')
    shell.chmod(0o755)
    server.binary = str(shell)
    return server.start()


def test_with_few_open_files_idle_connections_hinder_no_one_and_the_start_warns(make_server,
                                                                                tmp_path):
    server = server_with_few_files(make_server, tmp_path, 24, "")
    warning = [line for line in server.log_tail().splitlines() if "open files" in line]
    assert len(warning) == 1 and "open_files=24" in warning[0], server.log_tail()
    for text in (b"", b"POST /api/v1/metrics/ingest HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Length: 1000000\r\n\r\n{"):
        clients = hold(server, 100, text)
        took = probe(server)
        assert took < PROMPT_S, took
        for client in clients:
            client.close()


def test_a_low_soft_limit_of_open_files_is_raised(make_server, tmp_path):
    server = server_with_few_files(make_server, tmp_path, 64, "-S")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    metrics = server.session.get(server.url + "/metrics", timeout=30).text
    line = [line for line in metrics.splitlines() if line.startswith("process_max_fds ")]
    assert float(line[0].split()[1]) == hard
    assert "open files" not in server.log_tail()
