"""How many results in a row it takes to move a status. Pure.

As Consul's agent counts (https://developer.hashicorp.com/consul/docs/services/usage/checks, success and failures before
…): a warning is a success for the counters, and a TTL check has no counters at all.
"""

from __future__ import annotations

import msgspec

from homeport.model import Status, worst_status

from ..records import CheckDefinition


class Streak(msgspec.Struct, frozen=True, gc=False):
    """How many results in a row were successes, or failures; one of the two is 0."""

    successes: int = 0
    failures: int = 0


NO_RESULTS = Streak()


def advance(
    streak: Streak, current: Status, result: Status, definition: CheckDefinition
) -> tuple[Streak, Status | None]:
    """The streak with one more result, and the status that it gives, None while the result does not count yet.

    A failure below the threshold of critical gives warning from the threshold of warning on (which is by default that
    of critical), but never makes a status better than ``current``.
    """
    if result != "critical":
        successes = streak.successes + 1
        return Streak(successes, 0), result if successes >= definition.success_before_passing else None
    failures = streak.failures + 1
    if failures >= definition.failures_before_critical:
        return Streak(0, failures), "critical"
    if failures >= (definition.failures_before_warning or definition.failures_before_critical):
        return Streak(0, failures), worst_status((current, "warning"))
    return Streak(0, failures), None
