"""Instances by their id, and what changed from one set of them to the next.

Whatever can be is done with whole runs of references: to compare ten thousand of them or to put them together anew
takes some microseconds, to look into each takes milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import TypeAlias

import msgspec

from .model import Instance

_ID = attrgetter("id")
_KEY = attrgetter("id", "node")
_BLOCK = 256
"""How many references are compared at once, until some differ."""

_Arrange: TypeAlias = Callable[[Sequence[Instance]], tuple[Instance, ...]]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What leads from one set of instances to the next; an instance that changed is both removed and added.

    ``before`` is the first of the two, the very object: who holds another set cannot apply this. All that is in neither
    list is the same object in both.
    """

    before: tuple[Instance, ...]
    removed: Sequence[Instance]
    added: Sequence[Instance]


def in_order(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The instances by id, and by node where several nodes use one id."""
    given = tuple(instances)
    arrange, _ = _arrangement(given)
    return arrange(given)


def exchanged(
    ordered: Sequence[Instance], removed: Sequence[Instance], added: Sequence[Instance]
) -> tuple[Instance, ...]:
    """``ordered`` without some of its instances and with others, in order too.

    No two of ``ordered`` have the same id and node, nor any two of the outcome.
    """
    if not _is_short(len(removed) + len(added), len(ordered)):
        gone = {id(one) for one in removed}
        return in_order([*(one for one in ordered if id(one) not in gone), *added])
    instances = list(ordered)
    for one in removed:
        del instances[bisect_left(instances, _KEY(one), key=_KEY)]
    for one in added:
        instances.insert(bisect_left(instances, _KEY(one), key=_KEY), one)
    return tuple(instances)


class InstanceOrder:
    """Puts the instances of one service in order, again and again.

    An instance that equals the one of that id before is given as the same object. ``change`` is what led from the set
    before the last one to the last; None if nothing did, if so much changed that whoever wants to know had better look
    at all of them, or if an id is not unique at its node.

    A backend mostly names the same instances in the same order as before, but a few. Then nothing is sorted.
    """

    def __init__(self) -> None:
        self.change: Change | None = None
        self._ordered: tuple[Instance, ...] = ()
        self._unique = True
        self._arrange: _Arrange = tuple

    def of(self, instances: Sequence[Instance]) -> tuple[Instance, ...]:
        """The instances as `in_order` gives them."""
        before = self._ordered
        difference = None
        # How the last ones were arranged says nothing about more or fewer, unless they came in order.
        if self._unique and (self._arrange is tuple or len(instances) == len(before)):
            difference = _difference(before, self._arrange(instances))
        if difference is None:
            comparable = self._unique
            self._arrange, self._unique = _arrangement(instances)
            self._ordered = self._arrange(instances)
            if comparable and self._unique:
                difference = _difference(before, self._ordered)
        self.change = None
        if difference is not None:
            removed, added = difference
            if removed or added:
                self._ordered = exchanged(before, removed, added)
                self.change = Change(before=before, removed=removed, added=added)
            else:
                self._ordered = before
        return self._ordered


def _arrangement(instances: Sequence[Instance]) -> tuple[_Arrange, bool]:
    """How to put instances in order that come as these do, and whether each has an id of its own at its node."""
    keys: list[str] | list[tuple[str, str]] = [*map(_ID, instances)]
    if len({*keys}) < len(keys):
        keys = [*map(_KEY, instances)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return tuple if order == [*range(len(keys))] else itemgetter(*order), len({*keys}) == len(keys)


def _difference(
    before: Sequence[Instance], after: Sequence[Instance]
) -> tuple[Sequence[Instance], Sequence[Instance]] | None:
    """Who left and who came between two sets, the first of which is in order; None if the other is not, or so many did.

    No two of ``before`` have the same id and node; where the answer is not None, no two of ``after`` have.
    """
    removed: list[Instance] = []
    added: list[Instance] = []
    old = new = 0
    while True:
        same = _run(before, old, after, new)
        old, new = old + same, new + same
        if old == len(before) or new == len(after):
            break
        was, now = _KEY(before[old]), _KEY(after[new])
        if was <= now:
            removed.append(before[old])
            old += 1
        if now <= was:
            # Whatever was there before it is smaller, but not what came just before it.
            if new and now <= _KEY(after[new - 1]):
                return None
            added.append(after[new])
            new += 1
        if not _is_short(len(removed) + len(added), len(before)):
            return None
    if not _is_short(len(removed) + len(added) + len(before) - old + len(after) - new, len(before)):
        return None
    if any(now <= last for last, now in pairwise(map(_KEY, after[max(new - 1, 0) :]))):
        return None
    return [*removed, *before[old:]], [*added, *after[new:]]


def _run(one: Sequence[Instance], start: int, other: Sequence[Instance], other_start: int) -> int:
    """How many in a row are the same in both."""
    length, block = 0, _BLOCK
    while block:
        here = one[start + length : start + length + block]
        if here and here == other[other_start + length : other_start + length + block]:
            length += len(here)
        else:
            block //= 2
    return length


def _is_short(changes: int, size: int) -> bool:
    """Whether so many changes of a set of that size had better be applied one by one."""
    return changes <= 16 + size // 32
