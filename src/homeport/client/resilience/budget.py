"""How many retries a service may be burdened with."""

from __future__ import annotations

import threading

from .settings import RetrySettings

_SAVED_SECONDS = 10.0


class RetryBudget:
    """Every call pays in, every retry takes one out; what is saved is bounded. Safe to use from any thread.

    Without a bound in proportion to the calls, a service that is overloaded would get a multiple of its load from
    those who try again (Google, *Site Reliability Engineering*, chapter 21; Finagle's ``RetryBudget``).
    """

    def __init__(self, settings: RetrySettings) -> None:
        self._share = settings.budget_share
        self._rate = settings.budget_per_second
        # Ten seconds' worth of the rate, and of what a thousand calls pay in.
        self._most = self._rate * _SAVED_SECONDS + self._share * 1000
        self._lock = threading.Lock()
        self._saved = self._rate
        self._at: float | None = None

    def paid(self) -> None:
        """A call that is no retry begins."""
        # No lock, and no call in between: see `LoadTable`. What a retry at the same moment overwrites is one share.
        saved = self._saved + self._share
        self._saved = min(self._most, saved)

    def take(self, now: float) -> bool:
        """Take one retry out at a time on a steady clock; False if there is none."""
        with self._lock:
            if self._at is not None:
                reserve = max(self._rate, self._saved)  # time alone saves up no more than one second's worth
                self._saved = min(self._saved + (now - self._at) * self._rate, reserve)
            self._at = now
            if self._saved < 1.0:
                return False
            self._saved -= 1.0
            return True
