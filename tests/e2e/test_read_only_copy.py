"""A store on a read-only file system: what only reads reads it, what writes says why it does not."""

import json
import os
import subprocess

import pytest

from store import Commands, line

NOON = 1795305600000
DAY = ("--start", str(NOON), "--end", str(NOON + 1000))
ALONE = b"without a lock"


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=60,
                          check=False)


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


@pytest.fixture
def read_only_view(tmp_path):
    """Shows a directory once more, read-only."""
    views = []

    def make(directory):
        view = tmp_path / f"view-{len(views)}"
        view.mkdir()
        bound = mount("--bind", directory, str(view))
        if bound.returncode == 0:
            views.append(str(view))
            bound = mount("-o", "remount,ro,bind", str(view))
        if bound.returncode != 0:
            pytest.skip(f"mounting a read-only view is refused here: {bound.stderr.strip()}")
        return str(view)

    yield make
    for view in views:
        subprocess.run(["umount", view], timeout=60, check=True)


def readings(commands, data):
    """The three commands that read a store, each with its result checked."""
    verified = commands.run("verify", "--json", "--data", data)
    exported = commands.run("export", "--data", data)
    queried = commands.run("query", "--json", "--data", data, *DAY, "m")
    for result in (verified, exported, queried):
        assert result.returncode == 0, result
    assert json.loads(verified.stdout)["samples"] == 1
    assert exported.stdout.decode() == line("m", {"i": "1"}, 1, NOON) + "\n"
    assert json.loads(queried.stdout)["series"][0]["points"] == [[NOON, 1]]
    return verified, exported, queried


@pytest.mark.parametrize("crashed", [False, True])
def test_a_read_only_copy_is_verified_exported_and_queried(commands, make_server, read_only_view,
                                                           crashed):
    server = make_server().start()
    server.ingest([{"name": "m", "labels": {"i": "1"}, "value": 1, "timestamp": NOON}],
                  precision="ms")
    if crashed:
        server.kill()
    else:
        assert server.stop() == 0
    view = read_only_view(server.data)
    for result in readings(commands, view):
        assert ALONE not in result.stderr
    commands.ok("inspect", os.path.join(view, "manifest"))
    os.remove(os.path.join(server.data, "lock"))
    for result in readings(commands, view):
        assert ALONE in result.stderr
    assert not os.path.exists(os.path.join(server.data, "lock"))


def test_through_a_read_only_view_the_lock_of_a_running_server_is_seen(commands, make_server,
                                                                       read_only_view):
    server = make_server().start()
    view = read_only_view(server.data)
    for arguments in (["verify"], ["export"], ["query", "m"]):
        result = commands.run(*arguments, "--data", view)
        assert result.returncode == 1
        assert f"locked by process {server.process.pid}".encode() in result.stderr
    assert server.stop() == 0
    commands.ok("verify", "--data", view)


def test_serve_and_import_refuse_a_read_only_store(commands, make_server, read_only_view):
    server = make_server().start()
    assert server.stop() == 0
    view = read_only_view(server.data)
    served = commands.run("serve", "--data", view, "--listen", "127.0.0.1:0")
    imported = commands.run("import", "--data", view, "-", data=b'{"name":"m","value":1}\n')
    for result in (served, imported):
        assert result.returncode == 1
        assert b"Read-only file system; mount it writable, or name another" in result.stderr
