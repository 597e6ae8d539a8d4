"""A long merge as an operator meets it: a stop in the middle of it."""

import os
import random
import subprocess
import time

from parts import parts_of
from server import wait_until

DAY = 86400000
T0 = int(time.time() * 1000) // DAY * DAY - DAY
PARTS = 8
SAMPLES = 250_000  # of each part
STEP = DAY // SAMPLES


def write_part(server, number):
    """Samples over all of the day, between those of the other parts, into a part of their own."""
    values = random.Random(number)
    text = "".join(f"dense {values.random()} {T0 + i * STEP + number}\n" for i in range(SAMPLES))
    answer = server.session.post(server.url + "/api/v1/import/prometheus", data=text, timeout=120)
    assert answer.status_code == 200 and answer.json()["accepted"] == SAMPLES, answer.text
    # A snapshot flushes.
    answer = server.session.post(server.url + "/api/v1/admin/snapshot", timeout=120)
    assert answer.status_code == 201, answer.text


def files(server):
    return os.listdir(os.path.join(server.data, "parts"))


def counter(server, name):
    for line in server.session.get(server.url + "/metrics", timeout=60).text.splitlines():
        if line.startswith(name + " "):
            return int(float(line.split()[1]))
    raise AssertionError(name)


def sums(server):
    answer = server.query(metric="dense", aggregate="sum", interval="1h", start=str(T0),
                          end=str(T0 + DAY))
    assert not answer["partial"]
    return answer["series"]


def test_a_stop_in_the_middle_of_a_merge_is_quick_and_leaves_nothing_over(make_server, binary):
    server = make_server("storage.head_size=256MiB", "memory.limit=2GiB").start()
    for number in range(PARTS):
        assert len(files(server)) == number
        write_part(server, number)
    # The merge thread looks every second; what it makes stands beside the others first.
    wait_until(lambda: len(files(server)) == PARTS + 1, 60, "the merge's part")
    asked = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - asked < (60 if server.sanitized else 5)
    assert len(files(server)) == PARTS, "the merge was not stopped, or left something"
    assert len(parts_of(binary, server.data)) == PARTS
    shown = subprocess.run([binary, "verify", "--data", server.data], capture_output=True,
                           text=True, timeout=600, check=False)
    assert shown.returncode == 0 and "nothing names" not in shown.stdout, shown.stdout

    server.start()
    expected = sums(server)
    assert len(expected[0]["points"]) == 24
    wait_until(lambda: counter(server, "metric_store_merges_total") == 1, 600, "the merge")
    assert sums(server) == expected
    wait_until(lambda: len(files(server)) == 1, 30, "one part")
    assert server.stop() == 0
    [part] = parts_of(binary, server.data)
    assert part["samples"] == PARTS * SAMPLES
