"""Clocks that are not for telling the time."""

from __future__ import annotations

import time


def awake_or_not() -> float:
    """Seconds on a clock that never goes back and runs on while the machine is suspended, as leases elsewhere do."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
