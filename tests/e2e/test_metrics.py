"""The service's own /metrics and health, as scrapers and probes see them."""

import json
import re
import shutil
import subprocess
import time
import uuid

import requests

OPENMETRICS = ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,"
               "*/*;q=0.2")
SAMPLE = re.compile(r'^([a-z_]+)(\{.*\})? (\S+)$')


def get(server, path, **headers):
    return requests.get(server.url + path, headers=headers, timeout=30)


def scrape(server):
    """Series as they stand in the text -> value; every line must be one that we can read."""
    answer = get(server, "/metrics")
    assert answer.status_code == 200, answer.text
    values = {}
    for line in answer.text.splitlines():
        if line.startswith("# "):
            continue
        match = SAMPLE.match(line)
        assert match, line
        series = match.group(1) + (match.group(2) or "")
        assert series not in values, f"{series} is there twice"
        values[series] = float(match.group(3))
    return values


def rise(before, after, series):
    return after.get(series, 0) - before.get(series, 0)


def scrape_after(server, before, series, expected):
    """A request is counted when its last byte is out, which its client may notice first."""
    deadline = time.monotonic() + 30
    while True:
        after = scrape(server)
        if rise(before, after, series) >= expected or time.monotonic() > deadline:
            assert rise(before, after, series) == expected, series
            return after
        time.sleep(0.01)


def test_promtool_has_nothing_to_say_about_the_text(server):
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing; it comes with Debian's package prometheus"
    answer = get(server, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    result = subprocess.run([promtool, "check", "metrics"], input=answer.content,
                            capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout + result.stderr == b""


def test_a_scraper_that_asks_for_openmetrics_gets_it(server):
    answer = get(server, "/metrics", Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("\n# EOF\n")
    assert answer.text.count("# EOF") == 1
    assert "\n# UNIT process_cpu_seconds seconds\n" in answer.text
    assert "\n# TYPE metric_store_http_requests counter\n" in answer.text


def test_our_own_importer_takes_both_formats(server):
    """A service that stores metrics can store its own."""
    for accept in ("text/plain", OPENMETRICS):
        answer = get(server, "/metrics", Accept=accept)
        imported = requests.post(server.url + "/api/v1/import/prometheus", data=answer.content,
                                 headers={"Content-Type": answer.headers["Content-Type"]},
                                 timeout=30)
        assert imported.status_code == 200, imported.text
        assert imported.json()["rejected"] == 0, imported.text
        assert imported.json()["accepted"] > 100


def test_samples_are_counted_when_they_are_accepted_and_when_they_are_refused(server):
    name = "counted_" + uuid.uuid4().hex
    lines = [json.dumps({"name": name, "labels": {"n": str(i)}, "value": i}) for i in range(10)]
    lines.append(json.dumps({"name": name, "value": "no number"}))
    before = scrape(server)
    answer = requests.post(server.url + "/api/v1/metrics/ingest/batch", data="\n".join(lines),
                           headers={"Content-Type": "application/x-ndjson"}, timeout=30)
    assert answer.status_code == 200, answer.text
    code = answer.json()["errors"][0]["code"]
    after = scrape_after(server, before, 'metric_store_http_requests_total{route='
                         '"/api/v1/metrics/ingest/batch",method="POST",code="200"}', 1)
    for series, expected in {
        'metric_store_ingest_samples_total{protocol="ndjson"}': 10,
        'metric_store_ingest_new_series_total{protocol="ndjson"}': 10,
        'metric_store_ingest_rejected_samples_total{protocol="ndjson"}': 1,
        f'metric_store_ingest_refusals_total{{code="{code}"}}': 1,
        'metric_store_ingest_batches_total{protocol="ndjson"}': 1,
        "metric_store_ingest_commit_duration_seconds_count": 1,
        "metric_store_ingest_committed_samples_total": 10,
        "metric_store_storage_samples_appended_total": 10,
        "metric_store_series": 10,
    }.items():
        assert rise(before, after, series) == expected, series
    assert rise(before, after, "metric_store_wal_written_bytes_total") > 0
    assert rise(before, after, "metric_store_wal_sync_duration_seconds_count") >= 1


def test_a_query_is_counted(server):
    before = scrape(server)
    answer = get(server, "/api/v1/metrics/query?metric=nothing_of_that_name")
    assert answer.status_code == 200, answer.text
    scrape_after(server, before, 'metric_store_query_duration_seconds_count{kind="query"}', 1)


def test_unknown_paths_make_no_series(server):
    before = scrape(server)
    for _ in range(3):
        assert get(server, "/" + uuid.uuid4().hex).status_code == 404
    scrape_after(server, before,
                 'metric_store_http_requests_total{route="other",method="other",code="404"}', 3)


def test_the_process_is_seen(server):
    values = scrape(server)
    assert values["process_resident_memory_bytes"] > 1e6
    assert values["process_open_fds"] > 3
    assert values["process_start_time_seconds"] > 1.5e9
    assert values["metric_store_disk_free_bytes"] <= values["metric_store_disk_size_bytes"]
    assert values["metric_store_memory_limit_bytes"] > 0
    assert any(series.startswith("metric_store_build_info{version=") for series in values)


def test_health_says_how_each_part_is(server):
    answer = get(server, "/api/v1/health")
    assert answer.status_code == 200, answer.text
    health = answer.json()
    assert health["status"] in ("ok", "degraded")
    assert health["checks"]
    for name, check in health["checks"].items():
        assert set(check) == {"status", "message", "latency_ms"}, name
    values = scrape(server)
    for name, check in health["checks"].items():
        series = f'metric_store_health_check{{check="{name}",status="{check["status"]}"}}'
        assert values[series] == 1
