"""Leases that run out: no event says so, only the time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Never

from .lease_clock import LeaseClock
from .mirror import Mirror

_FAR = 1e9
"""Later than any lease runs out."""

_LATE = 0.5
_CATCHING_UP = 1.0


async def let_run_out(
    mirror: Mirror, clock: LeaseClock, *, tell: Callable[[set[str]], None], changed: asyncio.Event
) -> Never:
    """Let each lease run out when it is due, and ``tell`` which services that changes; set ``changed`` to look anew.

    Where nobody looked in time, since the program or its host stood still, the renewals of that time wait to be read:
    they are given a second for it, and those who live are not taken for dead.
    """
    while True:
        touched, left = mirror.expire()
        if touched:
            tell(touched)
        changed.clear()
        due = clock.now() + left
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if left < _FAR else None):
                await changed.wait()
        if clock.now() > due + _LATE:
            await asyncio.sleep(_CATCHING_UP)  # once: who is always late must see the dead, too
