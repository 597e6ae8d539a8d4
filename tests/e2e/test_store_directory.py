"""What serve says of a data directory that it should not touch."""

import os


def test_a_store_without_its_manifest_is_refused_and_left_as_it_is(make_server):
    server = make_server().start()
    server.ingest([{"name": "a", "value": 1}])
    assert server.stop() == 0
    os.rename(os.path.join(server.data, "manifest"), os.path.join(server.data, "kept"))
    before = sorted(os.listdir(os.path.join(server.data, "parts")))
    assert len(before) == 1
    try:
        server.start()
        raise AssertionError("it started")
    except AssertionError as refused:
        assert "manifest is missing" in str(refused)
    assert server.process.returncode == 1
    assert sorted(os.listdir(os.path.join(server.data, "parts"))) == before
    os.rename(os.path.join(server.data, "kept"), os.path.join(server.data, "manifest"))
    server.start()
    assert server.query(metric="a")["series"][0]["points"][0][1] == 1


def test_a_second_process_on_the_same_data_is_refused_by_name(make_server):
    first = make_server().start()
    second = make_server(data=first.data)
    try:
        second.start()
        raise AssertionError("it started")
    except AssertionError as refused:
        assert str(first.process.pid) in str(refused)
    assert second.process.returncode == 1
    assert first.ready()
