"""The same instance for the same key, as long as it has no more than its share of calls."""

from __future__ import annotations

import struct
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import shake_128
from math import ceil, inf, log2
from random import random as system_random
from typing import TypeAlias
from zlib import crc32

from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .balancer import Picker, nobody
from .key_hash import key_hash
from .loads import Load, Loads
from .options import Options
from .weights import weighted

_POINTS = 128
"""Points on the ring for an instance of mean weight: shares of keys then differ by a tenth or so.

Measured with 10 and 100 instances: a ring moves no key but those of the instance that is gone, where Maglev's table
moves up to 3 % more of all keys; comparing all instances (rendezvous) does neither, but costs 15 µs a choice with 100.
"""

_KEPT = "consistent_hash"
_ROUNDING = 1e-9
_SALT = 0x1CE4E5B9BF58476D
_TIE_BITS = 8
_PLACE_BITS = 20
_PLACE_MASK = (1 << _PLACE_BITS) - 1

_Name: TypeAlias = tuple[str, int]
"""An instance on the ring: ``host:port`` and its number of points."""


class ConsistentHash:
    """Each key has its instance, the same in every process, found on a ring of points.

    When one of n instances goes, only its own keys move, about 1/n of all, spread over the others; when it comes back,
    they return. Shares are by weight; weight 0 gets nothing unless all have it. A call without a key takes any place
    on the ring.

    The load is bounded (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016): an instance
    that would have more than ``bound`` times its share of the calls under way passes the key on to the next one on the
    ring. Only calls made with `Watch.call` and the like are seen; with a bare `Watch.pick` nothing is bounded.
    ``random`` gives numbers in [0, 1).
    """

    needs_outcomes = False

    def __init__(self, *, bound: float = 1.25, random: Callable[[], float] = system_random) -> None:
        if not 1 <= bound < inf:
            raise SettingsError(f"bound of the balancer consistent_hash is {bound}; give 1 or more")
        self._bound = bound
        self._random = random

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker over a ring of the instances of ``snapshot``."""
        instances, weights = weighted(snapshot.instances)
        size = len(instances)
        if not size:
            return nobody
        names = _names(instances, weights)
        ring = _ring(names, loads)
        points = ring.points
        number = len(points)
        total = sum(weights)
        members: list[tuple[Load, float, Instance] | None] = [None] * len(ring.places)
        for name, instance, weight in zip(names, instances, weights, strict=True):
            members[ring.places[name]] = loads.of_instance(instance), self._bound * weight / total, instance
        known = [loads.of_instance(instance) for instance in instances]
        random = self._random
        # The calls under way are counted anew after an eighth of a round, so that a choice costs the same however many
        # instances there are; until then each choice is taken to have become a call. Threads may race here: each
        # count is right when it is made.
        every = max(1, size // 8)
        under_way = 0
        until_count = 0

        def pick(key: str | None = None) -> Instance | None:
            nonlocal under_way, until_count
            if until_count <= 0:
                under_way = sum([load.in_flight for load in known])
                until_count = every
            until_count -= 1
            under_way += 1
            hashed = int(random() * 4294967296) if key is None else key_hash(key, _SALT)
            start = bisect(points, hashed << _TIE_BITS + _PLACE_BITS)
            first = None
            for step in range(start, start + number):
                member = members[points[step % number] & _PLACE_MASK]
                if member is None:
                    continue
                load, allowed, instance = member
                if load.in_flight < ceil(allowed * under_way - _ROUNDING):
                    return instance
                first = first or instance
            return first

        return pick


class _Ring:
    """The points of instances in order, each with the place of its instance in the lowest bits; it never changes."""

    places: dict[_Name, int]
    points: Sequence[int]

    def __init__(self, names: Iterable[_Name], before: _Ring | None = None) -> None:
        """A ring of these names, and of all those of the ring ``before``, of which these are none."""
        self.places = {} if before is None else before.places.copy()
        more: list[int] = []
        for name in names:
            place = self.places.setdefault(name, len(self.places))
            more += [point << _PLACE_BITS | place for point in _points(*name)]
        more.sort()
        self.points = more if before is None else _merged(before.points, more)


def _ring(names: Sequence[_Name], loads: Loads) -> _Ring:
    """A ring that has these instances.

    It may have those of earlier snapshots too, which are passed over: ejecting somebody or taking him back must not
    cost anything, nor a newcomer the hashing and sorting of a hundred points for every instance.
    """
    before = loads.kept.get(_KEPT)
    wanted = dict.fromkeys(names)
    if isinstance(before, _Ring):
        more = [name for name in wanted if name not in before.places]
        if len(before.places) + 2 * len(more) <= 2 * len(wanted):
            ring = _Ring(more, before) if more else before
        else:
            ring = _Ring(wanted)
    else:
        ring = _Ring(wanted)
    loads.kept[_KEPT] = ring
    return ring


def _merged(points: Sequence[int], more: Sequence[int]) -> list[int]:
    """All of them in order, as both are; quick where ``more`` are few."""
    merged: list[int] = []
    start = 0
    for point in more:
        end = bisect(points, point, start)
        merged += points[start:end]
        merged.append(point)
        start = end
    merged += points[start:]
    return merged


def _names(instances: Sequence[Instance], weights: Sequence[int]) -> list[_Name]:
    # The weight that has _POINTS points is a power of two, so that it hardly ever changes when instances come and go.
    unit = 2.0 ** round(log2(sum(weights) / len(weights)))
    return [
        (instance.endpoint, max(1, round(_POINTS * weight / unit)))
        for instance, weight in zip(instances, weights, strict=True)
    ]


def _points(endpoint: str, number: int) -> Iterator[int]:
    """So many points; those for a smaller number are among those for a larger.

    Each is 32 bits, and some more of its owner's: of equal points the first has the keys, and which of them that is
    must not depend on who came first.
    """
    name = endpoint.encode()
    tie = crc32(name) & ((1 << _TIE_BITS) - 1)
    return (point << _TIE_BITS | tie for (point,) in struct.iter_unpack("<I", shake_128(name).digest(4 * number)))


def configured(options: Options) -> ConsistentHash:
    """The policy; its option is ``bound``."""
    return ConsistentHash(bound=options.number("bound", 1.25, least=1))
