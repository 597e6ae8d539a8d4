"""The command line itself: options, help, exit codes, configuration."""

import json
import os

import pytest

from store import Commands


@pytest.fixture
def commands(binary, tmp_path):
    return Commands(binary, tmp_path)


def test_help_lists_every_command_and_explains_each(commands):
    text = commands.ok("help")
    names = [part.split()[0] for part in text.splitlines() if part.startswith("  ")]
    assert names == ["serve", "import", "export", "query", "verify", "snapshot", "inspect", "config",
                     "version", "help"]
    for name in names:
        page = commands.ok("help", name)
        assert page.startswith(f"usage: metric-store {name}")
        assert page == commands.ok(name, "--help")


def test_no_command_and_a_wrong_one_are_wrong_usage(commands):
    assert commands.run().returncode == 2
    result = commands.run("exprot")
    assert result.returncode == 2
    assert b'the nearest is "export"' in result.stderr
    assert commands.run("help", "exprot").stderr == result.stderr
    for arguments in (["nosuch"], ["help", "nosuch"]):
        result = commands.run(*arguments)
        assert result.returncode == 2
        assert b'no command "nosuch"\n' in result.stderr
        assert b"`metric-store help` lists all of them" in result.stderr


@pytest.mark.parametrize("arguments, sentence", [
    (["import", "--formt", "x", "-"], "there is no option --formt; the nearest is --format"),
    (["export", "--mach=x"], "there is no option --mach; the nearest is --match"),
    (["verify", "-x"], "there is no option -x\n"),
    (["verify", "--frobnicate"], "there is no option --frobnicate\n"),
    (["query", "--json=yes", "x"], "--json takes no value"),
    (["export", "--match"], "--match needs a value"),
    (["verify", "extra"], '"extra" is one argument too many'),
    (["import"], "no FILE is named"),
    (["import", "--data", "a", "--url", "http://127.0.0.1:1", "x"], "exclude each other"),
    (["import", "--format", "xml", "x"], '"xml" is no format'),
    (["import", "--precision", "days", "x"], '"days" is no precision'),
    (["export", "--format", "parquet"], "parquet is not available in this version"),
    (["export", "--format", "parquet"], "parquet is not available in this version"),
    (["query"], "which series?"),
    (["inspect"], "no FILE is named"),
    (["verify", "--set", "storage.pth=x"], "storage.path"),
    (["verify", "--set", "cardinality.max_series_per_metric=many"], "max_series_per_metric"),
    (["query", "--config", "/nonexistent.yml", "x"], "/nonexistent.yml"),
    (["verify", "--preset", "kubernets"], "kubernetes"),
])
def test_wrong_usage_is_named_and_exits_with_2(commands, arguments, sentence):
    result = commands.run(*arguments)
    assert result.returncode == 2, result.stderr
    assert sentence in result.stderr.decode()
    assert result.stdout == b""


def test_two_dashes_end_the_options(commands):
    result = commands.run("import", "--data", "d", "--", "--json")
    assert result.returncode == 1
    assert b"cannot read --json" in result.stderr


def test_config_prints_each_value_with_its_origin(commands):
    with open(os.path.join(commands.directory, "m.yml"), "w", encoding="utf-8") as file:
        file.write("storage:\n  head_size: 32MiB\n")
    config = json.loads(commands.ok("config", "--json", "--config", "m.yml", "--preset",
                                    "kubernetes", "--set", "query.timeout=7s", "--data", "here"))
    assert config["storage"]["head_size"] == {"value": "32MiB", "origin": "m.yml:2"}
    assert config["query"]["timeout"]["value"] == "7s"
    assert config["query"]["timeout"]["origin"] == "--set query.timeout"
    assert config["storage"]["path"] == {"value": "here", "origin": "--data"}
    assert config["cardinality"]["max_labels_per_metric"] == {"value": 40,
                                                              "origin": "preset kubernetes"}
    text = commands.ok("config", "--set", "query.timeout=7s")
    with open(os.path.join(commands.directory, "again.yml"), "w", encoding="utf-8") as file:
        file.write(text)
    assert "7s" in json.loads(commands.ok("config", "--json", "--config", "again.yml"))["query"][
        "timeout"]["value"]


def test_config_checks_a_file(commands):
    path = os.path.join(commands.directory, "m.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("server:\n  listen: 127.0.0.1:1\n")
    assert commands.ok("config", "--check", path) == f"{path}: good\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write("server:\n  listn: 127.0.0.1:1\n")
    result = commands.run("config", "--check", path)
    assert result.returncode == 2
    assert "m.yml:2" in result.stderr.decode() and "server.listen" in result.stderr.decode()


def test_version_as_json_names_the_program(commands):
    version = json.loads(commands.ok("version", "--json"))
    assert version["name"] == "metric-store"
    assert version["version"] in commands.ok("--version")


def test_a_missing_server_is_named_with_what_to_do(commands):
    for arguments in (["query", "x"], ["export"], ["import", "--retry", "0", "-"]):
        result = commands.run(*arguments, "--url", "http://127.0.0.1:9", data=b'{"name":"x"}\n')
        assert result.returncode == 1, result.stderr
        assert b"cannot reach a server at http://127.0.0.1:9" in result.stderr
    result = commands.run("query", "--url", "127.0.0.1:9480", "x")
    assert result.returncode == 1 or result.returncode == 2
    assert b"http://HOST:PORT" in result.stderr


@pytest.mark.parametrize("url", [
    "http://user:secretpw@127.0.0.1:9/base/",
    "http://secretpw@127.0.0.1:9",
    "http://user:secret/pw:secretpw@127.0.0.1:9",
    "user:secretpw@127.0.0.1:9",
    "ftp://user:secretpw@127.0.0.1:9",
    "http://user:secretpw@127.0.0.1:9:9",
])
def test_a_password_in_a_url_is_not_shown(commands, url):
    for arguments in (["query", "x"], ["export"], ["import", "--json", "--retry", "0", "-"]):
        result = commands.run(*arguments, "--url", url, data=b'{"name":"x"}\n')
        assert result.returncode in (1, 2)
        assert b"127.0.0.1:9" in result.stderr
        assert b"secret" not in result.stderr + result.stdout
    assert b"at http://127.0.0.1:9/base (" in commands.run(
        "query", "x", "--url", "http://user:secretpw@127.0.0.1:9/base/").stderr


def test_a_missing_store_is_not_made_by_reading(commands):
    for arguments in (["query", "x"], ["export"], ["verify"]):
        result = commands.run(*arguments, "--data", "nothing")
        assert result.returncode == 1
        assert b"there is no store in nothing" in result.stderr
    assert not os.path.exists(os.path.join(commands.directory, "nothing"))
