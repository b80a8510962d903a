"""More services are followed than a backend bears watches: who has none asks now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

_QUESTIONS_AT_ONCE = 20


class Slots:
    """The watches that one backend bears at once: ``limit()`` of them, None for any number.

    The limit may change: what a system bears may be known only when it was reached. Watches do not take turns, since
    ending one costs the system what beginning it did: Consul goes on with a query that nobody waits for any more, and
    counts its connection, until the time of the query is over. ``asking`` bounds the questions of those who have no
    slot.
    """

    def __init__(self, limit: Callable[[], int | None]) -> None:
        self.asking = asyncio.Semaphore(min(limit() or _QUESTIONS_AT_ONCE, _QUESTIONS_AT_ONCE))
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a slot, if one is free."""
        limit = self._limit()
        if limit is not None and self._taken >= limit:
            return False
        self._taken += 1
        return True

    def give_back(self) -> None:
        """Give a slot back; who waits for one longest may take it."""
        self._taken -= 1
        self._tell(1)

    def look(self) -> None:
        """The limit may have risen: those who wait may take what is free now."""
        if self._waiting:
            limit = self._limit()
            self._tell(len(self._waiting) if limit is None else limit - self._taken)

    async def wait(self, seconds: float) -> None:
        """Return when a slot may be free, at the latest after so many seconds."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(told)
        try:
            async with asyncio.timeout(seconds):
                await told
        except TimeoutError:
            pass
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(told)

    def _tell(self, number: int) -> None:
        while number > 0 and self._waiting:
            told = self._waiting.popleft()
            if not told.done():
                told.set_result(None)
                number -= 1
