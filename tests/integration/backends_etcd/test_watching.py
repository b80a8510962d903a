"""Watches on a real etcd: compaction, events that are lost on the way, silence, and data of another cluster."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from homeport import ClientSettings, Discovery
from homeport.backends.etcd import EtcdBackend, open_etcd
from homeport.spi import Cursor, Observed
from homeport.testing import FaultProxy
from tests.plugins.following import PATIENCE, Until
from tests.servers.etcd import EtcdServer


def put(etcd: EtcdServer, service: str, number: int) -> int:
    value = {"address": "10.0.0.1", "port": number}
    return etcd.put(f"/services/{service}/{number}", json.dumps(value))


def backend(address: str, *, confirm_interval: float = 60.0) -> EtcdBackend:
    return open_etcd(f"etcd://{address}?confirm_interval={confirm_interval}", {})


async def following(stream: AsyncGenerator[Observed, None]) -> Observed:
    async with asyncio.timeout(PATIENCE):
        return await anext(stream)


async def arriving(stream: AsyncGenerator[Observed, None], *wanted: str) -> Observed:
    """The first set that is exactly these ids."""
    async with asyncio.timeout(PATIENCE):
        while ids(observed := await anext(stream)) != list(wanted):
            pass
        return observed


def ids(observed: Observed) -> list[str]:
    return [one.id for one in observed.instances]


async def test_what_was_compacted_before_the_watch_began_is_read_anew(
    etcd_factory: Callable[..., EtcdServer], name: str
) -> None:
    etcd = await asyncio.to_thread(etcd_factory)
    async with aclosing(backend(etcd.address)) as under_test, aclosing(under_test.watch(name)) as stream:
        assert ids(await following(stream)) == []
        revision = 0
        for number in range(1, 4):
            revision = await asyncio.to_thread(put, etcd, name, number)
        await asyncio.to_thread(etcd.delete, f"/services/{name}/2")
        await asyncio.to_thread(etcd.compact, revision + 1)
        assert not (await arriving(stream, "1", "3")).reset
        await asyncio.to_thread(put, etcd, name, 4)
        await arriving(stream, "1", "3", "4")


async def test_a_compaction_during_an_outage_loses_nothing(
    etcd_factory: Callable[..., EtcdServer], name: str, settings: ClientSettings, until: Until
) -> None:
    etcd = await asyncio.to_thread(etcd_factory)
    await asyncio.to_thread(put, etcd, name, 1)
    with FaultProxy(etcd.address) as proxy:
        discovery = Discovery(f"etcd://{proxy.address}", settings=settings, environ={}, handle_signals=False)
        async with discovery, discovery.watch(name) as watch:
            await asyncio.to_thread(proxy.stop)
            await until(watch, lambda snapshot: snapshot.stale)
            await asyncio.to_thread(put, etcd, name, 2)
            await asyncio.to_thread(etcd.delete, f"/services/{name}/1")
            await asyncio.to_thread(etcd.compact, await asyncio.to_thread(put, etcd, name, 3))
            await asyncio.to_thread(proxy.start)
            healed = await until(watch, lambda snapshot: not snapshot.stale)
            assert [one.id for one in healed] == ["2", "3"]


async def test_events_that_never_arrive_are_noticed_by_the_confirmation(etcd: EtcdServer, name: str) -> None:
    with FaultProxy(etcd.address) as proxy:
        proxy.rewrite(lambda piece: piece.replace(b'"events"', b'"nobody"'))
        async with (
            aclosing(backend(proxy.address, confirm_interval=0.2)) as under_test,
            aclosing(under_test.watch(name)) as stream,
        ):
            assert ids(await following(stream)) == []
            await following(stream)  # the watch stands
            await asyncio.to_thread(put, etcd, name, 1)
            await arriving(stream, "1")
            await asyncio.to_thread(put, etcd, name, 2)
            await asyncio.to_thread(etcd.delete, f"/services/{name}/2")
            await asyncio.to_thread(etcd.delete, f"/services/{name}/1")
            assert not (await arriving(stream)).reset


async def test_a_silent_watch_confirms_that_nothing_changed(etcd: EtcdServer, name: str) -> None:
    await asyncio.to_thread(put, etcd, name, 1)
    with FaultProxy(etcd.address) as proxy:
        async with (
            aclosing(backend(proxy.address, confirm_interval=0.1)) as under_test,
            aclosing(under_test.watch(name)) as stream,
        ):
            first = await following(stream)
            for _ in range(5):
                assert (await following(stream)).instances == first.instances
            assert proxy.accepted == 2  # one for the watch, which none of the confirmations began anew, one for these


async def test_a_long_interval_leaves_a_silent_watch_alone(etcd: EtcdServer, name: str) -> None:
    under_test = backend(etcd.address)
    async with aclosing(under_test), aclosing(under_test.watch(name)) as stream:
        await following(stream)
        await following(stream)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await anext(stream)


async def test_the_data_of_another_cluster_are_a_reset(
    etcd: EtcdServer, etcd_factory: Callable[..., EtcdServer], name: str
) -> None:
    other = await asyncio.to_thread(etcd_factory)
    for number in range(3):
        await asyncio.to_thread(put, etcd, name, number)
    async with aclosing(backend(other.address)) as before, aclosing(backend(etcd.address)) as now:
        cursor = (await before.fetch(name)).cursor
        revision = (await now.fetch(name)).cursor.position
        assert revision > cursor.position  # by its number alone it could go on
        async with aclosing(now.watch(name, after=cursor)) as stream:
            observed = await following(stream)
            assert observed.reset
            assert len(observed.instances) == 3
            assert not (await following(stream)).reset
        async with aclosing(now.watch(name, after=Cursor(position=revision + 9))) as stream:
            assert (await following(stream)).reset  # it went back


async def test_services_whose_names_begin_alike_are_kept_apart(etcd: EtcdServer, name: str) -> None:
    await asyncio.to_thread(put, etcd, name, 1)
    await asyncio.to_thread(put, etcd, f"{name}0", 2)
    await asyncio.to_thread(put, etcd, f"{name}/deeper", 3)
    async with aclosing(backend(etcd.address)) as under_test:
        assert ids(await under_test.fetch(name)) == ["1", "deeper/3"]


async def test_a_prefix_of_ones_own_is_another_world(etcd: EtcdServer, name: str) -> None:
    async with aclosing(open_etcd(f"etcd://{etcd.address}/{name}/", {})) as under_test:
        await asyncio.to_thread(put, etcd, "elsewhere", 1)
        await asyncio.to_thread(etcd.put, f"/{name}/api/1", '{"address": "10.0.0.9"}')
        assert [row.name for row in await under_test.services()] == ["api"]
        assert [one.address for one in (await under_test.fetch("api")).instances] == ["10.0.0.9"]


async def test_only_instances_of_the_datacenter_that_is_asked_for(etcd: EtcdServer, name: str) -> None:
    for datacenter in ("eu", "us"):
        value = {"address": "10.0.0.1", "metadata": {"datacenter": datacenter}}
        await asyncio.to_thread(etcd.put, f"/services/{name}/{datacenter}", json.dumps(value))
    async with aclosing(backend(etcd.address)) as under_test:
        assert ids(await under_test.fetch(name)) == ["eu", "us"]
        assert ids(await under_test.fetch(name, datacenter="us")) == ["us"]
        async with aclosing(under_test.watch(name, datacenter="eu")) as stream:
            assert ids(await following(stream)) == ["eu"]
        counts = {row.name: row.instances for row in await under_test.services(datacenter="eu")}
        assert counts[name] == 1
