"""Executes transactions in groups over any store, and keeps the memory that they read.

Waiting transactions run in order on the memory and the overlay of what those before them did; the store gets the net
effects of the group in one commit. A transaction that refuses (`Refusal`) gets its refusal as its own result: its
neighbours are not concerned, and what it read is validated with them, so that a lagging replica never refuses
wrongly.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from .contract import Commit, CommitConflict, Effect, Image, Limits, Store, StoreError
from .memory_image import Change, MemoryImage
from .transaction import Overlay, Refusal, Transaction

T = TypeVar("T")
Fold = Callable[[int, list[Change]], None]
_TRIES_BEFORE_HALVING = 3
_SLICE = 0.005  # seconds that comparing with an image may keep the loop from other work
_log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, Generic[T], frozen=True):
    """What a transaction function returned, and the revision at which its effect stands (or was found to be void)."""

    value: T
    revision: int


class _Waiting:
    """A transaction that somebody waits for. What its last execution gave is valid until the next one."""

    __slots__ = ("effect", "error", "execute", "future", "value")

    def __init__(self, execute: Callable[[Transaction], Any], future: asyncio.Future[Outcome[Any]]) -> None:
        self.execute = execute
        self.future = future
        self.value: Any = None
        self.error: Exception | None = None
        self.effect: Effect | None = None

    def run(self, transaction: Transaction) -> None:
        self.value = self.error = self.effect = None
        try:
            self.value = self.execute(transaction)
            self.effect = transaction.finish()
        except Refusal as refusal:
            self.error = refusal
            self.effect = transaction.read_only()
        except Exception as error:  # noqa: BLE001  # a defect of one transaction is that caller's, never its neighbours'
            self.error = error

    def answer(self, revision: int) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(Outcome(self.value, revision))

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Room:
    """How much more a group may hold."""

    __slots__ = ("_cleared", "_limits", "_operations", "_reads", "_size_bytes", "_written")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._operations = self._size_bytes = 0
        self._reads: set[str] = set()
        self._written: set[str] = set()
        self._cleared: tuple[str, ...] = ()

    def take(self, effect: Effect) -> bool:
        """Count ``effect`` in; False, and it is not, when it does not fit."""
        limits = self._limits
        operations = self._operations + effect.operations
        size_bytes = self._size_bytes + effect.size_bytes
        reads = effect.reads.keys() - self._reads
        if max(operations, len(self._reads) + len(reads)) > limits.operations or size_bytes > limits.size_bytes:
            return False
        if not limits.shares_keys:
            if self._collides(effect):
                return False
            self._written.update(effect.puts, effect.deletes)
            self._cleared += tuple(effect.cleared)
        self._operations, self._size_bytes = operations, size_bytes
        self._reads.update(reads)
        return True

    def _collides(self, effect: Effect) -> bool:
        """Whether ``effect`` writes what one before it wrote; what it only read of that stands or falls with it."""
        own = (*effect.puts, *effect.deletes)
        cleared = tuple(effect.cleared)
        return (
            not self._written.isdisjoint(own)
            or bool(self._cleared and any(key.startswith(self._cleared) for key in (*own, *cleared)))
            or bool(cleared and any(key.startswith(cleared) for key in (*self._written, *self._cleared)))
        )


class Ledger:
    """The one way to change a store, and the memory of what it holds.

    ``fold`` is called with the revision and the changes of every commit, in order, before whoever made it is
    answered. All methods belong to the event loop in which `open` ran.
    """

    def __init__(self, store: Store, fold: Fold) -> None:
        self.store = store
        self.image = MemoryImage()
        self._fold = fold
        self._waiting: deque[_Waiting] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self._failing = False

    async def open(self) -> None:
        """Take possession of the store and read it. Raises `StoreError`."""
        await self.store.open(self)

    async def transact(self, execute: Callable[[Transaction], T]) -> Outcome[T]:
        """Run ``execute`` atomically; durable, and visible in memory, on return.

        ``execute`` may run more than once and must not await nor change anything but the transaction. A `Refusal` it
        raises is raised here. Cancelling the caller does not undo what is already on its way.

        Raises:
            Refusal: the transaction's own no.
            StoreError: nothing was written (or, for `OutcomeUnknown`, nobody can tell yet).
        """
        if self._closed:
            raise StoreError("the store is closed")
        waiting = _Waiting(execute, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run(), name="homeport ledger")
        return await waiting.future

    async def aclose(self) -> None:
        """Commit what waits, then close the store."""
        self._closed = True
        if self._pump is not None:
            await asyncio.wait([self._pump])
        self._abandon(())
        await self.store.aclose()

    # Subscriber

    async def reset(self, image: Image) -> None:
        """The store's whole content; what differs is folded as changes of its revision."""
        changes: list[Change] = []
        until = time.monotonic() + _SLICE
        for looked, change in enumerate(self.image.differences(image)):
            if change is not None:
                changes.append(change)
            if not looked % 256 and time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE
        self.image.take_in(changes, image.revision)
        self._tell(self.image.revision, changes)

    def committed(self, commit: Commit) -> None:
        """One commit of this or of another replica."""
        changes = self.image.apply(commit)
        if changes:
            self._tell(commit.revision, changes)

    def _tell(self, revision: int, changes: list[Change]) -> None:
        try:
            self._fold(revision, changes)
        except Exception:  # noqa: BLE001  # logged, with its trace
            # What is written is written: a defect in the fold must not make it look like a write that failed.
            _log.exception("a commit was not folded in completely", extra={"revision": revision})

    # Groups

    async def _run(self) -> None:
        while self._waiting:
            await self._commit_group()
        self._pump = None

    async def _commit_group(self) -> None:
        most, tries = self.store.limits.operations, 0
        group: list[_Waiting] = []
        try:
            while self._waiting:
                group = self._execute(most)
                try:
                    await self._commit(group)
                    return
                except CommitConflict:
                    # The store has brought the memory up to date, so everything is executed again on what is true
                    # now.
                    self._waiting.extendleft(reversed(group))
                    tries += 1
                    if tries >= _TRIES_BEFORE_HALVING:
                        most, tries = max(1, len(group) // 2), 0
        except Exception as error:  # noqa: BLE001  # every waiting caller must learn of it, whatever it is
            if isinstance(error, StoreError) and not self._failing:
                self._failing = True
                _log.error("the store refuses writes; reads go on", extra={"reason": str(error)})
            for waiting in group:
                waiting.fail(error)
        except BaseException:
            self._abandon(group)
            raise

    async def _commit(self, group: list[_Waiting]) -> None:
        effects = [waiting.effect for waiting in group if waiting.effect is not None]
        revisions: Sequence[int] = ()
        if effects and not (self.store.limits.exclusive and all(effect.empty for effect in effects)):
            revisions = await self.store.commit(effects)
            if self._failing:
                self._failing = False
                _log.info("the store takes writes again")
        now, given = self.image.revision, iter(revisions)
        for waiting in group:
            waiting.answer(now if waiting.effect is None else next(given, now))

    def _abandon(self, group: Iterable[_Waiting]) -> None:
        """Cancel whoever waits: the loop is being taken down, and nobody will go on with these."""
        for waiting in (*group, *self._waiting):
            waiting.future.cancel()
        self._waiting.clear()

    def _execute(self, most: int) -> list[_Waiting]:
        """Run waiting transactions in order, at most ``most``, until the group is full, and return it."""
        limits = self.store.limits
        overlay, room = Overlay(self.image), _Room(limits)
        group: list[_Waiting] = []
        deadline = time.monotonic() + limits.pause
        while self._waiting and len(group) < most:
            waiting = self._waiting.popleft()
            if waiting.future.cancelled():
                continue
            transaction = Transaction(overlay)
            waiting.run(transaction)
            fits = waiting.effect is None or room.take(waiting.effect)
            if group and not fits:
                self._waiting.appendleft(waiting)
                break
            group.append(waiting)
            if waiting.error is None:
                transaction.lay()
            if not fits or time.monotonic() > deadline:
                break
        return group
