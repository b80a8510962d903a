"""What a real Consul tells about services that are asked for now and then, since no more of them can be watched."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from homeport.backends.consul import open_consul
from homeport.spi import ServiceList
from tests.plugins.following import PATIENCE
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer


async def put(consul: ConsulServer, service: str, *, port: int = 1, status: str = "passing", output: str = "") -> None:
    """Write an instance with a check on a node of its own."""
    check = {"CheckID": service, "Name": "alive", "Status": status, "Output": output, "ServiceID": service}
    body = {
        "Node": f"{service}-node", "Address": "10.0.0.1", "Service": {"Service": service, "Port": port}, "Check": check,
    }  # fmt: skip
    await asyncio.to_thread(consul.request, "PUT", "/v1/catalog/register", body)


async def remove(consul: ConsulServer, *services: str) -> None:
    for service in services:
        body = {"Node": f"{service}-node"}
        await asyncio.to_thread(consul.request, "PUT", "/v1/catalog/deregister", body)


async def telling(stream: AsyncGenerator[ServiceList, None], service: str, *, silent: str) -> None:
    """Wait for a list that says that a service changed; none may say that of the silent one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            told = await anext(stream)
            assert silent not in told.changed, "nobody asked for it"
            if service in told.changed:
                return


async def telling_its_end(stream: AsyncGenerator[ServiceList, None], service: str, *, silent: str) -> None:
    """Wait until it is said that a service changed, and a list has it no more: a change before may be told again."""
    changed = False
    async with asyncio.timeout(PATIENCE):
        while True:
            told = await anext(stream)
            assert silent not in told.changed, "nobody asked for it"
            changed = changed or service in told.changed
            if changed and service not in told.names:
                return


async def test_what_changed_is_told_of_services_that_were_asked_for(consul: ConsulServer, name: str) -> None:
    asked, other = f"{name}-asked", f"{name}-other"
    await put(consul, asked)
    await put(consul, other)
    try:
        async with (
            aclosing(open_consul(consul.backend_url, {})) as backend,
            aclosing(backend.watch_services()) as stream,
        ):
            assert {asked, other} <= (await anext(stream)).names
            await backend.fetch(asked)
            for change in ({"port": 2}, {"status": "critical"}, {"status": "passing"}, {"output": "fine"}):
                await put(consul, other, **change)
                await put(consul, asked, **change)
                await telling(stream, asked, silent=other)
            await remove(consul, asked)
            await telling_its_end(stream, asked, silent=other)
    finally:
        await remove(consul, asked, other)


async def test_so_many_services_are_watched_as_the_agent_has_connections_for(consul: ConsulServer) -> None:
    async with aclosing(open_consul(consul.backend_url, {})) as backend:
        assert backend.watch_limit == 100, "it may be an agent that has 200 connections for a client"
        await backend.ping()
        assert backend.watch_limit == 1000, "this one has ten thousand"


async def test_a_homeport_registry_bears_any_number_of_watches_once_it_is_known(homeport: HomeportServer) -> None:
    async with aclosing(open_consul(homeport.backend_url, {})) as backend:
        await backend.ping()
        assert backend.watch_limit is None
