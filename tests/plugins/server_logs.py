"""Shows, with a failed test, what the servers wrote into their logs meanwhile."""

from collections.abc import Generator

import pytest

from tests.servers.process import started_servers

marks_key = pytest.StashKey[dict[str, int]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember how long each log is."""
    item.stash[marks_key] = {server.name: server.log_size() for server in started_servers()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failure what was logged since."""
    report = yield
    if report.failed:
        marks = item.stash.get(marks_key, {})
        for server in started_servers():
            mark = marks.get(server.name, 0)
            if server.log_size() > mark:
                report.sections.append((f"log of {server.name}", server.log_tail(since=mark)))
    return report
