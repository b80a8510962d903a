"""Registrations on a real etcd, with etcdctl as the witness."""

import asyncio
import json
import logging
import sys
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from homeport import ClientSettings, Discovery, HTTPCheck, InvalidValue, Refused, Service, Unsupported
from homeport.backends.etcd import open_etcd
from homeport.client.keeper import Standing
from homeport.errors import LeaseLost
from tests.plugins.following import PATIENCE, Until
from tests.servers.etcd import EtcdServer
from tests.servers.etcdctl import Etcdctl
from tests.servers.process import ServerProcess

PROGRAM = """
import asyncio, sys
from homeport import Discovery

async def main():
    discovery = Discovery(sys.argv[1], environ={})
    await discovery.register(sys.argv[2], id="one", port=1, ttl=1.0)
    print("registered", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_what_etcdctl_writes_is_found(etcd: EtcdServer, etcdctl: Etcdctl, name: str) -> None:
    value = {
        "id": "order-1",
        "name": name,
        "address": "10.0.0.7",
        "port": 8080,
        "metadata": {"version": "v2.3.1", "region": "us-east-1"},
        "start_time": "2026-01-02T03:04:05.678+02:00",
        "something_else": [1, 2],
    }
    await asyncio.to_thread(etcdctl, "put", f"/services/{name}/order-1", json.dumps(value))
    async with Discovery(etcd.backend_url, environ={}) as discovery:
        instance = await discovery.resolve(name)
        assert (instance.id, instance.endpoint) == ("order-1", "10.0.0.7:8080")
        assert (instance.version, instance.region) == ("v2.3.1", "us-east-1")
        assert instance.started_at == "2026-01-02T03:04:05.678+02:00"


async def test_what_is_registered_is_what_other_programs_read(etcd: EtcdServer, etcdctl: Etcdctl, name: str) -> None:
    discovery = Discovery(etcd.backend_url, environ={})
    async with (
        discovery,
        discovery.register(
            name,
            id="one",
            address="10.0.0.1",
            port=8080,
            version="2.1.0",
            tags=["eu"],
            meta={"region": "eu-west"},
            ttl=60,
        ),
    ):
        written = await asyncio.to_thread(etcdctl, "get", "--write-out=json", f"/services/{name}/one")
        value = json.loads(await asyncio.to_thread(etcdctl, "get", "--print-value-only", f"/services/{name}/one"))
        assert value["id"] == "one"
        assert value["name"] == name
        assert (value["address"], value["port"]) == ("10.0.0.1", 8080)
        assert (value["metadata"]["version"], value["metadata"]["region"]) == ("2.1.0", "eu-west")
        assert value["start_time"].endswith("Z")
        assert value["tags"] == ["eu"]
        lease = json.loads(written)["kvs"][0]["lease"]
        told = await asyncio.to_thread(etcdctl, "lease", "timetolive", f"{lease:x}")
        assert "granted with TTL(60s)" in told
    assert await asyncio.to_thread(etcdctl, "get", f"/services/{name}/one") == ""
    assert "already expired" in await asyncio.to_thread(etcdctl, "lease", "timetolive", f"{lease:x}")


async def test_a_killed_program_is_gone_within_its_ttl(
    etcd: EtcdServer, name: str, tmp_path: Path, until: Until
) -> None:
    program = ServerProcess("registering", tmp_path)
    async with Discovery(etcd.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        program.spawn([sys.executable, "-c", PROGRAM, etcd.backend_url, name], stdout_apart=True)
        try:
            assert await asyncio.to_thread(program.first_line) == "registered"
            await until(watch, lambda snapshot: len(snapshot) == 1)
        finally:
            await asyncio.to_thread(program.kill)
        gone = await until(watch, lambda snapshot: not snapshot.registered)
        assert not gone.stale
        assert await asyncio.to_thread(etcd.get, f"/services/{name}/") == {}


async def test_a_lease_that_is_revoked_is_replaced(
    etcd: EtcdServer, etcdctl: Etcdctl, name: str, settings: ClientSettings
) -> None:
    looking = msgspec.structs.replace(settings, renew_interval=0.2)
    discovery = Discovery(etcd.backend_url, settings=looking, environ={})
    async with discovery, discovery.register(name, id="one", port=1, ttl=60.0) as registration:
        found = json.loads(await asyncio.to_thread(etcdctl, "get", "-w=json", f"/services/{name}/one"))
        lost = asyncio.create_task(registration.wait_for(Standing.LOST))
        await asyncio.sleep(0)
        await asyncio.to_thread(etcdctl, "lease", "revoke", f"{found['kvs'][0]['lease']:x}")
        async with asyncio.timeout(PATIENCE):
            await lost
            await registration.wait_for(Standing.REGISTERED)
        assert list(await asyncio.to_thread(etcd.get, f"/services/{name}/")) == [f"/services/{name}/one"]


async def test_a_lease_that_holds_another_key_is_lost(etcd: EtcdServer, name: str) -> None:
    """The same program registered twice: the lease of the first time keeps nothing alive any more."""
    async with aclosing(open_etcd(etcd.backend_url, {})) as backend:
        service = Service(name=name, id="one", address="10.0.0.1")
        first = await backend.register(service, ttl=60, incarnation="mine")
        second = await backend.register(service, ttl=60, incarnation="mine")
        with pytest.raises(LeaseLost):
            await backend.renew(first)
        await backend.renew(second)
        assert await backend.deregister("one", incarnation="mine")


async def test_a_lease_that_ends_while_it_is_renewed_is_lost(
    etcd: EtcdServer, etcdctl: Etcdctl, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(open_etcd(etcd.backend_url, {})) as backend:
        lease = await backend.register(Service(name=name, id="one", address="h"), ttl=60, incarnation="mine")
        look = backend._find

        async def look_before_it_ends(key: str, purpose: str) -> object:
            found = await look(key, purpose)
            await asyncio.to_thread(etcdctl, "lease", "revoke", f"{int(lease.token):x}")
            return found

        monkeypatch.setattr(backend, "_find", look_before_it_ends)
        with pytest.raises(LeaseLost, match=f"/services/{name}/one"):
            await backend.renew(lease)


async def test_a_removal_waits_for_no_writer_but_heeds_each(
    etcd: EtcdServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A successor that comes between the look and the removal is left alone."""
    async with aclosing(open_etcd(etcd.backend_url, {})) as old, aclosing(open_etcd(etcd.backend_url, {})) as new:
        service = Service(name=name, id="one", address="10.0.0.1")
        await old.register(service, ttl=60, incarnation="old")
        look = old._find

        async def look_and_be_overtaken(key: str, purpose: str) -> object:
            found = await look(key, purpose)
            monkeypatch.setattr(old, "_find", look)
            await new.register(service, ttl=60, incarnation="new")
            return found

        monkeypatch.setattr(old, "_find", look_and_be_overtaken)
        assert not await old.deregister("one", incarnation="old")
        assert await new.deregister("one", incarnation="new")


async def test_one_id_in_several_services(etcd: EtcdServer, name: str) -> None:
    async with aclosing(open_etcd(etcd.backend_url, {})) as backend, aclosing(open_etcd(etcd.backend_url, {})) as other:
        for service in (f"{name}-a", f"{name}-b"):
            await backend.register(Service(name=service, id=name, address="10.0.0.1"), ttl=60, incarnation=service)
        with pytest.raises(Refused, match=f"{name}-a/{name}, /services/{name}-b/{name}"):
            await other.deregister(name)
        assert await other.deregister(name, incarnation=f"{name}-a")
        assert not await other.deregister(name, incarnation=f"{name}-a")
        assert await other.deregister(name)


async def test_what_cannot_be_registered_is_refused_before_anything_is_written(etcd: EtcdServer, name: str) -> None:
    async with Discovery(etcd.backend_url, environ={}) as discovery:
        with pytest.raises(InvalidValue, match="a slash ends the name"):
            _ = await discovery.register(f"{name}/x", port=1)
        with pytest.raises(Unsupported, match="etcd runs no health checks"):
            _ = await discovery.register(name, port=1, checks=[HTTPCheck("http://127.0.0.1/")])
        with pytest.raises(InvalidValue, match="a slash ends the name"):
            await discovery.discover(f"{name}/x")
    assert await asyncio.to_thread(etcd.get, f"/services/{name}") == {}


async def test_a_value_that_cannot_be_read_is_left_out_and_told_once(
    etcd: EtcdServer, name: str, caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    caplog.set_level(logging.WARNING, "homeport")
    good, bad = f"/services/{name}/good", f"/services/{name}/bad"
    await asyncio.to_thread(etcd.put, good, '{"address": "10.0.0.1"}')
    await asyncio.to_thread(etcd.put, bad, '{"address": 7}')

    def told() -> list[str]:
        return [record.message for record in caplog.records if getattr(record, "key", "") == bad]

    async with Discovery(etcd.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        assert [one.id for one in watch.current] == ["good"]
        await discovery.discover(name, use_cache=False)
        await discovery.services()
        assert len(told()) == 1
        assert f"the key {bad} holds no service that can be read" in told()[0]
        await asyncio.to_thread(etcd.put, bad, "not JSON")
        await asyncio.to_thread(etcd.put, f"/services/{name}/next", '{"address": "10.0.0.2"}')
        await until(watch, lambda snapshot: len(snapshot) == 2)
        assert len(told()) == 2  # it was written anew, and is as bad
        await asyncio.to_thread(etcd.put, bad, '{"address": "10.0.0.3", "healthy": false}')
        await until(watch, lambda snapshot: snapshot.registered == 3)
        assert [one.id for one in watch.current] == ["good", "next"]
