"""Servers that are instances, and each client in turn."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from homeport import ClientSettings
from homeport.integrations.http import Routing
from homeport.spi import Observer
from homeport.testing.memory import Memory

from .clients import NAMES, Client, make
from .instance_server import InstanceServer
from .tls_servers import Certificates, TLSServers

Serve = Callable[[str], InstanceServer]


class Connect(Protocol):
    """Makes the client that the test is about."""

    def __call__(
        self,
        *,
        routing: Routing | None = None,
        settings: ClientSettings | None = None,
        authority: Path | None = None,
        observer: Observer | None = None,
    ) -> Client: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an instance of that name, which ends with the test."""
    with ExitStack() as stack:

        def start(name: str) -> InstanceServer:
            server = InstanceServer(name)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def servers(serve: Serve) -> list[InstanceServer]:
    """Three instances."""
    return [serve(name) for name in ("one", "two", "three")]


@pytest.fixture
def memory(servers: list[InstanceServer]) -> Memory:
    """The backend that knows the three as `users`."""
    return Memory(users=[server.instance() for server in servers])


@pytest.fixture(params=NAMES)
async def connect(request: pytest.FixtureRequest, memory: Memory) -> AsyncGenerator[Connect, None]:
    """Makes clients, each of the libraries in turn; they end with the test."""
    async with AsyncExitStack() as stack:

        def start(
            *,
            routing: Routing | None = None,
            settings: ClientSettings | None = None,
            authority: Path | None = None,
            observer: Observer | None = None,
        ) -> Client:
            client = make(
                request.param, memory, routing=routing, settings=settings, authority=authority, observer=observer
            )
            stack.push_async_callback(client.aclose)
            return client

        yield start


@pytest.fixture
async def client(connect: Connect) -> Client:
    """A client with the default settings."""
    return connect()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that the tests of this worker share."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls(certificates: Certificates) -> Iterator[TLSServers]:
    """Instances that speak TLS, which end with the test."""
    servers = TLSServers(certificates)
    yield servers
    servers.stop()
