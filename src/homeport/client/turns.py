"""More watches than a backend bears: they take turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turn:
    """The right to watch. While somebody waits for it, it ends ``turn_time`` after it began."""

    __slots__ = ("_began_at", "_limit", "_turns")

    def __init__(self, turns: Turns, began_at: float) -> None:
        self._turns = turns
        self._began_at = began_at
        self._limit: asyncio.Timeout | None = None

    @asynccontextmanager
    async def bounded(self, silence_timeout: float) -> AsyncIterator[None]:
        """A block that raises TimeoutError when the turn is over, or after so many seconds at the latest."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout_at(loop.time() + silence_timeout) as limit:
            self._limit = limit
            try:
                if self._turns.crowded:
                    self.hurry()
                yield
            finally:
                self._limit = None

    @property
    def over(self) -> bool:
        """Whether somebody else should have it now."""
        return self._turns.crowded and asyncio.get_running_loop().time() >= self._began_at + self._turns.turn_time

    def hurry(self) -> None:
        """Somebody waits: end the block under way when the turn's time is up."""
        if self._limit is None or self._limit.expired():
            return
        due = max(self._began_at + self._turns.turn_time, asyncio.get_running_loop().time())
        planned = self._limit.when()
        if planned is None or due < planned:
            self._limit.reschedule(due)


class Turns:
    """Hands out at most ``limit`` turns at once (None: any number), first come, first served."""

    def __init__(self, limit: int | None, *, turn_time: float) -> None:
        self.turn_time = turn_time
        self._limit = limit
        self._taken = 0
        self._held: set[Turn] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._waiting)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """A turn, as soon as it can be had."""
        if self._limit is None or self._taken < self._limit:
            self._taken += 1
        else:
            await self._wait()
        turn = Turn(self, asyncio.get_running_loop().time())
        self._held.add(turn)
        try:
            yield turn
        finally:
            self._held.discard(turn)
            self._pass_on()

    async def _wait(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        for turn in self._held:
            turn.hurry()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._pass_on()  # it was ours for a moment already
            raise

    def _pass_on(self) -> None:
        """Give a turn that ended to the one who waits longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._taken -= 1
