"""What is to be done when: one heap and one timer for all checks.

Beside the time that passes there is the time that was *heard*: it stands still while the event loop is kept from its
work. Whoever had to be heard by a deadline gets the time back in which nobody could be, and is heard first: a heartbeat
that waits in a socket while the process pauses is not late.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

_log = logging.getLogger(__name__)
TOLERANCE = 0.020
"""Seconds that a timer may be late without being counted as a stop of the loop."""
EARLY = 0.001
"""Seconds by which an action may be done before its time; the timers of event loops are no more exact."""
_LOOK = 0.25  # seconds; the timer is never set further ahead, so that a stop is measured when it happens
_BATCH = 500  # actions in one turn of the loop
_TURNS = 5  # turns of the loop after a stop, in which it reads what has come in meanwhile and lets it be handled

Action = Callable[..., None]


class Handle(Protocol):
    """A timer that was set."""

    def cancel(self) -> None:
        """Take the timer back."""
        ...


CallLater = Callable[[float, Callable[[], None]], Handle]
"""Sets a timer: does an action after some seconds."""


def on_the_loop(delay: float, action: Callable[[], None]) -> Handle:
    """A timer of the running event loop."""
    return asyncio.get_running_loop().call_later(delay, action)


class Agenda:
    """Actions by due time. Actions of one time are done in the order in which they were entered.

    An entry cannot be taken back: an action must know itself whether it is still wanted. ``call_later`` sets a timer.
    """

    def __init__(self, *, monotonic: Callable[[], float], call_later: CallLater) -> None:
        self.stopped = 0.0
        """How long the loop has stood still in all, in seconds."""
        self._monotonic = monotonic
        self._call_later = call_later
        self._heap: list[tuple[float, int, Action, tuple[Any, ...]]] = []
        self._entered = 0
        self._timer: Handle | None = None
        self._wake = inf
        self._closed = False

    def now(self) -> float:
        """The time, in seconds."""
        return self._monotonic()

    def heard(self) -> float:
        """The time in which somebody could be heard, in seconds."""
        return self._monotonic() - self.stopped

    def at(self, due: float, action: Action, *arguments: Any) -> None:
        """Do ``action`` at ``due``, or as soon after it as the loop can; never, once this is closed."""
        if self._closed:
            return
        self._entered += 1
        heapq.heappush(self._heap, (due, self._entered, action, arguments))
        if due < self._wake:
            self._set()

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake = inf
        if self._heap:
            now = self._monotonic()
            self._wake = max(now, min(self._heap[0][0], now + _LOOK))
            self._timer = self._call_later(self._wake - now, self._woken)

    def _woken(self) -> None:
        self._timer = None
        if self._monotonic() - self._wake > TOLERANCE:
            self._resume(self._wake, _TURNS)
        else:
            self._work()

    def _resume(self, since: float, turns: int) -> None:
        """After a stop: let the loop turn a few times before anything is done."""
        self._wake = -inf
        if turns:
            self._timer = self._call_later(0.0, lambda: self._resume(since, turns - 1))
        else:
            self.stopped += self._monotonic() - since
            self._work()

    def _work(self) -> None:
        self._timer, self._wake = None, -inf  # so that the timer is not set anew for each action that is entered
        try:
            self._do_due()
        finally:
            self._set()

    def _do_due(self) -> None:
        heap, until = self._heap, self.now() + EARLY
        for _ in range(_BATCH):
            if not heap or heap[0][0] > until:
                return
            _, _, action, arguments = heapq.heappop(heap)
            try:
                action(*arguments)
            except Exception:  # noqa: BLE001  # one check's defect must not end the checks of all others
                _log.exception("an action of the health engine failed")
