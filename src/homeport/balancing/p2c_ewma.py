"""The better of two random instances, by latency, load and failures."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from math import exp
from random import random as system_random

from homeport.model import Instance, Snapshot

from .balancer import Picker, nobody
from .loads import Load, Loads
from .options import Options
from .weights import weighted

_MEMORY = 10.0
"""Seconds of idleness after which what was measured counts 1/e."""

_FAILURE_EXPONENT = 6
_LEAST_SUCCESS = 0.05
_LEAST_LATENCY = 1e-6


class P2CEWMA:
    """Two instances are drawn by weight, and the one with the lower cost is called.

    The cost is the mean latency (`Load.latency`, which counts a rise at once), times one and the calls under way for
    the weight, and grows steeply with the share of failures: an instance that fails fast is not a fast one. Comparing
    two rather than all keeps processes that know the same from all choosing the same instance, and a choice costs the
    same in a large service. Weight 0 gets nothing unless all have it.

    An instance without a measurement is taken to be as fast as the one it is compared with; since its calls under way
    count, it gets its share of calls, not all of them. What was measured fades while an instance is idle, so one that
    was slow or failed is tried again; while that call is under way, it counts in full again. ``random`` gives numbers
    in [0, 1).
    """

    needs_outcomes = True

    def __init__(self, *, random: Callable[[], float] = system_random) -> None:
        self._random = random

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that compares the instances of ``snapshot``."""
        instances, weights = weighted(snapshot.instances)
        size = len(instances)
        if not size:
            return nobody
        known = [loads.of_instance(instance) for instance in instances]
        even = len(set(weights)) == 1
        limits = list(accumulate(weights))
        total, random, clock = limits[-1], self._random, loads.table.clock
        # What one call under way counts; idle instances cost the same whatever their weight, as the draw obeys it.
        shares = [total / size / weight for weight in weights]

        def pick(_key: str | None = None) -> Instance | None:
            if size == 1:
                return instances[0]
            if even:
                first, second = int(random() * size), int(random() * (size - 1))
                if second >= first:
                    second += 1
            else:
                first, second = bisect(limits, random() * total), bisect(limits, random() * total)
                if first == second:
                    return instances[first]
            one, other = known[first], known[second]
            one_latency, other_latency = one.latency, other.latency
            if one_latency is None:
                one_latency = other_latency = other_latency or 0.0
            elif other_latency is None:
                other_latency = one_latency
            now = clock()
            better = _cost(one, one_latency, shares[first], now) <= _cost(other, other_latency, shares[second], now)
            return instances[first if better else second]

        return pick


def _cost(load: Load, latency: float, share: float, now: float) -> float:
    failures = load.failure_share
    in_flight = load.in_flight
    if not in_flight:
        # Only of idle instances: one that hangs measures nothing either, and must not become cheap by that.
        fading = exp((load.latency_at - now) / _MEMORY)
        latency *= fading
        failures *= fading
    cost = (latency + _LEAST_LATENCY) * (1.0 + in_flight * share)
    return cost / max(_LEAST_SUCCESS, 1.0 - failures) ** _FAILURE_EXPONENT if failures else cost


def configured(_options: Options) -> P2CEWMA:
    """The policy; it has no options."""
    return P2CEWMA()
