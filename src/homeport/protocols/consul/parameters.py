"""What the parameters of a request ask for, and Consul's words for what they may not. Pure.

Sources: https://developer.hashicorp.com/consul/api-docs/features/blocking, …/features/consistency, …/features/caching,
and the answers of Consul itself: which of several mistakes is told first follows it too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from homeport.registry.waiting import bounded_wait
from homeport.wire import golang
from homeport.wire.durations import DurationError, parse_duration
from homeport.wire.http import HTTPError, Request

from .blocking import Consistency, failure_headers

_LARGEST_INDEX = (1 << 64) - 1
_TRUE = frozenset(("", "1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_NAMESPACES = ("x-consul-namespace", "X-Consul-Namespace", "ns", "Namespaces")
_PARTITIONS = ("x-consul-partition", "X-Consul-Partition", "partition", "Partitions")
_SECONDS = re.compile(r"[+-]?[0-9]{1,18}")


class QueryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a client wants its answer: how consistent, whether from a cache, and how long it would wait for a change.

    It waits until the index is above ``after`` (0: not at all), for at most ``wait`` seconds, before jitter.
    """

    consistency: Consistency = "leader"
    cached: bool = False
    after: int = 0
    wait: float = 0.0


def query_options(request: Request) -> QueryOptions:
    """The options of a read. Raises `HTTPError` with 400 for one that is malformed or contradicts another."""
    consistency, cached = freshness(request)
    wait = _wait(request.first("wait"))
    after = _index(request.first("index"))
    return QueryOptions(consistency=consistency, cached=cached, after=after, wait=bounded_wait(wait))


def freshness(request: Request) -> tuple[Consistency, bool]:
    """How consistent an answer must be, and whether a cache may give it. Raises `HTTPError` with 400.

    Everything is answered from a memory that is up to date: this decides what an answer says of itself, not what is
    in it.
    """
    stale, consistent, cached = (request.has(name) for name in ("stale", "consistent", "cached"))
    if longest := request.first("max_stale"):
        stale = _max_stale(longest) > 0 or stale
    if stale and consistent:
        raise HTTPError(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    if cached and consistent:
        raise HTTPError(400, "Cannot specify ?cached with ?consistent, conflicting semantics.")
    _check_cache_control(request.headers.get("cache-control", ""))
    return "consistent" if consistent else "stale" if stale else "leader", cached


def refuse_enterprise(request: Request, *, in_namespaces: bool = True) -> None:
    """Refuse the parameters and headers of Consul Enterprise. Raises `HTTPError` with 400.

    What is not ``in_namespaces`` there either, like nodes, does not look at them.
    """
    for header, shown, parameter, feature in (_NAMESPACES, _PARTITIONS) if in_namespaces else (_PARTITIONS,):
        if request.headers.get(header):
            raise HTTPError(400, f'Invalid header: "{shown}" - {feature} are a Consul Enterprise feature')
        if request.first(parameter):
            raise HTTPError(400, f'Invalid query parameter: "{parameter}" - {feature} are a Consul Enterprise feature')


def check_datacenter(request: Request, own: str, *, indexed: bool = True) -> None:
    """Refuse a question for another datacenter than ours. ``indexed`` answers carry the index headers of a failure.

    Raises:
        HTTPError: 500, as Consul answers what it knows no way to.
    """
    asked = request.first("datacenter") or request.first("dc") or own
    if asked != own:
        raise HTTPError(500, "No path to datacenter", headers=failure_headers() if indexed else ())


def boolean(request: Request, parameter: str) -> bool:
    """A switch: its presence sets it, a value may unset it. Raises `HTTPError` with 400 for any other value."""
    if not request.has(parameter):
        return False
    value = request.first(parameter)
    if value not in _TRUE and value not in _FALSE:
        raise HTTPError(400, f"Invalid value for ?{parameter}")
    return value in _TRUE


def tags(request: Request) -> tuple[str, ...]:
    """All tags that an instance must have."""
    return tuple(request.values("tag"))


def node_meta(request: Request) -> tuple[tuple[str, str], ...]:
    """The metadata that a node must have: ``node-meta=key:value``; of a key that came twice the last value counts."""
    pairs = (pair.partition(":") for pair in request.values("node-meta"))
    return tuple({key: value for key, _, value in pairs}.items())


def required(rest: str, what: str) -> str:
    """What follows the route. Raises `HTTPError` with 400 when nothing does."""
    if not rest:
        raise HTTPError(400, f"Missing {what}")
    return rest


def _max_stale(text: str) -> float:
    try:
        return parse_duration(text)
    except DurationError:
        raise HTTPError(400, f"Invalid max_stale value {golang.quote(text)}") from None


def _wait(text: str) -> float:
    try:
        return parse_duration(text) if text else 0.0
    except DurationError:
        raise HTTPError(400, "Invalid wait time") from None


def _index(text: str) -> int:
    if not text:
        return 0
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit()) or len(digits) > 20 or int(digits) > _LARGEST_INDEX:
        raise HTTPError(400, "Invalid index")
    return int(digits)


def _check_cache_control(header: str) -> None:
    """Refuse what is no number of seconds. Otherwise it changes nothing: an answer is never older than the request."""
    for part in _parts(header):
        name, _, value = part.partition("=")
        if name in ("max-age", "stale-if-error") and not _SECONDS.fullmatch(value):
            raise HTTPError(400, "Invalid Cache-Control header.")


def _parts(header: str) -> Sequence[str]:
    return [part.strip() for part in header.lower().split(",")] if header else ()
