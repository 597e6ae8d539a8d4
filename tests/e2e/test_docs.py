"""The settings that the documents name are settings of the program."""

import glob
import json
import os
import re
import subprocess

from conftest import ROOT

# Where a section has the name of a folder or a file: no setting.
FILES = re.compile(r"^(?:c|h|cc|md|md#.*|yml|py)$")


def settings_of(binary):
    result = subprocess.run([binary, "config", "--json"], capture_output=True, text=True,
                            timeout=30, check=True)
    return json.loads(result.stdout)


def documents():
    yield os.path.join(ROOT, "README.md")
    yield from sorted(glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True))


def settings_in(text, sections):
    """section.key in code spans and blocks, also in --set section.key=value."""
    name = re.compile(r"(?<![\w./-])(" + "|".join(sections) + r")\.([a-z_]+)\b")
    for span in re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL):
        for section, key in name.findall(span):
            if not FILES.match(key):
                yield section, key


def test_every_setting_that_a_document_names_exists(binary):
    settings = settings_of(binary)
    found = 0
    missing = []
    for path in documents():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for section, key in settings_in(text, settings):
            found += 1
            if key not in settings[section]:
                missing.append(f"{os.path.relpath(path, ROOT)}: {section}.{key}")
    # What the document of settings shows as a mistake.
    assert missing == ["docs/CONFIGURATION.md: cardinality.max_serie_per_metric"]
    assert found > 50


# ---- error codes -----------------------------------------------------------------------------

CODE_FOLDERS = ("admission", "api", "buffer", "cxx", "http", "model", "protocols", "query",
                "storage")
# Words of the same form that are no codes of answers: fields of logs, of inspect and of JSON, names
# of counters, units of times, and a warning.
NO_CODES = {"body_slow", "cardinality_warning", "duration_ms", "header_slow", "label_patterns", "log_samples",
            "max_series", "nan_payloads_lost", "reader_slow", "samples_left_out", "shape_action", "too_large",
            "unix_ms", "unix_ns", "unix_s", "unix_us"}


def codes_of_source():
    """Every literal of the form of a code, and the single words where codes are given."""
    found = set()
    for folder in CODE_FOLDERS:
        for path in glob.glob(os.path.join(ROOT, "src", folder, "**", "*.c*"), recursive=True):
            if path.endswith(("inspect.c", "label_patterns.c", "shape.c")):  # words of other things
                continue
            with open(path, encoding="utf-8") as file:
                text = file.read()
            found |= set(re.findall(r'"([a-z]+(?:_[a-z0-9]+)+)"', text))
            found |= set(re.findall(r'\.code = "(\w+)"', text))
            found |= set(re.findall(r'\bfail_code\(\s*[^,"]+,\s*\w+,\s*"(\w+)"', text))
            found |= set(re.findall(r'\{STATUS_\w+, \d+, "(\w+)"', text))
    return {code for code in found - NO_CODES if not code.startswith(("metric_store_", "max_"))}


def codes_of_document():
    with open(os.path.join(ROOT, "docs", "API.md"), encoding="utf-8") as file:
        text = file.read()
    listed = set()
    for title, column in (("Codes of whole requests", 2), ("Codes of single samples", 1)):
        section = text.split(f"### {title}\n")[1].split("\n### ")[0]
        for line in section.splitlines():
            if line.startswith("| ") and "`" in line:
                listed |= set(re.findall(r"`(\w+)`", line.split(" | ")[column - 1]))
        if column == 1:
            listed |= set(re.findall(r"`(\w+)`", section.split("In the log and in")[1]))
    return listed


def test_every_error_code_stands_in_the_document_and_no_other():
    source, document = codes_of_source(), codes_of_document()
    assert len(source) > 60
    assert source - document == set(), "in the source, not in docs/API.md"
    assert document - source == set(), "in docs/API.md, not in the source"


def test_every_route_stands_in_the_document():
    with open(os.path.join(ROOT, "src", "api", "api.c"), encoding="utf-8") as file:
        routes = re.findall(r'\.method = "(\w+)",\s*\.path = "([^"]+)"', file.read())
    with open(os.path.join(ROOT, "docs", "API.md"), encoding="utf-8") as file:
        table = [line for line in file.read().split("\n## ")[0].splitlines()
                 if line.startswith("| ")]
    assert len(routes) > 10
    for method, path in routes:
        assert any(re.search(rf"\b{method}\b", line) and f"`{path}`" in line for line in table), (
            f"{method} {path} is not in docs/API.md")


def test_every_check_of_the_health_answer_stands_in_operations_and_no_other(server):
    checks = server.session.get(server.url + "/api/v1/health", timeout=30).json()["checks"]
    with open(os.path.join(ROOT, "docs", "OPERATIONS.md"), encoding="utf-8") as file:
        section = file.read().split("\n## Health\n")[1].split("\n## ")[0]
    table = section.split("| check | degraded | failing |\n")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE)) == set(checks)


# ---- variables of the tests ------------------------------------------------------------------

READ = re.compile(r'(?:environ\.get|getenv|from_environment)\(\s*"([A-Z_]+)"')
# Of the system, and set by a test for its own server.
NOT_FOR_USERS = {"CI", "ASAN_OPTIONS", "FAULT_FILE"}


def test_every_variable_that_tests_read_stands_in_the_document_and_no_other():
    found = set()
    for kind in ("py", "c", "h"):
        for path in glob.glob(os.path.join(ROOT, "tests", "**", f"*.{kind}"), recursive=True):
            with open(path, encoding="utf-8") as file:
                found |= set(READ.findall(file.read()))
    with open(os.path.join(ROOT, "docs", "DEVELOPMENT.md"), encoding="utf-8") as file:
        table = file.read().split("| variable | of | means |\n")[1].split("\n\n")[0]
    assert found - NOT_FOR_USERS == set(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE))
