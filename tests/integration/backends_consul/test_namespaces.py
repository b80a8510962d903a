"""Namespaces are of Consul Enterprise: the free edition, which is what runs here, is told from it."""

from contextlib import aclosing

import pytest

from homeport import BackendError, Unsupported
from homeport.backends.consul import ConsulBackend, open_consul
from homeport.model import Service
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer


async def _everything(backend: ConsulBackend, name: str) -> list[BackendError | None]:
    """What each operation raises."""
    service = Service(name=name, id=name, port=1)
    found: list[BackendError | None] = []
    for operation in (
        backend.ping(),
        backend.fetch(name),
        backend.services(),
        backend.register(service, ttl=5.0, incarnation="i"),
        backend.deregister(name),
        backend.checks(),
    ):
        try:
            await operation
            found.append(None)
        except BackendError as error:
            found.append(error)
    return found


@pytest.mark.parametrize(
    ("query", "environ"),
    [
        ("?namespace=team", {}),
        ("", {"CONSUL_NAMESPACE": "team"}),
        ("?partition=p", {}),
        ("", {"CONSUL_PARTITION": "p"}),
    ],
)
async def test_the_free_edition_refuses_them(
    consul: ConsulServer, name: str, query: str, environ: dict[str, str]
) -> None:
    async with aclosing(open_consul(f"{consul.backend_url}{query}", environ)) as backend:
        for error in await _everything(backend, name):
            assert isinstance(error, Unsupported)
            assert "is the free edition, and namespaces and partitions are of Consul Enterprise" in str(error)
            assert "CONSUL_NAMESPACE" in str(error)
    assert name not in consul.request("GET", "/v1/agent/services")


async def test_without_them_everything_goes(consul: ConsulServer, name: str) -> None:
    async with aclosing(open_consul(consul.backend_url, {})) as backend:
        assert await _everything(backend, name) == [None] * 6


async def test_our_own_registry_is_told_to_have_none(homeport: HomeportServer, name: str) -> None:
    async with aclosing(open_consul(f"consul://{homeport.address}?namespace=team", {})) as backend:
        with pytest.raises(Unsupported, match="a Homeport registry has no namespaces and no partitions"):
            await backend.fetch(name)
        with pytest.raises(Unsupported, match="a Homeport registry has no namespaces and no partitions"):
            await backend.checks()
