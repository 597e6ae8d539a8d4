"""A full disk: writers are told, readers go on, and writing resumes once there is room."""

import os
import time

import pytest

from loop_disk import mounted_disk
from sender import RESUME_S, Sender, health
from server import wait_until

SETTINGS = ("storage.head_size=1MiB", "storage.wal_segment_size=1MiB", "storage.merge_fan_in=2")


@pytest.fixture
def disk(tmp_path):
    with mounted_disk(tmp_path, 64) as disk:
        yield disk


@pytest.fixture
def server(disk, make_server):
    server = make_server(*SETTINGS, data=os.path.join(disk.path, "data")).start()
    yield server
    if server.process.poll() is None:
        server.kill()


class Ballast:
    """A file that takes all room of the disk but what is asked to be left."""

    def __init__(self, disk):
        self.path = os.path.join(disk.path, "ballast")
        self.folder = disk.path

    def fill(self, leave_bytes=0):
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize - leave_bytes
        with open(self.path, "ab") as file:
            at = file.tell()
            while size > 0:
                try:
                    os.posix_fallocate(file.fileno(), at, size)
                    return
                except OSError:  # an extent needs blocks of its own: a little less then
                    size -= 4096

    def remove(self):
        os.remove(self.path)


def assert_told(answer):
    assert answer.status_code == 507, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert "disk" in answer.json()["detail"] or "space" in answer.json()["detail"], answer.text


def test_a_full_disk_is_told_to_writers_and_overcome_without_a_restart(server, disk):
    sender, ballast = Sender(server), Ballast(disk)
    for _ in range(50):
        assert sender.send().status_code == 200
    ballast.fill(leave_bytes=1 << 20)
    assert_told(sender.send_until(507))
    ballast.fill()
    assert_told(sender.send_until(507))
    sender.check("while the disk is full")
    assert sender.count() >= sender.acknowledged_count()
    code, state = health(server)
    # Reads go on, and so do writes by themselves: nobody should take the service out of use.
    assert (code, state["status"]) == (200, "degraded"), state
    assert server.ready()
    assert state["checks"]["storage"]["status"] == "degraded"
    assert state["checks"]["storage"]["message"]

    ballast.remove()
    freed = time.monotonic()
    wait_until(lambda: sender.send().status_code == 200, RESUME_S, "a write after room was made")
    print(f"writes resumed after {time.monotonic() - freed:.2f} s")
    wait_until(lambda: health(server)[1]["status"] == "ok", RESUME_S, "good health")
    for _ in range(50):
        assert sender.send().status_code == 200
    sender.check("after room was made")
    server.kill()
    server.start()
    sender.check("after a crash")


def test_a_crash_on_a_full_disk_loses_nothing_acknowledged(server, disk):
    sender, ballast = Sender(server), Ballast(disk)
    for round_number in range(3):
        for _ in range(20):
            assert sender.send().status_code == 200
        ballast.fill(leave_bytes=1 << 20)
        sender.send_until(507)
        ballast.fill()
        sender.send_until(507)
        server.kill()
        server.start()
        sender.check(f"started on a full disk, round {round_number}")
        assert sender.send().status_code in (200, 507)
        ballast.remove()
        wait_until(lambda: sender.send().status_code == 200, RESUME_S, "a write after the crash")
    sender.check("at the end")
    assert server.stop() == 0
    server.start()
    sender.check("after a clean stop")
