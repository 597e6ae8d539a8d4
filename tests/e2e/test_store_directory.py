"""What serve says of a data directory that it should not touch."""

import os
import shutil
import socket

import pytest

from store import Commands

NOBODY = 65534


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


def test_a_start_whose_port_is_taken_leaves_no_store_behind(binary, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        result = Commands(binary, tmp_path).run("serve", "--listen", listen, "--data", "d")
    assert result.returncode == 1
    assert b"another process does" in result.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("section, setting, reason", [
    ("server", "listen: localhost:20481", b"write ADDRESS:PORT"),
    ("server", "listen: '20481'", b"write ADDRESS:PORT"),
    ("cardinality", "max_labels_per_metric: 10000", b"from 1 to 4095"),
])
def test_what_serve_refuses_config_does_too_and_no_store_is_left_behind(binary, tmp_path, section,
                                                                       setting, reason):
    path = tmp_path / "m.yml"
    path.write_text(f"{section}:\n  {setting}\n")
    commands = Commands(binary, tmp_path)
    for arguments in (["serve", "--data", "d", "--config", path], ["config", "--config", path],
                      ["config", "--check", path]):
        result = commands.run(*arguments)
        assert result.returncode == 2 and reason in result.stderr, (arguments, result)
    assert os.listdir(tmp_path) == ["m.yml"]


def test_a_port_without_an_address_is_listened_on_at_every_address(make_server):
    server = make_server()
    server.flags = ["--listen", f":{server.port}"]
    assert server.start().ready()


@pytest.mark.parametrize("path, sentences", [
    ("a/b/c", [b"there is no directory a;", b"make those before it"]),
    ("file", [b"there is a file of that name", b"name another directory"]),
    ("file/d", [b"Not a directory", b"name another directory"]),
])
def test_a_directory_that_cannot_be_made_says_why_and_what_to_do(binary, tmp_path, path, sentences):
    (tmp_path / "file").write_text("")
    commands = Commands(binary, tmp_path)
    for arguments in (["serve", "--listen", "127.0.0.1:0"], ["import", "-"]):
        result = commands.run(*arguments, "--data", path, data=b'{"name":"m","value":1}\n')
        assert result.returncode == 1
        assert all(sentence in result.stderr for sentence in sentences), result.stderr
    assert os.listdir(tmp_path) == ["file"]


def as_another_user(binary, directory):
    """Commands of a user who may read `directory` and nothing of root's; and how to run them."""
    if os.geteuid() != 0:
        return Commands(binary, directory), {}
    shutil.copy(binary, directory / "program")  # the way to the other may be root's alone
    os.chmod(directory, 0o755)
    return Commands("./program", directory), {"user": NOBODY, "group": NOBODY, "extra_groups": []}


@pytest.mark.parametrize("sealed", [".", "manifest", "lock"])
def test_a_store_that_may_not_be_written_to_says_who_needs_which_rights(binary, tmp_path, sealed):
    commands, user = as_another_user(binary, tmp_path)
    store = tmp_path / "d"
    store.mkdir()
    if user:
        os.chown(store, NOBODY, NOBODY)
    sample = b'{"name":"m","value":1,"timestamp":1795305600000}\n'
    assert commands.run("import", "--data", "d", "--precision", "ms", "-", data=sample,
                        **user).returncode == 0
    os.chmod(store / sealed, 0o500 if sealed == "." else 0o400)
    calls = [["serve", "--listen", "127.0.0.1:0"], ["import", "-"]]
    if sealed == "lock":
        calls += [["verify", "--repair"], ["verify"], ["export"]]
    for arguments in calls:
        result = commands.run(*arguments, "--data", "d", data=sample, **user)
        assert result.returncode == 1
        reason = result.stderr.decode()
        assert "Permission denied; let user " in reason and "write to that directory" in reason
        assert f"user {user.get('user', os.geteuid())}," in reason, reason
        assert "storage.path (--data)" in reason and "cannot read it any more" not in reason, reason


def test_a_directory_that_may_not_be_made_says_so_once(binary, tmp_path):
    commands, user = as_another_user(binary, tmp_path)
    (tmp_path / "theirs").mkdir(mode=0o500)
    result = commands.run("serve", "--listen", "127.0.0.1:0", "--data", "theirs/d", **user)
    assert result.returncode == 1
    assert b"theirs/d: Permission denied; let user " in result.stderr
    assert result.stderr.count(b"storage.path (--data)") == 1
