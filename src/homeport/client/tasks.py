"""Tasks that have an owner."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class Tasks:
    """Tasks that live at most as long as their owner; none is lost, none fails unseen."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._leaving: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run ``work`` until it ends, it is cancelled, or the owner closes."""
        # Not in the caller's context: what goes on for long is no part of the request in which it happened to begin.
        task = asyncio.get_running_loop().create_task(work, name=name, context=contextvars.Context())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def launch(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run ``work`` as `start` does, for a caller who does not need the task."""
        self.start(work, name=name).set_name(name)

    def clean_up(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run ``work`` as `launch` does; the owner's end waits for it a while."""
        task = self.start(work, name=name)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def cleaned_up(self, *, until: float) -> None:
        """Return when everything begun by `clean_up` has ended, at the latest at that time of the loop."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=max(0.0, until - asyncio.get_running_loop().time()))

    async def cancel(self, *tasks: asyncio.Task[Any]) -> None:
        """Cancel these tasks and wait until they have ended; the calling task itself is left out."""
        ending = [task for task in tasks if task is not asyncio.current_task()]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended."""
        while self._running - {asyncio.current_task()}:
            await self.cancel(*self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a background task failed", exc_info=error, extra={"task": task.get_name()})
