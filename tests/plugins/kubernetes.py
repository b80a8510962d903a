"""Fixtures for tests that talk to an API server of Kubernetes; the run ends with a line that says which one it was.

- `kubernetes`: shared by all tests of a worker. Use names that no other test uses; leave it running.
- `kubernetes_factory`: servers of the test's own, to stop, kill, wipe and compact.

`HOMEPORT_TEST_KUBERNETES=stand-in` or `real` forces one; else a real one is used where its programs are found.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.install import NotInstalledError
from tests.servers.kubernetes import ApiServer
from tests.servers.kubernetes.choice import choose, make_server
from tests.servers.kubernetes.factory import KubernetesFactory

FIXTURES = {"kubernetes", "kubernetes_factory"}


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server, shared by all tests of this worker."""
    try:
        server = make_server(tmp_path_factory.mktemp("kubernetes"), os.environ)
    except NotInstalledError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def kubernetes_factory(tmp_path: Path) -> Iterator[KubernetesFactory]:
    """Makes API servers for one test."""
    with KubernetesFactory(tmp_path / "kubernetes", os.environ) as factory:
        yield factory


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Mark the reports of what uses an API server, so that they tell it wherever they arrive."""
    if FIXTURES & set(getattr(item, "fixturenames", ())):
        item.user_properties.append(("kubernetes", ""))


class UseOfKubernetes:
    """Sees the reports; under xdist they arrive at the controller from every worker."""

    def __init__(self) -> None:
        self._used = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice a test that used an API server."""
        self._used = self._used or any(name == "kubernetes" for name, _ in report.user_properties)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which one it was."""
        if self._used:
            try:
                terminalreporter.write_line(f"kubernetes: {choose(os.environ)}")
            except NotInstalledError as error:
                terminalreporter.write_line(f"kubernetes: none. {error}")


def pytest_configure(config: pytest.Config) -> None:
    """Watch where the results come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(UseOfKubernetes(), "use-of-kubernetes")
