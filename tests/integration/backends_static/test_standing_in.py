"""A file that stands in for a real registry: taken over, marked, handed back; and polling a real registry."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homeport import ClientSettings, Discovery
from homeport.client.settings import CacheSettings, FallbackSettings
from homeport.testing.contract.waiting import fresh, stale, until
from tests.servers.consul import ConsulServer
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer

QUICK = ClientSettings(
    first_retry_interval=0.05,
    longest_retry_interval=0.2,
    fallback=FallbackSettings(takeover_after=0.1, stale_grace=2.0, handback_after=0.3),
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "services.yaml"
    path.write_text("services:\n  billing: [10.0.0.9:80]\n")
    return f"static://{path}"


async def test_a_registry_that_is_stopped_and_started_again(homeport_factory: HomeportFactory, file: str) -> None:
    registry = homeport_factory()
    body: dict[str, Any] = {"ID": "b-1", "Name": "billing", "Address": "10.0.0.1", "Port": 80}
    registry.request("PUT", "/v1/agent/service/register", body)
    url = registry.backend_url
    discovery = Discovery([url, file], settings=QUICK, environ={})
    async with discovery, discovery.watch("billing") as billing:
        assert (billing.current.backend, billing.pick().id) == (url, "b-1")
        going_stale = asyncio.create_task(until(billing, stale))  # begun before, since the file takes over soon
        await asyncio.to_thread(registry.kill)
        outage = await going_stale
        assert (outage.backend, outage[0].id) == (url, "b-1")
        bridged = await until(billing, lambda snapshot: snapshot.backend == file)
        assert ([one.address for one in bridged], bridged.stale) == (["10.0.0.9"], False)
        assert (await discovery.resolve("billing")).address == "10.0.0.9"
        assert (await discovery.discover("billing", use_cache=False)).backend == file
        await asyncio.to_thread(registry.start)
        back = await until(billing, lambda snapshot: snapshot.backend == url)
        assert ([one.id for one in back], back.stale) == (["b-1"], False)


async def test_a_registry_that_is_not_there_from_the_beginning(homeport_factory: HomeportFactory, file: str) -> None:
    registry = homeport_factory()
    url = registry.backend_url
    await asyncio.to_thread(registry.stop)
    discovery = Discovery([url, file], settings=QUICK, environ={}, handle_signals=False)
    async with discovery, discovery.watch("billing") as billing:
        assert (billing.current.backend, billing.current.stale) == (file, False)
        await asyncio.to_thread(registry.start)
        # What this program registers is in its next answer, so that it does not wait for the hand-back.
        async with discovery.register("billing", id="own", address="10.0.0.2", port=80):
            found = await discovery.discover("billing")
            assert ([one.id for one in found], found.backend) == (["own"], url)


@pytest.mark.parametrize("kind", ["homeport", "consul"])
async def test_a_real_registry_is_polled(kind: str, name: str, request: pytest.FixtureRequest) -> None:
    registry: HomeportServer | ConsulServer = request.getfixturevalue(kind)
    settings = ClientSettings(cache=CacheSettings(watch=False, refresh_interval=0.2, ttl=600.0, negative_ttl=600.0))
    body: dict[str, Any] = {"ID": f"{name}-1", "Name": name, "Address": "10.0.0.1", "Port": 80}
    discovery = Discovery(registry.backend_url, settings=settings, environ={})
    async with discovery, discovery.watch(name) as watch:
        assert len(watch.current) == 0
        registry.request("PUT", "/v1/agent/service/register", body)
        seen = await until(watch, lambda snapshot: len(snapshot) == 1)
        assert fresh(seen)
        registry.request("PUT", f"/v1/agent/service/deregister/{name}-1")
        await until(watch, lambda snapshot: len(snapshot) == 0)
