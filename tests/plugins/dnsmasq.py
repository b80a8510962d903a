"""The fixtures of a real dnsmasq."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.dnsmasq import DnsmasqServer
from tests.servers.requirement import require_server


@pytest.fixture(scope="session")
def dnsmasq_binary() -> Path:
    """The program of a real dnsmasq; without one the test skips, in CI it fails."""
    return require_server("dnsmasq", environ=os.environ)


@pytest.fixture
def dnsmasq_factory(dnsmasq_binary: Path, tmp_path: Path) -> Iterator[Callable[..., DnsmasqServer]]:
    """Makes a started dnsmasq of the test's own from lines of its configuration file."""
    with ExitStack() as stack:

        def make(*options: str) -> DnsmasqServer:
            server = DnsmasqServer(dnsmasq_binary, tmp_path / "dnsmasq", options)
            stack.callback(server.close)
            server.start()
            return server

        yield make
