"""A stand-in for etcd: replicas that share a backing, hear of all writes by a watch, and can lose a race.

It keeps to what etcd does and the ledger must live with: a group is one flat transaction at one revision, so no two
of its operations may share a key; it may hold 128 operations and as many conditions; a put inside a cleared range is
refused, so the range is cleared around it; what a replica wrote comes back to it by the watch, like everybody else's
writes, some turns of the loop later.
"""

import asyncio
import random
from collections.abc import Sequence

import msgspec

from homeport.registry.records import table_of
from homeport.registry.store.contract import (
    Commit,
    CommitConflict,
    Effect,
    Image,
    Limits,
    Put,
    Stored,
    StoreError,
    Subscriber,
    first_revision,
)

MOST_OPERATIONS = 128


class Event(msgspec.Struct, frozen=True):
    """What one transaction did, as a watch tells it."""

    revision: int
    puts: tuple[Stored, ...]
    deletes: frozenset[str]


class Backing:
    """The records that all replicas share."""

    def __init__(self, seed: int = 0) -> None:
        self.records: dict[str, Stored] = {}
        self.revision = first_revision()
        self.events: list[Event] = []
        self.compacted = self.revision
        self.random = random.Random(seed)
        self.refused = 0
        self.largest = 0
        self._moved = asyncio.Event()

    def compact(self) -> None:
        """Forget the events so far; a replica that has not had them must read everything again."""
        self.compacted = self.revision
        self.events.clear()

    def transact(self, effects: Sequence[Effect]) -> int | None:
        """Do all of it or, when a condition does not hold, nothing; return the revision."""
        reads = {key: revision for effect in effects for key, revision in effect.reads.items()}
        puts = [(key, put) for effect in effects for key, put in effect.puts.items()]
        deletes = [key for effect in effects for key in effect.deletes]
        ranges = [(prefix, effect) for effect in effects for prefix in effect.cleared]
        named = [key for key, _ in puts] + deletes
        if len(named) != len(set(named)):
            raise StoreError("duplicate key given in txn request")
        operations = len(named) + len(ranges)
        if max(operations, len(reads)) > MOST_OPERATIONS:
            raise StoreError("too many operations in txn request")
        self.largest = max(self.largest, operations, len(reads))
        if any(self._modified(key) != revision for key, revision in reads.items()):
            self.refused += 1
            return None
        cleared: set[str] = set()
        for prefix, own in ranges:
            if any(key.startswith(prefix) and key not in own.puts for key in named):
                raise StoreError("duplicate key given in txn request")
            cleared.update(key for key in self.records if key.startswith(prefix) and key not in own.puts)
        gone = frozenset(key for key in (*cleared, *deletes) if key in self.records)
        if puts or gone:
            self._write(puts, gone)
        return self.revision

    def _modified(self, key: str) -> int:
        return self.records[key].modified if key in self.records else 0

    def _write(self, puts: list[tuple[str, Put]], gone: frozenset[str]) -> None:
        self.revision += 1
        stored = []
        for key, put in puts:
            before = self.records.get(key)
            stored.append(Stored(key, put.raw, before.created if before else self.revision, self.revision))
            self.records[key] = stored[-1]
        for key in gone:
            del self.records[key]
        self.events.append(Event(self.revision, tuple(stored), gone))
        self._moved.set()
        self._moved = asyncio.Event()

    async def moved_beyond(self, revision: int) -> None:
        """Return when something was written after ``revision``."""
        while self.revision <= revision:
            await self._moved.wait()

    async def latency(self) -> None:
        """Some turns of the loop."""
        for _ in range(self.random.randint(1, 4)):
            await asyncio.sleep(0)


class ReplicaStore:
    """One replica's store over a shared backing."""

    limits = Limits(operations=120, pause=60.0, shares_keys=False, exclusive=False)
    description = "a stand-in for etcd"

    def __init__(self, backing: Backing) -> None:
        self.backing = backing
        self.resets = 0
        self._seen = 0
        self._heard = asyncio.Condition()
        self._watch: asyncio.Task[None] | None = None

    async def open(self, subscriber: Subscriber) -> None:
        await self._reset(subscriber)
        self._watch = asyncio.create_task(self._follow(subscriber))

    async def commit(self, effects: Sequence[Effect]) -> Sequence[int]:
        await self.backing.latency()
        revision = self.backing.transact(effects)
        at = self.backing.revision
        await self.backing.latency()
        async with self._heard:
            await self._heard.wait_for(lambda: self._seen >= at)
        if revision is None:
            raise CommitConflict(at)
        return [revision] * len(effects)

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None

    async def _reset(self, subscriber: Subscriber) -> None:
        image = Image(self.backing.revision, tuple(self.backing.records.values()))
        await self.backing.latency()
        await subscriber.reset(image)
        self._seen = image.revision
        self.resets += 1

    async def _follow(self, subscriber: Subscriber) -> None:
        while True:
            await self.backing.moved_beyond(self._seen)
            await self.backing.latency()
            if self._seen < self.backing.compacted:
                await self._reset(subscriber)
            else:
                for event in [event for event in self.backing.events if event.revision > self._seen]:
                    subscriber.committed(Commit(event.revision, _effect(event)))
                    self._seen = event.revision
            async with self._heard:
                self._heard.notify_all()


def _effect(event: Event) -> Effect:
    puts = {stored.key: Put(stored.raw, table_of(stored.key).decode(stored.raw)) for stored in event.puts}
    return Effect({}, puts, event.deletes)
