"""Passive health: an instance whose calls fail is left out for a while, then tried with one call at a time.

This is at once outlier ejection (Envoy's ``outlier_detection``) and a circuit breaker for each instance: closed while
it is in use, open while it is ejected, half open when the time is over, until the first call decides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from homeport.errors import SettingsError
from homeport.model import Instance

from .loads import Load, LoadTable

_LEAST_DIFFERENCE = 0.05
"""Among instances that nearly never fail, one failure is many standard deviations, and says nothing."""


class EjectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an instance is left out, and for how long; durations are seconds.

    After ``consecutive_failures`` failures in a row an instance is ejected (0: never for that reason). Every
    ``interval`` the instances with at least ``minimum_calls`` calls since the last time are compared, if there are at
    least ``minimum_instances`` of them: one whose share of successes lies more than ``deviations`` standard deviations
    below their mean, and at least 0.05, is ejected too, and any that failed at least ``failure_share`` of its calls
    while the others did better. The first ejection lasts ``base_time``, each one that follows it as much longer, up to
    ``longest_time``; an instance that stays in use for as long as it was ejected begins anew. Never more than
    ``most_ejected`` of the instances are ejected at once, and never the only one.
    """

    enabled: bool = True
    consecutive_failures: int = 5
    interval: float = 10.0
    minimum_calls: int = 20
    minimum_instances: int = 3
    deviations: float = 1.9
    failure_share: float = 0.5
    base_time: float = 10.0
    longest_time: float = 300.0
    most_ejected: float = 0.5

    def __post_init__(self) -> None:
        for name in ("interval", "base_time", "longest_time"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"client.ejection.{name} is {getattr(self, name)}; it must be above 0")
        for name in ("consecutive_failures", "minimum_calls", "minimum_instances", "deviations"):
            if getattr(self, name) < 0:
                raise SettingsError(f"client.ejection.{name} is {getattr(self, name)}; it must not be below 0")
        for name in ("failure_share", "most_ejected"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"client.ejection.{name} is {getattr(self, name)}; it must lie between 0 and 1")


class OutlierEjection:
    """The judge of one table of loads. Its methods are called under the lock of the table.

    ``ejected`` counts the ejections so far.
    """

    def __init__(self, settings: EjectionSettings) -> None:
        self.ejected = 0
        self._settings = settings
        self.due_at = -math.inf if settings.enabled else math.inf
        self._before: dict[str, tuple[int, int]] = {}

    def began(self, load: Load, now: float) -> bool:
        """The one call of a probation begins; until it has ended nobody else is to make another."""
        if load.probing or not load.on_probation or load.ejected_until is None or now < load.ejected_until:
            return False
        load.probing = True
        return True

    def ended(self, table: LoadTable, load: Load, began_at: float, now: float, *, succeeded: bool | None) -> bool:
        """Take in an outcome; True if somebody was ejected or is in use again."""
        if not self._settings.enabled:
            return False
        if load.on_probation:
            return self._trial_ended(table, load, began_at, now, succeeded=succeeded)
        changed = False
        if self._fails_in_a_row(load) and self._may_eject(table, now):
            self._eject(table, load, now)
            changed = True
        return self._compare(table, now) or changed

    def _trial_ended(
        self, table: LoadTable, load: Load, began_at: float, now: float, *, succeeded: bool | None
    ) -> bool:
        if load.ejected_until is None or began_at < load.ejected_until:
            return False  # a call that began before or during the ejection says nothing new
        if succeeded is None:
            changed, load.probing = load.probing, False
            return changed
        if succeeded:
            self._readmit(table, load, now)
        else:
            self._eject(table, load, now)
        return True

    def _fails_in_a_row(self, load: Load) -> bool:
        wanted = self._settings.consecutive_failures
        return 0 < wanted <= load.consecutive_failures

    def _may_eject(self, table: LoadTable, now: float) -> bool:
        """Whether one more may be ejected; the instances that are registered count."""
        out = sum(1 for load in table.on_probation if load.endpoint in table.members and _is_out(load, now))
        return out + 1 <= most_left_out(len(table.members), self._settings.most_ejected)

    def _eject(self, table: LoadTable, load: Load, now: float) -> None:
        if not load.on_probation and load.ejected_until is not None:
            # It was in use since; how long decides whether this is the same trouble.
            in_use = now - load.ejected_until
            if in_use >= self._time(load.ejections):
                load.ejections = 0
        self.ejected += 1
        load.ejections += 1
        load.ejected_until = now + self._time(load.ejections)
        load.on_probation = True
        table.on_probation.add(load)
        load.probing = False
        load.consecutive_failures = 0

    def _time(self, ejections: int) -> float:
        return min(self._settings.base_time * ejections, self._settings.longest_time)

    def _readmit(self, table: LoadTable, load: Load, now: float) -> None:
        load.on_probation = False
        table.on_probation.discard(load)
        load.probing = False
        load.ejected_until = now
        load.consecutive_failures = 0
        load.failure_share = 0.0
        self._before[load.endpoint] = (load.successes, load.failures)

    def _compare(self, table: LoadTable, now: float) -> bool:
        """Once an interval, eject whose calls fail more often than those of the others."""
        settings = self._settings
        if now < self.due_at:
            return False
        self.due_at = now + settings.interval
        shares: dict[Load, float] = {}
        before, self._before = self._before, {}
        for load in table.values():
            successes, failures = before.get(load.endpoint, (0, 0))
            new_successes, new_failures = load.successes - successes, load.failures - failures
            self._before[load.endpoint] = (load.successes, load.failures)
            calls = new_successes + new_failures
            if load.on_probation or load.endpoint not in table.members or calls < max(1, settings.minimum_calls):
                continue
            shares[load] = new_successes / calls
        if len(shares) < settings.minimum_instances:
            return False
        mean = statistics.fmean(shares.values())
        floor = mean - settings.deviations * statistics.pstdev(shares.values())
        changed = False
        for load, share in sorted(shares.items(), key=lambda item: item[1]):
            much = share <= 1 - settings.failure_share and share < mean
            stands_out = share < floor and share <= mean - _LEAST_DIFFERENCE
            if (stands_out or much) and self._may_eject(table, now):
                self._eject(table, load, now)
                changed = True
        return changed


def most_left_out(known: int, share: float) -> int:
    """How many of so many instances may be left out; one at least when there are two, and never all."""
    return min(max(1, math.floor(known * share)), known - 1) if share > 0 and known > 1 else 0


def admitted(
    instances: Sequence[Instance], table: LoadTable, now: float, *, most_ejected: float
) -> tuple[tuple[Instance, ...], float | None]:
    """The instances that may be called now, and when that has to be looked at again (None: when a verdict changes).

    Those whose ejection is over are among them unless their one trial call is under way. If more are out than
    ``most_ejected`` allows of *these* instances, those who would come back first are called all the same.
    """
    if not table.on_probation:
        return tuple(instances), None
    out: list[tuple[float, Instance]] = []
    again: float | None = None
    for instance in instances:
        load = table.of_instance(instance)
        if not load.on_probation or load.ejected_until is None:
            continue
        if now < load.ejected_until:
            out.append((load.ejected_until, instance))
            again = load.ejected_until if again is None else min(again, load.ejected_until)
        elif load.probing:
            out.append((now, instance))
    if not out:
        return tuple(instances), again
    out.sort(key=lambda one: one[0], reverse=True)
    left_out = {id(instance) for _, instance in out[: most_left_out(len(instances), most_ejected)]}
    return tuple(instance for instance in instances if id(instance) not in left_out), again


def _is_out(load: Load, now: float) -> bool:
    return load.on_probation and load.ejected_until is not None and (now < load.ejected_until or load.probing)
