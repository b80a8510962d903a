"""Which check is executed when: each at its interval, none twice at a time, and only so many at once.

The runs of a check lie on a grid that begins at a random moment of its first interval, so that checks which were
registered together do not run together, and that does not drift. A run that outlasts its interval takes the place of
the ones it covers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .agenda import Agenda
from .live import SCRIPT, LiveCheck

_SOON = 5.0  # seconds


class _Lane:
    """Runs that share a bound."""

    __slots__ = ("most", "running", "waiting")

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0
        self.waiting: deque[tuple[LiveCheck, float]] = deque()


class Schedule:
    """Runs checks. ``run`` is called with a check and the seconds by which its run begins late.

    ``random`` gives numbers in [0, 1).
    """

    def __init__(
        self, agenda: Agenda, run: Callable[[LiveCheck, float], Coroutine[Any, Any, None]], *,
        random: Callable[[], float], running_checks: int, running_scripts: int,
    ) -> None:  # fmt: skip
        self._agenda = agenda
        self._run = run
        self._random = random
        self._checks = _Lane(running_checks)
        self._scripts = _Lane(running_scripts)
        self._tasks: set[asyncio.Task[None]] = set()
        # Made once: a bound method for every entry would be one more object for the garbage collector to look at.
        self._on_due = self._due

    def add(self, live: LiveCheck, *, soon: bool = False) -> None:
        """Execute a check from now on. With ``soon`` it is executed once more, shortly, beside its grid."""
        now, interval = self._agenda.now(), live.definition.interval
        live.planned = now + self._random() * interval
        self._agenda.at(live.planned, self._on_due, live)
        if soon and interval > _SOON:
            planned = now + self._random() * _SOON
            self._agenda.at(planned, self._start, live, planned)

    def run_now(self, live: LiveCheck) -> asyncio.Task[None]:
        """Begin a run at once, whatever the bounds say, or join the one that is going on; its grid stays as it is."""
        if live.task is None:
            self._begin(live, self._agenda.now())
        assert live.task is not None
        return live.task

    def remove(self, live: LiveCheck) -> None:
        """End the run of a check that is no longer ``alive``."""
        if live.task is not None:
            live.task.cancel()

    async def aclose(self) -> None:
        """End all runs."""
        for lane in (self._checks, self._scripts):
            lane.waiting.clear()
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _due(self, live: LiveCheck) -> None:
        if not live.alive:
            return
        planned, interval = live.planned, live.definition.interval
        missed = max(0.0, self._agenda.now() - planned) // interval
        live.planned = planned + (missed + 1) * interval
        self._agenda.at(live.planned, self._on_due, live)
        self._start(live, planned)

    def _start(self, live: LiveCheck, planned: float) -> None:
        if not live.alive or live.task is not None or live.queued:
            return
        lane = self._lane(live)
        if lane.running < lane.most:
            self._begin(live, planned)
        else:
            live.queued = True
            lane.waiting.append((live, planned))

    def _begin(self, live: LiveCheck, planned: float) -> None:
        self._lane(live).running += 1
        live.task = task = asyncio.create_task(self._run(live, self._agenda.now() - planned))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, live))

    def _ended(self, live: LiveCheck, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        live.task = None
        lane = self._lane(live)
        lane.running -= 1
        while lane.waiting and lane.running < lane.most:
            following, planned = lane.waiting.popleft()
            following.queued = False
            if following.alive and following.task is None:
                self._begin(following, planned)

    def _lane(self, live: LiveCheck) -> _Lane:
        return self._scripts if live.definition.kind == SCRIPT else self._checks
