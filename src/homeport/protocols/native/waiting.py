"""What a request of this protocol says about waiting: ``index`` and ``wait``, as in Consul's blocking queries."""

from __future__ import annotations

import msgspec

from homeport.registry.waiting import DEFAULT_WAIT, bounded_wait
from homeport.wire.durations import DurationError, parse_duration
from homeport.wire.http import HTTPError, Request

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
    return Patience(int(index or 0), bounded_wait(seconds))
