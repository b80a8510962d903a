"""Answers that are too large to be made at once: made in slices, one at a time, and shared by all who wait for them.

Making the list of 100 000 checks takes a good part of a second. Done at once it would keep heartbeats waiting, and done
for every watcher it would leave no time for anything else.
"""

from __future__ import annotations

import asyncio

from .reads import Rows

SHORTEST_PAUSE = 1.0
"""Seconds between the beginnings of two such answers."""

Made = tuple[int, bytes]
"""The index at which an answer stands, and its body."""


class LargeAnswers:
    """Makes large answers, at most one a second. Belongs to one event loop."""

    def __init__(self, *, shortest_pause: float = SHORTEST_PAUSE) -> None:
        self._shortest_pause = shortest_pause
        self._turn = asyncio.Lock()
        self._not_before = 0.0
        self._awaited: dict[tuple[object, ...], asyncio.Task[Made]] = {}

    async def make(self, read: Rows) -> Made:
        """The index and body of an answer that is begun after this call, so that it shows all that was there before.

        Whoever asks the same before it is begun gets the same answer.
        """
        task = self._awaited.get(read.key)
        if task is None:
            task = asyncio.create_task(self._make(read), name="homeport large answer")
            self._awaited[read.key] = task
        # One who goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _make(self, read: Rows) -> Made:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(self._not_before - loop.time())
            self._not_before = loop.time() + self._shortest_pause
            # From here on it is begun: the next who asks is answered by the one after it.
            del self._awaited[read.key]
            index = read.index()
            return index, await read.render_in_slices()
