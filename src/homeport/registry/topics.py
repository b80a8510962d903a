"""What can change, and who waits for it.

A topic is one thing a query may depend on: a service, a node, a table. It knows the revision at which it last moved,
and the waiters to wake when it moves again. Waking is paced, so that a thousand watchers of one service delay neither
writes nor each other: at most `BATCH` waiters a turn of the event loop, and waves of one topic at least `WAVE_GAP`
apart, more when waking them takes long.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

BATCH = 100
WAVE_GAP = 0.020
_COST_FACTOR = 2.0
_log = logging.getLogger(__name__)


class Waiter(Protocol):
    """Somebody who waits for topics."""

    def wake(self) -> None:
        """A topic has moved. Must not block; whoever wants to be woken again subscribes again."""


class Topic:
    """One thing that changes. Belongs to the event loop."""

    __slots__ = ("__weakref__", "moved", "next_wave", "revision", "waiters", "wave")

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.waiters: dict[Waiter, None] = {}
        self.wave: Wave | None = None
        self.moved = False  # whether another wave is owed to those who wait
        self.next_wave = 0.0


class Wave:
    """The waiters of one topic that are being woken because it moved, and what that costs."""

    __slots__ = ("_failed", "_order", "cost", "topic", "waiters")

    def __init__(self, topic: Topic, waiters: dict[Waiter, None]) -> None:
        self.topic = topic
        self.waiters = waiters
        self.cost = 0.0
        self._order: Iterator[Waiter] = iter(tuple(waiters))
        self._failed = False

    def wake(self, most: int) -> int:
        """Wake up to ``most`` waiters, oldest first, but for those who unsubscribed; return how many it were."""
        woken = 0
        for waiter in self._order:
            if waiter not in self.waiters:
                continue
            del self.waiters[waiter]
            self._wake(waiter)
            woken += 1
            if woken == most:
                break
        return woken

    def _wake(self, waiter: Waiter) -> None:
        try:
            waiter.wake()
        except Exception:  # noqa: BLE001  # a defect of one waiter must not keep the others asleep
            if not self._failed:
                _log.exception("a waiter failed to wake up; the others go on", extra={"waiter": type(waiter).__name__})
            self._failed = True


def subscribe(waiter: Waiter, topics: Sequence[Topic]) -> None:
    """Let ``waiter`` be woken once, by the next move of each of the topics."""
    for topic in topics:
        topic.waiters[waiter] = None


def unsubscribe(waiter: Waiter, topics: Sequence[Topic]) -> None:
    """Take back `subscribe`, also from a wave that has begun; harmless when it is not there."""
    for topic in topics:
        topic.waiters.pop(waiter, None)
        if topic.wave is not None:
            topic.wave.waiters.pop(waiter, None)


class Wakeups:
    """Moves topics and wakes their waiters, oldest first, a batch a turn of the loop."""

    def __init__(self) -> None:
        self._waves: deque[Wave] = deque()
        self._running = False

    def move(self, topic: Topic, revision: int) -> None:
        """The topic changed at ``revision``."""
        if revision > topic.revision:
            topic.revision = revision
        if topic.waiters and not topic.moved:
            topic.moved = True
            if topic.wave is None:
                self._plan_wave(topic)

    def _plan_wave(self, topic: Topic) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= topic.next_wave:
            self._start_wave(topic)
        else:
            loop.call_at(topic.next_wave, self._start_wave, topic)

    def _start_wave(self, topic: Topic) -> None:
        topic.moved = False
        waiters, topic.waiters = topic.waiters, {}
        if not waiters:
            return
        loop = asyncio.get_running_loop()
        topic.next_wave = loop.time() + WAVE_GAP
        topic.wave = Wave(topic, waiters)
        self._waves.append(topic.wave)
        if not self._running:
            self._running = True
            loop.call_soon(self._run_batch)

    def _run_batch(self) -> None:
        loop = asyncio.get_running_loop()
        left = BATCH
        while left and self._waves:
            wave = self._waves[0]
            started = loop.time()
            left -= wave.wake(left)
            wave.cost += loop.time() - started
            if not wave.waiters:
                self._waves.popleft()
                self._end_wave(wave, loop.time())
        if self._waves:
            loop.call_soon(self._run_batch)
        else:
            self._running = False

    def _end_wave(self, wave: Wave, now: float) -> None:
        topic = wave.topic
        topic.wave = None
        topic.next_wave = max(topic.next_wave, now + _COST_FACTOR * wave.cost)
        if topic.moved:
            self._plan_wave(topic)


class _FutureWaiter:
    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


async def wait_for_any(topics: Sequence[Topic], timeout: float) -> bool:
    """Wait until one of the topics moves; False when ``timeout`` seconds passed first. May wake early, never late."""
    waiter = _FutureWaiter(asyncio.get_running_loop().create_future())
    subscribe(waiter, topics)
    try:
        async with asyncio.timeout(timeout):
            await waiter.future
    except TimeoutError:
        return False
    else:
        return True
    finally:
        unsubscribe(waiter, topics)
