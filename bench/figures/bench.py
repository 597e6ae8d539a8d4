"""What the command line of bench/run asks for, and measuring more than once."""

import dataclasses
import os
import statistics

from figures.server import fresh_directory


@dataclasses.dataclass
class Bench:
    runs: int
    peer: bool
    shared: str

    def medians(self, measure, runs=None):
        """`measure` takes an empty directory and gives a dict; the median of each of its values."""
        results = []
        for _ in range(runs or self.runs):
            with fresh_directory() as directory:
                results.append(measure(directory))
        return {key: statistics.median(result[key] for result in results) for key in results[0]}

    def path_of_shared(self, *names):
        """None where it is absent."""
        path = os.path.join(self.shared, *names)
        return path if os.path.exists(path) else None
