"""One copy of the registry for all who ask, read anew by one request for all of them."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from homeport.connections import shared_task
from homeport.connections.shared_task import SharedTask
from homeport.errors import HomeportError
from homeport.spi import Cursor
from homeport.wire import eureka as wire

from .api import EurekaAPI, Reading
from .contents import Contents, Read, removed_by

_log = logging.getLogger(__name__)

_PURPOSE = "tell the registry"
_REMEMBERED = 120.0
"""Servers keep changes for 180 s in a delta; what was read longer ago than this is not continued by one."""
_LARGE = 1000
"""More instances than that are taken over in a thread, since the event loop would stand still for too long."""


class State(NamedTuple):
    """The registry at one moment; ``cursor.store`` is another one after data were lost."""

    contents: Contents
    cursor: Cursor


class Follower(shared_task.Follower):
    """One who is told about every reading."""

    __slots__ = ()

    async def next(self) -> None:
        """Wait for the next reading.

        Raises:
            HomeportError: the registry cannot be read.
        """
        await self.told()


class _Asked:
    """A reading that has not begun, and how many wait for it."""

    __slots__ = ("reading", "waiting")

    def __init__(self, reading: asyncio.Task[None]) -> None:
        self.reading = reading
        self.waiting = 0


class Changes:
    """Reads the registry, whole and then by deltas, when it is asked to and every ``interval`` while somebody follows.

    ``identity`` begins the names of the stores of this copy. A delta is believed if the hash code of the server is that
    of what it leads to; otherwise, and where there is none, or the server is another one or counts anew, everything is
    read.
    """

    def __init__(self, api: EurekaAPI, read: Read, *, interval: float, identity: str) -> None:
        self._api = api
        self._read_instance = read
        self._interval = interval
        self._identity = identity
        self._losses = 0
        self._turn = 0
        self._contents: Contents | None = None
        self._origin = ""
        self._version: int | None = None
        self._read_at = float("-inf")
        self._state_turn = 0
        self._one_at_a_time = asyncio.Lock()
        self._asked: _Asked | None = None
        self._readings: set[asyncio.Task[None]] = set()
        self._polling = SharedTask[Follower, None](
            lambda _: self._poll(), name="homeport eureka changes", backend=api.settings.url
        )

    @property
    def followed(self) -> bool:
        """Whether somebody follows."""
        return bool(self._polling.followers)

    @property
    def state(self) -> State:
        """What was read last; `refresh` has to have returned once."""
        assert self._contents is not None
        return State(self._contents, Cursor(position=self._state_turn, store=self._store))

    def next_cursor(self) -> Cursor:
        """Where an answer will stand that is asked for now, apart from the copy."""
        self._turn += 1
        return Cursor(position=self._turn, store=self._store)

    def lost_since(self, known: Cursor | None) -> bool:
        """Whether data were lost since a position in an earlier store of this copy."""
        return known is not None and known.store.startswith(f"{self._identity}-") and known.store != self._store

    async def refresh(self) -> State:
        """The registry as of now or later; who asks before the reading begins shares it.

        Raises:
            HomeportError: it cannot be read.
        """
        if self._asked is None:
            reading = asyncio.get_running_loop().create_task(self._next_reading(), name="homeport eureka registry")
            self._readings.add(reading)
            reading.add_done_callback(self._readings.discard)
            self._asked = _Asked(reading)
        asked = self._asked
        asked.waiting += 1
        try:
            await asyncio.shield(asked.reading)
        except HomeportError as error:
            raise error.copied() from error.__cause__
        except asyncio.CancelledError:
            if asked.reading.cancelled() and not _is_cancelled():
                raise self._polling.closed() from None
            raise
        finally:
            asked.waiting -= 1
            if not asked.waiting and not asked.reading.done():
                asked.reading.cancel()
                if self._asked is asked:
                    self._asked = None
        return self.state

    def follow(self) -> Follower:
        """Be told of every reading from now on, until `leave` or until one fails."""
        follower = Follower()
        self._polling.add(follower)
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow no more; when nobody is left, nothing is asked any more."""
        await self._polling.leave(follower)

    async def aclose(self) -> None:
        """Ask no more; who waits or follows is told that it was closed."""
        await self._polling.aclose()
        readings = tuple(self._readings)
        for reading in readings:
            reading.cancel()
        if readings:
            await asyncio.wait(readings)

    @property
    def _store(self) -> str:
        return f"{self._identity}-{self._losses}"

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval
        while True:
            await asyncio.sleep(due - loop.time())
            due = loop.time() + self._interval
            await self.refresh()

    async def _next_reading(self) -> None:
        async with self._one_at_a_time:
            self._asked = None
            self._turn += 1
            turn = self._turn
            try:
                await self._read()
            except Exception as error:
                self._polling.fail(error)  # whoever asked for this reading, and whatever it is
                raise
            self._state_turn = turn
            for follower in self._polling.followers:
                follower.tell()

    async def _read(self) -> None:
        began_at = asyncio.get_running_loop().time()
        known = self._contents
        delta = await self._api.delta(purpose=_PURPOSE) if known is not None else None
        if known is not None and delta is not None and self._continues(known, delta, began_at):
            known.apply(delta.applications)
            self._version = delta.applications.version
            self._read_at = began_at
            return
        whole = await self._api.applications(purpose=_PURPOSE)
        contents = await self._built(whole.applications, known)
        if known is not None and await self._lost(known, contents, whole, delta, began_at):
            self._losses += 1
            _log.warning("the registry lost data", extra={"backend": self._api.settings.url})
        self._contents = contents
        self._origin = whole.origin
        self._version = delta.applications.version if delta is not None and delta.origin == whole.origin else None
        self._read_at = began_at

    def _continues(self, known: Contents, delta: Reading, began_at: float) -> bool:
        """Whether what is known, with this delta, is what the server has."""
        return (
            began_at - self._read_at <= _REMEMBERED
            and delta.origin == self._origin
            and not self._counts_anew(delta)
            and known.hashcode_after(delta.applications) == delta.applications.hashcode
        )

    def _counts_anew(self, delta: Reading) -> bool:
        """Whether the versions of this server's deltas went back."""
        version = delta.applications.version
        return self._version is not None and version is not None and version < self._version

    async def _lost(
        self, known: Contents, now: Contents, whole: Reading, delta: Reading | None, began_at: float
    ) -> bool:
        """Whether instances are missing now that nobody removed, as after the restart of a server without peers.

        A server that goes on has instances under the same registration as before, and for some minutes it says in its
        deltas what was removed.
        """
        missing = known.keys - now.keys
        if delta is not None:
            missing -= removed_by(delta.applications)
        if not missing:
            return False
        same = now.same_registrations(known) if whole.origin == self._origin else None
        if same is not None:
            return not same
        if not now.keys:
            return True
        if delta is None or began_at - self._read_at > _REMEMBERED:
            return False  # nothing tells
        newer = await self._api.delta(purpose=_PURPOSE)  # what was removed between the two requests
        return newer is not None and not missing <= removed_by(newer.applications)

    async def _built(self, applications: wire.Applications, known: Contents | None) -> Contents:
        def build() -> Contents:
            contents = Contents(applications, self._read_instance)
            if known is not None:
                contents.adopt(known)
            return contents

        return await asyncio.to_thread(build) if len(applications.instances) > _LARGE else build()


def _is_cancelled() -> bool:
    """Whether it is the running task that is cancelled, and not what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
