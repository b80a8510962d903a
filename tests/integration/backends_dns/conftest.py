"""Real DNS servers: a BIND that all tests of a worker share, and servers of a test's own."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.integration.backends_dns.stand_in import Answers, StandInServer
from tests.servers.bind import BindServer
from tests.servers.requirement import require_server

ZONES = ("services.test", "other.test", "svc.cluster.local")


@pytest.fixture(scope="session")
def named_binary() -> Path:
    """The program of a real BIND; without one the test skips, in CI it fails."""
    return require_server("named", environ=os.environ)


@pytest.fixture(scope="session")
def bind(named_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BindServer]:
    """A BIND with empty zones, shared by all tests of this worker: use names of your own."""
    server = BindServer(named_binary, tmp_path_factory.mktemp("bind"), dict.fromkeys(ZONES, ()))
    try:
        server.start()
        yield server
    finally:
        server.close()


class BindFactory(Protocol):
    def __call__(
        self, zones: Mapping[str, Iterable[str]], *, negative_ttl: int = 0, minimal: bool = False
    ) -> BindServer: ...


@pytest.fixture
def bind_factory(named_binary: Path, tmp_path: Path) -> Iterator[BindFactory]:
    """Makes a started BIND of the test's own."""
    with ExitStack() as stack:

        def make(zones: Mapping[str, Iterable[str]], *, negative_ttl: int = 0, minimal: bool = False) -> BindServer:
            server = BindServer(named_binary, tmp_path / "bind", zones, negative_ttl=negative_ttl, minimal=minimal)
            stack.callback(server.close)
            server.start()
            return server

        yield make


@pytest.fixture
def stand_in() -> Iterator[Callable[[Answers], StandInServer]]:
    """Makes a server that answers what a function says, for answers that no real server can be brought to give."""
    with ExitStack() as stack:
        yield lambda answers: stack.enter_context(StandInServer(answers))
