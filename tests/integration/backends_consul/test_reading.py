"""Which server, or which cache, a real Consul answers from, and which of several addresses."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery
from homeport.backends.consul import ConsulBackend, ConsulSettings, open_consul
from homeport.backends.consul.api import ConsulAPI
from tests.plugins.following import PATIENCE, Until
from tests.servers.consul import ConsulServer
from tests.servers.ports import PortLease

Factory = Callable[..., ConsulServer]
AS_AGENT = ("-server=false", "-bootstrap-expect=0")


def serf_port(server: ConsulServer) -> int:
    """Where other members join."""
    port: int = server.request("GET", "/v1/agent/self")["DebugConfig"]["SerfPortLAN"]
    return port


def is_leader(server: ConsulServer) -> bool:
    """Whether this server leads."""
    answer = server.request("GET", "/v1/agent/self")
    return bool(answer["Stats"]["consul"]["leader"] == "true")


async def member(factory: Factory, joined: ConsulServer, node: str, arguments: tuple[str, ...]) -> ConsulServer:
    """One more member of a cluster."""
    port = await asyncio.to_thread(serf_port, joined)
    config = {"retry_join": [f"127.0.0.1:{port}"], "retry_interval": "100ms"}
    return await asyncio.to_thread(lambda: factory(dev=False, node=node, config=config, arguments=arguments))


def add(server: ConsulServer, name: str) -> None:
    """An instance in the catalog, at no agent."""
    instance = {"Service": name, "ID": name, "Port": 1}
    server.request("PUT", "/v1/catalog/register", {"Node": "far", "Address": "10.0.0.1", "Service": instance})


@pytest.mark.parametrize("asked", ["default", "stale", "consistent"])
async def test_consul_answers_as_consistently_as_it_is_asked_to(consul: ConsulServer, name: str, asked: str) -> None:
    api = ConsulAPI(ConsulSettings.from_url(f"{consul.backend_url}?consistency={asked}", {}))
    async with aclosing(api):
        answer = await api.request("GET", f"/v1/health/service/{name}", params=api.reading(), purpose="read")
        said = answer.headers["x-consul-effective-consistency"]
    assert said == {"default": "leader"}.get(asked, asked)


async def test_stale_answers_come_without_a_leader_until_they_are_too_old(consul_factory: Factory, name: str) -> None:
    pair = [
        consul_factory(dev=False, node=node, arguments=("-bootstrap-expect=2",), start=False) for node in ("one", "two")
    ]
    starting = [asyncio.create_task(asyncio.to_thread(server.start)) for server in pair]
    await _join(pair[1], await _joined(pair[0]))
    await asyncio.gather(*starting)
    leads = [await asyncio.to_thread(is_leader, server) for server in pair]
    leader, left = pair if leads[0] else pair[::-1]
    await asyncio.to_thread(add, leader, name)
    async with (
        aclosing(open_consul(left.backend_url, {})) as ordinary,
        aclosing(open_consul(f"{left.backend_url}?consistency=stale&max_age=600", {})) as stale,
        aclosing(open_consul(f"{left.backend_url}?consistency=stale&max_age=0.001", {})) as hardly_stale,
    ):
        async with asyncio.timeout(PATIENCE):
            while True:
                if (await stale.fetch(name)).instances:
                    break
                await asyncio.sleep(0.01)  # it has not heard of it yet
        await asyncio.to_thread(leader.kill)
        with pytest.raises(BackendUnavailable):  # at once, unless the other one leads by now and has not stepped down
            await _until_it_fails(ordinary, name)
        assert len((await stale.fetch(name)).instances) == 1
        with pytest.raises(BackendUnavailable):
            await hardly_stale.fetch(name)


async def _joined(server: ConsulServer) -> int:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await asyncio.to_thread(serf_port, server)
            except OSError:
                await asyncio.sleep(0.05)


async def _join(server: ConsulServer, port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await asyncio.to_thread(server.request, "PUT", f"/v1/agent/join/127.0.0.1:{port}")
            except OSError:
                await asyncio.sleep(0.05)


async def test_an_agent_answers_from_its_cache_until_it_is_too_old(consul_factory: Factory, name: str) -> None:
    server = await asyncio.to_thread(consul_factory)
    agent = await member(consul_factory, server, "agent", AS_AGENT)
    await asyncio.to_thread(add, server, name)
    async with (
        aclosing(open_consul(agent.backend_url, {})) as ordinary,
        aclosing(open_consul(f"{agent.backend_url}?cached=true&max_age=60", {})) as cached,
        aclosing(open_consul(f"{agent.backend_url}?cached=true&max_age=0.5", {})) as hardly_cached,
    ):
        for backend in (ordinary, cached, hardly_cached):
            assert len((await backend.fetch(name)).instances) == 1
        await asyncio.to_thread(server.kill)
        with pytest.raises(BackendUnavailable):
            await ordinary.fetch(name)
        assert len((await cached.fetch(name)).instances) == 1
        with pytest.raises(BackendUnavailable, match="answers from its cache, and has not heard from its servers"):
            await _until_it_fails(hardly_cached, name)
        async with aclosing(cached.watch(name)) as watch:
            with pytest.raises(BackendUnavailable):  # what begins is confirmed by a server
                await anext(watch)


async def _until_it_fails(backend: ConsulBackend, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await backend.fetch(name)
            await asyncio.sleep(0.05)


async def test_a_watch_by_the_cache_sees_every_change(consul: ConsulServer, name: str, until: Until) -> None:
    async with Discovery(f"{consul.backend_url}?cached=true", environ={}) as discovery, discovery.watch(name) as watch:
        async with discovery.register(name, port=1):
            await until(watch, lambda snapshot: len(snapshot) == 1)
        await until(watch, lambda snapshot: not snapshot.registered)


async def test_the_next_address_is_asked_when_one_is_gone(
    consul_factory: Factory, name: str, settings: ClientSettings, until: Until
) -> None:
    server = await asyncio.to_thread(consul_factory)
    agent = await member(consul_factory, server, "agent", AS_AGENT)
    await asyncio.to_thread(add, server, name)
    url = f"consul://{agent.address},{server.address}"
    async with Discovery(url, settings=settings, environ={}) as discovery, discovery.watch(name) as watch:
        await asyncio.to_thread(agent.kill)
        await asyncio.to_thread(server.request, "PUT", "/v1/catalog/deregister", {"Node": "far"})
        await until(watch, lambda snapshot: not snapshot.registered and not snapshot.stale)


async def test_an_address_where_nobody_is_does_no_harm(consul: ConsulServer, name: str) -> None:
    with PortLease() as lease:
        url = f"consul://127.0.0.1:{lease.ports[0]},{consul.address}"
        async with Discovery(url, environ={}) as discovery, discovery.register(name, port=1):
            assert len(await discovery.discover(name)) == 1
