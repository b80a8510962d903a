"""The instance with the fewest calls under way."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import attrgetter
from random import random as system_random

from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .balancer import Picker, nobody
from .loads import Load, Loads
from .options import Options
from .weights import weighted


class LeastConnections:
    """The instance with the fewest calls of this process under way for its weight.

    Weight 0 gets nothing unless all have it. Among equals the first after a random place (by weight) is chosen, so that
    idle instances share calls by weight. It looks at ``choices`` instances, at all when there are no more: that is
    nearly as good as looking at all, and a choice costs the same in a large service. ``random`` gives numbers in
    [0, 1).
    """

    needs_outcomes = True

    def __init__(self, *, choices: int = 16, random: Callable[[], float] = system_random) -> None:
        if choices < 2:
            raise SettingsError(f"choices of the balancer least_connections is {choices}; give 2 or more")
        self._choices = choices
        self._random = random

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that compares the instances of ``snapshot``."""
        instances, weights = weighted(snapshot.instances)
        size = len(instances)
        if not size:
            return nobody
        known = [loads.of_instance(instance) for instance in instances]
        calls = _calls_by_weight(known, weights)
        looked_at = min(size, self._choices)
        ring = known + known[: looked_at - 1]
        instance_of = dict(zip(known, instances, strict=True))
        limits, random = list(accumulate(weights)), self._random
        total = limits[-1]

        def pick(_key: str | None = None) -> Instance | None:
            start = bisect(limits, random() * total)
            return instance_of[min(ring[start : start + looked_at], key=calls)]

        return pick


def _calls_by_weight(known: Sequence[Load], weights: Sequence[int]) -> Callable[[Load], float]:
    if len(set(weights)) == 1:
        return attrgetter("in_flight")  # half the time of a function
    share = {load: 1 / weight for load, weight in zip(known, weights, strict=True)}
    return lambda load: load.in_flight * share[load]


def configured(options: Options) -> LeastConnections:
    """The policy; its option is ``choices``."""
    return LeastConnections(choices=options.whole_number("choices", 16, least=2))
