"""Several Eureka servers, which replicate to each other."""

import asyncio
from contextlib import aclosing

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery
from homeport.backends.eureka import open_eureka
from tests.plugins.following import PATIENCE, Until
from tests.servers.factory import EurekaFactory
from tests.servers.ports import PortLease
from tests.servers.process import wait_until


async def test_another_server_is_asked_when_one_is_away(
    eureka_factory: EurekaFactory, name: str, settings: ClientSettings, until: Until
) -> None:
    first, second = await asyncio.to_thread(eureka_factory.peers, 2)
    variable = {"EUREKA_CLIENT_SERVICEURL_DEFAULTZONE": f"{first.url}/,{second.url}/"}
    reasons: list[str] = []
    async with (
        Discovery(
            "eureka://?poll_interval=0.1", settings=settings, environ=variable, handle_signals=False
        ) as discovery,
        discovery.watch(name, on_change=lambda snapshot: reasons.append(snapshot.reason)) as watch,
        discovery.register(name, id="one", port=1, ttl=60.0) as registration,
    ):
        await until(watch, lambda snapshot: len(snapshot) == 1)

        def replicated() -> bool:
            return "one" in second.apps().get(name.upper(), {})

        await asyncio.to_thread(wait_until, replicated, timeout=PATIENCE, what="the registration on the other server")
        await asyncio.to_thread(first.kill)
        await asyncio.to_thread(second.register, name, "two", port=2)
        await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 2)
        await asyncio.to_thread(second.cancel, name, "two")
        await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 1)
        await registration.update(tags=["new"])
        await until(watch, lambda snapshot: snapshot[0].tags == ("new",))
        assert not registration.lost
    assert "reset" not in reasons
    assert name.upper() not in await asyncio.to_thread(second.apps)


async def test_without_any_server_each_is_named(name: str) -> None:
    with PortLease(2) as ports:
        addresses = [f"127.0.0.1:{port}" for port in ports.ports]
        async with aclosing(open_eureka(f"eureka://{','.join(addresses)}", {})) as backend:
            with pytest.raises(BackendUnavailable) as caught:
                await backend.fetch(name)
            for address in addresses:
                assert f"http://{address} (connection refused)" in str(caught.value)
            assert "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE" in str(caught.value)
