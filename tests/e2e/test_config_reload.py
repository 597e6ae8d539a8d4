"""SIGHUP: what can be reloaded holds from then on, what cannot is named, what is wrong changes nothing."""

import json
import signal

from server import wait_until

BATCH = "/api/v1/metrics/ingest/batch"
T0 = 1699920000000


def lines(name, count, time_ms=T0, **labels):
    return [{"name": name, "labels": {"n": str(i), **labels}, "value": i, "timestamp": time_ms}
            for i in range(count)]


def counts(server, samples):
    body = server.post(BATCH, json.dumps(samples)).json()
    return body["accepted"], body["rejected"]


def reload(server, path, text, said):
    """Writes the file, sends SIGHUP, and waits for the log to say `said` once more."""
    def log():
        with open(server.log_path, encoding="utf-8") as file:
            return file.read()

    before = log().count(said)
    path.write_text(text)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: log().count(said) > before, 10, f"the log to say {said!r}")
    return log()


def configured(make_server, tmp_path, text):
    path = tmp_path / "metric-store.yaml"
    path.write_text(text)
    return make_server(flags=("--config", str(path))), path


def test_limits_are_raised_and_lowered_and_series_that_exist_go_on(make_server, tmp_path):
    server, path = configured(make_server, tmp_path,
                              "cardinality:\n  max_series_per_metric: 5\n")
    server.start()
    assert counts(server, lines("x", 8)) == (5, 3)
    reload(server, path, "cardinality:\n  max_series_per_metric: 7\n", "configuration reloaded")
    assert counts(server, lines("x", 8, T0 + 1)) == (7, 1)
    # Below what is there: nothing that exists is refused, nothing new is taken.
    reload(server, path, "cardinality:\n  max_series_per_metric: 2\n", "configuration reloaded")
    assert counts(server, lines("x", 8, T0 + 2)) == (7, 1)
    reload(server, path, "cardinality:\n  max_labels_per_metric: 1\n"
           "  max_label_value_length: 1\n", "configuration reloaded")
    assert counts(server, lines("x", 8, T0 + 3)) == (8, 0)
    assert counts(server, lines("y", 3, T0, extra="z")) == (0, 3)
    assert counts(server, lines("y", 11)) == (10, 1)


def test_the_limits_of_queries_are_reloaded(make_server, tmp_path):
    server, path = configured(make_server, tmp_path, "query:\n  default_limit: 2\n")
    server.start()
    server.ingest(lines("x", 5))
    assert len(server.query(metric="x", start=T0, end=T0 + 1)["series"]) == 2
    reload(server, path, "query:\n  default_limit: 4\n  max_samples: 3\n",
           "configuration reloaded")
    answer = server.session.get(server.url + "/api/v1/metrics/query", timeout=30,
                                params={"metric": "x", "start": T0, "end": T0 + 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "query_samples_limit")


def test_a_file_with_a_fault_changes_nothing_and_is_named_in_the_log(make_server, tmp_path):
    server, path = configured(make_server, tmp_path,
                              "cardinality:\n  max_series_per_metric: 5\n")
    server.start()
    for text, said in (("cardinality:\n  max_series_per_metrics: 7\n",
                        "max_series_per_metric"),
                       ("cardinality:\n  max_series_per_metric: many\n", "yaml:2:"),
                       ("cardinality: [\n", "")):
        log = reload(server, path, text, "the configuration was not reloaded")
        assert said in log.splitlines()[-1], log
    path.unlink()
    server.process.send_signal(signal.SIGHUP)
    assert counts(server, lines("x", 8)) == (5, 3)


def test_a_setting_that_needs_a_restart_is_named(make_server, tmp_path):
    server, path = configured(make_server, tmp_path, "")
    server.start()
    log = reload(server, path, "server:\n  max_connections: 99\n",
                 "a changed setting needs a restart")
    assert "setting=max_connections" in log


def test_flags_and_environment_go_before_the_file(make_server, tmp_path, monkeypatch):
    monkeypatch.setenv("METRIC_STORE_CARDINALITY__MAX_LABELS_PER_METRIC", "2")
    path = tmp_path / "metric-store.yaml"
    path.write_text("cardinality:\n  max_series_per_metric: 5\n  max_labels_per_metric: 1\n")
    server = make_server("cardinality.max_series_per_metric=3", flags=("--config", str(path)))
    server.start()
    assert counts(server, lines("x", 8, T0, extra="y")) == (3, 5)
    reload(server, path, "cardinality:\n  max_series_per_metric: 6\n", "configuration reloaded")
    assert counts(server, lines("x", 8, T0, extra="y")) == (3, 5)
