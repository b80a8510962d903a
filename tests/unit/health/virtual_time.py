"""Time that passes only when a test says so: a clock and the timers of an event loop."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

START = 1_700_000_000.0
_TURNS = 30  # of the loop, after each moment, for what it set in motion


class _Timer:
    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class VirtualTime:
    """Give ``monotonic``, ``clock`` and ``call_later`` to what is tested, then `pass_` time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._entered = 0

    def monotonic(self) -> float:
        return self.now

    def clock(self) -> float:
        return START + self.now

    def call_later(self, delay: float, action: Callable[[], None]) -> _Timer:
        timer = _Timer(self.now + max(0.0, delay), action)
        self._entered += 1
        heapq.heappush(self._timers, (timer.at, self._entered, timer))
        return timer

    def run(self, seconds: float) -> None:
        """Let time pass, for what needs no event loop."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            at, _, timer = heapq.heappop(self._timers)
            if timer.action is not None:
                self.now = max(self.now, at)
                timer.action()
        self.now = until

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as when a process is stopped."""
        self.now += seconds

    async def pass_(self, seconds: float) -> None:
        """Let time pass, and everything happen that it brings."""
        until = self.now + seconds
        await settle()
        while self._timers and self._timers[0][0] <= until:
            at, _, timer = heapq.heappop(self._timers)
            if timer.action is not None:
                self.now = max(self.now, at)
                timer.action()
                await settle()
        self.now = until


async def settle() -> None:
    """Let the loop turn until what is under way has happened."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
