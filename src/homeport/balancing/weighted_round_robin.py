"""Every instance in turn, the heavier ones more often, evenly spread (smooth)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count
from math import gcd
from zlib import crc32

from homeport.model import Instance, Snapshot

from .balancer import Picker, nobody
from .loads import Loads
from .options import Options
from .weights import weighted

_KEPT = "weighted_round_robin"
_TURNS = 4096
"""The most turns in a round, unless that is less than 16 for each instance."""


class WeightedRoundRobin:
    """In every round each instance has as many turns as its weight, evenly spread.

    Weight 0 gets nothing unless all have it. Think of a dial on which an instance of weight w has w marks at even
    distances, and a hand that goes round. A new snapshot changes the marks of who changed, and the hand stays where it
    is. This is as smooth as nginx's algorithm of that name (between two turns of one instance, each other has its part
    of turns, rounded up or down), but a choice neither looks at all instances nor takes a lock.

    A round has at most 4 096 turns, or 16 for each instance if that is more. If the weights (without their common
    divisor) add up to more, shares are exact to one turn of a round, and the lightest keeps one.
    """

    needs_outcomes = False

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that goes on where the one before it stands."""
        instances, weights = weighted(snapshot.instances)
        marks = sorted(
            (mark, instance.endpoint, place)
            for place, (instance, turns) in enumerate(zip(instances, _turns(weights), strict=True))
            for mark in _marks(instance.endpoint, turns)
        )
        size = len(marks)
        if not size:
            return nobody
        dial = _Dial([mark for mark, _, _ in marks], loads)
        advance = dial.advance.__next__
        order = [instances[place] for _, _, place in marks]

        # As in round robin, advancing a count is atomic: no two threads ever have the same turn.
        def pick(_key: str | None = None) -> Instance | None:
            return order[advance() % size]

        return pick


class _Dial:
    """The marks of one picker and the hand that passes them; it begins where the dial before it was left."""

    def __init__(self, marks: Sequence[float], loads: Loads) -> None:
        before = loads.kept.get(_KEPT)
        start = next(loads.cursor)
        if isinstance(before, _Dial):
            # The turn that is taken from the count here has not been given to anybody: it is the next one.
            start = bisect_left(marks, before.marks[next(before.advance) % len(before.marks)])
        self.marks: Sequence[float] = marks
        self.advance: Iterator[int] = count(start)
        loads.kept[_KEPT] = self


def _turns(weights: Sequence[int]) -> list[int]:
    """How many turns each has in a round."""
    divisor = gcd(*weights)
    turns = [weight // divisor for weight in weights]
    most, total = max(_TURNS, 16 * len(turns)), sum(turns)
    return turns if total <= most else [max(1, round(weight * most / total)) for weight in turns]


def _marks(endpoint: str, turns: int) -> Iterator[float]:
    """The places on the dial, in [0, 1); each instance begins somewhere else, the same in every snapshot."""
    offset = crc32(endpoint.encode()) / 2**32
    return ((number + offset) / turns for number in range(turns))


def configured(_options: Options) -> WeightedRoundRobin:
    """The policy; it has no options."""
    return WeightedRoundRobin()
