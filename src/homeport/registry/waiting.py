"""Waiting for an answer to change: for how long, and how it ends.

The times are those of Consul's blocking queries, https://developer.hashicorp.com/consul/api-docs/features/blocking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from .topics import Topic, wait_for_any

DEFAULT_WAIT = 300.0
LONGEST_WAIT = 600.0
JITTER_SHARE = 16
"""Up to a sixteenth of the wait is added to it, so that clients that came together do not come back together."""

T = TypeVar("T")


def bounded_wait(wait: float) -> float:
    """The wait that a client gets for the one it asked for, in seconds, before jitter."""
    return DEFAULT_WAIT if wait <= 0 else min(wait, LONGEST_WAIT)


def with_jitter(wait: float, random: float) -> float:
    """A wait with its jitter; ``random`` is drawn evenly from [0, 1)."""
    return wait + random * wait / JITTER_SHARE


async def wait_for_news(
    news: Callable[[], T], topics: Callable[[], Sequence[Topic]], *, timeout: float, ending: Topic
) -> T:
    """What ``news`` gives, as soon as that is true, or when ``timeout`` seconds are over or ``ending`` moves.

    It is asked again after every move of any of the topics, which are asked for anew each time: they are others when
    what they are about came or went.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not (found := news()) and not ending.revision:
        left = deadline - loop.time()
        if left <= 0 or not await wait_for_any((*topics(), ending), left):
            break
    return found
