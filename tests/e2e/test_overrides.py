"""cardinality.overrides: how they are written, printed and refused."""

import json
import subprocess

import pytest


def run(binary, *arguments, **options):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=30,
                          check=False, **options)


def refused(binary, text, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    check = run(binary, "config", "--check", str(path))
    start = run(binary, "serve", "--config", str(path), "--data", str(tmp_path / "never"))
    assert (check.returncode, start.returncode) == (2, 2)
    assert not (tmp_path / "never").exists()
    assert check.stderr.split(": ", 1)[1] == start.stderr.split(": ", 1)[1]
    return check.stderr


@pytest.mark.parametrize("text, said", [
    ("    - {match: up}\n",
     ":3: item 1 (line 4): cardinality.overrides sets nothing; give at least one of max_series, "),
    ("    - {max_series: 1}\n", ":3: item 1 (line 4): cardinality.overrides needs \"match\""),
    ("    - {match: up, max_series: 1}\n    - match: '~http_('\n      max_series: 1\n",
     ":3: item 2 (line 5): cardinality.overrides.match must be a metric's name, a glob"),
    ("    - match: '~http_('\n      max_series: 1\n",
     "regular expression \"http_(\": missing ): "),
    ("    - match: '~\\pL{1,1000}'\n      max_series: 1\n", "too large"),
    ("    - match: http_*\\\n      max_series: 1\n", "ends with a backslash that escapes nothing"),
    ("    - match: *_total\n      max_series: 1\n", ":4: aliases (*name) are not supported; write "
     "the value out, in quotes where it begins with *"),
    ("    - match: up\n      max_series: many\n",
     ":3: item 1 (line 5): cardinality.overrides.max_series must be a whole number from 1 to"),
    ("    - match: up\n      max_sereis: 1\n",
     ":3: item 1 (line 5): cardinality.overrides has no field \"max_sereis\"; did you mean "
     "\"max_series\"?"),
    ("    - match: up\n      max_series_per_metric: 1\n",
     ":3: item 1 (line 5): cardinality.overrides has no field \"max_series_per_metric\""),
    ("    - match: up\n      warning_threshold: 80\n",
     ":3: item 1 (line 5): cardinality.overrides.warning_threshold must be a number over 0"),
    ("    - {match: m, max_series: 1}\n" * 257, "there is too much in this list"),
], ids=range(12))
def test_overrides_that_cannot_be_are_refused_with_their_place(binary, tmp_path, text, said):
    message = refused(binary, "cardinality:\n  max_series: 5\n  overrides:\n" + text, tmp_path)
    assert said in message, message


def test_overrides_of_flags_and_environment_are_refused_with_the_item(binary, tmp_path):
    value = "[{match: up, max_series: 1}, {match: '~(', max_series: 1}]"
    result = run(binary, "config", "--set", "cardinality.overrides=" + value)
    assert result.returncode == 2
    assert "--set cardinality.overrides: item 2: cardinality.overrides.match" in result.stderr
    result = run(binary, "config", env={"METRIC_STORE_CARDINALITY__OVERRIDES": value})
    assert result.returncode == 2
    assert "METRIC_STORE_CARDINALITY__OVERRIDES: item 2: cardinality.overrides" in result.stderr


def test_overrides_are_printed_as_they_load(binary, tmp_path):
    value = [{"match": "*_total", "max_series": 0}, {"match": "~(a|b)_.{2,3}", "max_labels": 40},
             {"match": "up", "max_label_value_length": 1024, "warning_threshold": 0.5},
             {"match": "a\\*", "max_values_per_label": 7, "max_new_series_per_second": 10}]
    text = run(binary, "config", "--set", "cardinality.overrides=" + json.dumps(value)).stdout
    path = tmp_path / "printed.yaml"
    path.write_text(text)
    again = json.loads(run(binary, "config", "--json", "--config", str(path)).stdout)
    assert again["cardinality"]["overrides"]["value"] == value
    assert run(binary, "config", "--check", str(path)).returncode == 0
    most = "cardinality:\n  overrides:\n" + "".join(
        f"    - {{match: 'm{i}_*', max_series: 1, max_new_series_per_second: 1, max_labels: 1, "
        "max_label_value_length: 1, max_values_per_label: 1, warning_threshold: 1}\n"
        for i in range(256))
    path.write_text(most)
    assert run(binary, "config", "--check", str(path)).stderr == ""
