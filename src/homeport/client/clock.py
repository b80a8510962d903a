"""Clocks that are not for telling the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

awake_or_not: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds on a clock that never goes back and runs on while the machine is suspended, as leases elsewhere do."""
