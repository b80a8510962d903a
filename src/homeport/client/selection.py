"""Some of the instances of a service, at a cost that grows with what changed since the last time."""

from __future__ import annotations

from collections.abc import Callable

from homeport.instance_order import exchanged
from homeport.model import Instance

from .ledger import Belief


class Selection:
    """The instances of one belief after the other that ``selects`` is true of. It must be true of equal ones alike."""

    def __init__(self, selects: Callable[[Instance], bool]) -> None:
        self._selects = selects
        self._all: tuple[Instance, ...] = ()
        self._selected: tuple[Instance, ...] = ()

    def of(self, belief: Belief) -> tuple[Instance, ...]:
        """Those of ``belief``, in its order."""
        instances, change = belief.instances, belief.change
        if instances is self._all:
            return self._selected
        if change is not None and change.before is self._all:
            removed, added = list(filter(self._selects, change.removed)), list(filter(self._selects, change.added))
            if self._selected is self._all and len(added) == len(change.added):
                selected = instances
            else:
                selected = exchanged(self._selected, removed, added)
        else:
            selected = tuple(filter(self._selects, instances))
        # Mostly all of them are selected: then no second set of references is made or kept.
        self._selected = instances if len(selected) == len(instances) else selected
        self._all = instances
        return self._selected
