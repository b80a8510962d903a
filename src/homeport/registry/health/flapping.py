"""When a status that keeps changing is held instead of believed. Pure.

A check flaps when its status changed at least ``changes`` times within a window of some of its intervals. While it
does, the worst status of that window stands, so that an instance that comes and goes gets no traffic until it is
steady.
"""

from __future__ import annotations

import msgspec

from homeport.model import Status, worst_status

_KEPT = 64  # changes; whoever changes a status faster than that does not need more of them to flap


class Steadiness(msgspec.Struct, frozen=True, gc=False):
    """The newest status of a check, and its recent changes (when, and from which status), oldest first."""

    status: Status
    changes: tuple[tuple[float, Status], ...] = ()


def observe(steadiness: Steadiness, status: Status, *, now: float, window: float) -> Steadiness:
    """Take in a status seen at ``now``; changes older than ``window`` seconds are forgotten."""
    changes = steadiness.changes
    if changes and changes[0][0] <= now - window:
        changes = tuple(change for change in changes if change[0] > now - window)
    if status != steadiness.status:
        changes = (*changes[1 - _KEPT :], (now, steadiness.status))
    elif changes is steadiness.changes:
        return steadiness
    return Steadiness(status, changes)


def flaps(steadiness: Steadiness, *, now: float, window: float, changes: int) -> bool:
    """Whether the status changed ``changes`` times or more within the last ``window`` seconds; 0 is never."""
    if not changes or len(steadiness.changes) < changes:
        return False
    return steadiness.changes[-changes][0] > now - window


def held(steadiness: Steadiness) -> Status:
    """The worst status of the window: what stands while a check flaps."""
    return worst_status((steadiness.status, *(before for _, before in steadiness.changes)))
