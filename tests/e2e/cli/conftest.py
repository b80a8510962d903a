"""The command line against real registries: ours and Consul."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.cli.command_line import CommandLine
from tests.e2e.cli.in_process import InProcess
from tests.servers.bind import BindServer
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer
from tests.servers.ports import PortLease
from tests.servers.requirement import require_server

Registry = HomeportServer | ConsulServer


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """`homeport` without any registry in its environment."""
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


@pytest.fixture
def here(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """`homeport` in this process, without any registry in its environment."""
    return InProcess(tmp_path, capsys, monkeypatch)


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BindServer]:
    """A BIND that knows one service and a host; without the program the test skips, in CI it fails."""
    many = [f"many SRV 10 1 {8000 + number} host-{number}" for number in range(90)]
    hosts = [f"host-{number} A 127.0.0.1" for number in range(90)]
    zone = ["api SRV 10 5 8080 node", "node A 127.0.0.1", "node AAAA ::1", "short CNAME api", *many, *hosts]
    binary = require_server("named", environ=os.environ)
    server = BindServer(binary, tmp_path_factory.mktemp("bind"), {"services.test": zone})
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def ours(homeport: HomeportServer, cli: CommandLine) -> CommandLine:
    """`homeport` against the shared Homeport registry."""
    cli.environment["HOMEPORT_BACKEND"] = homeport.backend_url
    return cli


@pytest.fixture
def consuls(consul: ConsulServer, cli: CommandLine) -> CommandLine:
    """`homeport` against the shared Consul agent."""
    cli.environment["HOMEPORT_BACKEND"] = consul.backend_url
    return cli


@pytest.fixture(params=["homeport", "consul"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """Each of the shared registries."""
    server: Registry = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def both(registry: Registry, cli: CommandLine) -> CommandLine:
    """`homeport` against each of the shared registries."""
    cli.environment["HOMEPORT_BACKEND"] = registry.backend_url
    return cli


@pytest.fixture
def name() -> str:
    """The name of a service that no other test uses, and none resembles."""
    return uuid4().hex


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """Ports that nobody else takes while the test runs."""
    leases: list[PortLease] = []

    def take() -> int:
        leases.append(PortLease())
        return leases[-1].ports[0]

    yield take
    for lease in leases:
        lease.release()
