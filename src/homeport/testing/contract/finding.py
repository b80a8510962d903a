"""Finding and following services."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from homeport.client.watch import Watch
from homeport.errors import NoInstances
from homeport.model import Instance, Snapshot, diff
from homeport.spi import Discoverer, Observed

from .harness import Harness
from .scenarios import Scenarios, can_watch, need, one
from .waiting import PATIENCE, ids, until

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
            await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-1"])
            assert watch.pick().port == 2
            await harness.write(one(name, 2, tags=("x",)))
            await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-1", f"{name}-2"])
            await harness.remove(one(name, 1))
            await until(watch, lambda snapshot: ids(snapshot) == [f"{name}-2"])
            await harness.write(one(name, 2, tags=("y",), version="3"))
            changed = await until(watch, lambda snapshot: snapshot[0].tags == ("y",))
            assert changed[0].version == "3"
            await harness.remove(one(name, 2))
            gone = await until(watch, lambda snapshot: not snapshot.instances)
            assert not gone.stale

    async def test_what_was_asked_for_is_filtered(self, harness: Harness, name: str) -> None:
        """Tags, version, environment and metadata travel with an instance, so that they can be asked for."""
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
            truth: dict[str, dict[int, str]] = {service: {} for service in names}
            for turn in range(_TURNS):
                service, number = chance.choice(names), chance.randrange(5)
                if chance.random() < 0.35 and number in truth[service]:
                    del truth[service][number]
                    await harness.remove(one(service, number))
                else:
                    truth[service][number] = str(turn)
                    await harness.write(one(service, number, tags=(str(turn),)))
            for service, watch in zip(names, watches, strict=True):
                await until(watch, _is({f"{service}-{number}": (tag,) for number, tag in truth[service].items()}))
            for service in names:
                await _caught_up(seen[service], watches[names.index(service)])
            for watch in watches:
                await watch.close()
            await asyncio.gather(*readers)
        for service in names:
            revisions = [snapshot.revision for snapshot in seen[service]]
            assert revisions == sorted(set(revisions))
            assert {key: found.tags for key, found in _sum_of_differences(seen[service]).items()} == {
                f"{service}-{number}": (tag,) for number, tag in truth[service].items()
            }

    async def test_a_watch_goes_on_from_where_it_stood(self, harness: Harness, name: str) -> None:
        """With ``after``, what changed since is observed, and it is no reset."""
        await harness.write(one(name, 1))
        async with aclosing(harness.backend()) as backend:
            assert isinstance(backend, Discoverer)
            need(await can_watch(backend, name), "watch: the system has no way to")
            async with aclosing(backend.watch(name)) as stream:
                first = await _next(stream)
            assert [found.id for found in first.instances] == [f"{name}-1"]
            assert not first.reset
            await harness.write(one(name, 2))
            async with aclosing(backend.watch(name, after=first.cursor)) as stream:
                second = await _next(stream)
                while len(second.instances) < 2:  # a set that did not change may be confirmed first
                    second = await _next(stream)
            assert sorted(found.id for found in second.instances) == [f"{name}-1", f"{name}-2"]
            assert not second.reset
            if second.cursor.position and second.cursor.store == first.cursor.store:
                assert second.cursor.position >= first.cursor.position

    async def test_it_says_who_it_is(self, harness: Harness) -> None:
        """``ping`` reaches the system and tells facts; the URL has a scheme and survives closing twice."""
        backend = harness.backend()
        async with aclosing(backend):
            assert dict(await backend.ping())
            assert "://" in backend.url
        await backend.aclose()


def _is(final: dict[str, tuple[str, ...]]) -> Any:
    return lambda snapshot: {found.id: found.tags for found in snapshot} == final


async def _next(stream: AsyncGenerator[Observed, None]) -> Observed:
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
