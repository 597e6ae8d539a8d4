"""kill -9 under load: nothing that was acknowledged is lost, nothing is there twice.

METRIC_STORE_CRASH_CYCLES sets how often the server is killed, METRIC_STORE_CRASH_SEED repeats what
was written and when the kills came (as far as the machine's own timing lets it). What a check costs
grows with what is stored: after STORE_CYCLES a new store begins, whose own seed a failure names.
"""

import os
import random
import time

import pytest
from crash_run import CrashRun
from parts import PartsMet

CYCLES = int(os.environ.get("METRIC_STORE_CRASH_CYCLES", "20"))
SEED = os.environ.get("METRIC_STORE_CRASH_SEED") or str(random.SystemRandom().randrange(10**9))
FULL_EVERY = 10
STORE_CYCLES = 50
STORES = -(-CYCLES // STORE_CYCLES)


def kill_in_start(server, chance):
    """Recovery that is killed itself must be one that can be begun again."""
    server.spawn()
    time.sleep(chance.uniform(0, 0.1))  # the moment of a kill is what this test draws by lot
    server.kill()


@pytest.mark.parametrize("store", range(STORES))
def test_kill_under_load_loses_nothing_acknowledged_and_doubles_nothing(make_server, tmp_path,
                                                                        store):
    seed = f"{SEED}.{store}" if store > 0 else SEED
    cycles = CYCLES * (store + 1) // STORES - CYCLES * store // STORES
    print(f"METRIC_STORE_CRASH_SEED={seed} METRIC_STORE_CRASH_CYCLES={cycles}")
    chance = random.Random(f"{seed}/kills")
    server = make_server("storage.head_size=1MiB", f"storage.merge_fan_in={chance.randint(2, 4)}",
                         "storage.wal_segment_size=1MiB").start()
    run = CrashRun(server, tmp_path, seed)
    met = PartsMet()
    try:
        for cycle in range(1, cycles + 1):
            run.go()
            time.sleep(chance.uniform(0.1, 0.75))
            server.kill()
            run.wait_until_down()
            if not met.all():
                met.look(server)
            if chance.random() < 0.3:
                kill_in_start(server, chance)
            server.start()
            last = cycle == cycles
            run.check(full=last or cycle % FULL_EVERY == 0,
                      increase_of=range(4) if last else [cycle % 4])
        assert server.stop() == 0
        server.start()
        run.check(full=True, increase_of=range(4))
    finally:
        run.close()
    print(f"{sum(books.acknowledged for books in run.books)} batches acknowledged, {met}, "
          f"blocks answered by headers: {run.headers_answered}")
    assert all(books.kinds == {"forward", "late", "again", "change"} for books in run.books)
    # Without these the test would not have met what it is about.
    assert met.all(), met
    run.assert_headers_answered()
