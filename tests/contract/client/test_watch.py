"""Following services on real registries, through their restarts, and through broken networks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, Refused, Snapshot
from homeport.testing import FaultProxy
from homeport.testing.contract.waiting import fresh, ids, until
from tests.contract.client.conftest import Registry

EAGER = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5)


def write(registry: Registry, name: str, number: int, **fields: Any) -> None:
    """Register an instance apart from the client, without checks."""
    body = {"ID": f"{name}-{number}", "Name": name, "Port": number + 1, "Address": "10.0.0.1", **fields}
    registry.request("PUT", "/v1/agent/service/register", body)


def behind(proxy: FaultProxy, registry: Registry, options: str = "") -> str:
    """The URL of the registry behind the proxy."""
    return registry.backend_url.replace(registry.address, proxy.address) + options


async def test_failing_instances_and_other_datacenters_are_asked_for(registry: Registry, name: str) -> None:
    write(registry, name, 1)
    write(registry, name, 2, Check={"TTL": "60s"})
    async with Discovery(registry.backend_url, environ={}) as discovery:
        assert ids(await discovery.discover(name)) == [f"{name}-1"]
        assert ids(await discovery.discover(name, healthy=False)) == [f"{name}-1", f"{name}-2"]
        (found,) = await discovery.discover(name, datacenter="dc1")
        assert found.datacenter == "dc1"
        with pytest.raises(Refused, match="knows no such datacenter"):
            await discovery.discover(name, datacenter="dc9")


async def test_a_callback_that_raises_does_not_end_the_watch(registry: Registry, name: str) -> None:
    seen: list[list[str]] = []

    def on_change(snapshot: Snapshot) -> None:
        seen.append(ids(snapshot))
        raise ValueError("a defect of the caller")

    discovery = Discovery(registry.backend_url, environ={})
    async with discovery, discovery.watch(name, on_change=on_change) as watch:
        write(registry, name, 1)
        await until(watch, lambda snapshot: len(snapshot) == 1)
        write(registry, name, 2)
        await until(watch, lambda snapshot: len(snapshot) == 2)
        await asyncio.sleep(0)
        assert seen == [[], [f"{name}-1"], [f"{name}-1", f"{name}-2"]]


async def test_a_registry_that_is_wiped_while_writes_go_on_is_not_mistaken_for_the_old_one(
    make_registry: Callable[[], Registry], name: str
) -> None:
    """The new registry's index is soon beyond the old one's: only its identity tells."""
    registry = await asyncio.to_thread(make_registry)
    write(registry, name, 1)
    async with Discovery(registry.backend_url, settings=EAGER, environ={}) as discovery:
        with FaultProxy(registry.address) as proxy:
            async with (
                Discovery(behind(proxy, registry), settings=EAGER, environ={}) as other,
                other.watch(name) as watch,
            ):
                await asyncio.to_thread(proxy.stop)
                await asyncio.to_thread(registry.kill)
                await asyncio.to_thread(registry.wipe)
                await asyncio.to_thread(registry.start)
                for number in range(60):
                    await asyncio.to_thread(write, registry, f"{name}-other", number)
                await asyncio.to_thread(proxy.start)
                kept = await until(watch, lambda snapshot: snapshot.reason == "reset")
                assert ids(kept) == [f"{name}-1"]
        assert len(await discovery.discover(name)) == 0


async def test_another_address_takes_over(registry: Registry, name: str) -> None:
    write(registry, name, 1)
    scheme = registry.backend_url.partition("://")[0]
    with FaultProxy(registry.address) as one, FaultProxy(registry.address) as other:
        # Nobody is taken for gone who only takes his time.
        backend = f"{scheme}://{one.address},{other.address}?timeout=60s&connect_timeout=60s"
        async with Discovery(backend, settings=EAGER, environ={}) as discovery, discovery.watch(name) as watch:
            assert (one.accepted > 0, other.accepted) == (True, 0)
            await asyncio.to_thread(one.stop)
            write(registry, name, 2)
            await until(watch, lambda snapshot: fresh(snapshot) and len(snapshot) == 2)
            assert other.accepted > 0
            async with discovery.register(name, port=3):
                assert len(await discovery.discover(name)) == 3
            await asyncio.to_thread(other.stop)
            with pytest.raises(BackendUnavailable) as caught:
                await discovery.discover(name, use_cache=False)
            assert one.address in str(caught.value)
            assert other.address in str(caught.value)


async def test_nobody_at_all_is_explained() -> None:
    with FaultProxy("127.0.0.1:1") as proxy:
        proxy.stop()
        async with Discovery(f"homeport://{proxy.address}", environ={}) as discovery:
            with pytest.raises(BackendUnavailable) as caught:
                await discovery.resolve("billing")
            assert str(caught.value) == (
                f"no registry answers at http://{proxy.address} (connection refused). "
                'Start one with "homeport serve", or name another with --backend or HOMEPORT_BACKEND.'
            )
            assert caught.value.retryable
            assert caught.value.backend == f"homeport://{proxy.address}"
            assert caught.value.__cause__ is not None
