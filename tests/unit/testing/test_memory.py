"""The backend in memory: what it adds to the laws that the contract suite proves."""

import asyncio
import doctest
import threading
from contextlib import aclosing
from itertools import count
from typing import Any

import pytest

from homeport import BackendUnavailable, Discovery, InvalidValue, PermissionDenied, Refused, Service, TTLCheck, blocking
from homeport.errors import Unsupported
from homeport.model import HTTPCheck, Instance
from homeport.testing import Memory
from homeport.testing.contract.waiting import ids, until
from tests.plugins.following import PATIENCE
from tests.unit.client.virtual_time import run


def test_instances_are_given_as_addresses_or_whole() -> None:
    async def main() -> None:
        whole = Instance(id="x", service="user-service", address="10.0.0.9", port=9, tags=("eu",))
        memory = Memory({"user-service": [whole]}, billing=["10.0.0.1:80", "[::1]:81"])
        async with Discovery(memory, environ={}) as discovery:
            assert [one.endpoint for one in await discovery.discover("billing")] == ["10.0.0.1:80", "[::1]:81"]
            assert list(await discovery.discover("user-service", tags=["eu"])) == [whole]
            assert [(row.name, row.instances) for row in await discovery.services()] == [
                ("billing", 2),
                ("user-service", 1),
            ]

    run(main())


def test_the_example_in_its_documentation_runs() -> None:
    (example,) = doctest.DocTestParser().get_examples(Memory.__doc__ or "")
    names: dict[str, Any] = {"Memory": Memory, "Discovery": Discovery}
    exec(example.source, names)
    run(names["main"]())


@pytest.mark.parametrize("address", ["10.0.0.1", ":80", "10.0.0.1:http", "10.0.0.1:70000"])
def test_an_address_that_cannot_be_right_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue, match='is no address of "billing"; write HOST:PORT'):
        Memory(billing=[address])


def test_a_put_replaces_what_was_put_and_leaves_registrations_alone() -> None:
    async def main() -> None:
        memory = Memory(billing=["10.0.0.1:80"])
        async with (
            Discovery(memory, environ={}) as discovery,
            discovery.watch("billing") as watch,
            discovery.register("billing", id="own", port=1),
        ):
            memory.put("billing", "10.0.0.2:80")
            await until(watch, lambda snapshot: ids(snapshot) == ["billing-10.0.0.2:80", "own"])
            memory.put("billing")
            await until(watch, lambda snapshot: ids(snapshot) == ["own"])

    run(main())


def test_an_outage_fails_everything_until_its_end() -> None:
    async def main() -> None:
        memory = Memory(billing=["10.0.0.1:80"])
        async with Discovery(memory, environ={}) as discovery, discovery.watch("billing") as watch:
            with memory.outage():
                outage = await until(watch, lambda snapshot: snapshot.stale)
                assert "an outage" in outage.reason
                with pytest.raises(BackendUnavailable):
                    await discovery.services()
            await until(watch, lambda snapshot: not snapshot.stale)
            with memory.failing(PermissionDenied("no")), pytest.raises(PermissionDenied):
                await discovery.services()
            assert len(await discovery.services()) == 1

    run(main())


def test_a_watch_fails_however_short_the_trouble_is() -> None:
    async def main() -> None:
        memory = Memory(billing=["10.0.0.1:80"])
        async with aclosing(memory.watch("billing")) as stream:
            await anext(stream)
            with memory.outage():
                pass
            with pytest.raises(BackendUnavailable, match="an outage"):
                await anext(stream)
        assert len((await memory.fetch("billing")).instances) == 1

    run(main())


def test_latency_holds_answers_back() -> None:
    async def main() -> None:
        memory = Memory(latency=3.0, billing=["10.0.0.1:80"])
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await memory.fetch("billing")
        assert loop.time() - begun == 3.0

    run(main())


def test_leases_and_ttl_checks_run_out_on_the_clock_that_is_given() -> None:
    async def main() -> None:
        memory = Memory(clock=asyncio.get_running_loop().time)
        service = Service(name="api", id="api-1", checks=(TTLCheck(id="beat", ttl=5.0, status="passing"),))
        async with Discovery(memory, environ={}) as discovery, discovery.watch("api", healthy=False) as watch:
            await memory.register(service, ttl=60.0, incarnation="one")
            await until(watch, lambda snapshot: len(snapshot) == 1 and snapshot[0].healthy)
            begun = asyncio.get_running_loop().time()
            late = await until(watch, lambda snapshot: snapshot[0].status == "critical", timeout=1000.0)
            assert asyncio.get_running_loop().time() - begun == pytest.approx(5.0, abs=0.1)
            assert late[0].checks[0].output == "nobody reported in time"
            await memory.report("api-1", "", "passing", output="well")
            await until(watch, lambda snapshot: snapshot[0].healthy)
            await until(watch, lambda snapshot: len(snapshot) == 0, timeout=1000.0)
            assert asyncio.get_running_loop().time() - begun == pytest.approx(60.0, abs=0.1)

    run(main())


def test_a_silent_watch_is_confirmed() -> None:
    async def main() -> None:
        memory = Memory(billing=["10.0.0.1:80"])
        stream = memory.watch("billing")
        first = await anext(stream)
        begun = asyncio.get_running_loop().time()
        assert await anext(stream) == first
        assert 0 < asyncio.get_running_loop().time() - begun <= 60.0
        await stream.aclose()

    run(main())


def test_checks_pass_unless_something_else_is_reported() -> None:
    async def main() -> None:
        memory = Memory()
        checks = (HTTPCheck(name="web", url="http://10.0.0.1/"), HTTPCheck(id="db", url="http://10.0.0.2/"))
        await memory.register(Service(name="api", id="api-1", checks=checks), ttl=None, incarnation="")
        assert (await memory.fetch("api")).instances[0].healthy
        await memory.report("api-1", "web", "critical")
        assert [(row[1], row[2].name) for row in await memory.checks(status="critical")] == [("api-1", "web")]
        with pytest.raises(Refused, match='has no single check; it has "web", "db"'):
            await memory.report("api-1", "", "passing")
        with pytest.raises(Unsupported, match="a Memory runs none"):
            await memory.run_check("api-1", "web")
        with pytest.raises(Unsupported, match="a Memory keeps none"):
            await memory.history("api", since=0.0)
        # What was reported outlives an update, as in a registry.
        await memory.register(Service(name="api", id="api-1", tags=("new",), checks=checks), ttl=None, incarnation="")
        assert (await memory.fetch("api")).instances[0].status == "critical"
        with pytest.raises(Refused, match='has the datacenter "dc1" only'):
            await memory.fetch("api", datacenter="dc2")

    run(main())


def test_a_change_from_another_thread_reaches_watches_in_every_loop() -> None:
    memory = Memory()
    begun, seen = threading.Barrier(3), []

    async def follow() -> None:
        async with Discovery(memory, environ={}, handle_signals=False) as discovery, discovery.watch("api") as watch:
            await asyncio.to_thread(begun.wait, PATIENCE)
            for number in count(1):
                snapshot = await until(watch, lambda snapshot, number=number: len(snapshot) >= number)  # type: ignore[misc]
                if len(snapshot) == 50:
                    seen.append(snapshot)
                    return

    followers = [threading.Thread(target=lambda: asyncio.run(follow())) for _ in range(2)]
    for follower in followers:
        follower.start()
    begun.wait(PATIENCE)
    for number in range(1, 51):
        memory.put("api", *(f"10.0.0.{one}:80" for one in range(number)))
    for follower in followers:
        follower.join(PATIENCE)
    assert len(seen) == 2


def test_it_serves_blocking_clients() -> None:
    memory = Memory(billing=["10.0.0.1:80"])
    with blocking.Discovery(memory, environ={}, handle_signals=False) as discovery, discovery.watch("billing") as watch:
        assert watch.pick().endpoint == "10.0.0.1:80"
        with memory.outage(), pytest.raises(BackendUnavailable):
            discovery.discover("billing", use_cache=False)
