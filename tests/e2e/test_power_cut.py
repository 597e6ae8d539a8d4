"""The power fails under load: what was acknowledged had reached the disk.

The disk is an ext4 on a loop device that is shut down without flushing anything. A second test
shows that the first can see a loss: with storage.sync=never it finds one.
METRIC_STORE_POWER_CYCLES and METRIC_STORE_CRASH_SEED as in test_crash.py.
"""

import os
import random
import re
import time

import pytest

from crash_run import CrashRun
from loop_disk import mounted_disk
from parts import PartsMet

CYCLES = int(os.environ.get("METRIC_STORE_POWER_CYCLES", "10"))
SEED = os.environ.get("METRIC_STORE_CRASH_SEED") or str(random.SystemRandom().randrange(10**9))
SETTINGS = ("storage.head_size=1MiB", "storage.merge_fan_in=2", "storage.wal_segment_size=1MiB")


@pytest.fixture
def disk(tmp_path):
    with mounted_disk(tmp_path, 512) as disk:
        yield disk


def cut_power_under_load(server, disk, run, chance):
    """The server lives on for a moment without a disk, as one does whose controller has died."""
    run.go()
    time.sleep(chance.uniform(0.1, 0.8))
    disk.cut_power()
    time.sleep(chance.uniform(0, 0.1))
    server.kill()
    run.wait_until_down()
    disk.unmount()
    disk.mount()


@pytest.fixture
def powered(disk, make_server):
    """Makes a server on that disk, which is stopped before the disk goes."""
    servers = []

    def make(*settings):
        servers.append(make_server(*settings, data=os.path.join(disk.path, "data")).start())
        return servers[-1]

    yield make
    for server in servers:
        if server.process.poll() is None:
            server.kill()


def test_a_power_cut_loses_nothing_acknowledged(powered, disk, tmp_path):
    print(f"METRIC_STORE_CRASH_SEED={SEED} METRIC_STORE_POWER_CYCLES={CYCLES}")
    chance = random.Random(f"{SEED}/cuts")
    server = powered(*SETTINGS)
    run = CrashRun(server, tmp_path, SEED)
    met = PartsMet()
    try:
        cycle = 0
        # A disk that is slow to sync takes more of them until there is something to merge.
        while cycle < CYCLES or (cycle < 5 * CYCLES and not met.all()):
            cycle += 1
            cut_power_under_load(server, disk, run, chance)
            if not met.all():
                met.look(server)
            server.start()
            run.check(full=cycle == CYCLES, increase_of=[cycle % 4])
        run.check(full=True, increase_of=range(4))
    finally:
        run.close()
    acknowledged = sum(books.acknowledged for books in run.books)
    print(f"{acknowledged} batches acknowledged, {met}, "
          f"blocks answered by headers: {run.headers_answered}")
    assert acknowledged > CYCLES
    assert met.all(), met
    run.assert_headers_answered()


def test_a_power_cut_without_syncs_loses_something_and_is_seen_to(powered, disk, tmp_path):
    chance = random.Random(f"{SEED}/lies")
    server = powered("storage.sync=never")
    run = CrashRun(server, tmp_path, SEED)
    try:
        # The kernel may have written everything back by itself just before a cut; not before ten.
        for _ in range(10):
            cut_power_under_load(server, disk, run, chance)
            server.start()
            try:
                run.check(full=True, increase_of=range(4))
            except AssertionError as lost:
                assert re.search("missing|acknowledged|differs", str(lost))
                return
        raise AssertionError("ten power cuts lost nothing although nothing was synced")
    finally:
        run.close()
