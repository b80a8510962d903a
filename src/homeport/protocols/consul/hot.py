"""Which of Consul's reads can be answered from kept bytes, by the exact form of their target.

Only canonical questions qualify: known paths, plain ASCII names, the parameters below and nothing else. Any other form
is the ordinary route's, which gives the same answers and owns every error text.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from homeport.registry.answers import Read
from homeport.registry.registry import Registry
from homeport.registry.waiting import DEFAULT_WAIT, bounded_wait
from homeport.wire.durations import parse_duration

from .blocking import Consistency, index_headers
from .reads import CatalogNodes, CatalogService, CatalogServices, HealthService, Selection, ServiceRead

_TARGET = re.compile(
    rb"/v1/(health/service|catalog/service|catalog/services|catalog/nodes)"
    rb"(?:/([A-Za-z0-9_.~-]+))?(?:\?([A-Za-z0-9_.~=&-]*))?"
)
_WITHOUT_NAME = (b"catalog/nodes", b"catalog/services")
_EVERYTHING = Selection()
_FLAGS = {b"1": True, b"true": True, b"": True, b"0": False, b"false": False}
_MOST_READS = 20_000


class HotQuestion(msgspec.Struct, frozen=True):
    """A canonical question and how its client wants to wait; see `server.http_protocol.Question`."""

    read: Read
    key: tuple[object, ...]
    consistency: Consistency
    after: int = 0
    wait: float = 0.0

    @property
    def reusable(self) -> bool:
        """Whether the same bytes ask the same again: not if they carry an index, nor for a name nobody registered."""
        return not self.after and (not isinstance(self.read, ServiceRead) or self.read.known)

    def head(self, index: int) -> Sequence[tuple[bytes, bytes]]:
        """The index headers of an answer."""
        return [(name.encode(), value.encode()) for name, value in index_headers(index, self.consistency)]


class HotReads:
    """Turns targets into questions; one `Read` serves all who ask the same."""

    def __init__(self, registry: Registry) -> None:
        self._catalog = registry.catalog
        self._datacenter = registry.identity.datacenter
        self._reads: OrderedDict[tuple[object, ...], Read] = OrderedDict()

    def question(self, target: bytes) -> HotQuestion | None:
        """The question in a request target, or None when it is for the ordinary route."""
        found = _TARGET.fullmatch(target)
        if found is None:
            return None
        kind, name, query = found[1], found[2], found[3]
        if (name is None) != (kind in _WITHOUT_NAME):
            return None
        parsed = _parameters(query or b"")
        if parsed is None:
            return None
        passing, tags, consistency, after, wait = parsed
        if passing and kind != b"health/service":
            return None
        selection = _EVERYTHING if name is None else Selection(tags=tags, passing=passing)
        lowered = (name or b"").decode().lower()
        key = (kind, lowered, selection, consistency)
        return HotQuestion(self._read(key, kind, lowered, selection), key, consistency, after, wait)

    def _read(self, key: tuple[object, ...], kind: bytes, name: str, selection: Selection) -> Read:
        read = self._reads.get(key)
        if read is not None:
            self._reads.move_to_end(key)
            return read
        read = self._make(kind, name, selection)
        # Names that nobody registered must not crowd out the others.
        if not isinstance(read, ServiceRead) or read.known:
            self._reads[key] = read
            if len(self._reads) > _MOST_READS:
                self._reads.popitem(last=False)
        return read

    def _make(self, kind: bytes, name: str, selection: Selection) -> Read:
        if kind == b"health/service":
            return HealthService(self._catalog, self._datacenter, name, selection, None)
        if kind == b"catalog/service":
            return CatalogService(self._catalog, self._datacenter, name, selection, None)
        if kind == b"catalog/services":
            return CatalogServices(self._catalog, self._datacenter, selection, None)
        return CatalogNodes(self._catalog, self._datacenter, (), None)


def _parameters(query: bytes) -> tuple[bool, tuple[str, ...], Consistency, int, float] | None:
    """``passing``, tags, consistency, index and wait; None when there is anything else, or anything wrong."""
    passing, after, wait = False, 0, DEFAULT_WAIT
    tags: tuple[str, ...] = ()
    consistency: Consistency = "leader"
    seen: set[bytes] = set()
    for part in query.split(b"&") if query else ():
        name, _, value = part.partition(b"=")
        if name in seen and name != b"tag":
            return None
        seen.add(name)
        if name == b"passing" and value in _FLAGS:
            passing = _FLAGS[value]
        elif name == b"index" and value.isdigit() and len(value) < 20:
            after = int(value)
        elif name == b"wait" and value:
            try:
                wait = parse_duration(value.decode())
            except ValueError:
                return None
        elif name == b"tag" and value:
            tags = (*tags, value.decode())
        elif name in (b"stale", b"consistent") and consistency == "leader":
            consistency = "stale" if name == b"stale" else "consistent"
        else:
            return None
    return passing, tags, consistency, after, bounded_wait(wait)
