"""Fixtures for every room: real servers, one of each a worker, and factories for tests that stop or change theirs.

- `consul`, `etcd`, `homeport`: shared by all tests of a worker. Use names that no other test uses; leave them running.
- `consul_factory`, `etcd_factory`, `homeport_factory`: servers of the test's own, to stop, kill, wipe and configure.
- `kubernetes` and `kubernetes_factory` are told of in `tests/plugins/kubernetes.py`.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers.consul import ConsulServer
from tests.servers.etcd import EtcdServer
from tests.servers.factory import ConsulFactory, EtcdFactory, HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.requirement import require_server

pytest_plugins = [
    "pytester",
    "tests.plugins.contract_matrix",
    "tests.plugins.dnsmasq",
    "tests.plugins.eureka",
    "tests.plugins.following",
    "tests.plugins.garbage",
    "tests.plugins.kubernetes",
    "tests.plugins.leftover_processes",
    "tests.plugins.room_minutes",
    "tests.plugins.server_logs",
]

# Whoever runs the tests in the background of a shell has SIGINT ignored, and so would every program started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Timings are measured in bench/, not asserted here; a failure must be repeatable from its report. In CI the same
# examples come each time: new ones are looked for where somebody is there to look at what they find.
settings.register_profile("homeport", deadline=None, print_blob=True, derandomize=os.environ.get("CI") == "true")
settings.load_profile("homeport")


@pytest.fixture(scope="session")
def consul_binary() -> Path:
    """The program of a real Consul; without one the test skips, in CI it fails."""
    return require_server("consul", environ=os.environ)


@pytest.fixture(scope="session")
def consul(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """A Consul development agent, shared by all tests of this worker."""
    server = ConsulServer(consul_binary, tmp_path_factory.mktemp("consul"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def consul_factory(consul_binary: Path, tmp_path: Path) -> Iterator[ConsulFactory]:
    """Makes Consul agents for one test."""
    with ConsulFactory(consul_binary, tmp_path / "consul") as factory:
        yield factory


@pytest.fixture(scope="session")
def etcd_binary() -> Path:
    """The program of a real etcd; without one the test skips, in CI it fails."""
    return require_server("etcd", environ=os.environ)


@pytest.fixture(scope="session")
def etcdctl_binary() -> Path:
    """The program etcdctl; without one the test skips, in CI it fails."""
    return require_server("etcdctl", environ=os.environ)


@pytest.fixture(scope="session")
def etcd(etcd_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """An etcd, shared by all tests of this worker."""
    server = EtcdServer(etcd_binary, tmp_path_factory.mktemp("etcd"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def etcd_factory(etcd_binary: Path, tmp_path: Path) -> Iterator[EtcdFactory]:
    """Makes etcds for one test."""
    with EtcdFactory(etcd_binary, tmp_path / "etcd") as factory:
        yield factory


@pytest.fixture(scope="session")
def homeport(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeportServer]:
    """A Homeport registry, shared by all tests of this worker."""
    server = HomeportServer(tmp_path_factory.mktemp("homeport"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def homeport_factory(tmp_path: Path) -> Iterator[HomeportFactory]:
    """Makes Homeport registries for one test."""
    with HomeportFactory(tmp_path / "homeport") as factory:
        yield factory
