"""py-eureka-client, as published, beside us on a real Eureka server: each finds and calls what the other registers."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from homeport import ClientSettings, Discovery, Snapshot, Watch
from homeport.backends.eureka import open_eureka
from tests.contract.eureka.py_eureka import PATIENCE, Program, py_eureka
from tests.servers.eureka import EurekaServer
from tests.servers.factory import EurekaFactory
from tests.servers.listening import listening
from tests.servers.ports import LOOPBACK


def url(server: EurekaServer) -> str:
    return f"eureka://{server.address}/eureka?poll_interval=0.1"


async def until(watch: Watch, wanted: Callable[[Snapshot], bool]) -> Snapshot:
    async with asyncio.timeout(PATIENCE):
        async for snapshot in watch:
            if wanted(snapshot):
                return snapshot
    raise AssertionError("the watch ended")


def statuses(snapshot: Snapshot) -> list[str]:
    return [instance.status for instance in snapshot]


async def test_what_it_registers_is_found_with_every_status(eureka: EurekaServer, name: str) -> None:
    registered = {
        "app_name": name,
        "instance_id": f"{name}-1",
        "instance_host": "its.host.example",
        "instance_ip": LOOPBACK,
        "instance_port": 8099,
        "metadata": {"version": "1.2.3", "owner": "billing"},
        "zone": "north",
        "renewal_interval_in_secs": 300,
    }
    async with (
        Discovery(url(eureka), environ={}) as discovery,
        discovery.watch(name, healthy=False) as watch,
        py_eureka(eureka.url, **registered) as client,
    ):
        (instance,) = await until(watch, lambda found: bool(found.instances))
        assert (instance.id, instance.endpoint) == (f"{name}-1", "its.host.example:8099")
        assert (instance.status, instance.version, instance.zone) == ("passing", "1.2.3", "north")
        assert instance.meta["owner"] == "billing"
        for status, expected in (("DOWN", "critical"), ("OUT_OF_SERVICE", "maintenance"), ("STARTING", "warning")):
            await client.ask("status", status)
            await until(watch, lambda found, expected=expected: statuses(found) == [expected])  # type: ignore[misc]
        await client.ask("clear")
        await until(watch, lambda found: statuses(found) == ["critical"])
        # Its heartbeat is refused now, so it registers anew.
        await client.ask("heartbeat")
        await until(watch, lambda found: statuses(found) == ["passing"])
        await client.ask("stop")
        await until(watch, lambda found: not found.instances)


async def test_it_is_found_as_long_as_it_sends_heartbeats(eureka: EurekaServer, name: str) -> None:
    lease = {"renewal_interval_in_secs": 1, "duration_in_secs": 3, "should_discover": False}
    place = {"instance_host": LOOPBACK, "instance_ip": LOOPBACK, "instance_port": 8099}
    async with Discovery(url(eureka), environ={}) as discovery, discovery.watch(name) as watch:
        async with py_eureka(eureka.url, app_name=name, **lease, **place) as client:
            (found,) = await until(watch, lambda found: bool(found.instances))
            # A longer lease, which nobody renews, ends meanwhile.
            await asyncio.to_thread(eureka.register, f"{name}-idle", "i-1", duration=4)
            async with discovery.watch(f"{name}-idle") as idle:
                await until(idle, lambda found: not found.instances)
            # It comes anew when it was held up for longer than its lease.
            await until(watch, lambda now: [instance.id for instance in now] == [found.id])
            await client.kill()
        await until(watch, lambda found: not found.instances)


async def up(client: Program, name: str, wanted: Callable[[list[dict[str, object]]], bool]) -> list[dict[str, object]]:
    """Ask it, which reads every second, until it knows what is wanted."""
    async with asyncio.timeout(PATIENCE):
        while not wanted(found := await client.ask("find", name)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # it tells nobody when it has read
        return list(found)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nit is called")
    await writer.drain()


async def test_what_we_register_is_found_called_and_lost(eureka_factory: EurekaFactory, name: str) -> None:
    # A server of its own: it gives up on a delta that removes what it never knew.
    server = await asyncio.to_thread(eureka_factory)
    settings = ClientSettings(renew_interval=0.5)
    async with (
        aclosing(open_eureka(url(server), {})) as ours,
        Discovery(ours, settings=settings) as discovery,
        listening(answer) as port,
    ):
        registration = await discovery.register(
            name, id=f"{name}-1", address=LOOPBACK, port=port, meta={"owner": "billing"}, ttl=60.0
        )
        reading = {"should_register": False, "renewal_interval_in_secs": 1}
        async with py_eureka(server.url, **reading) as client:
            (found,) = await up(client, name, bool)
            assert (found["id"], found["address"], found["vip"]) == (f"{name}-1", f"{LOOPBACK}:{port}", name)
            assert isinstance(found["metadata"], dict)
            assert found["metadata"]["owner"] == "billing"
            assert await client.ask("call", name) == "it is called"
            await asyncio.to_thread(server.wait_renewed, name, f"{name}-1")
            await up(client, name, lambda known: len(known) == 1)

            async def owner(wanted: str) -> None:
                await up(client, name, lambda known: [one["metadata"]["owner"] for one in known] == [wanted])  # type: ignore[index]

            # A server's first delta has the number that full answers have, so that the client takes it for no news.
            await asyncio.to_thread(server.request, "GET", "/apps/delta")
            await registration.update(meta={"owner": "orders"})
            await owner("orders")
            await ours.override_status(name, f"{name}-1", "OUT_OF_SERVICE")
            await up(client, name, lambda known: not known)
            await ours.remove_override(name, f"{name}-1")
            await owner("orders")
            await registration.close()
            await up(client, name, lambda known: not known)
