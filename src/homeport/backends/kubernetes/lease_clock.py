"""When leases run out, on the clock of this host.

The clocks of those who renew are not trusted: as in leader election, a lease is good for its duration from the moment
on at which it was seen to be renewed (https://pkg.go.dev/k8s.io/client-go/tools/leaderelection).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .facts import Key, LeaseFacts

_FEW = 1000
_REMEMBERED = 3600.0


class LeaseClock:
    """What was seen of leases, and when; ``clock`` counts seconds, also while the host sleeps where it can."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or _boot_time
        self._seen: dict[Key, tuple[LeaseFacts, float]] = {}
        self._bound = _FEW

    def now(self) -> float:
        """The time in seconds, from any moment on."""
        return self._clock()

    def saw(self, lease: LeaseFacts) -> None:
        """It is as it is now."""
        known = self._seen.get(lease.key)
        if known is None or known[0] != lease:
            self._seen[lease.key] = lease, self._clock()
            if len(self._seen) > self._bound:
                self._forget()

    def _forget(self) -> None:
        """Forget what ran out long ago: whoever made it is gone, and so is most likely what was made."""
        self._seen = {key: seen for key, seen in self._seen.items() if (self.left(key) or 0) > -_REMEMBERED}
        self._bound = max(_FEW, 2 * len(self._seen))

    def left(self, key: Key) -> float | None:
        """For how many seconds it is still good, below 0 when it ran out; None for one that was never seen."""
        seen = self._seen.get(key)
        return None if seen is None else seen[1] + seen[0].duration - self._clock()


def _boot_time() -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
