"""`metric-store query --follow`: what arrives is printed once, through restarts, until Ctrl-C."""

import json
import signal
import subprocess
import threading
import time

import pytest

from server import wait_until


class Follower:
    """The command at work; its lines so far."""

    def __init__(self, binary, server, *arguments):
        self.process = subprocess.Popen(
            [binary, "query", "--follow", "--url", server.url, "--every", "50ms", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.errors = []
        self.readers = [threading.Thread(target=self.read, args=pair) for pair in (
            (self.process.stdout, self.lines), (self.process.stderr, self.errors))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def wait_for(self, text, where=None):
        where = self.lines if where is None else where
        wait_until(lambda: any(text in line for line in where), what=f"a line with {text}")

    def end(self, signal_number=signal.SIGINT):
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(30)
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def follow(binary):
    made = []

    def start(server, *arguments):
        made.append(Follower(binary, server, *arguments))
        return made[-1]

    yield start
    for follower in made:
        follower.end()


def now_ms():
    return int(time.time() * 1000)


def sample(value, at, **labels):
    return {"name": "x", "labels": labels, "value": value, "timestamp": at}


def test_samples_are_printed_once_as_they_arrive_late_ones_too(server, follow):
    first = now_ms() - 60_000
    server.ingest([sample(1, first, n="1")], precision="ms")
    follower = follow(server, "--json", "--start", "now-1h", "x")
    follower.wait_for(str(first))
    sent = [sample(1, first, n="1")]
    for number in range(2, 30):
        more = [sample(number, first + number * 100, n=str(number % 3)),
                sample(number, first - number * 1000, n="1")]
        if number == 7:
            more.append(sample("NaN", first + 7, n="a\"b\n"))
        server.ingest(more, precision="ms")
        # The same again is nothing new.
        server.ingest(more, precision="ms")
        sent += more
    wait_until(lambda: len(follower.lines) >= len(sent), what="all lines")
    server.ingest([sample(0, first + 50_000, last="yes")], precision="ms")
    follower.wait_for("last")
    assert follower.end() == 0
    assert follower.errors == []
    got = [json.loads(line) for line in follower.lines[:-1]]
    key = lambda one: (sorted(one["labels"].items()), one["timestamp"])  # noqa: E731
    assert sorted(got, key=key) == sorted(sent, key=key)
    assert all(list(one) == ["name", "labels", "value", "timestamp"] for one in got)


def test_without_a_start_what_was_there_before_is_old(server, follow):
    server.ingest([sample(1, now_ms() - 1000, n="old")], precision="ms")
    follower = follow(server, "x")

    def poke():
        server.ingest([sample(2.5, now_ms() - 500, n="new")], precision="ms")
        return follower.lines

    wait_until(poke, what="a new sample")
    assert follower.end(signal.SIGTERM) == 0
    assert not any("old" in line for line in follower.lines)
    time_text, value, name = follower.lines[0].split()
    assert time_text.endswith("Z") and (value, name) == ("2.5", 'x{n="new"}')


def test_a_restart_of_the_server_is_survived_and_nothing_comes_twice(make_server, follow):
    server = make_server().start()
    base = now_ms() - 30_000
    server.ingest([sample(0, base)], precision="ms")
    follower = follow(server, "--json", "--start", "now-1h", "x")
    follower.wait_for(str(base))
    for number in range(1, 4):
        server.ingest([sample(number, base + number)], precision="ms")
        follower.wait_for(str(base + number))
        (server.kill if number == 2 else server.stop)()
        wait_until(lambda: len(follower.errors) == 2 * number - 1, what="a word about it")
        assert "asking on" in follower.errors[-1]
        server.start()
        wait_until(lambda: len(follower.errors) == 2 * number, what="a word about its return")
        assert "answers again" in follower.errors[-1]
    server.ingest([sample(4, base + 4)], precision="ms")
    follower.wait_for(str(base + 4))
    assert follower.end() == 0
    assert [json.loads(line)["value"] for line in follower.lines] == [0, 1, 2, 3, 4]


def test_buckets_are_printed_when_they_are_over_with_all_that_is_in_them(server, follow):
    server.ingest([sample(1, now_ms() - 3_600_000)], precision="ms")
    follower = follow(server, "--json", "--start", "now-3601s", "--aggregate", "sum", "--interval",
                      "500ms", "x")
    wait_until(lambda: follower.lines, what="the first bucket")
    sent = {}

    def send():
        at = now_ms()
        server.ingest([sample(1, at)], precision="ms")
        sent[at] = 1
        return len(follower.lines) >= 6

    wait_until(send, what="six buckets")
    assert follower.end() == 0
    got = [json.loads(line) for line in follower.lines[1:]]
    starts = [one["timestamp"] for one in got]
    assert starts == sorted(set(starts))
    for one in got:
        inside = [at for at in sent if one["timestamp"] <= at < one["timestamp"] + 500]
        assert one["timestamp"] % 500 == 0
        # A sample is on its way while its bucket ends.
        assert len(inside) - 1 <= one["value"] <= len(inside), (one, inside)


def test_all_pages_are_followed(make_server, follow):
    server = make_server("query.default_limit=7").start()
    base = now_ms() - 10_000
    server.ingest([sample(1, base, n=str(number)) for number in range(40)], precision="ms")
    follower = follow(server, "--json", "--start", "now-1m", "x")
    wait_until(lambda: len(follower.lines) == 40, what="all series")
    server.ingest([sample(2, base + 1, n=str(number)) for number in range(60)], precision="ms")
    wait_until(lambda: len(follower.lines) >= 100, what="all series again")
    assert follower.end() == 0
    assert len(follower.lines) == len(set(follower.lines)) == 100


@pytest.mark.parametrize("arguments, code, word", [
    (["--aggregate", "sum", "x"], 2, "--interval"),
    (["--chart", "x"], 2, "--chart"),
    (["--end", "now", "x"], 2, "--end"),
    (["--limit", "3", "x"], 2, "--limit"),
    (["--every", "soon", "x"], 2, "--every"),
    (["--aggregate", "sum", "--interval", "soon", "x"], 2, "--interval"),
    (["--start", "yesterday", "x"], 2, "start"),
    (["{}"], 2, "match"),
])
def test_what_cannot_be_followed_is_refused(binary, server, arguments, code, word):
    result = subprocess.run([binary, "query", "--follow", "--url", server.url, *arguments],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == code, result.stderr
    assert word in result.stderr


def test_a_server_that_never_was_there_is_a_failure(binary, make_server):
    server = make_server()
    result = subprocess.run([binary, "query", "--follow", "--url", server.url, "x"],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1 and server.url in result.stderr


def test_a_reader_that_leaves_ends_it(server, binary):
    with subprocess.Popen([binary, "query", "--follow", "--every", "50ms", "--url", server.url, "x"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()

        def poke():
            server.ingest([sample(1, now_ms() - 500)], precision="ms")
            return process.poll() is not None

        wait_until(poke, what="the end")
        assert process.returncode == 1 and process.stderr.read() == b""
