"""What requests cost a server: its CPU time and its memory. The clock on the wall tells of the
machine and of its other tenants; here it only bounds how long a test may hang.

The release build is held to the bars of a hostile request; a sanitized one, which is many times as
slow and keeps what was freed, to loose ones.
"""

import os
import time

import pytest

from server import wait_until

MIB_KB = 1024
LOOSE_S = 2.0
LOOSE_FLAT_KB = 8 * MIB_KB
REFUSAL_S = 0.010
FLAT_KB = MIB_KB


def start_flat(server):
    """Starts it so that its memory can be seen to be flat: a sanitizer keeps what is freed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASAN_OPTIONS",
                     os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
        return server.start()


def cpu_s(server):
    """CPU seconds of all threads that the process ever had: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime((~server.process.pid << 3) | 2)


def peak_kb(server):
    """The most resident memory since reset_peak()."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def reset_peak(server):
    with open(f"/proc/{server.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def hold_to_bars(server, post, cpu_bar_s=REFUSAL_S, flat_kb=FLAT_KB, peak_bar_kb=None):
    """Calls `post` some times and gives its last answer. The cheapest call stays below the bar of
    CPU time; no more memory than `flat_kb` stays behind, and at no time more than `peak_bar_kb` is
    taken. First calls are not measured: they make buffers that the server keeps."""
    for _ in range(3):
        post()
    before_kb = server.rss_anon_kb()
    reset_peak(server)
    floor_kb = peak_kb(server)
    cheapest, quickest = 1e9, 1e9
    for _ in range(5):
        cpu, wall = cpu_s(server), time.monotonic()
        answer = post()
        cheapest = min(cheapest, cpu_s(server) - cpu)
        quickest = min(quickest, time.monotonic() - wall)
    assert quickest < LOOSE_S + cpu_bar_s
    if server.sanitized:
        cpu_bar_s, flat_kb = max(cpu_bar_s, LOOSE_S), max(flat_kb, LOOSE_FLAT_KB)
    elif peak_bar_kb is not None:
        taken_kb = peak_kb(server) - floor_kb
        assert taken_kb <= peak_bar_kb, f"{taken_kb} KiB at once"
    assert cheapest < cpu_bar_s, f"{cheapest * 1e3:.1f} ms of CPU time"
    # What a connection held may be freed just after its answer has left.
    wait_until(lambda: server.rss_anon_kb() - before_kb < flat_kb, 5,
               f"memory within {flat_kb} KiB of {before_kb} KiB")
    return answer
