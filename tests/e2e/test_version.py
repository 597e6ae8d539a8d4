import os
import re
import subprocess

from conftest import ROOT


def test_version_prints_the_version_of_the_build(binary):
    with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as file:
        version = re.search(r"version: '([^']+)'", file.read()).group(1)
    result = subprocess.run([binary, "version"], capture_output=True, text=True, timeout=30,
                            check=False)
    assert result.returncode == 0, result.stderr
    assert version in result.stdout
