"""Each reason for which the parser of OpenMetrics refuses a document or a sample stands in the table of
tests/unit/protocols/openmetrics_rules_test.c, with a document that is refused for it."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = "tests/unit/protocols/openmetrics_rules_test.c"
# The scan of a series and its labels is shared with the older text format.
PARSER = ["src/protocols/openmetrics.c", "src/protocols/openmetrics_family.c"]
SCAN = "src/protocols/exposition.c"
LITERAL = r'"(?:\\.|[^"\\])*"'
# What says nothing of the document: it goes before a reason, or is a warning.
FRAMES = {"line %u: %s", "the %s \"%.*s\" that begins here %s"}
WARNINGS = {" exemplars were read and not kept: only samples are stored"}
WORDS = 3  # of a sentence at least


def source(path):
    """The file without comments and characters in quotes."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"'(?:\\.|[^'\\\n])'", "0", text)
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def joined(run):
    return "".join(part[1:-1] for part in re.findall(LITERAL, run)).encode().decode("unicode_escape")


def texts(code):
    """Literals, with their neighbours."""
    return [joined(run) for run in re.findall(rf"{LITERAL}(?:\s*{LITERAL})*", code)]


def sentences():
    found = [text for path in PARSER for text in texts(source(path))]
    found += [joined(run) for run in re.findall(rf"fault(?:\([^;\"]*| = )({LITERAL}(?:\s*{LITERAL})*)", source(SCAN))]
    return {text for text in found if len(text.split()) >= WORDS} - FRAMES - WARNINGS


def table():
    """All texts of the table, with the macros that stand between literals put in."""
    code = source(TABLE).replace("\\\n", " ")
    macros = re.findall(r"^#define (\w+)(\(\w+\))? +(.*)$", code, re.MULTILINE)
    code = re.sub(r"^#.*$", "", code, flags=re.MULTILINE)
    for name, parameter, body in macros:
        if not parameter:
            code = re.sub(rf"\b{name}\b", lambda _, body=body: body, code)
            continue
        outside = rf"({LITERAL})|\b{parameter[1:-1]}\b"
        code = re.sub(rf"\b{name}\(({LITERAL})\)", lambda call, body=body, outside=outside: re.sub(
            outside, lambda part: part[1] or call[1], body), code)
    return texts(code)


def pattern(sentence):
    """Of what a reason looks like that this format makes."""
    return ".+".join(re.escape(part) for part in re.split(r"%(?:\.\*)?[a-z]+", sentence))


class Reasons(unittest.TestCase):
    def test_each_reason_stands_in_the_table(self):
        reasons = table()
        known = sentences()
        self.assertGreater(len(known), 50)
        for sentence in sorted(known):
            with self.subTest(sentence):
                self.assertTrue(any(re.search(pattern(sentence), reason) for reason in reasons),
                                f"no document of {TABLE} is refused for it")


if __name__ == "__main__":
    unittest.main()
