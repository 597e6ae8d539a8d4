"""retention.default and retention.rules: what goes by age and what stays, changed at run time, over
restarts; and what is said of rules that cannot be."""

import json
import signal
import subprocess
import time

from server import wait_until

DAY_MS = 86400000
ALWAYS = {"start": "1990-01-01T00:00:00Z", "end": "now+1h"}


def today():
    return int(time.time() * 1000) // DAY_MS


def write(server, metric, days, series=4, count=50):
    """Samples at the noons of the days before today that `days` lists."""
    server.ingest([{"name": metric, "labels": {"n": str(n)}, "value": i,
                    "timestamp": (today() - day) * DAY_MS + DAY_MS // 2 - count * 1000 + i * 1000}
                   for day in days for n in range(series) for i in range(count)])


def days_of(server, metric):
    """How many days before today samples are of."""
    answer = server.query(metric=metric, **ALWAYS)
    assert not answer["partial"]
    return sorted({today() - time_ms // DAY_MS
                   for one in answer["series"] for time_ms, _ in one["points"]})


def wait_for_days(server, metric, days):
    wait_until(lambda: days_of(server, metric) == days, 30, f"{metric} to have the days {days}")


def metric_of(server, name):
    for line in server.session.get(server.url + "/metrics", timeout=30).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(name)


def configured(make_server, tmp_path, text):
    path = tmp_path / "metric-store.yaml"
    path.write_text(text)
    return make_server(flags=("--config", str(path))), path


RULES = """
retention:
  default: 3d
  rules:
    - match: slo{n="1"}
      keep: 0
    - {match: slo, keep: 8d}
    - match: '{__name__=~"debug_.+"}'
      keep: 24h
"""


def test_series_stay_as_long_as_their_rule_says(make_server, tmp_path):
    server, _ = configured(make_server, tmp_path, RULES)
    server.start()
    for metric in ("slo", "debug_a", "other"):
        write(server, metric, [1, 2, 5, 10, 400])
    # What is beyond goes from the head too, which nothing else would flush.
    wait_for_days(server, "debug_a", [1])
    wait_for_days(server, "other", [1, 2])
    answer = server.query(metric="slo", **ALWAYS)
    kept = {one["labels"]["n"]: sorted({today() - point[0] // DAY_MS for point in one["points"]})
            for one in answer["series"]}
    assert kept == {"0": [1, 2, 5], "1": [1, 2, 5, 10, 400], "2": [1, 2, 5], "3": [1, 2, 5]}
    assert metric_of(server, "metric_store_retention_rule_deletes_total") >= 3
    assert metric_of(server, "metric_store_retention_rule_series_total") >= 11
    assert abs(metric_of(server, "metric_store_retention_time_seconds") - time.time()) < 60
    log = server.log_tail()
    assert "samples beyond a retention rule go" in log
    assert "samples beyond retention.default go, of series without a rule" in log

    server.kill()
    server.start()
    assert days_of(server, "other") == [1, 2]
    assert server.stop() == 0
    # Nothing is deleted twice, and the space comes back.
    server.start()
    assert days_of(server, "other") == [1, 2]
    kept = 50 * (4 + 2 * 4 + 3 * 3 + 5)
    wait_until(lambda: metric_of(server, "metric_store_part_samples") == kept, 60,
               "the parts to be clean")
    assert metric_of(server, "metric_store_retention_rule_deletes_total") == 0


def test_rules_are_reloaded(make_server, tmp_path):
    server, path = configured(make_server, tmp_path, "retention:\n  rules: []\n")
    server.start()
    write(server, "a", [1, 2, 5, 10])
    write(server, "b", [1, 2, 5, 10])
    assert server.stop() == 0
    server.start()
    assert days_of(server, "a") == [1, 2, 5, 10]

    def reload(text):
        path.write_text(text)
        server.process.send_signal(signal.SIGHUP)

    reload("retention:\n  rules: [{match: a, keep: 4d}]\n")
    wait_for_days(server, "a", [1, 2])
    assert days_of(server, "b") == [1, 2, 5, 10]
    # Longer again: what has gone stays gone, and what is written lives.
    reload("retention:\n  default: 6d\n  rules: [{match: a, keep: 0}]\n")
    wait_for_days(server, "b", [1, 2, 5])
    assert days_of(server, "a") == [1, 2]
    write(server, "a", [300])
    assert server.stop() == 0
    server.start()
    assert days_of(server, "a") == [1, 2, 300]
    # One with a fault changes nothing.
    reload("retention:\n  default: 6d\n  rules: [{match: a{, keep: 1d}]\n")
    wait_until(lambda: "the configuration was not reloaded" in server.log_tail(), 10, "the log")
    assert days_of(server, "a") == [1, 2, 300]


def test_late_data_beyond_the_keep_goes_and_what_is_kept_longer_stays(make_server):
    server = make_server("retention.rules=[{match: a, keep: 2d}]").start()
    write(server, "a", [1])
    write(server, "b", [1])
    write(server, "a", [30])
    write(server, "b", [30])
    wait_for_days(server, "a", [1])
    assert days_of(server, "b") == [1, 30]


def test_a_store_that_is_only_read_is_not_changed_by_rules(make_server, binary):
    server = make_server().start()
    write(server, "a", [1, 30])
    assert server.stop() == 0
    out = subprocess.run([binary, "export", "--data", server.data, "--match", "a", "--set",
                          "retention.rules=[{match: a, keep: 2d}]"],
                         capture_output=True, text=True, timeout=60, check=True)
    assert len(out.stdout.splitlines()) == 2 * 4 * 50
    server.start()
    assert days_of(server, "a") == [1, 30]


def refused(binary, text, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    check = subprocess.run([binary, "config", "--check", str(path)], capture_output=True,
                           text=True, timeout=30)
    start = subprocess.run([binary, "serve", "--config", str(path), "--data",
                            str(tmp_path / "never")], capture_output=True, text=True, timeout=30)
    assert (check.returncode, start.returncode) == (2, 2)
    assert not (tmp_path / "never").exists()
    assert check.stderr.split(": ", 1)[1] == start.stderr.split(": ", 1)[1]
    return check.stderr


def test_rules_that_cannot_be_are_refused_with_their_place(binary, tmp_path):
    for text, said in (
            ("    - {match: up}\n", ":3: item 1 (line 4): retention.rules needs \"keep\""),
            ("    - {match: up, keep: 1d}\n    - {match: 'a{', keep: 1d}\n",
             ":3: item 2 (line 5): retention.rules.match must be a series selector"),
            ("    - {match: '{a=\"\"}', keep: 1d}\n", "does not match the empty value"),
            ("    - {match: up, keep: 1m}\n", "retention.rules.keep must be a duration"),
            ("    - {match: up, kep: 1d}\n", "did you mean \"keep\"?"),
            ("    - {match: m, keep: 1d}\n" * 65, "65 items; at most 64 may be given"),
    ):
        message = refused(binary, "retention:\n  default: 30d\n  rules:\n" + text, tmp_path)
        assert said in message, message


def test_rules_are_printed_as_they_load(binary, tmp_path):
    given = "retention.rules=[{match: 'up{job=\"a\"}', keep: 30d}, {match: b, keep: 0}]"
    text = subprocess.run([binary, "config", "--set", given], capture_output=True, text=True,
                          timeout=30, check=True).stdout
    path = tmp_path / "printed.yaml"
    path.write_text(text)
    again = subprocess.run([binary, "config", "--json", "--config", str(path)],
                           capture_output=True, text=True, timeout=30, check=True).stdout
    rules = json.loads(again)["retention"]["rules"]
    assert rules["value"] == [{"match": "up{job=\"a\"}", "keep": "30d"},
                              {"match": "b", "keep": "0s"}]
