"""What all end-to-end tests share: the program under test and the rule about skipped tests."""

import os
import shutil
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import allowed_skips  # noqa: E402 (its folder is known only now)
from server import Server  # noqa: E402


@pytest.fixture(scope="session")
def binary():
    """The metric-store that is tested; METRIC_STORE_BINARY names another than the release build."""
    path = os.environ.get("METRIC_STORE_BINARY",
                          os.path.join(ROOT, "build", "release", "metric-store"))
    if not os.access(path, os.X_OK):
        pytest.fail(f"{path} is not there; build it: ./scripts/dev --build")
    return path


def refuse_skip(report):
    """Makes a skip a failure where CI=true, unless tests/allowed_skips names it."""
    if not report.skipped or not allowed_skips.in_ci():
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not allowed_skips.is_allowed(allowed_skips.load(), report.nodeid, reason):
        report.outcome = "failed"
        report.longrepr = (f"{report.nodeid} was skipped ({reason}) and tests/allowed_skips "
                           "does not name it with that reason")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    refuse_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    outcome = yield
    refuse_skip(outcome.get_result())


def end_servers(made):
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        # A sanitizer's report is a failure whatever the test looked at.
        if server.process is not None:
            tail = server.log_tail()
            assert "ERROR: AddressSanitizer" not in tail and "runtime error:" not in tail, tail
            assert "invariant failed" not in tail, tail
            # The thread sanitizer goes on after a report.
            _, race, report = server.log_text().partition("WARNING: ThreadSanitizer")
            assert not race, report[:8000]
        # A store has 128 MiB of log at least, and there are hundreds of tests.
        shutil.rmtree(server.data, ignore_errors=True)


def server_maker(binary, directory, made):
    def make(*settings, data=None, flags=()):
        server = Server(binary, data or directory / "data", directory / f"server-{len(made)}.log",
                        settings, flags)
        made.append(server)
        return server

    return make


@pytest.fixture
def make_server(binary, tmp_path):
    """Makes servers, not started: make_server("cardinality.max_series_per_metric=0", data=...)."""
    made = []
    yield server_maker(binary, tmp_path, made)
    end_servers(made)


@pytest.fixture(scope="module")
def make_module_server(binary, tmp_path_factory):
    """As make_server, for servers that all tests of a file share."""
    made = []
    yield server_maker(binary, tmp_path_factory.mktemp("module"), made)
    end_servers(made)


@pytest.fixture
def server(make_server):
    """A running server with the default settings."""
    return make_server().start()
