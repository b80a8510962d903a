"""The circuit breaker of a whole service: when nearly all its calls fail, they fail at once."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Literal, TypeAlias

from homeport.errors import CircuitOpen

from .settings import CircuitSettings

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]

_SLICES = 10


class Circuit:
    """Closed, open or half open, by the outcomes of calls within a sliding window. Safe to use from any thread.

    Times are those of one steady clock. It does not count calls itself: it is told how many succeeded and failed in
    all, at each failure, each end of a trial, and at the first success from ``due_at`` on.
    """

    def __init__(self, service: str, settings: CircuitSettings) -> None:
        self.closed = True
        self.due_at = -math.inf if settings.enabled else math.inf
        self._service = service
        self._settings = settings
        self._lock = threading.Lock()
        self._marks: deque[tuple[float, int, int]] = deque()  # (time, successes, failures) at the begin of each slice
        self._opened_at = -math.inf
        self._trial_successes = 0
        self._trial_since: float | None = None

    def state(self, now: float) -> CircuitState:
        """How it stands."""
        if self.closed:
            return "closed"
        return "open" if now < self._opened_at + self._settings.open_time else "half_open"

    def enter(self, now: float) -> bool:
        """A call wants to begin; True if it is the trial of a half-open circuit.

        Raises:
            CircuitOpen: it may not.
        """
        if self.closed:  # no lock where nothing is wrong
            return False
        with self._lock:
            if self.state(now) == "closed":
                return False
            wait = self._opened_at + self._settings.open_time - now
            # A trial that never ends must not keep the circuit open for ever.
            busy = self._trial_since is not None and now < self._trial_since + self._settings.window
            if wait <= 0 and not busy:
                self._trial_since = now
                return True
        raise CircuitOpen(
            f'nearly every call of "{self._service}" failed in the last {self._settings.window:g} s, '
            f"so it is not called for {max(wait, 0.0):.1f} s; look at the service, or change client.circuit",
            service=self._service,
            retry_after=max(wait, 0.0),
        )

    def leave(self, now: float, *, succeeded: bool | None, trial: bool, successes: int, failures: int) -> bool:
        """A call ended in success, failure, or neither, with so many of both in all; True if the state changed."""
        if not self._settings.enabled:
            return False
        with self._lock:
            if trial:
                return self._trial_ended(now, succeeded=succeeded)
            if succeeded is None or not self.closed:
                return False
            self._mark(now, successes - succeeded, failures - (not succeeded))
            _, successes_before, failures_before = self._marks[0]
            failed = failures - failures_before
            calls = successes - successes_before + failed
            if succeeded or calls < self._settings.minimum_calls or failed < calls * self._settings.failure_share:
                return False
            self._open(now)
            return True

    def _mark(self, now: float, successes: int, failures: int) -> None:
        """Begin a new slice when it is time, and forget what lies before the window."""
        if now < self.due_at:
            return
        self.due_at = now + self._settings.window / _SLICES
        self._marks.append((now, successes, failures))
        while self._marks[0][0] < now - self._settings.window:
            self._marks.popleft()

    def _trial_ended(self, now: float, *, succeeded: bool | None) -> bool:
        self._trial_since = None
        if succeeded is None or self.closed:
            return False
        if not succeeded:
            self._open(now)
            return True
        self._trial_successes += 1
        if self._trial_successes < self._settings.closing_successes:
            return False
        self.closed = True
        return True

    def _open(self, now: float) -> None:
        self._opened_at = now
        self.closed = False
        self.due_at = -math.inf
        self._trial_successes = 0
        self._trial_since = None
        self._marks.clear()
