"""What a store that no server has open says of its parts: several, merged ones, late ones.

A test that wants to meet parts in those ways looks while its server is down, and asserts at its
end what the looks together have seen.
"""

import json
import os
import re
import subprocess


def inspected(binary, *arguments):
    shown = subprocess.run([binary, "inspect", *arguments], capture_output=True, text=True,
                           timeout=120, check=False)
    assert shown.returncode == 0, (arguments, shown.returncode, shown.stdout, shown.stderr)
    return shown.stdout


def parts_of(binary, data):
    """What `inspect --json` says of each part that counts: those that the manifest names."""
    listed = inspected(binary, "--blocks", os.path.join(data, "manifest"))
    found = [json.loads(inspected(binary, "--json", os.path.join(data, file)))
             for file in re.findall(r"^part file=(\S+)", listed, re.MULTILINE)]
    for part in found:
        assert part["kind"] == "part" and part["damaged"] == 0, part
        assert part["samples"] > 0, part
    return found


def overlap(part, other):
    """Whether both hold times of the same stretch of a day. The texts of two times of one day
    compare as the times do: without the "Z", what has a fraction is longer and later."""
    def at(instant):
        return instant.rstrip("Z")
    return (part["day"] == other["day"] and at(part["first"]) <= at(other["last"]) and
            at(other["first"]) <= at(part["last"]))


class PartsMet:
    """The most parts at once, the highest level, and whether two parts of a day overlapped in
    time, as one has that was written late beside one that was there before."""

    def __init__(self):
        self.most, self.level, self.late = 0, 0, None

    def look(self, server):
        """At the files of a server that has been killed or stopped."""
        assert server.process.poll() is not None, "it still writes its files"
        parts = parts_of(server.binary, server.data)
        self.most = max(self.most, len(parts))
        self.level = max([self.level] + [part["level"] for part in parts])
        for number, part in enumerate(parts):
            for other in parts[:number]:
                if self.late is None and overlap(part, other):
                    self.late = (other["day"], other["id"], part["id"])

    def all(self):
        return self.most > 1 and self.level > 0 and self.late is not None

    def __repr__(self):
        return f"{self.most} parts at once, merged to level {self.level}, overlapping: {self.late}"
