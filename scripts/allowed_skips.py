"""Which tests may be skipped where CI=true: those that tests/allowed_skips names with a reason.

A line of that file is TEST-ID<TAB>REASON; '#' begins a comment line. TEST-ID is what a run prints
of the skipped test. Where a test gives a reason for its skip, it has to contain REASON: a test
that is skipped for another reason than the known one is a failure.
"""

import os

DEFAULT_PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                            "tests", "allowed_skips")


def in_ci():
    return os.environ.get("CI") == "true"


def load(path=DEFAULT_PATH):
    """Gives test id -> reason; raises ValueError on a line that is not that."""
    allowed = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            test_id, tab, reason = line.partition("\t")
            if not tab or not test_id.strip() or not reason.strip():
                raise ValueError(f"{path}:{number}: want TEST-ID<TAB>REASON, got {line!r}")
            allowed[test_id.strip()] = reason.strip()
    return allowed


def is_allowed(allowed, test_id, reason=None):
    known = allowed.get(test_id)
    return known is not None and (reason is None or known in reason)
