"""Deletes: what docs/API.md promises about DELETE /api/v1/metrics/series, also over kill -9."""

import json
import subprocess

T0 = 1699920000000
SERIES = "/api/v1/metrics/series"
ALWAYS = {"start": "1700-01-01T00:00:00Z", "end": "2262-01-01T00:00:00Z"}


def write(server, metric, hosts, count=100, first=0, value=1.0):
    server.ingest([{"name": metric, "labels": {"host": host}, "value": value,
                    "timestamp": T0 + (first + i) * 1000}
                   for host in hosts for i in range(count)])


def delete(server, *selectors, **params):
    answer = server.session.delete(server.url + SERIES, params={"match[]": selectors, **params},
                                   timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def times(server, metric):
    """Of each host, the times of its samples, in seconds from T0."""
    answer = server.query(metric=metric, **ALWAYS)
    return {one["labels"]["host"]: [(time - T0) // 1000 for time, _ in one["points"]]
            for one in answer["series"]}


def problem(server, status, **params):
    answer = server.session.delete(server.url + SERIES, params=params, timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json()


def listed(server, metric):
    answer = server.session.get(server.url + "/api/v1/metrics", params={"search": metric},
                                timeout=60)
    return answer.json()["metrics"][0]


def test_a_delete_hides_its_series_and_no_others(server):
    write(server, "d_one", ["a", "b", "c"])
    assert delete(server, 'd_one{host=~"a|b"}') == {"status": "success", "series": 2, "chunks": 1}
    assert times(server, "d_one") == {"c": list(range(100))}
    assert {line["labels"]["host"] for line in server.export(**{"match[]": "d_one"})} == {"c"}
    assert delete(server, "d_nothing") == {"status": "success", "series": 0, "chunks": 0}


def test_a_range_cuts_what_lies_within_it(server):
    write(server, "d_range", ["a"])
    delete(server, "d_range", start=str(T0 + 10000), end=str(T0 + 20000))
    assert times(server, "d_range") == {"a": [*range(10), *range(20, 100)]}
    count = server.query(metric="d_range", aggregate="count", **ALWAYS)
    assert count["series"][0]["points"][0][1] == 90
    delete(server, "d_range", end=str(T0 + 50000))
    assert listed(server, "d_range")["first"] == T0 + 50000


def test_deletes_survive_kill_and_restart_and_what_is_written_after_them_lives(server):
    write(server, "d_kill", ["a", "b"])
    delete(server, "d_kill{host=\"a\"}")
    write(server, "d_kill", ["a"], count=5, first=50)
    expected = {"a": list(range(50, 55)), "b": list(range(100))}
    assert times(server, "d_kill") == expected
    server.kill()
    server.start()
    assert times(server, "d_kill") == expected
    assert server.stop() == 0
    server.start()
    assert times(server, "d_kill") == expected
    delete(server, "d_kill")
    assert times(server, "d_kill") == {}
    server.kill()
    server.start()
    assert times(server, "d_kill") == {}


def test_requests_that_name_nothing_or_nonsense_are_refused(server):
    write(server, "d_bad", ["a"])
    assert "match[]" in problem(server, 400)["detail"]
    assert problem(server, 400, **{"match[]": "d_bad{"})["code"] == "selector_syntax"
    assert problem(server, 400, **{"match[]": "d_bad", "start": "now", "end": "now-1h"})
    assert problem(server, 400, **{"match[]": "d_bad", "from": "1"})
    answer = server.session.get(server.url + SERIES, timeout=60)
    assert answer.status_code == 405
    assert "DELETE" in answer.headers["Allow"]
    assert times(server, "d_bad") == {"a": list(range(100))}


def test_a_store_with_deletes_is_verified_and_inspected(server, binary):
    write(server, "d_verify", ["a", "b"])
    delete(server, "d_verify{host=\"a\"}", end=str(T0 + 5000))
    assert server.stop() == 0
    found = subprocess.run([binary, "verify", "--data", server.data, "--json"],
                           capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    shown = subprocess.run([binary, "inspect", "--json", f"{server.data}/manifest"],
                           capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["damaged"] == 0
