"""The command line against real registries: ours and Consul."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.cli.command_line import CommandLine
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer
from tests.servers.ports import PortLease

Registry = HomeportServer | ConsulServer


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """`homeport` without any registry in its environment."""
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


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
