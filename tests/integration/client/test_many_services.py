"""Following more services than one client may have polls: Homeport's registry needs one request for all of them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, Watch
from homeport.testing import FaultProxy
from homeport.testing.contract.waiting import fresh, until
from tests.integration.client.in_haste import followed
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

SERVICES = 250
TIMEOUT = 120
# Nobody here is given up because the machine is slow.
LEISURE = "timeout=60s&connect_timeout=60s"
EAGER = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5)


def register(registry: HomeportServer | ConsulServer, name: str, number: int) -> None:
    body = {"ID": f"{name}-{number}", "Name": name, "Port": number + 1, "Address": "10.0.0.1"}
    registry.request("PUT", "/v1/agent/service/register", body)


async def follow(stack: AsyncExitStack, discovery: Discovery, names: list[str]) -> list[Watch]:
    """Follow all of them; returns when each has its first snapshot."""
    watches = [discovery.watch(name) for name in names]
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*(stack.enter_async_context(watch) for watch in watches))
    return watches


async def settled(watch: Watch, ports: list[int]) -> None:
    """Return when it has exactly these, confirmed."""
    async for snapshot in watch:
        if [one.port for one in snapshot] == ports and not snapshot.stale:
            return


async def test_one_connection_follows_them_all_and_misses_nothing(homeport: HomeportServer, name: str) -> None:
    names = [f"{name}-{number}" for number in range(SERVICES)]
    with FaultProxy(homeport.address) as proxy:
        url = homeport.backend_url.replace(homeport.address, proxy.address) + f"?wait=2s&{LEISURE}"
        async with Discovery(url, environ={}, settings=EAGER) as discovery, AsyncExitStack() as stack:
            watches = await follow(stack, discovery, names)
            async with asyncio.timeout(TIMEOUT):
                for watch in watches:
                    await settled(watch, [])
                for number in (0, 100, SERVICES - 1, 0):
                    current = len(watches[number].current)
                    register(homeport, names[number], current)
                    await settled(watches[number], list(range(1, current + 2)))
            assert not any(watch.current.stale for watch in watches)
            before = proxy.accepted
            async with asyncio.timeout(TIMEOUT):
                for number in range(1, 21):  # each change wakes the one request and fetches one service
                    register(homeport, names[number], 0)
                    await settled(watches[number], [1])
            assert proxy.accepted - before <= 5
            proxy.stop()
            async with asyncio.timeout(TIMEOUT):
                for watch in watches:
                    async for snapshot in watch:
                        if snapshot.stale:
                            break
            register(homeport, names[7], 1)
            proxy.start()
            async with asyncio.timeout(TIMEOUT):
                await settled(watches[7], [1, 2])
                for watch in watches:
                    async for snapshot in watch:
                        if not snapshot.stale:
                            break


async def test_a_wipe_is_noticed_by_each_of_them(homeport_factory: Callable[..., HomeportServer], name: str) -> None:
    server = homeport_factory(dev=False)
    names = [f"{name}-{number}" for number in range(20)]
    for one in names:
        register(server, one, 0)
    settings = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5, reset_grace=1.0)
    async with (
        Discovery(f"{server.backend_url}?{LEISURE}", environ={}, settings=settings) as discovery,
        AsyncExitStack() as stack,
    ):
        watches = await follow(stack, discovery, names)
        server.stop()
        server.wipe()
        server.start()
        register(server, names[3], 4)
        async with asyncio.timeout(TIMEOUT):
            await settled(watches[3], [5])
            for number, watch in enumerate(watches):
                if number != 3:
                    await settled(watch, [])


async def test_on_consul_those_beyond_its_limit_are_asked_for_now_and_then(consul: ConsulServer, name: str) -> None:
    """Consul serves 200 connections of one client, and counts those of abandoned queries until their time is over."""
    names = [f"{name}-{number}" for number in range(250)]
    settings = ClientSettings(overflow_interval=1.0)
    url = f"{consul.backend_url}?{LEISURE}"
    async with Discovery(url, environ={}, settings=settings) as discovery, AsyncExitStack() as stack:
        watches = await follow(stack, discovery, names)
        async with asyncio.timeout(TIMEOUT):
            for number in (0, 120, 249):
                register(consul, names[number], 0)
                await settled(watches[number], [1])
            for watch in watches:
                await until(watch, fresh)


async def test_nobody_waits_for_ever_when_nobody_answers(homeport: HomeportServer, name: str) -> None:
    with FaultProxy(homeport.address) as proxy:
        url = homeport.backend_url.replace(homeport.address, proxy.address) + "?wait=1s&timeout=1s"
        async with Discovery(url, environ={}, settings=EAGER) as discovery:
            watches = [await followed(discovery, f"{name}-{number}") for number in range(5)]
            proxy.stall()
            async with asyncio.timeout(TIMEOUT):
                for watch in watches:
                    async for snapshot in watch:
                        if snapshot.stale:
                            break
            with pytest.raises(BackendUnavailable):
                await discovery.discover(name, use_cache=False)
            proxy.resume()
            async with asyncio.timeout(TIMEOUT):
                for watch in watches:
                    await settled(watch, [])
