"""Prepared queries of a real Consul as a source of instances."""

import asyncio
import urllib.error
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from homeport import ClientSettings, Discovery, Refused, Unsupported
from homeport.backends.consul import open_consul
from homeport.client.settings import CacheSettings
from tests.plugins.following import PATIENCE, Until
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer


class Distant:
    """A service at three nodes that are ever further away from the first one, and queries for it."""

    def __init__(self, consul: ConsulServer, name: str) -> None:
        self.consul = consul
        self.name = name
        self._queries: list[str] = []

    def add(self, number: int, status: str = "passing") -> None:
        node = f"{self.name}-{number}"
        instance = {"Service": self.name, "ID": f"{self.name}-{number}", "Port": 1, "Tags": ["odd"] * (number % 2)}
        check = {"CheckID": node, "Name": "alive", "Status": status, "ServiceID": instance["ID"]}
        body = {"Node": node, "Address": f"10.0.0.{number}", "Service": instance, "Check": check}
        self.consul.request("PUT", "/v1/catalog/register", body)
        place = {"Vec": [0.05 * number, *[0.0] * 7], "Error": 0.1, "Adjustment": 0.0, "Height": 0.00001}
        self.consul.request("PUT", "/v1/coordinate/update", {"Node": node, "Coord": place})

    def prepare(self, name: str, **service: Any) -> None:
        made = self.consul.request("POST", "/v1/query", {"Name": name, "Service": {"Service": self.name, **service}})
        self._queries.append(made["ID"])

    def remove(self) -> None:
        for number in (1, 2, 3):
            self.consul.request("PUT", "/v1/catalog/deregister", {"Node": f"{self.name}-{number}"})
        for query in self._queries:
            self.consul.request("DELETE", f"/v1/query/{query}")


@pytest.fixture
def distant(consul: ConsulServer, name: str) -> Iterator[Distant]:
    made = Distant(consul, name)
    try:
        for number in (1, 2, 3):
            made.add(number)
        yield made
    finally:
        made.remove()


async def test_a_query_chooses_the_instances(distant: Distant) -> None:
    distant.prepare(f"{distant.name}-odd", Tags=["odd"], OnlyPassing=True)
    url = f"{distant.consul.backend_url}?via=query"
    async with Discovery(url, environ={}) as discovery:
        found = await discovery.discover(f"{distant.name}-odd")
        assert [one.id for one in found] == [f"{distant.name}-1", f"{distant.name}-3"]
        assert {(one.service, one.status, one.datacenter) for one in found} == {(distant.name, "passing", "dc1")}
        listed = [service.name for service in await discovery.services()]
        assert f"{distant.name}-odd" in listed
        assert distant.name not in listed
    async with aclosing(open_consul(distant.consul.backend_url, {})) as backend:
        assert len((await backend.fetch(distant.name)).instances) == 3
        assert (await backend.fetch(f"{distant.name}-odd")).instances == ()


async def test_near_and_limit_choose_among_them(distant: Distant) -> None:
    distant.prepare(f"{distant.name}-all")
    url = f"{distant.consul.backend_url}?via=query"

    async def nearest(options: str) -> list[str]:
        async with aclosing(open_consul(f"{url}{options}", {})) as backend:
            return [one.node for one in (await backend.fetch(f"{distant.name}-all")).instances]

    nodes = [f"{distant.name}-{number}" for number in (1, 2, 3)]
    async with asyncio.timeout(PATIENCE):  # Consul takes coordinates in now and then
        while True:
            placed = await asyncio.to_thread(distant.consul.request, "GET", "/v1/coordinate/nodes")
            if set(nodes) <= {row["Node"] for row in placed}:
                break
            await asyncio.sleep(0.05)
    assert await nearest(f"&near={nodes[0]}") == nodes
    assert await nearest(f"&near={nodes[0]}&limit=1") == [nodes[0]]
    assert await nearest(f"&near={nodes[2]}&limit=2") == [nodes[2], nodes[1]]
    assert len(await nearest("&limit=1")) == 1


async def test_it_is_asked_again_and_again(distant: Distant, until: Until) -> None:
    distant.prepare(f"{distant.name}-all", OnlyPassing=True)
    settings = ClientSettings(cache=CacheSettings(refresh_interval=0.2))
    url = f"{distant.consul.backend_url}?via=query"
    async with (
        Discovery(url, settings=settings, environ={}) as discovery,
        discovery.watch(f"{distant.name}-all") as watch,
    ):
        await until(watch, lambda snapshot: len(snapshot) == 3)
        await asyncio.to_thread(distant.add, 2, "critical")
        snapshot = await until(watch, lambda snapshot: len(snapshot) == 2)
        assert [one.id for one in snapshot] == [f"{distant.name}-1", f"{distant.name}-3"]


async def test_a_query_that_is_not_there_is_no_empty_service(
    consul: ConsulServer, homeport: HomeportServer, name: str
) -> None:
    async with aclosing(open_consul(f"{consul.backend_url}?via=query", {})) as backend:
        with pytest.raises(Refused, match=f'there is no prepared query "{name}" at http://'):
            await backend.fetch(name)
        with pytest.raises(Unsupported, match="cannot be watched"):
            await anext(backend.watch(name))
    async with aclosing(open_consul(f"consul://{homeport.address}?via=query", {})) as backend:
        with pytest.raises(Unsupported, match="a Homeport registry has no prepared queries; leave via=query out"):
            await backend.fetch(name)


async def test_registering_is_not_changed_by_it(consul: ConsulServer, name: str) -> None:
    async with (
        Discovery(f"{consul.backend_url}?via=query", environ={}) as discovery,
        discovery.register(name, id=name, port=1),
    ):
        assert (await asyncio.to_thread(consul.request, "GET", f"/v1/agent/service/{name}"))["Port"] == 1
    with pytest.raises(urllib.error.HTTPError):
        await asyncio.to_thread(consul.request, "GET", f"/v1/agent/service/{name}")
