"""Following services on real registries, through their restarts, and through broken networks."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery, InvalidAnswer, NoInstances, Refused, Snapshot, diff
from homeport.model import Instance
from tests.contract.client.conftest import Registry
from tests.contract.client.waiting import fresh, ids, stale, until
from tests.servers.fault_proxy import FaultProxy

EAGER = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5)


def write(registry: Registry, name: str, number: int, **fields: Any) -> None:
    """Register an instance apart from the client, without checks."""
    body = {"ID": f"{name}-{number}", "Name": name, "Port": number + 1, "Address": "10.0.0.1", **fields}
    registry.request("PUT", "/v1/agent/service/register", body)


def remove(registry: Registry, name: str, number: int) -> None:
    registry.request("PUT", f"/v1/agent/service/deregister/{name}-{number}")


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultProxy]:
    """A broken network in front of the registry."""
    with FaultProxy(registry.address) as proxy:
        yield proxy


def behind(proxy: FaultProxy, registry: Registry, options: str = "") -> str:
    """The URL of the registry behind the proxy."""
    return registry.backend_url.replace(registry.address, proxy.address) + options


async def test_changes_arrive(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        assert ids(watch.current) == []
        with pytest.raises(NoInstances):
            watch.pick()
        write(registry, name, 1)
        await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-1"])
        assert watch.pick().port == 2
        write(registry, name, 2, Tags=["x"])
        await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-1", f"{name}-2"])
        remove(registry, name, 1)
        await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-2"])
        write(registry, name, 2, Tags=["y"], Meta={"version": "3"})
        changed = await until(watch, lambda snapshot: snapshot[0].tags == ("y",))
        assert changed[0].version == "3"
        remove(registry, name, 2)
        await until(watch, lambda snapshot: not snapshot.instances)


async def test_what_was_asked_for_is_filtered(registry: Registry, name: str) -> None:
    write(registry, name, 1, Tags=["eu", "blue"], Meta={"version": "1.9.0", "environment": "live", "team": "x"})
    write(registry, name, 2, Tags=["us", "blue"], Meta={"version": "2.0.0", "environment": "test", "team": "y"})
    write(registry, name, 3, Check={"TTL": "60s"})
    async with Discovery(registry.backend_url, environ={}) as discovery:

        async def found(**wishes: Any) -> list[int]:
            return [int(one.id[-1]) for one in await discovery.discover(name, **wishes)]

        assert await found() == [1, 2]
        assert await found(healthy=False) == [1, 2, 3]
        assert await found(tags=["blue"]) == [1, 2]
        assert await found(tags=["blue", "us"]) == [2]
        assert await found(version=">=1,<2") == [1]
        assert await found(version="2.*") == [2]
        assert await found(environment="test") == [2]
        assert await found(meta={"team": "x"}) == [1]
        assert await found(datacenter="dc1") == [1, 2]
        assert await found(tags=["eu"], use_cache=False) == [1]
        with pytest.raises(Refused, match="knows no such datacenter"):
            await found(datacenter="dc9")


async def test_services_are_listed(registry: Registry, name: str) -> None:
    write(registry, name, 1, Tags=["b", "a"])
    async with Discovery(registry.backend_url, environ={}) as discovery:
        (listed,) = [one for one in await discovery.services() if one.name == name]
        assert sorted(listed.tags) == ["a", "b"]
        assert listed.instances in (None, 1)


async def test_every_final_state_is_seen_also_by_slow_readers(registry: Registry, name: str) -> None:
    """A random writer over several services: each reader ends at the truth, and its differences add up to it."""
    chance = random.Random(20)
    names = [f"{name}-{number}" for number in range(4)]
    async with Discovery(registry.backend_url, environ={}) as discovery:
        watches = [await discovery.watch(one) for one in names]
        seen: dict[str, list[Snapshot]] = {one: [] for one in names}

        async def read(position: int) -> None:
            async for snapshot in watches[position]:
                seen[names[position]].append(snapshot)
                await asyncio.sleep(0.02 * position)

        readers = [asyncio.create_task(read(position)) for position in range(len(names))]
        truth: dict[str, dict[int, str]] = {one: {} for one in names}
        for turn in range(150):
            service, number = chance.choice(names), chance.randrange(5)
            if chance.random() < 0.35 and number in truth[service]:
                del truth[service][number]
                await asyncio.to_thread(remove, registry, service, number)
            else:
                truth[service][number] = str(turn)
                await asyncio.to_thread(write, registry, service, number, Tags=[str(turn)])
        for service, watch in zip(names, watches, strict=True):
            final = {f"{service}-{number}": (tag,) for number, tag in truth[service].items()}
            await until(watch, lambda one, final=final: {i.id: i.tags for i in one} == final)  # type: ignore[misc]
        await asyncio.sleep(0.3)  # the slowest reader catches up
        for watch in watches:
            await watch.close()
        await asyncio.gather(*readers)
        for service in names:
            applied: dict[str, Instance] = {}
            previous: tuple[Instance, ...] = ()
            revisions = [snapshot.revision for snapshot in seen[service]]
            assert revisions == sorted(set(revisions))
            for snapshot in seen[service]:
                for event in diff(previous, snapshot):
                    if event.current is None:
                        del applied[event.id]
                    else:
                        applied[event.id] = event.current
                previous = snapshot.instances
            assert {one.id: one.tags for one in applied.values()} == {
                f"{service}-{number}": (tag,) for number, tag in truth[service].items()
            }


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


async def test_an_outage_is_told_and_so_is_its_end(proxy: FaultProxy, registry: Registry, name: str) -> None:
    write(registry, name, 1)
    backend = behind(proxy, registry)
    async with Discovery(backend, settings=EAGER, environ={}) as discovery, discovery.watch(name) as watch:
        await discovery.resolve(name)
        await asyncio.to_thread(proxy.stop)
        outage = await until(watch, stale)
        assert ids(outage) == [f"{name}-1"]
        assert outage.stale_since is not None
        assert outage.reason
        assert watch.pick().id == f"{name}-1"
        assert (await discovery.discover(name)).stale
        with pytest.raises(BackendUnavailable, match="connection refused"):
            await discovery.discover(f"{name}-never-asked")
        with pytest.raises(BackendUnavailable):
            await discovery.discover(name, use_cache=False)
        write(registry, name, 2)
        await asyncio.to_thread(proxy.start)
        after = await until(watch, fresh)
        assert ids(after) == [f"{name}-1", f"{name}-2"]
        assert not (await discovery.discover(name)).stale


async def test_cut_connections_lose_nothing(proxy: FaultProxy, registry: Registry, name: str) -> None:
    backend = behind(proxy, registry)
    async with Discovery(backend, settings=EAGER, environ={}) as discovery, discovery.watch(name) as watch:
        for number in range(8):
            await asyncio.to_thread(proxy.cut)
            await asyncio.to_thread(write, registry, name, number)
        await until(watch, lambda snapshot: len(snapshot) == 8 and not snapshot.stale)


async def test_a_half_open_connection_is_noticed(proxy: FaultProxy, registry: Registry, name: str) -> None:
    write(registry, name, 1)
    backend = behind(proxy, registry, "?wait=1s&timeout=1s&connect_timeout=1s")
    async with Discovery(backend, settings=EAGER, environ={}) as discovery, discovery.watch(name) as watch:
        await asyncio.to_thread(proxy.stall)
        silent = await until(watch, stale)
        assert "no answer within" in silent.reason
        assert ids(silent) == [f"{name}-1"]
        await asyncio.to_thread(proxy.resume)
        write(registry, name, 2)
        await until(watch, lambda snapshot: fresh(snapshot) and len(snapshot) == 2)


async def test_a_slow_network_is_no_outage(proxy: FaultProxy, registry: Registry, name: str) -> None:
    proxy.delay(0.3)
    backend = behind(proxy, registry, "?wait=1s&timeout=5s")
    async with Discovery(backend, environ={}) as discovery, discovery.watch(name) as watch:
        write(registry, name, 1)
        snapshot = await until(watch, lambda snapshot: len(snapshot) == 1)
        await asyncio.sleep(1.5)
        assert watch.current is snapshot


GARBAGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "not JSON": b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
    "other JSON": b'HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 11\r\n\r\n{"hello":1}',
    "half a body": b'HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nContent-Length: 5000\r\n\r\n[{"Node":',
    "no index": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    "strange index": b"HTTP/1.1 200 OK\r\nX-Consul-Index: -3\r\nContent-Length: 2\r\n\r\n[]",
    "somebody else": b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
    "elsewhere": b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "an error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 17\r\n\r\nNo cluster leader",
    "a gateway": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_never_believed(proxy: FaultProxy, registry: Registry, name: str, answer: bytes) -> None:
    write(registry, name, 1)
    backend = behind(proxy, registry)
    seen: list[Snapshot] = []
    discovery = Discovery(backend, settings=EAGER, environ={})
    async with discovery, discovery.watch(name, on_change=seen.append) as watch:
        await asyncio.to_thread(proxy.garble, answer)
        broken = await until(watch, stale)
        assert ids(broken) == [f"{name}-1"]
        with pytest.raises((InvalidAnswer, BackendUnavailable)):
            await discovery.discover(name, use_cache=False)
        await asyncio.to_thread(proxy.garble, None)
        await until(watch, fresh)
        assert all(ids(snapshot) == [f"{name}-1"] for snapshot in seen)


async def test_a_restart_is_stale_and_then_fresh_and_nothing_is_lost(
    make_registry: Callable[[], Registry], name: str
) -> None:
    registry = await asyncio.to_thread(make_registry)
    write(registry, name, 1)
    seen: list[Snapshot] = []
    discovery = Discovery(registry.backend_url, settings=EAGER, environ={})
    async with discovery, discovery.watch(name, on_change=seen.append) as watch:
        await asyncio.to_thread(registry.stop)
        await until(watch, stale)
        await asyncio.to_thread(registry.start)
        await until(watch, fresh)
        write(registry, name, 2)
        await until(watch, lambda snapshot: len(snapshot) == 2)
    assert all(snapshot.instances for snapshot in seen)


async def test_a_wiped_registry_keeps_the_last_snapshot_until_the_instances_are_back(
    make_registry: Callable[[], Registry], name: str
) -> None:
    registry = await asyncio.to_thread(make_registry)
    for number in range(3):
        write(registry, name, number)
    seen: list[Snapshot] = []
    discovery = Discovery(registry.backend_url, settings=EAGER, environ={})
    async with discovery, discovery.watch(name, on_change=seen.append) as watch:
        await asyncio.to_thread(registry.kill)
        await asyncio.to_thread(registry.wipe)
        await asyncio.to_thread(registry.start)
        kept = await until(watch, lambda snapshot: snapshot.reason == "reset")
        assert len(kept) == 3
        for number in range(3):
            assert watch.current.stale
            write(registry, name, number)
        await until(watch, fresh)
        assert len(watch.current) == 3
    assert all(len(snapshot) == 3 for snapshot in seen)


async def test_after_the_grace_a_wiped_registry_is_believed(make_registry: Callable[[], Registry], name: str) -> None:
    registry = await asyncio.to_thread(make_registry)
    write(registry, name, 1)
    settings = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5, reset_grace=1.0)
    discovery = Discovery(registry.backend_url, settings=settings, environ={})
    async with discovery, discovery.watch(name) as watch:
        await asyncio.to_thread(registry.kill)
        await asyncio.to_thread(registry.wipe)
        await asyncio.to_thread(registry.start)
        await until(watch, lambda snapshot: snapshot.reason == "reset")
        gone = await until(watch, fresh)
        assert ids(gone) == []


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
        backend = f"{scheme}://{one.address},{other.address}"
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
