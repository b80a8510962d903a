"""Several endpoints: of one member, and of a cluster of three."""

import asyncio
import json
from contextlib import aclosing

import pytest

from homeport import BackendUnavailable, ClientSettings, Discovery
from homeport.backends.etcd import open_etcd
from homeport.testing import FaultProxy
from tests.plugins.following import PATIENCE, Until
from tests.servers.etcd import EtcdServer
from tests.servers.factory import EtcdFactory
from tests.servers.ports import PortLease


async def test_another_endpoint_is_asked_when_one_is_away(
    etcd: EtcdServer, name: str, settings: ClientSettings, until: Until
) -> None:
    with FaultProxy(etcd.address) as first, FaultProxy(etcd.address) as second:
        environ = {"ETCD_ENDPOINTS": f"{first.address}, {second.address}"}
        discovery = Discovery("etcd", settings=settings, environ=environ, handle_signals=False)
        async with discovery, discovery.watch(name) as watch, discovery.register(name, id="one", port=1, ttl=1.0):
            await until(watch, lambda snapshot: len(snapshot) == 1)
            assert second.accepted == 0
            await asyncio.to_thread(first.stop)
            value = json.dumps({"address": "10.0.0.1", "port": 2})
            await asyncio.to_thread(etcd.put, f"/services/{name}/two", value)
            await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 2)
            assert second.accepted > 0
            await asyncio.to_thread(first.start)
            await asyncio.to_thread(second.stop)
            await asyncio.to_thread(etcd.delete, f"/services/{name}/two")
            await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 1)


async def test_without_any_endpoint_each_is_named(name: str) -> None:
    with PortLease(2) as ports:
        addresses = [f"127.0.0.1:{port}" for port in ports.ports]
        async with aclosing(open_etcd(f"etcd://{','.join(addresses)}", {})) as backend:
            with pytest.raises(BackendUnavailable) as caught:
                await backend.fetch(name)
            for address in addresses:
                assert f"http://{address} (connection refused)" in str(caught.value)
            assert "ETCD_ENDPOINTS" in str(caught.value)


async def test_a_cluster_of_three_bears_the_loss_of_a_member(
    etcd_factory: EtcdFactory, name: str, settings: ClientSettings, until: Until
) -> None:
    members = await asyncio.to_thread(etcd_factory.cluster, 3)
    url = f"etcd://{','.join(member.address for member in members)}"
    discovery = Discovery(url, settings=settings, environ={}, handle_signals=False)
    async with discovery, discovery.watch(name) as watch:
        async with discovery.register(name, id="one", port=1, ttl=60.0) as registration:
            await until(watch, lambda snapshot: len(snapshot) == 1)
            await asyncio.to_thread(members[0].kill)
            async with asyncio.timeout(PATIENCE):
                _ = await discovery.register(name, id="two", port=2, ttl=60.0)
            await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 2)
            assert not registration.lost
        left = await until(watch, lambda snapshot: len(snapshot) == 1)
        assert [one.id for one in left] == ["two"]
