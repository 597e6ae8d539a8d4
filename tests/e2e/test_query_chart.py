"""`metric-store query --chart`: as wide as the terminal, in its colours."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

T0 = 1795428000000
BRAILLE = re.compile("[\u2801-\u28ff]")
COLOUR = re.compile("\033\\[[0-9;]*m")


@pytest.fixture(scope="module")
def server(make_module_server):
    server = make_module_server().start()
    server.ingest([{"name": "temperature", "labels": {"room": room}, "value": 20 + number % (5 + at),
                    "timestamp": T0 + number * 15_000}
                   for at, room in enumerate(("bath", "kitchen")) for number in range(240)
                   if not 100 < number < 180], precision="ms")
    return server


def chart(binary, server, *arguments):
    result = subprocess.run([binary, "query", "--url", server.url, "--chart", *arguments],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


def chart_on_terminal(binary, server, columns, rows, *arguments, **environment):
    try:
        ours, theirs = pty.openpty()
    except OSError:  # a chroot without /dev/pts
        pytest.skip("no pseudo-terminals here")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with subprocess.Popen([binary, "query", "--url", server.url, "--chart", *arguments],
                          stdout=theirs, stdin=subprocess.DEVNULL,
                          env={**os.environ, "TERM": "xterm", **environment}) as process:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(60) == 0
    return text.decode().replace("\r\n", "\n").splitlines()


RANGE = ("temperature", "--start", str(T0), "--end", str(T0 + 3_600_000))


def test_a_chart_without_a_terminal_is_80_by_20_and_plain(binary, server):
    lines = chart(binary, server, *RANGE)
    axis = next(number for number, line in enumerate(lines) if "\u2514" in line)
    assert axis == 18 and len(lines[axis]) == 80
    assert max(len(line) for line in lines) == 80
    assert lines[20] == "2026-11-23 10:00:00 to 2026-11-23 10:59:45 UTC"
    assert lines[21:] == ['\u25cf temperature{room="bath"}', '\u25cb temperature{room="kitchen"}']
    assert not any("\033" in line or BRAILLE.search(line) for line in lines)
    one = chart(binary, server, *RANGE, "--label", "room=bath")
    assert any(BRAILLE.search(line) for line in one) and not any("\033" in line for line in one)


def test_a_chart_is_as_wide_as_the_terminal_and_has_its_colours(binary, server):
    for columns, rows in ((120, 50), (47, 16)):
        lines = chart_on_terminal(binary, server, columns, rows, *RANGE)
        assert any(COLOUR.search(line) for line in lines)
        plain = [COLOUR.sub("", line) for line in lines]
        assert max(len(line) for line in plain) == columns
        assert len(plain) < rows
        assert any(BRAILLE.search(line) for line in plain)
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        lines = chart_on_terminal(binary, server, 100, 30, *RANGE, **environment)
        assert not any("\033" in line for line in lines)
    assert any("\033" in line
               for line in chart_on_terminal(binary, server, 100, 30, *RANGE, NO_COLOR=""))


def columns_with_a_line(lines):
    """From the axis on: whether anything is drawn in a column."""
    start = lines[18].index("\u2514") + 1
    return [any(len(line) > column and line[column] != " " for line in lines[:18])
            for column in range(start, 80)]


def test_missing_buckets_break_the_line(binary, server):
    drawn = columns_with_a_line(chart(binary, server, *RANGE, "--aggregate", "avg", "--interval",
                                      "1m", "--by", ""))
    assert drawn[0] and drawn[-1] and not any(drawn[36:52])
    drawn = columns_with_a_line(chart(binary, server, *RANGE, "--aggregate", "avg", "--interval",
                                      "1m", "--by", "", "--fill", "previous"))
    assert all(drawn)


def test_times_are_those_of_the_zone(binary, server):
    lines = chart(binary, server, *RANGE, "--aggregate", "avg", "--interval", "1h", "--tz",
                  "Asia/Kolkata")
    assert lines[20].startswith("2026-11-23 15:00:00") and lines[20].endswith(" Asia/Kolkata")


def test_nothing_to_draw_is_said(binary, server):
    assert chart(binary, server, "--start", "now-1h", "absent") == ["nothing to draw: no series has a point"]


def test_what_excludes_a_chart_is_wrong_usage(binary, server):
    result = subprocess.run([binary, "query", "--url", server.url, "--chart", "--json", "x"],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2 and "--json" in result.stderr
