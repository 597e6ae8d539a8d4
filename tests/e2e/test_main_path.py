"""A sample's way in, over a restart and a crash, and out again."""


def test_an_acknowledged_sample_is_there_at_once_after_kill_and_after_restart(make_server):
    server = make_server().start()
    sample = {"name": "demo", "labels": {"room": "kitchen"}, "value": 21.5,
              "timestamp": 1795305600000}
    answer = server.ingest([sample])
    assert (answer["accepted"], answer["rejected"], answer["new_series"]) == (1, 0, 1)

    def stored():
        return server.query(metric="demo", start="1795305600000", end="1795305600001")["series"]

    expected = [{"metric": "demo", "labels": {"room": "kitchen"},
                 "points": [[1795305600000, 21.5]]}]
    assert stored() == expected
    server.kill()
    server.start()
    assert stored() == expected
    assert server.stop() == 0
    server.start()
    assert stored() == expected
    assert server.ingest([sample])["new_series"] == 0
    assert stored() == expected
    assert server.export(start="1795305600000", end="1795305600001") == [sample]
