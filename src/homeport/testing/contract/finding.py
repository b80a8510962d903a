"""Finding and following services."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from homeport.client.watch import Watch
from homeport.errors import NoInstances
from homeport.model import Instance, Snapshot, diff
from homeport.spi import Discoverer, ServiceLister

from .capabilities import FOLLOW_LIST, LIST, METADATA, WATCH, need
from .harness import Harness
from .scenarios import Scenarios, known, of_a_backend, one
from .waiting import PATIENCE, ids, until

T = TypeVar("T")

_TURNS = 150


class FindingContract(Scenarios):
    """What every `Discoverer` does."""

    async def test_changes_arrive(self, harness: Harness, name: str) -> None:
        """Each kind of change reaches a watch: an instance comes, another one, one goes, one changes, the last goes."""
        async with harness.discovery() as discovery, discovery.watch(name) as watch:
            assert ids(watch.current) == []
            assert not watch.current.stale
            with pytest.raises(NoInstances):
                watch.pick()
            await harness.write(one(name, 1))
            await until(watch, lambda snapshot: ids(snapshot) == known(harness, name, 1))
            assert watch.pick().port == 2
            await harness.write(harness.marked(one(name, 2), 1))
            await until(watch, lambda snapshot: ids(snapshot) == known(harness, name, 1, 2))
            await harness.remove(one(name, 1))
            await until(watch, lambda snapshot: ids(snapshot) == known(harness, name, 2))
            await harness.write(harness.marked(one(name, 2), 3))
            await until(watch, lambda snapshot: harness.mark_of(snapshot[0]) == 3)
            await harness.remove(one(name, 2))
            gone = await until(watch, lambda snapshot: not snapshot.instances)
            assert not gone.stale

    async def test_what_was_asked_for_is_filtered(self, harness: Harness, name: str) -> None:
        """Tags, version, environment and metadata travel with an instance, so that they can be asked for."""
        await need(harness, METADATA, name)
        await harness.write(one(name, 1, tags=("eu", "blue"), version="1.9.0", environment="live", meta={"team": "x"}))
        await harness.write(one(name, 2, tags=("us", "blue"), version="2.0.0", environment="test", meta={"team": "y"}))
        async with harness.discovery() as discovery:

            async def found(**wishes: Any) -> list[int]:
                return [int(found.id[-1]) for found in await discovery.discover(name, **wishes)]

            assert await found() == [1, 2]
            assert await found(tags=["blue"]) == [1, 2]
            assert await found(tags=["blue", "us"]) == [2]
            assert await found(version=">=1,<2") == [1]
            assert await found(version="2.*") == [2]
            assert await found(environment="test") == [2]
            assert await found(meta={"team": "x"}) == [1]
            assert await found(tags=["eu"], use_cache=False) == [1]

    async def test_services_are_listed(self, harness: Harness, name: str) -> None:
        """A service is on the list while it has instances; counts are right where they are given."""
        await need(harness, LIST, name)
        await harness.write(one(name, 1, tags=("b", "a")))
        await harness.write(one(name, 2, tags=("c",)))
        async with harness.discovery() as discovery:
            (listed,) = [row for row in await discovery.services() if row.name == name]
            assert sorted(listed.tags) == ["a", "b", "c"]
            assert listed.instances in (None, 2)
            assert listed.passing in (None, 2)
            await harness.remove(one(name, 1))
            await harness.remove(one(name, 2))
            assert name not in {row.name for row in await discovery.services()}

    @of_a_backend
    async def test_services_that_come_and_go_are_told(self, harness: Harness, name: str) -> None:
        """The list of services is told at once, and again when it changes."""
        await need(harness, FOLLOW_LIST, name)
        async with aclosing(harness.backend()) as backend:
            assert isinstance(backend, ServiceLister)
            async with aclosing(backend.watch_services()) as stream:
                assert name not in (await _next(stream)).names
                await harness.write(one(name, 1))
                while name not in (await _next(stream)).names:
                    pass
                await harness.remove(one(name, 1))
                while name in (await _next(stream)).names:
                    pass

    async def test_every_final_state_is_seen_also_by_slow_readers(self, harness: Harness, name: str) -> None:
        """A random writer over several services: each reader ends at the truth, and its differences add up to it."""
        chance = random.Random(20)
        names = [f"{name}-{number}" for number in range(4)]
        async with harness.discovery() as discovery:
            watches = [await discovery.watch(service) for service in names]
            seen: dict[str, list[Snapshot]] = {service: [] for service in names}

            async def read(position: int) -> None:
                async for snapshot in watches[position]:
                    seen[names[position]].append(snapshot)
                    await asyncio.sleep(0.02 * position)

            readers = [asyncio.create_task(read(position)) for position in range(len(names))]
            truth: dict[str, dict[int, int]] = {service: {} for service in names}
            for turn in range(_TURNS):
                service, number = chance.choice(names), chance.randrange(5)
                if chance.random() < 0.35 and number in truth[service]:
                    del truth[service][number]
                    await harness.remove(one(service, number))
                else:
                    truth[service][number] = turn
                    await harness.write(harness.marked(one(service, number), turn))
            final = {
                service: {harness.id_of(one(service, number)): mark for number, mark in truth[service].items()}
                for service in names
            }
            for service, watch in zip(names, watches, strict=True):
                await until(watch, _is(final[service], harness))
            for service in names:
                await _caught_up(seen[service], watches[names.index(service)])
            for watch in watches:
                await watch.close()
            await asyncio.gather(*readers)
        for service in names:
            revisions = [snapshot.revision for snapshot in seen[service]]
            assert revisions == sorted(set(revisions))
            summed = _sum_of_differences(seen[service])
            assert {key: harness.mark_of(found) for key, found in summed.items()} == final[service]

    @of_a_backend
    async def test_a_watch_goes_on_from_where_it_stood(self, harness: Harness, name: str) -> None:
        """With ``after``, what changed since is observed, and it is no reset."""
        await need(harness, WATCH, name)
        await harness.write(one(name, 1))
        async with aclosing(harness.backend()) as backend:
            assert isinstance(backend, Discoverer)
            async with aclosing(backend.watch(name)) as stream:
                first = await _next(stream)
            assert [found.id for found in first.instances] == known(harness, name, 1)
            assert not first.reset
            await harness.write(one(name, 2))
            async with aclosing(backend.watch(name, after=first.cursor)) as stream:
                second = await _next(stream)
                while len(second.instances) < 2:  # a set that did not change may be confirmed first
                    second = await _next(stream)
            assert sorted(found.id for found in second.instances) == known(harness, name, 1, 2)
            assert not second.reset
            if second.cursor.position and second.cursor.store == first.cursor.store:
                assert second.cursor.position >= first.cursor.position

    @of_a_backend
    async def test_it_says_who_it_is(self, harness: Harness, record_property: Callable[[str, object], None]) -> None:
        """``ping`` reaches the system and tells facts, which reports of the test run show; the URL has a scheme."""
        backend = harness.backend()
        async with aclosing(backend):
            facts = dict(await backend.ping())
            assert facts
            record_property("facts", facts)
            assert "://" in backend.url
        await backend.aclose()


def _is(final: dict[str, int], harness: Harness) -> Callable[[Snapshot], bool]:
    return lambda snapshot: {found.id: harness.mark_of(found) for found in snapshot} == final


async def _next(stream: AsyncGenerator[T, None]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await anext(stream)


async def _caught_up(seen: list[Snapshot], watch: Watch) -> None:
    """Return when a reader has seen the newest instances."""
    async with asyncio.timeout(PATIENCE):
        while not seen or seen[-1].instances != watch.current.instances:  # noqa: ASYNC110 - the reader tells nobody
            await asyncio.sleep(0.01)


def _sum_of_differences(snapshots: list[Snapshot]) -> dict[str, Instance]:
    applied: dict[str, Instance] = {}
    previous: tuple[Instance, ...] = ()
    for snapshot in snapshots:
        for event in diff(previous, snapshot):
            if event.current is None:
                del applied[event.id]
            else:
                applied[event.id] = event.current
        previous = snapshot.instances
    return applied
