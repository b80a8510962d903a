"""Any instance, by weight."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from random import random as system_random

from homeport.model import Instance, Snapshot

from .balancer import Picker
from .loads import Loads
from .options import Options
from .weights import weighted


class WeightedRandom:
    """Any instance, with a probability in proportion to its weight; weight 0 gets nothing unless all have it.

    ``random`` gives numbers in [0, 1).
    """

    needs_outcomes = False

    def __init__(self, *, random: Callable[[], float] = system_random) -> None:
        self._random = random

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:  # noqa: ARG002 - the same for every policy
        """A picker that draws from the instances of ``snapshot``."""
        instances, weights = weighted(snapshot.instances)
        limits, random = list(accumulate(weights)), self._random
        total = limits[-1] if limits else 0

        def pick(_key: str | None = None) -> Instance | None:
            return instances[bisect(limits, random() * total)] if total else None

        return pick


def configured(_options: Options) -> WeightedRandom:
    """The policy; it has no options."""
    return WeightedRandom()
