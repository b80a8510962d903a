"""Keys and values on real systems."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

from homeport import InvalidValue, PermissionDenied, Unsupported
from homeport.backends.consul import ConsulBackend, open_consul
from homeport.backends.etcd import EtcdBackend, open_etcd
from homeport.spi import KeyValue
from tests.contract.kv.scenarios import Keeper, KeyValueScenarios
from tests.servers.consul import ConsulServer
from tests.servers.etcd import EtcdServer
from tests.servers.etcdctl import Etcdctl
from tests.servers.homeport import HomeportServer


class ServerKeeper:
    """A server as the scenarios know it."""

    def __init__(self, server: ConsulServer | EtcdServer, make: Callable[[], KeyValue]) -> None:
        self._server = server
        self.open = make

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)

    async def wipe(self) -> None:
        await asyncio.to_thread(self._server.wipe)


def consul_keys(server: ConsulServer) -> ConsulBackend:
    return open_consul(f"{server.backend_url}?wait=1s", {})


def etcd_keys(server: EtcdServer) -> EtcdBackend:
    return open_etcd(f"{server.backend_url}?confirm_interval=1", {})


@pytest.fixture
def folder() -> str:
    return f"kv-{uuid4().hex[:12]}/"


class TestConsul(KeyValueScenarios):
    @pytest.fixture
    async def backend(self, consul: ConsulServer) -> AsyncIterator[KeyValue]:
        async with aclosing(consul_keys(consul)) as backend:
            yield backend

    @pytest.fixture
    async def keeper(self, consul_factory: Callable[..., ConsulServer]) -> Keeper:
        server = await asyncio.to_thread(lambda: consul_factory(dev=False))
        return ServerKeeper(server, lambda: consul_keys(server))


class TestEtcd(KeyValueScenarios):
    @pytest.fixture
    async def backend(self, etcd: EtcdServer) -> AsyncIterator[KeyValue]:
        async with aclosing(etcd_keys(etcd)) as backend:
            yield backend

    @pytest.fixture
    async def keeper(self, etcd_factory: Callable[..., EtcdServer]) -> Keeper:
        limit = f"--max-request-bytes={512 * 1024}"
        server = await asyncio.to_thread(lambda: etcd_factory(arguments=[limit]))
        return ServerKeeper(server, lambda: etcd_keys(server))


async def test_other_programs_read_what_is_written_in_consul(consul: ConsulServer, folder: str) -> None:
    async with aclosing(consul_keys(consul)) as backend:
        await backend.write_key(f"{folder}a", b"ours")
        (row,) = await asyncio.to_thread(consul.request, "GET", f"/v1/kv/{folder}a")
        assert row["Value"] == "b3Vycw=="


async def test_other_programs_read_what_is_written_in_etcd(etcd: EtcdServer, etcdctl_binary: Path, folder: str) -> None:
    etcdctl = Etcdctl(etcdctl_binary, etcd.address)
    async with aclosing(etcd_keys(etcd)) as backend:
        await backend.write_key(f"/{folder}a", b"ours")
        assert "ours" in await asyncio.to_thread(etcdctl, "get", f"/{folder}a")
        await asyncio.to_thread(etcdctl, "put", f"/{folder}a", "theirs")
        entry = await backend.read_key(f"/{folder}a")
        assert entry is not None
        assert entry.value == b"theirs"


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/../b", "tab\t"])
async def test_what_consul_cannot_have_as_a_key_is_refused(consul: ConsulServer, key: str) -> None:
    async with aclosing(consul_keys(consul)) as backend:
        with pytest.raises(InvalidValue, match="use another name"):
            await backend.write_key(key, b"")


async def test_keys_that_may_not_be_read_are_not_absent(consul_factory: Callable[..., ConsulServer]) -> None:
    root = "11111111-2222-3333-4444-555555555555"
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": root, "agent": root}}
    consul = consul_factory(config={"primary_datacenter": "dc1", "acl": acl}, start=False)
    consul.token = root
    await asyncio.to_thread(consul.start)
    async with (
        aclosing(open_consul(f"{consul.backend_url}?token={root}", {})) as owner,
        aclosing(open_consul(consul.backend_url, {})) as nobody,
    ):
        await owner.write_key("app/a", b"1")
        assert len(await owner.list_keys("app/")) == 1
        assert list(await owner.list_keys("none/")) == []
        with pytest.raises(PermissionDenied):
            await nobody.read_key("app/a")
        with pytest.raises(PermissionDenied, match='read all keys that begin with "app/"'):
            await nobody.list_keys("app/")
        with pytest.raises(PermissionDenied):
            await nobody.write_key("app/a", b"2")


async def test_our_own_registry_says_who_can(homeport: HomeportServer) -> None:
    async with aclosing(open_consul(f"consul://{homeport.address}", {})) as backend:
        for operation in (backend.read_key("a"), backend.list_keys(""), backend.write_key("a", b"")):
            with pytest.raises(Unsupported, match=r"use Consul \(consul://\) or etcd \(etcd://\)"):
                await operation
