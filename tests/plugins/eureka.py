"""Fixtures for tests that talk to a Eureka server.

- `eureka`: shared by all tests of a worker. Use names that no other test uses; leave it running.
- `eureka_factory`: servers of the test's own, to stop, kill and configure; `eureka_factory.peers(2)` replicate.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.eureka import EurekaServer
from tests.servers.factory import EurekaFactory
from tests.servers.requirement import require_server


@pytest.fixture(scope="session")
def eureka_binary() -> Path:
    """The program of a real Eureka; without one the test skips, in CI it fails."""
    return require_server("eureka", environ=os.environ)


@pytest.fixture(scope="session")
def eureka(eureka_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EurekaServer]:
    """A Eureka server, shared by all tests of this worker."""
    server = EurekaServer(eureka_binary, tmp_path_factory.mktemp("eureka"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def eureka_factory(eureka_binary: Path, tmp_path: Path) -> Iterator[EurekaFactory]:
    """Makes Eureka servers for one test."""
    with EurekaFactory(eureka_binary, tmp_path / "eureka") as factory:
        yield factory
