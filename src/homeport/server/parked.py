"""A connection that waits for the answer to its question to change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from homeport.registry.topics import Topic, subscribe, unsubscribe

from .fast import Question


class Parked:
    """Waits without a task: woken by the topics of its question, or by its timer; then ``on_end`` is called, once."""

    __slots__ = ("_on_end", "_timer", "_topics", "gzip", "question")

    def __init__(
        self, question: Question, *, gzip: bool, timeout: float, loop: asyncio.AbstractEventLoop,
        on_end: Callable[[], None],
    ) -> None:  # fmt: skip
        self.question = question
        self.gzip = gzip
        self._on_end = on_end
        self._topics: Sequence[Topic] = question.read.topics
        subscribe(self, self._topics)
        self._timer = loop.call_later(timeout, on_end)

    def wake(self) -> None:
        """A topic has moved."""
        if self.question.read.index() > self.question.after:
            self._on_end()
            return
        # The answer has not: its topics may be others now (the service came or went).
        unsubscribe(self, self._topics)
        self._topics = self.question.read.topics
        subscribe(self, self._topics)

    def leave(self) -> None:
        """Wait no more; ``on_end`` is not called after this."""
        unsubscribe(self, self._topics)
        self._timer.cancel()
