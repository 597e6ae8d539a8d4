"""The warm tier as an operator sees it: metrics, inspect, answers before and after."""

import json
import subprocess

from server import wait_until

DAY = 86400000
T0 = 1699920000000 // DAY * DAY
ALWAYS = {"start": "1700-01-01T00:00:00Z", "end": "2262-01-01T00:00:00Z"}


def tier_samples(server):
    found = {}
    for line in server.session.get(server.url + "/metrics", timeout=60).text.splitlines():
        if line.startswith("metric_store_tier_samples{"):
            found[line.split('"')[1]] = int(float(line.split()[-1]))
    return found


def write(server, value):
    server.ingest([{"name": "w_series", "labels": {"n": str(n)}, "value": value + i,
                    "timestamp": T0 + i * 1000} for n in range(5) for i in range(2000)])


def sums(server):
    answer = server.query(metric="w_series", aggregate="sum", interval="1h", start=str(T0),
                          end=str(T0 + DAY))
    return answer["series"]


def tiers(server, **params):
    return server.query(**{"metric": "w_series", **ALWAYS, **params})["stats"]["tiers"]


def test_old_days_become_warm_and_answers_stay_the_same(server, binary):
    write(server, 0)
    before = server.export(**{"match[]": "w_series"})
    aggregate = sums(server)
    assert tiers(server) == ["hot"]
    assert server.stop() == 0
    server.start()
    wait_until(lambda: tier_samples(server) == {"hot": 0, "warm": 10000}, what="the warm step")
    assert server.export(**{"match[]": "w_series"}) == before
    assert sums(server) == aggregate
    assert tiers(server) == tiers(server, aggregate="sum") == ["warm"]
    assert tiers(server, start="2261-01-01T00:00:00Z") == []
    # A late sample is there at once, and beside the warm day after the flush.
    server.ingest([{"name": "w_series", "labels": {"n": "0"}, "value": -7,
                    "timestamp": T0 + 1000}])
    points = server.query(match='w_series{n="0"}', **ALWAYS)["series"][0]["points"]
    assert points[1] == [T0 + 1000, -7] and len(points) == 2000
    assert tiers(server) == tiers(server, aggregate="sum") == ["hot", "warm"]
    assert tiers(server, label="n=1") == ["warm"]
    assert tiers(server, label="n=0", start=str(T0 + 1000), end=str(T0 + 1001)) == ["hot", "warm"]
    assert server.stop() == 0
    shown = subprocess.run([binary, "inspect", "--blocks", f"{server.data}/manifest"],
                           capture_output=True, text=True, check=True).stdout
    assert "tier=warm" in shown and "tier=hot" in shown
    found = json.loads(subprocess.run([binary, "inspect", "--json", f"{server.data}/manifest"],
                                      capture_output=True, text=True, check=True).stdout)
    assert found["warm_parts"] == 1
    subprocess.run([binary, "verify", "--data", server.data], check=True, capture_output=True)
    server.start()
    assert server.query(match='w_series{n="0"}', **ALWAYS)["series"][0]["points"] == points
