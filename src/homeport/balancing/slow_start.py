"""New instances take their full share only after a while."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import random as system_random

from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot

from .balancer import Balancer, Picker, open_balancer
from .key_hash import key_hash
from .loads import Loads
from .options import Options
from .parts import part_picker

_KEPT = "slow_start began"
_SALT = 0xA24BAED4963EE407


class SlowStart:
    """New instances warm up; which instance takes a call is another policy's choice.

    The part of its calls that a new instance takes grows evenly over ``window`` seconds, from ``minimum`` to all. What
    it does not take yet, the same policy gives to the others.

    New is who was not registered before; the instances of the first snapshot are not, and neither is who was only
    ejected or failed its checks for a while. If all are new, the oldest of them count as warm: there is nobody else to
    take the calls. ``random`` gives numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        window: float = 30.0,
        minimum: float = 0.1,
        inner: str | Balancer = "round_robin",
        random: Callable[[], float] = system_random,
    ) -> None:
        if not window > 0:
            raise SettingsError(f"window of the balancer slow_start is {window}; it must be above 0")
        if not 0 <= minimum <= 1:
            raise SettingsError(f"minimum of the balancer slow_start is {minimum}; it must lie between 0 and 1")
        self._window = window
        self._minimum = minimum
        self._inner = open_balancer(inner)
        self._random = random

    @property
    def needs_outcomes(self) -> bool:
        """Whether the inner policy does."""
        return self._inner.needs_outcomes

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that passes most calls of new instances on."""
        table = loads.table
        began = _began(snapshot, loads, table.clock())
        pick_any = part_picker(self._inner, snapshot, snapshot.instances, loads, name="slow_start")
        if not began:
            return pick_any
        window, minimum, clock, random = self._window, self._minimum, table.clock, self._random
        warm_since = max(min(began), clock() - window)
        new = {
            id(instance): since for instance, since in zip(snapshot.instances, began, strict=True) if since > warm_since
        }
        if not new:
            return pick_any
        warm = [instance for instance in snapshot.instances if id(instance) not in new]
        pick_warm = part_picker(self._inner, snapshot, warm, loads, name="slow_start warm")

        def pick(key: str | None) -> Instance | None:
            instance = pick_any(key)
            since = new.get(id(instance))
            if since is None:
                return instance
            part = max(minimum, (clock() - since) / window)
            # By its hash, so that a key that has come to the new instance stays there.
            place = random() if key is None else key_hash(key, _SALT) / 4294967296
            return instance if place < part else pick_warm(key)

        return pick


def _began(snapshot: Snapshot, loads: Loads, now: float) -> list[float]:
    """Since when each instance warms up."""
    before = loads.kept.get(_KEPT)
    known: dict[str, float] = before if isinstance(before, dict) else {}
    unknown = now if isinstance(before, dict) else -inf
    endpoints = [instance.endpoint for instance in snapshot.instances]
    began = {endpoint: known.get(endpoint, unknown) for endpoint in endpoints}
    absent = {endpoint: since for endpoint, since in known.items() if endpoint in loads.table.members}
    loads.kept[_KEPT] = absent | began
    return list(map(began.__getitem__, endpoints))


def configured(options: Options) -> SlowStart:
    """The policy; its options are ``window``, ``minimum`` and ``inner``."""
    return SlowStart(
        window=options.duration("window", 30.0),
        minimum=options.number("minimum", 0.1, least=0, most=1),
        inner=open_balancer(options.text("inner", "round_robin"), options.environ),
    )
