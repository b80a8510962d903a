"""Waiting for what other threads do."""

import time
from collections.abc import Callable

PATIENCE = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it is so; fails when it is not so in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
