"""A disk that does not give back some bytes of a file, again and again: it costs their place. Answers say
that they are partial, merges of all else go on, verify names the place, and a repair leaves it out."""

import errno
import os
import subprocess

import pytest

from faults import Faults
from server import wait_until

FIRST_MS = 1795305600000
DAY_MS = 86_400_000
SERIES, POINTS = 400, 50
SETTINGS = ("storage.merge_fan_in=2",)


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path)


def samples(day, name="load", points=POINTS):
    return [{"name": name, "labels": {"n": str(i)}, "value": i + (p * 7919 % 1009) / 1009,
             "timestamp": FIRST_MS + day * DAY_MS + 1000 * p} for i in range(SERIES)
            for p in range(points)]


@pytest.fixture
def server(faults, make_server):
    """Stopped, with a part of two days each."""
    server = make_server(*SETTINGS).start()
    for day in range(2):
        server.ingest(samples(day))
        assert server.stop() == 0
        server.start()
    assert server.stop() == 0
    server.environment = faults.environment()
    return server


def run(server, *arguments):
    return subprocess.run([server.binary, *arguments, "--data", server.data], capture_output=True,
                          text=True, timeout=60, check=False,
                          env={**os.environ, **server.environment})


def files(server, folder):
    path = os.path.join(server.data, folder)
    return sorted(os.path.join(path, name) for name in os.listdir(path))


def count(server, day, name="load"):
    answer = server.query(metric=name, start=str(FIRST_MS + day * DAY_MS),
                          end=str(FIRST_MS + (day + 1) * DAY_MS), aggregate="count", by="")
    return sum(point[1] for series in answer["series"] for point in series["points"]), answer


def exported(server, day):
    """All samples of a day, decoded, not only what headers say of them."""
    done = run(server, "export", "--format", "ndjson", "--start", str(FIRST_MS + day * DAY_MS), "--end",
               str(FIRST_MS + (day + 1) * DAY_MS), "--match", "load")
    return done.returncode, len(done.stdout.splitlines())


def test_a_page_of_a_part_that_cannot_be_read_costs_its_place(server, faults):
    part = files(server, "parts")[0]
    size = os.path.getsize(part)
    assert size > 16384
    faults.begin_reads(errno.EIO, part, 8192, 12288)
    found = run(server, "verify")
    assert found.returncode == 4, found
    assert "does not give back bytes" in found.stdout and "Input/output error" in found.stdout
    code, left = exported(server, 0)
    assert code == 4 and SERIES * POINTS / 2 < left < SERIES * POINTS
    assert exported(server, 1) == (0, SERIES * POINTS)

    server.start()
    # Merges of the day that is whole go on, past the part that they leave alone.
    for number in range(3):
        server.ingest(samples(0, f"more{number}", 10))
        server.ingest(samples(1, f"more{number}", 10))
        assert server.stop() == 0
        server.start()
    wait_until(lambda: len(files(server, "parts")) <= 5, 30, "merges")
    for number in range(3):
        assert count(server, 0, f"more{number}")[0] == SERIES * 10
        assert count(server, 1, f"more{number}")[0] == SERIES * 10
    assert os.path.exists(part)
    assert server.stop() == 0

    mended = run(server, "verify", "--repair")
    assert mended.returncode == 3, mended
    assert not os.path.exists(part)
    assert os.path.join(server.data, "quarantine", os.path.basename(part)) in files(server,
                                                                                    "quarantine")
    assert run(server, "verify").returncode == 0
    faults.end()
    server.start()
    kept, answer = count(server, 0)
    assert not answer.get("partial")
    assert SERIES * POINTS / 2 < kept < SERIES * POINTS
    assert count(server, 1)[0] == SERIES * POINTS


@pytest.mark.parametrize("folder", ["parts", "index"])
def test_the_end_of_a_file_that_cannot_be_read_is_found_from_the_rest(server, faults, folder):
    file = max(files(server, folder), key=os.path.getsize)
    size = os.path.getsize(file)
    faults.begin_reads(errno.EIO, file, size - 100, size)
    assert run(server, "verify").returncode == 4
    server.start()
    for day in range(2):
        assert count(server, day)[0] == SERIES * POINTS
    assert server.stop() == 0
    mended = run(server, "verify", "--repair")
    assert mended.returncode in (0, 3), mended
    assert run(server, "verify").returncode == 0
    faults.end()
    server.start()
    for day in range(2):
        total, answer = count(server, day)
        assert total == SERIES * POINTS and not answer.get("partial")


@pytest.mark.parametrize("file", ["wal", "manifest"])
def test_what_cannot_be_read_of_log_or_manifest_is_settled_by_a_repair_only(server, faults, file):
    server.start()
    server.ingest(samples(1, "late", 20))
    server.kill()
    path = (os.path.join(server.data, "manifest") if file == "manifest" else
            [path for path in files(server, "wal") if "spare" not in path][-1])
    first = 4096 if file == "wal" else os.path.getsize(path) - 60
    faults.begin_reads(errno.EIO, path, first, first + 512)
    with pytest.raises(AssertionError, match="serve ended with 1"):
        server.start()
    assert "verify --repair" in server.log_tail()
    faults.end()
    # It was only refused.
    server.start()
    assert count(server, 1, "late")[0] == SERIES * 20
    server.kill()
    first = 4096 if file == "wal" else os.path.getsize(path) - 60
    faults.begin_reads(errno.EIO, path, first, first + 512)
    found = run(server, "verify")
    assert found.returncode == 4 and "does not give back bytes" in found.stdout, found
    mended = run(server, "verify", "--repair")
    assert mended.returncode == 3, mended
    faults.end()
    assert os.path.basename(path) in os.listdir(os.path.join(server.data, "quarantine"))
    assert run(server, "verify").returncode == 0
    server.start()
    for day in range(2):
        assert count(server, day)[0] == SERIES * POINTS
