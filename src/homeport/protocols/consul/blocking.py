"""Blocking queries: how long a client waits for a change, and the headers that tell it where it stands.

Source: https://developer.hashicorp.com/consul/api-docs/features/blocking, and the answers of Consul itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from homeport.registry.answers import Read
from homeport.registry.topics import Topic, wait_for_any

Consistency = Literal["leader", "stale", "consistent"]
DEFAULT_WAIT = 300.0
LONGEST_WAIT = 600.0
JITTER_SHARE = 16
"""Up to a sixteenth of the wait is added to it, so that clients that came together do not come back together."""


def bounded_wait(wait: float) -> float:
    """The wait that a client gets for the one it asked for, in seconds, before jitter."""
    return DEFAULT_WAIT if wait <= 0 else min(wait, LONGEST_WAIT)


def with_jitter(wait: float, random: float) -> float:
    """A wait with its jitter; ``random`` is drawn evenly from [0, 1)."""
    return wait + random * wait / JITTER_SHARE


async def wait_beyond(read: Read, after: int, *, timeout: float, ending: Topic) -> None:
    """Wait until the index of ``read`` is above ``after``, for at most ``timeout`` seconds, or until ``ending`` moves.

    Only what moves a topic of ``read`` ends the wait early. An ``after`` in the future is waited for like any other.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while read.index() <= after and not ending.revision:
        left = deadline - loop.time()
        # The topics are asked for anew each time: they are others when what is asked for came or went.
        if left <= 0 or not await wait_for_any((*read.topics, ending), left):
            return


def index_headers(index: int, consistency: Consistency) -> list[tuple[str, str]]:
    """The headers of an answer that stands at ``index``, named and ordered as Consul sends them."""
    return [
        ("X-Consul-Effective-Consistency", consistency),
        ("X-Consul-Index", str(index or 1)),
        ("X-Consul-Knownleader", "true"),
        ("X-Consul-Lastcontact", "0"),
        ("X-Consul-Query-Backend", "blocking-query"),
    ]


def failure_headers() -> Sequence[tuple[str, str]]:
    """The index headers of a read that failed before it reached any data."""
    return (
        ("X-Consul-Index", "1"),
        ("X-Consul-Knownleader", "false"),
        ("X-Consul-Lastcontact", "0"),
        ("X-Consul-Query-Backend", "blocking-query"),
    )
