"""How an answer of this protocol is waited for: by ``index`` and ``wait``, as with Consul's blocking queries.

Source: https://developer.hashicorp.com/consul/api-docs/features/blocking. An answer whose index is above the one given
comes at once, any other one as soon as it is, or when the time is over: then what there is now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from homeport.registry.topics import Topic, wait_for_any
from homeport.wire.durations import DurationError, parse_duration
from homeport.wire.http import HTTPError, Request

DEFAULT_WAIT = 300.0
LONGEST_WAIT = 600.0
_JITTER_DIVISOR = 16
_LARGEST_INDEX = 2**64 - 1


class Patience(msgspec.Struct, frozen=True):
    """The index that a client has seen (0: none, it does not wait), and the seconds that it waits for a higher one."""

    after: int = 0
    timeout: float = DEFAULT_WAIT


def patience(request: Request) -> Patience:
    """What a request says about waiting. Raises `HTTPError` (400) for an index or a time that is none."""
    index, wait = request.first("index"), request.first("wait")
    if index and not (index.isascii() and index.isdigit() and int(index) <= _LARGEST_INDEX):
        raise HTTPError(400, "Invalid index")
    try:
        seconds = parse_duration(wait) if wait else 0.0
    except DurationError:
        raise HTTPError(400, "Invalid wait time") from None
    return Patience(int(index or 0), min(seconds, LONGEST_WAIT) if seconds > 0 else DEFAULT_WAIT)


async def wait_beyond(
    after: Patience, index: Callable[[], int], topics: Sequence[Topic], ending: Topic, *, jitter: float
) -> None:
    """Return when ``index()`` is above the one seen, when the time is over, or when the server ends.

    ``topics`` are all that can raise the index. ``jitter``, in [0, 1), spreads the ends of waits that began together.
    """
    if not after.after:
        return
    loop = asyncio.get_running_loop()
    deadline = loop.time() + after.timeout * (1 + jitter / _JITTER_DIVISOR)
    while index() <= after.after and not ending.revision:
        left = deadline - loop.time()
        if left <= 0 or not await wait_for_any((*topics, ending), left):
            return
