"""What a store is, for the ledger above it and for whoever writes the next one.

A store holds records (key, value, created, modified) and one revision that only grows. It is asked to commit
*groups*: the net effects of transactions that were executed elsewhere. It is all or nothing for the group, durable on
return, and every commit, one's own or another replica's, reaches the one subscriber in order before the call that
made it returns.

Revisions are already what the outside sees as an index: they start above every revision that an earlier store of the
same place may have issued (`first_revision`), so an index never goes back, not even over a wipe.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from ..records import Group, Record

# The structs of this file come by the hundred thousand and form no cycles, so the garbage collector need not know
# them.


class Put(msgspec.Struct, frozen=True, gc=False):
    """A new value: its bytes for the store, and the decoded record for the memory."""

    raw: bytes
    value: Record


class Effect(msgspec.Struct, frozen=True, gc=False):
    """The net effect of one executed transaction: one operation a key.

    ``reads`` are exact keys and the ``modified`` revision each had (0: absent); the effect is void unless they still
    have it. Everything under a prefix in ``cleared`` goes, but for the keys in ``puts``; the prefix names the group
    that holds exactly these records. A key that stood before the effect and stands after it keeps its ``created``,
    also where the effect puts it under a prefix that it clears.
    """

    reads: Mapping[str, int]
    puts: Mapping[str, Put]
    deletes: frozenset[str] = frozenset()
    cleared: Mapping[str, Group] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing is written."""
        return not (self.puts or self.deletes or self.cleared)

    @property
    def operations(self) -> int:
        """How many operations this counts for against `Limits.operations`; its reads count apart from them."""
        return len(self.puts) + len(self.deletes) + len(self.cleared)

    @property
    def size_bytes(self) -> int:
        """How many bytes this counts for against `Limits.size_bytes`."""
        return sum(len(key) + len(put.raw) for key, put in self.puts.items())


class Commit(msgspec.Struct, frozen=True, gc=False):
    """One effect, applied at a revision."""

    revision: int
    effect: Effect


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One record as the store holds it. A key and a ``modified`` revision name one value, now and for ever."""

    key: str
    raw: bytes
    created: int
    modified: int


class Image(msgspec.Struct, frozen=True):
    """Everything a store holds at one revision. The records are read once, so that they can be let go of meanwhile."""

    revision: int
    records: Iterable[Stored]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a group may be, and whether transactions that share a key may stand in one.

    ``operations`` bounds the writes of a group and, by the same number, the keys that it read; a transaction that is
    larger alone is a group alone. ``pause`` bounds, in seconds, how long executing one group may keep the loop from
    other work. ``exclusive`` says that nobody else can write, so that a group without writes needs no round trip to
    be valid.
    """

    operations: int = 5000
    size_bytes: int = 1 << 20
    pause: float = 0.020
    shares_keys: bool = True
    exclusive: bool = True


class Subscriber(Protocol):
    """Who is told everything that is committed. Called in the event loop, never from another thread."""

    async def reset(self, image: Image) -> None:
        """Continue from ``image``; what differs is noticed as if it were a commit, deletions too.

        The store must not call `committed` before this returned. Comparing yields to the loop now and then; what
        differs is taken in at once, so that nobody sees half of it. Raises `StoreDamaged`, and then nothing was taken
        in.
        """

    def committed(self, commit: Commit) -> None:
        """Apply one commit; its revision is above all before it, except where transactions share none of their keys."""


class Store(Protocol):
    """What the ledger needs. All methods belong to one event loop."""

    @property
    def limits(self) -> Limits:
        """What the ledger must keep its groups within."""
        ...

    @property
    def description(self) -> str:
        """Where the records are, for people: a path or a URL without credentials."""
        ...

    async def open(self, subscriber: Subscriber) -> None:
        """Begin: take possession, and give the subscriber an `Image`. After a `StoreError` nothing is held."""
        ...

    async def commit(self, effects: Sequence[Effect]) -> Sequence[int]:
        """Make all effects durable, or none; return a revision for each.

        Effects that share a key get different, increasing revisions; an empty one gets that of the effect before it.
        Before this returns the subscriber has had every commit up to the last of these. Must not be called again
        before it returned; cancelling it leaves open whether the group is written, which the next call finds out
        before it does anything.

        Raises:
            CommitConflict: an effect's ``reads`` no longer hold, nothing was written.
            StoreFull, ReadOnly, StoreError: nothing was written, and nothing of it will appear later.
            OutcomeUnknown: everything or nothing of the group was written. The subscriber has been reset to the
            truth, or
                will be before the next commit.
        """
        ...

    async def aclose(self) -> None:
        """Release everything; harmless when it is released already."""
        ...


class StoreError(Exception):
    """The store could not do it; nothing was written."""


class CommitConflict(StoreError):
    """Another replica wrote first.

    The subscriber has had all commits up to ``at_revision``, so a new execution sees them. Where nobody else can write,
    its memory must have been wrong, and it has been reset.
    """

    def __init__(self, at_revision: int) -> None:
        super().__init__(f"another writer was first, at revision {at_revision}")
        self.at_revision = at_revision


class OutcomeUnknown(StoreError):
    """The store failed while it answered: the group was written whole or not at all, and nobody can tell which yet."""


class StoreFull(StoreError):
    """There is no space left for the store; reads go on, writes are refused until there is."""


class ReadOnly(StoreError):
    """The store cannot be written to (permissions, a read-only file system); reads go on."""


class StoreBusy(StoreError):
    """Another process holds this store."""


class StoreDamaged(StoreError):
    """What stands in the store cannot be read; nothing of it was changed."""


def first_revision(now: float | None = None) -> int:
    """A revision above all that a store made earlier can have issued, if it took up to 65 536 commits a second.

    It is the Unix time ``now`` in units of 1/65 536 s, so that this holds for a store that lived for a moment, too.
    """
    return max(1, int((time.time() if now is None else now) * (1 << 16)))
