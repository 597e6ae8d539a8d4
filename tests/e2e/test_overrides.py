"""cardinality.overrides: how they are written, printed and refused, and that they hold."""

import json
import signal
import subprocess

import pytest

from server import wait_until


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
             {"match": "a\\*", "max_new_series_per_second": 10}]
    text = run(binary, "config", "--set", "cardinality.overrides=" + json.dumps(value)).stdout
    path = tmp_path / "printed.yaml"
    path.write_text(text)
    again = json.loads(run(binary, "config", "--json", "--config", str(path)).stdout)
    assert again["cardinality"]["overrides"]["value"] == value
    assert run(binary, "config", "--check", str(path)).returncode == 0
    most = "cardinality:\n  overrides:\n" + "".join(
        f"    - {{match: 'm{i}_*', max_series: 1, max_new_series_per_second: 1, max_labels: 1, "
        "max_label_value_length: 1, warning_threshold: 1}\n"
        for i in range(256))
    path.write_text(most)
    assert run(binary, "config", "--check", str(path)).stderr == ""


def ingest(server, name, first, count):
    answer = server.post("/api/v1/metrics/ingest/batch", json.dumps(
        [{"name": name, "labels": {"n": str(i)}, "value": 1} for i in range(first, first + count)]))
    return answer.json()


def test_overrides_hold_for_the_metrics_they_match_and_messages_name_them(make_server, tmp_path):
    path = tmp_path / "metric-store.yaml"
    path.write_text("cardinality:\n  max_series_per_metric: 10\n  overrides:\n"
                    "    - {match: http_special, max_series: 0}\n"
                    "    - {match: 'http_*', max_series: 20}\n"
                    "    - {match: '~.*_small', max_series: 3}\n")
    server = make_server(flags=("--config", str(path))).start()
    for name, most in (("other", 10), ("http_special", 50), ("http_requests", 20), ("a_small", 3)):
        answer = ingest(server, name, 0, 50)
        assert answer["accepted"] == most, answer
    for answer in (ingest(server, "http_requests", 50, 1), ingest(server, "http_requests", 50, 1)):
        error, = answer["errors"]
        assert error["code"] == "cardinality_limit"
        assert 'max_series of the override "http_*" in cardinality.overrides allows 20' in error["message"]
    # A metric's own registration does not get it more than the operator allows.
    registered = server.post("/api/v1/metrics/register",
                             json.dumps({"name": "b_small", "type": "gauge", "limits": {"max_series": 9}}))
    assert registered.status_code == 201
    assert ingest(server, "b_small", 0, 50)["accepted"] == 3
    state = server.session.get(server.url + "/api/v1/health", timeout=30).json()
    assert state["status"] == "degraded", state

    path.write_text("cardinality:\n  max_series_per_metric: 10\n  overrides:\n"
                    "    - {match: 'http_*', max_series: 21}\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in server.log_text(), 10, "the reload")
    assert ingest(server, "http_requests", 0, 50)["accepted"] == 21
    assert ingest(server, "http_special", 0, 60)["accepted"] == 50
    assert ingest(server, "b_small", 0, 50)["accepted"] == 9
