"""What a damaged page of an index segment hides, and until when."""

import glob
import os

import pytest

from store import Commands, line

SERIES = 3000
FIRST_MS = 1795305600000
STEPS = 40


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def samples(time_ms):
    return "".join(line("m", {"i": f"v{i:05}-abcdefgh", "room": f"r{i % 4}"}, i, time_ms) + "\n"
                   for i in range(SERIES)).encode()


def holds_series(path):
    with open(path, "rb") as file:
        return file.read(8) == b"MSSERIES"


def damage(commands, data, what):
    """Changes a byte of a page that verify calls `what`."""
    segment, = filter(holds_series, glob.glob(os.path.join(data, "index", "*.seg")))
    for step in range(STEPS):
        at = os.path.getsize(segment) * step // STEPS + 3
        flip(segment, at)
        if f": {what} " in commands.ok("verify", "--data", data, code=4):
            return
        flip(segment, at)
    raise AssertionError(f"no page of {what} was met")


def stored(server, selector):
    """How many samples of a selector an answer holds, and whether it says that it is whole."""
    answer = server.query(match=selector, aggregate="count", by="", start=str(FIRST_MS),
                          end=str(FIRST_MS + 60_000))
    return sum(p[1] for s in answer["series"] for p in s["points"]), not answer["partial"]


def restarted(server):
    assert server.stop() == 0
    return server.start()


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


@pytest.fixture
def server(commands, make_server):
    server = make_server()
    commands.ok("import", "--data", server.data, "--precision", "ms", "-", data=samples(FIRST_MS))
    return server


def write_again(server):
    answer = server.post("/api/v1/metrics/ingest/batch?precision=ms", samples(FIRST_MS + 1000),
                         "application/x-ndjson").json()
    assert (answer["accepted"], answer["new_series"]) == (SERIES, 0)


def test_series_without_readable_labels_are_hidden_until_they_are_written_again(server, commands):
    damage(commands, server.data, "definitions of 256 series, ids 1024 to 1279,")
    server.start()
    assert stored(server, "m") == (SERIES - 256, False)
    write_again(server)
    assert stored(server, "m") == (2 * SERIES, True)
    restarted(server)
    assert stored(server, "m") == (2 * SERIES, True)


def test_a_damaged_page_of_values_hides_series_from_selectors_that_need_it_until_a_repair(server,
                                                                                        commands):
    damage(commands, server.data, "values at")
    server.start()
    for rounds in (1, 2, 2):
        assert stored(server, '{i=~"v.*"}') == (0, False)
        assert stored(server, '{room="r1"}') == (rounds * SERIES // 4, True)
        if rounds == 1:
            write_again(server)
        else:
            restarted(server)
    refused = server.session.delete(server.url + "/api/v1/metrics/series",
                                    params={"match[]": '{i=~"v.*"}'}, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (500, "data_damaged")
    assert server.stop() == 0
    commands.ok("verify", "--repair", "--data", server.data)
    server.start()
    assert stored(server, '{i=~"v.*"}') == (2 * SERIES, True)
