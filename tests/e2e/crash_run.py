"""Writers with their ledgers around a server that comes and goes, and the check after each fall."""

import os
import random
import subprocess
import sys

from exact import assert_same_samples, stored_samples
from ledger import BATCH_MS, FIRST_MS, PROTOCOLS, Books, aggregate, around

WRITER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ledger_writer.py")
RECENT_BATCHES = 100


class CrashRun:
    def __init__(self, server, folder, seed):
        self.server, self.seed = server, seed
        self.chance = random.Random(seed)
        self.books, self.writers = [], []
        self.headers_answered = {}  # by aggregate: blocks that told of it without being decoded
        for number in range(len(PROTOCOLS)):
            path = os.path.join(folder, f"ledger-{number}")
            self.books.append(Books(seed, number, path))
            self.writers.append(subprocess.Popen(
                [sys.executable, WRITER, str(seed), str(number), str(server.port), path],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def go(self):
        """Lets all writers send; a batch that was not answered is sent again, or given up."""
        for books, writer in zip(self.books, self.writers):
            skip = books.sent is not None and self.chance.random() < 0.5
            writer.stdin.write("skip\n" if skip else "resend\n")
            writer.stdin.flush()
            books.sent = None

    def wait_until_down(self):
        """Returns when every writer has seen the server go, and reads the ledgers."""
        for books, writer in zip(self.books, self.writers):
            assert writer.stdout.readline() == "down\n", f"writer {books.writer} ended"
            books.read()

    def close(self):
        for writer in self.writers:
            writer.kill()
            writer.wait()
            writer.stdin.close()
            writer.stdout.close()

    def check(self, full, increase_of):
        """The running server holds what the ledgers say. `full` compares every sample; the
        increases are those of the writers `increase_of`."""
        for books in self.books:
            if books.doubt is not None:
                books.adopt(around(self.server, books.writer, books.doubt.first_ms,
                                   books.doubt.end_ms))
            self.check_recent(books)
            self.check_aggregates(books, books.writer in increase_of)
        if full:
            expected = {}
            for books in self.books:
                expected.update(books.expected())
            assert_same_samples(expected, stored_samples(self.server), f"seed {self.seed}")

    def check_recent(self, books):
        """The latest batches, sample by sample: they were closest to the crash."""
        number = max(0, books.last - RECENT_BATCHES)
        wanted = books.since(number)
        found = around(self.server, books.writer, FIRST_MS + number * BATCH_MS,
                       FIRST_MS + (books.last + RECENT_BATCHES) * BATCH_MS)
        missing = sorted(set(wanted) - set(found))
        unknown = sorted(set(found) - set(wanted))
        changed = sorted(place for place in set(found) & set(wanted)
                         if found[place] != wanted[place])
        assert not (missing or unknown or changed), (
            f"seed {self.seed}, writer {books.writer}: {len(missing)} missing {missing[:5]}, "
            f"{len(unknown)} unknown {unknown[:5]}, {len(changed)} changed {changed[:5]}")

    def check_aggregates(self, books, with_increase):
        wanted = {"count": books.counts(), "sum": books.sums}
        if with_increase:
            wanted["increase"] = books.increases()
        for function, expected in wanted.items():
            values, stats = aggregate(self.server, books.writer, function)
            differences = [(n, expected.get(n), values.get(n))
                           for n in sorted(set(expected) | set(values))
                           if expected.get(n) != values.get(n)]
            assert not differences, (
                f"seed {self.seed}, writer {books.writer}: {function} differs in "
                f"{len(differences)} series (number, ledger, stored): {differences[:5]}")
            # Where a header answered, there is less to decode than there are samples.
            if stats["samples_scanned"] < sum(books.counts().values()):
                self.headers_answered[function] = (self.headers_answered.get(function, 0) +
                                                   stats["blocks_skipped"])

    def assert_headers_answered(self):
        """Each aggregate was told by headers: nothing is twice in what they say either."""
        for function in ("count", "sum", "increase"):
            assert self.headers_answered.get(function, 0) > 0, (
                f"seed {self.seed}: no header told of {function}: {self.headers_answered}")
