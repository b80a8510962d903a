"""Registering on real registries: seen at once, alive while the program lives, gone with it, healed when lost."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from homeport import Discovery, HTTPCheck, Registration, Service, TCPCheck, TTLCheck
from homeport.client.keeper import Standing
from homeport.errors import Refused
from homeport.spi import Registrar
from tests.contract.client.conftest import Registry
from tests.contract.client.waiting import ids, until
from tests.servers.ports import LOOPBACK
from tests.servers.process import clean_environment


def listed(registry: Registry, name: str) -> list[str]:
    """What the registry itself says, asked apart from the client."""
    return sorted(row["Service"]["ID"] for row in registry.request("GET", f"/v1/health/service/{name}"))


async def test_it_is_seen_when_registered_and_gone_when_deregistered(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery:
        async with discovery.register(name, id=f"{name}-1", port=8080, tags=["production"]) as registration:
            assert listed(registry, name) == [f"{name}-1"]
            instance = await discovery.resolve(name)
            assert (instance.id, instance.port, instance.tags) == (f"{name}-1", 8080, ("production",))
            assert instance.address == LOOPBACK
            assert instance.healthy
            assert not registration.lost
        assert listed(registry, name) == []
        assert len(await discovery.discover(name)) == 0


async def test_everything_that_was_registered_comes_back(registry: Registry, name: str) -> None:
    async with (
        Discovery(registry.backend_url, environ={}) as discovery,
        discovery.register(
            name,
            port=8080,
            address="10.1.2.3",
            version="2.1.0",
            environment="production",
            tags=["b", "a"],
            meta={"team": "platform", "attempts": 3, "canary": True, "region": "eu-west", "zone": "eu-west-1a"},
            weight=7,
            checks=[TTLCheck(id="beat", name="Heartbeat", ttl=60.0, status="passing")],
        ),
    ):
        (instance,) = await discovery.discover(name)
        assert (instance.service, instance.address, instance.port, instance.weight) == (name, "10.1.2.3", 8080, 7)
        assert (instance.version, instance.environment) == ("2.1.0", "production")
        assert sorted(instance.tags) == ["a", "b"]
        assert (instance.meta["team"], instance.meta["attempts"], instance.meta["canary"]) == (
            "platform",
            "3",
            "true",
        )
        assert (instance.region, instance.zone) == ("eu-west", "eu-west-1a")
        assert instance.started_at.endswith("Z")
        assert "homeport-incarnation" not in instance.meta
        assert (instance.datacenter, instance.endpoint) == ("dc1", "10.1.2.3:8080")
        assert "Heartbeat" in {check.name for check in instance.checks}


async def test_ids_are_made_when_none_is_given(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery:
        made = [await discovery.register(name, port=port) for port in (1, 2, 3)]
        assert listed(registry, name) == sorted(one.id for one in made)
        assert len({one.id for one in made}) == 3
    assert listed(registry, name) == []


async def test_changes_of_a_live_registration_are_seen(registry: Registry, name: str) -> None:
    discovery = Discovery(registry.backend_url, environ={})
    async with discovery, discovery.register(name, port=1, tags=["old"], meta={"kept": "yes"}) as registration:
        before = (await discovery.discover(name))[0]
        await registration.update(tags=["new"], weight=5)
        await discovery.update_meta(registration.id, {"last_deployed": "now"})
        (after,) = await discovery.discover(name)
        assert (after.tags, after.weight) == (("new",), 5)
        assert (after.meta["kept"], after.meta["last_deployed"]) == ("yes", "now")
        assert after.started_at == before.started_at
        assert after.healthy


async def test_a_check_of_its_own_decides_with_the_lease(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery:
        checks = [TTLCheck(id="beat", name="Heartbeat", ttl=60.0)]
        async with (
            discovery.watch(name) as watch,
            discovery.register(name, port=1, checks=checks) as registration,
        ):
            assert (await discovery.discover(name, healthy=False))[0].status == "critical"
            await registration.report("passing", output="all is well")
            snapshot = await until(watch, lambda snapshot: len(snapshot) == 1)
            (check,) = [check for check in snapshot[0].checks if check.name == "Heartbeat"]
            assert (check.status, check.output) == ("passing", "all is well")
            await registration.report("warning", check="beat")
            await until(watch, lambda snapshot: len(snapshot) == 0 and snapshot.registered == 1)
            await registration.report("passing", check="Heartbeat")
            await until(watch, lambda snapshot: len(snapshot) == 1)
            with pytest.raises(Refused, match='has no check "nix"; it has'):
                await registration.report("passing", check="nix")


async def test_interval_checks_are_run_by_the_registry(registry: Registry, name: str) -> None:
    server = await asyncio.start_server(_answer_health, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        checks = [
            HTTPCheck(url=f"http://{LOOPBACK}:{port}/health", interval=1.0, timeout=1.0),
            TCPCheck(target=f"{LOOPBACK}:{port}", interval=1.0, timeout=1.0),
        ]
        async with discovery.register(name, port=port, checks=checks) as registration:
            await until(watch, lambda snapshot: ids(snapshot) == [registration.id])
            with pytest.raises(Refused, match="only a TTL check can be set"):
                await registration.report("passing", check="http check 1")


async def _answer_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(1000):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
    writer.close()


PROGRAM = """
import asyncio, sys
from homeport import Discovery

async def main():
    backend, name, id, port, ttl = sys.argv[1:]
    discovery = Discovery(backend)
    async with discovery, discovery.register(name, id=id, port=int(port), ttl=float(ttl)):
        print("registered", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


Start = Callable[[Registry, str, int, float], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start_program() -> AsyncIterator[Start]:
    """Starts processes that register `<name>-1` with a port and a ttl, and then only keep the registration."""
    started: list[asyncio.subprocess.Process] = []

    async def start(registry: Registry, name: str, port: int, ttl: float) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, registry.backend_url, name, f"{name}-1", str(port), str(ttl)),
            stdout=asyncio.subprocess.PIPE,
            env=clean_environment(),
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"registered\n"
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_process_is_out_of_the_healthy_answers(
    registry: Registry, name: str, start_program: Start
) -> None:
    process = await start_program(registry, name, 1, 2.0)
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        await asyncio.sleep(3)  # longer than the lease: it is kept alive
        assert ids(watch.current) == [f"{name}-1"]
        process.kill()
        gone = await until(watch, lambda snapshot: len(snapshot) == 0)
        assert not gone.stale


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_is_told_to_end_deregisters_first(
    registry: Registry, name: str, number: signal.Signals, start_program: Start
) -> None:
    process = await start_program(registry, name, 1, 60.0)
    process.send_signal(number)
    # It ends by the signal, as its parent expects (Python itself ends with 130 - 256 after KeyboardInterrupt).
    assert await process.wait() == -number
    assert listed(registry, name) == []


async def test_processes_that_register_one_id_are_one_instance(
    registry: Registry, name: str, start_program: Start
) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        processes = await asyncio.gather(*(start_program(registry, name, port, 3.0) for port in (1, 2, 3)))
        await asyncio.sleep(4)  # each had the time to renew, and to learn to whom the registration belongs
        (instance,) = await discovery.discover(name, use_cache=False)
        owner = processes[instance.port - 1]
        for process in processes:
            if process is not owner:
                process.terminate()
                await process.wait()
        (after,) = await discovery.discover(name, use_cache=False)
        assert after.port == instance.port
        owner.kill()  # and nobody else keeps its lease alive
        await until(watch, lambda snapshot: len(snapshot) == 0)


async def test_a_process_that_was_taken_over_does_not_keep_its_successor_alive(
    registry: Registry, name: str, start_program: Start
) -> None:
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        _ = await start_program(registry, name, 1, 1.0)
        successor = await start_program(registry, name, 2, 1.0)
        await until(watch, lambda snapshot: len(snapshot) == 1 and snapshot[0].port == 2)
        successor.kill()
        await until(watch, lambda snapshot: len(snapshot) == 0)


async def test_checks_that_are_no_longer_wanted_are_removed(registry: Registry, name: str) -> None:
    discovery = Discovery(registry.backend_url, environ={})
    checks = [TTLCheck(name="one", ttl=60.0, status="passing"), TTLCheck(name="two", ttl=60.0, status="passing")]
    async with discovery, discovery.register(name, port=1, checks=checks) as registration:
        await registration.update(checks=checks[:1])
        (instance,) = await discovery.discover(name)
        assert {check.name for check in instance.checks} & {"one", "two"} == {"one"}


async def test_registering_counts_as_renewing_an_expired_lease(registry: Registry, name: str) -> None:
    service = Service(name=name, id=f"{name}-1", address="10.0.0.1", port=1)
    async with Discovery(registry.backend_url, environ={}) as discovery, discovery.watch(name) as watch:
        backend = discovery.backend
        assert isinstance(backend, Registrar)
        await backend.register(service, ttl=1.0, incarnation="one")
        await until(watch, lambda snapshot: len(snapshot) == 1)
        await until(watch, lambda snapshot: len(snapshot) == 0)
        await backend.register(service, ttl=60.0, incarnation="one")
        assert (await discovery.discover(name, use_cache=False))[0].healthy
        assert await backend.deregister(service.id, incarnation="one")


async def test_the_leaving_of_the_old_one_does_not_remove_the_new_one(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as new_program:
        async with Discovery(registry.backend_url, environ={}) as old_program:
            _ = await old_program.register(name, id=f"{name}-1", port=1)
            _ = await new_program.register(name, id=f"{name}-1", port=2)
        (instance,) = await new_program.discover(name)
        assert instance.port == 2


async def test_deregistering_by_id_works_from_anywhere(registry: Registry, name: str) -> None:
    async with Discovery(registry.backend_url, environ={}) as one, Discovery(registry.backend_url, environ={}) as other:
        registration = await one.register(name, port=1)
        assert len(await other.discover(name)) == 1
        assert await other.deregister(registration.id)
        assert len(await other.discover(name)) == 0
        assert not await other.deregister(registration.id)


async def test_a_registration_that_is_removed_is_made_again_and_the_program_is_told(
    registry: Registry, name: str
) -> None:
    told: list[bool] = []

    def on_change(registration: Registration) -> None:
        told.append(registration.lost)

    discovery = Discovery(registry.backend_url, environ={})
    async with (
        discovery,
        discovery.register(name, id=f"{name}-1", port=1, ttl=1.0, on_change=on_change) as registration,
    ):
        reached = asyncio.create_task(registration.wait_for(Standing.LOST))
        await asyncio.sleep(0)
        await asyncio.to_thread(registry.request, "PUT", f"/v1/agent/service/deregister/{name}-1")
        async with asyncio.timeout(20):
            await reached
            await registration.wait_for(Standing.REGISTERED)
        assert listed(registry, name) == [f"{name}-1"]
        assert told == [True, False]
        assert (await discovery.discover(name, use_cache=False))[0].healthy


async def test_a_registration_outlives_a_restart_of_the_registry(
    make_registry: Callable[[], Registry], name: str
) -> None:
    registry = await asyncio.to_thread(make_registry)
    discovery = Discovery(registry.backend_url, environ={})
    async with discovery, discovery.register(name, id=f"{name}-1", port=1, ttl=3.0), discovery.watch(name) as watch:
        await asyncio.to_thread(registry.kill)
        await until(watch, lambda snapshot: snapshot.stale)
        await asyncio.to_thread(registry.start)
        back = await until(watch, lambda snapshot: not snapshot.stale and len(snapshot) == 1)
        assert ids(back) == [f"{name}-1"]
        assert listed(registry, name) == [f"{name}-1"]


async def test_a_registration_is_made_again_on_a_wiped_registry(
    make_registry: Callable[[], Registry], name: str
) -> None:
    registry = await asyncio.to_thread(make_registry)
    discovery = Discovery(registry.backend_url, environ={})
    async with discovery, discovery.register(name, id=f"{name}-1", port=1, ttl=3.0) as registration:
        await asyncio.to_thread(registry.stop)
        await asyncio.to_thread(registry.wipe)
        lost = asyncio.create_task(registration.wait_for(Standing.LOST))
        await asyncio.to_thread(registry.start)
        async with asyncio.timeout(30):
            await lost
            await registration.wait_for(Standing.REGISTERED)
        assert listed(registry, name) == [f"{name}-1"]
        assert (await discovery.discover(name))[0].healthy
