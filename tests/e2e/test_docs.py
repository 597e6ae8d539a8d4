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
