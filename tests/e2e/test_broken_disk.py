"""A disk that fails a sync: nothing is acknowledged that may be lost, writers and probes are told,
readers go on."""

import errno

import pytest

from faults import Faults
from sender import Sender, health
from server import wait_until

SETTINGS = ("storage.head_size=1MiB", "storage.wal_segment_size=1MiB", "storage.merge_fan_in=2")


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path)


@pytest.fixture
def server(faults, make_server):
    server = make_server(*SETTINGS)
    server.environment = faults.environment()
    return server.start()


def assert_problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["code"] == code
    return answer.json()["detail"]


def assert_writes_have_stopped(server, sender):
    assert "restart" in assert_problem(sender.send(), 503, "unavailable")
    ready = server.session.get(server.url + "/-/ready", timeout=30)
    assert ready.status_code == 503
    # A restart by a watchdog is not what helps: the process itself is well.
    assert server.session.get(server.url + "/-/healthy", timeout=30).status_code == 200
    code, state = health(server)
    assert (code, state["status"]) == (503, "failing"), state
    assert "restart" in state["checks"]["storage"]["message"], state
    sender.check("while writes have stopped")
    assert sender.count() >= sender.acknowledged_count()


@pytest.mark.parametrize("file, number", [(".wal", errno.EIO), (".wal", errno.ENOSPC),
                                          ("manifest", errno.EIO)])
def test_a_failed_sync_stops_writes_until_a_restart_and_queries_go_on(server, faults, file, number):
    sender = Sender(server)
    for _ in range(20):
        assert sender.send().status_code == 200
    faults.begin("sync", number, file)
    answer = sender.send()
    while answer.status_code == 200:  # a manifest is synced by a flush only
        answer = sender.send()
    assert_problem(answer, 503, "unavailable")
    which = "manifest" if file == "manifest" else "log"
    wait_until(lambda: f"sync of the {which} failed: writes stop" in server.log_tail(), 10,
               "a line in the log")
    assert_writes_have_stopped(server, sender)
    # A sync that works now says nothing of what the failed one had to write.
    faults.end()
    assert_writes_have_stopped(server, sender)
    server.kill()
    server.start()
    sender.check("after the restart")
    for _ in range(20):
        assert sender.send().status_code == 200
    assert health(server)[1]["status"] == "ok"
    assert server.stop() == 0
    server.start()
    sender.check("at the end")
