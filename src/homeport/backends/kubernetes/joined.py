"""The instances of one service, joined from the objects that name them; pure.

An id may stand in several: while an endpoint moves from one slice to another, and always where pods have addresses of
both families, each with slices of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

from homeport.instance_order import exchanged, in_order
from homeport.model import Instance

from .facts import Key, PodFacts, SliceFacts

Origin: TypeAlias = tuple[type[SliceFacts] | type[PodFacts], Key]
"""The object that a part comes from."""
Part: TypeAlias = Mapping[str, Instance]
"""Some instances by their id."""

_ID = attrgetter("id")
_BEST_FIRST = {"passing": 0, "warning": 1, "maintenance": 2, "critical": 3}


class Joined:
    """The instances of all parts in the order of their ids; of one that is in several, the best.

    Among equally good ones it is that of the first origin, by ``precedence``. With ``passing_only`` there are no others
    than passing ones.
    """

    def __init__(self, precedence: Callable[[Origin], Any], *, passing_only: bool) -> None:
        self.instances: tuple[Instance, ...] = ()
        self._precedence = precedence
        self._passing_only = passing_only
        self._parts: dict[Origin, Part] = {}
        self._origins: dict[str, tuple[Origin, ...]] = {}  # by the id

    def part(self, origin: Origin) -> Part | None:
        """What comes from there."""
        return self._parts.get(origin)

    def replace(self, parts: Mapping[Origin, Part]) -> None:
        """These are all parts now."""
        together: dict[str, Instance] = {}
        self._parts, self._origins = {origin: part for origin, part in parts.items() if part}, {}
        for origin, part in parts.items():
            together.update(part)
            self._origins.update(dict.fromkeys(part, (origin,)))
        if len(together) == sum(map(len, parts.values())):
            self.instances = in_order(self._shown(together.values()))
            return
        self._origins = {}
        for origin, part in parts.items():
            for key in part:
                self._origins[key] = (*self._origins.get(key, ()), origin)
        self.instances = in_order(self._shown(map(self._best, self._origins)))

    def exchange(self, parts: Mapping[Origin, Part]) -> None:
        """These parts are other ones now, or empty; the cost is theirs alone."""
        touched: set[str] = set()
        for origin, part in parts.items():
            former = self._parts.get(origin, {})
            touched |= former.keys() - part.keys()
            touched.update(key for key, one in part.items() if former.get(key) is not one)
        for origin, part in parts.items():
            self._put(origin, part)
        removed, added = [], []
        for key in touched:
            was, now = self._instance(key), self._best(key)
            if was is not now:
                removed += self._shown([was])
                added += self._shown([now])
        if removed or added:
            self.instances = exchanged(self.instances, removed, added)

    def _instance(self, key: str) -> Instance | None:
        """What `instances` has under an id."""
        place = bisect_left(self.instances, key, key=_ID)
        found = self.instances[place : place + 1]
        return found[0] if found and found[0].id == key else None

    def _put(self, origin: Origin, part: Part) -> None:
        former = self._parts.pop(origin, {})
        for key in former.keys() - part.keys():
            others = tuple(one for one in self._origins.pop(key) if one != origin)
            if others:
                self._origins[key] = others
        for key in part.keys() - former.keys():
            self._origins[key] = (*self._origins.get(key, ()), origin)
        if part:
            self._parts[origin] = part

    def _best(self, key: str) -> Instance | None:
        """What is to be under an id."""
        origins = self._origins.get(key, ())
        found = (self._parts[origin][key] for origin in sorted(origins, key=self._precedence))
        return min(found, key=lambda one: _BEST_FIRST[one.status], default=None)

    def _shown(self, found: Iterable[Instance | None]) -> list[Instance]:
        return [one for one in found if one is not None and (one.healthy or not self._passing_only)]
