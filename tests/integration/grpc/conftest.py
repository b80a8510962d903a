"""Echo servers, and a backend in memory that knows three of them as instances of `echo`."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from homeport.model import Instance
from homeport.testing.memory import Memory
from tests.integration.grpc.echo_server import EchoServer
from tests.servers.ports import PortLease

# gRPC writes what it thinks of servers that go away straight to stderr. It reads this when it is first used.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class Serve(Protocol):
    """Starts an echo server of that name, which ends with the test."""

    def __call__(self, name: str, **options: Any) -> EchoServer: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(name: str, **options: Any) -> EchoServer:
            server = EchoServer(name, **options)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def servers(serve: Serve) -> list[EchoServer]:
    """Three of them."""
    return [serve(name) for name in ("one", "two", "three")]


@pytest.fixture
def memory(servers: list[EchoServer]) -> Memory:
    """The backend that knows the three."""
    return Memory(echo=[server.instance() for server in servers])


@pytest.fixture
def dead() -> Iterator[Instance]:
    """An instance that is registered, but nobody listens there."""
    with PortLease() as lease:
        yield Instance(id="dead", service="echo", address="127.0.0.1", port=lease.ports[0])
