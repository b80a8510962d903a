"""Instances by their id, at a cost that grows with what changed since the last time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter, is_not

from homeport.model import Instance

_BY_ID = attrgetter("id", "node")


def in_order(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The instances by id, and by node where several nodes use one id."""
    return tuple(sorted(instances, key=_BY_ID))


class InstanceOrder:
    """Puts the instances of one service in order, again and again.

    A backend mostly names the same instances in the same places, one of them changed. Then nothing is sorted: each
    place is known from the last time, and what is the same object is not even looked into.
    """

    def __init__(self) -> None:
        self._given: Sequence[Instance] = ()
        self._places: list[int] = []
        self._ordered: tuple[Instance, ...] = ()

    def of(self, instances: Sequence[Instance]) -> tuple[Instance, ...]:
        """The instances as `in_order` gives them."""
        changed = self._changed(instances)
        if changed is None:
            order = sorted(range(len(instances)), key=[*map(_BY_ID, instances)].__getitem__)
            self._ordered = tuple([instances[place] for place in order])
            self._places = [0] * len(order)
            for place, given in enumerate(order):
                self._places[given] = place
        elif changed:
            ordered = list(self._ordered)
            for given in changed:
                ordered[self._places[given]] = instances[given]
            self._ordered = tuple(ordered)
        self._given = instances
        return self._ordered

    def _changed(self, instances: Sequence[Instance]) -> list[int] | None:
        """The places at which another object with the same id stands now; None if it is not that simple."""
        former = self._given
        if len(instances) != len(former):
            return None
        changed = [*compress(range(len(former)), map(is_not, former, instances))]
        if any(_BY_ID(former[place]) != _BY_ID(instances[place]) for place in changed):
            return None
        return changed
