"""py-consul's asyncio client, as published, against Consul and against us: it must not notice the difference."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable

import consul  # type: ignore[import-untyped]  # it has no type hints
import consul.aio  # type: ignore[import-untyped]  # it has no type hints
import pytest

from tests.plugins.following import PATIENCE
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

# py-consul gives aiohttp's connector options that aiohttp calls old.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=["consul", "homeport"])
def server(request: pytest.FixtureRequest) -> ConsulServer | HomeportServer:
    found: ConsulServer | HomeportServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def client(server: ConsulServer | HomeportServer) -> AsyncIterator[consul.aio.Consul]:
    async with consul.aio.Consul(host="127.0.0.1", port=server.http_port) as client:
        yield client


@pytest.fixture
async def name(client: consul.aio.Consul) -> AsyncIterator[str]:
    """A service name that no other test uses; all instances of it are removed afterwards."""
    name = f"aio-{uuid.uuid4().hex[:8]}"
    yield name
    for service_id, service in (await client.agent.services()).items():
        if service["Service"] == name:
            await client.agent.service.deregister(service_id)


async def test_a_service_is_registered_reported_and_deregistered(client: consul.aio.Consul, name: str) -> None:
    assert await client.agent.service.register(name, port=80, tags=["a"], check=consul.Check.ttl("1h"))
    _, (entry,) = await client.health.service(name)
    assert (entry["Service"]["Port"], entry["Service"]["Tags"]) == (80, ["a"])
    assert (await client.health.service(name, passing=True))[1] == []
    assert await client.agent.check.ttl_pass(f"service:{name}")
    assert len((await client.health.service(name, passing=True))[1]) == 1
    assert await client.agent.service.maintenance(name, True)
    assert (await client.health.service(name, passing=True))[1] == []
    assert await client.agent.service.deregister(name)
    assert (await client.catalog.service(name))[1] == []


async def test_a_waiting_query_is_answered_by_each_change(client: consul.aio.Consul, name: str) -> None:
    async def statuses(index: int) -> tuple[int, list[str]]:
        index, entries = await asyncio.wait_for(client.health.service(name, index=index, wait="10m"), PATIENCE)
        return index, [c["Status"] for entry in entries for c in entry["Checks"] if c["ServiceID"] == name]

    async def after(change: Awaitable[object], index: int) -> tuple[int, list[str]]:
        waiting = asyncio.create_task(statuses(index))
        await asyncio.sleep(0)
        await change
        return await waiting

    await client.agent.service.register(name, check=consul.Check.ttl("1h"))
    index, found = await statuses(0)
    assert found == ["critical"]
    check_id = f"service:{name}"
    for change, expected in (
        (client.agent.check.ttl_pass(check_id), ["passing"]),
        (client.agent.check.ttl_warn(check_id), ["warning"]),
        (client.agent.service.deregister(name), []),
    ):
        before = index
        index, found = await after(change, before)
        assert found == expected
        assert index > before


async def test_a_query_without_a_change_comes_back_when_its_time_is_over(client: consul.aio.Consul, name: str) -> None:
    await client.agent.service.register(name)
    index, _ = await client.catalog.service(name)
    again, entries = await client.catalog.service(name, index=index, wait="50ms")
    assert (again, len(entries)) == (index, 1)
