"""What the documents name is there: files, links, headings, make targets, commands, options, names.

It looks at what stands in code spans and code blocks, and at links. Words in capitals are places to
fill in. That settings exist is asked of the program itself: tests/e2e/test_docs.py.
"""

import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`|`([^`]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])(?:\./)?((?:src|docs|tests|scripts|bench|\.ci)/[\w./*{},-]+)")
# snake_case, as functions, codes, fields and metrics are written.
NAME = re.compile(r"(?<![\w./\"$-])([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?![\w./-])")
METRIC_PARTS = ("_bucket", "_sum", "_count", "_total")
# Words of others: the style of names, PromQL, Prometheus' own metric.
ELSEWHERE = {"module_verb", "predict_linear", "prometheus_remote_storage_samples_failed_total"}
SOURCE_FOLDERS = ("src", "tests", "bench")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def documents():
    found = ["README.md"] + [os.path.relpath(path, ROOT) for path in
                             glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True)]
    return sorted(found)


def spans(text):
    """What stands in code spans, blocks left out."""
    return [first or second for first, second in SPAN.findall(BLOCK.sub("", text))]


def shell_lines(text):
    """Lines of shell: blocks of sh, and what follows a prompt in console blocks."""
    for language, body in BLOCK.findall(text):
        for line in body.splitlines():
            if language == "console" and line.startswith("$ "):
                yield line[2:]
            elif language == "sh":
                yield line


def code(text):
    return spans(text) + list(shell_lines(text))


def paths_in(text):
    for piece in code(text):
        for path in PATH.findall(piece):
            yield path.rstrip(".,")


def expanded(path):
    """part_*.{h,c} -> both patterns; NAME_test.c -> *_test.c"""
    match = re.search(r"\{([^{}]*)\}", path)
    if match:
        for choice in match.group(1).split(","):
            yield from expanded(path[:match.start()] + choice + path[match.end():])
    else:
        yield re.sub(r"\b[A-Z]{2,}(?=\b|_)", "*", path)


def anchor(heading):
    kept = "".join(c for c in heading.strip().lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def headings(text):
    return {anchor(line.lstrip("#")) for line in BLOCK.sub("", text).splitlines()
            if line.startswith("#")}


def sources():
    """Everything that could define a name, as one text."""
    texts = [read("scripts/" + name) for name in os.listdir(os.path.join(ROOT, "scripts"))
             if os.path.isfile(os.path.join(ROOT, "scripts", name))]
    for folder in SOURCE_FOLDERS:
        for below, _, names in os.walk(os.path.join(ROOT, folder)):
            texts += [read(os.path.join(below, name)) for name in names
                      if name.endswith((".c", ".h", ".cc", ".build"))]
    return "\n".join(texts)


def exists(path):
    """A built program stands for its source."""
    return any(glob.glob(os.path.join(ROOT, path + ending)) for ending in ("", ".c"))


class Documents(unittest.TestCase):
    def check(self, find, is_there):
        """Every thing that find(text, document) gives has to be there."""
        missing = [f"{document}: {thing}" for document in documents()
                   for thing in find(read(document), document) if not is_there(thing)]
        self.assertEqual(missing, [])

    def test_there_is_something_to_look_at(self):
        self.assertIn("docs/ARCHITECTURE.md", documents())
        self.assertGreater(sum(len(list(paths_in(read(path)))) for path in documents()), 50)

    def test_files_that_are_named_are_there(self):
        self.check(lambda text, _: [pattern for path in paths_in(text) for pattern in expanded(path)],
                   exists)

    def test_links_lead_to_a_file_and_a_heading(self):
        def links(text, document):
            for link in LINK.findall(text):
                if "://" not in link:
                    target, _, heading = link.partition("#")
                    folder = os.path.dirname(document)
                    yield os.path.normpath(os.path.join(folder, target)) if target else document, heading

        def is_there(link):
            path, heading = link
            return os.path.exists(os.path.join(ROOT, path)) and (
                not heading or heading in headings(read(path)))

        self.check(links, is_there)

    def test_make_targets_exist(self):
        targets = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE).group(1).split()

        def find(text, _):
            for piece in code(text):
                for words in re.findall(r"\bmake ((?:[a-z]+(?: \| )?)+)", piece):
                    yield from words.split(" | ")

        self.check(find, targets.__contains__)

    def test_commands_and_their_options_exist(self):
        table = read("src/commands/table.c")
        common = read("src/commands/options.c") + read("src/commands/options.h")
        commands = re.findall(r'\.name = "([a-z]+)",\s*\.run = ', table)
        options = re.findall(r'\.name = "([a-z-]+)"', table + common)
        self.assertIn("serve", commands)
        self.assertIn("url", options)

        def find(text, _):
            for piece in code(text):
                for command, rest in re.findall(r"(?:^|[ /(])metric-store ([a-z]+)((?: [^|;&#]*)?)",
                                                piece):
                    yield command, tuple(re.findall(r"(?<=\s)--([a-z][a-z-]*)", rest))

        self.check(find, lambda found: found[0] in commands and
                   all(option in options for option in found[1]))

    def test_names_of_functions_codes_and_metrics_occur_in_the_source(self):
        defined = set(re.findall(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+", sources()))
        defined |= ELSEWHERE

        def is_there(name):
            return name in defined or any(name.endswith(part) and name[:-len(part)] in defined
                                          for part in METRIC_PARTS)

        self.check(lambda text, _: [name for span in spans(text) for name in NAME.findall(span)],
                   is_there)


if __name__ == "__main__":
    unittest.main()
