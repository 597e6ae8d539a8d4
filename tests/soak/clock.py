"""Simulated time: how fast it goes, what the program under test is told of it, waiting for it."""

import os
import time

DAY_MS = 86_400_000
FIRST_DAY = 20_500  # UTC days since 1970: in 2026


class Clock:
    def __init__(self, day_seconds, library):
        self.rate = round(86_400 / day_seconds)
        self.shim = library
        self.start_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)

    def environment(self):
        return {**os.environ, "LD_PRELOAD": self.shim,
                "FAST_CLOCK_START_NS": str(self.start_ns),
                "FAST_CLOCK_EPOCH_NS": str(FIRST_DAY * DAY_MS * 1_000_000),
                "FAST_CLOCK_RATE": str(self.rate)}

    def now_ms(self):
        passed_ns = time.clock_gettime_ns(time.CLOCK_REALTIME) - self.start_ns
        return FIRST_DAY * DAY_MS + passed_ns * self.rate // 1_000_000

    def days(self):
        """Simulated days since the start."""
        return self.now_ms() / DAY_MS - FIRST_DAY

    def wait_for(self, time_ms, stop):
        """Until then, or until the event is set."""
        while not stop.is_set() and (left_ms := time_ms - self.now_ms()) > 0:
            stop.wait(min(left_ms / 1000 / self.rate, 1))
