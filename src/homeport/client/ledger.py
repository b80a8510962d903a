"""What is believed about one service, and how far: pure, given the times.

The rules in one place: a complete set replaces the one before; an empty set is believed when the backend states it; a
failure keeps the last set and marks it stale; after a *reset* (the registry lost or replaced its data) the instances
that are missing are kept, stale, until they are back or a grace has passed; an answer older than what is known
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from homeport.instance_order import Change, InstanceOrder
from homeport.model import Instance
from homeport.spi import Cursor, Observed

RESET = "reset"


class Belief(msgspec.Struct, frozen=True, kw_only=True):
    """The instances of a service, healthy or not, ordered by id; stale as in `homeport.Snapshot`.

    ``backend`` is the URL of the backend that named them. ``change`` is what led to these instances from those of an
    earlier belief, where that is known: it is no part of what is believed, but saves who followed it so far to look
    at each of them.
    """

    instances: tuple[Instance, ...] = ()
    stale_since: float | None = None
    reason: str = ""
    protected: bool = False
    backend: str = ""
    change: Change | None = None


class Ledger:
    """The belief about one service. Each method says whether the belief changed.

    ``now`` is a time on any steady clock, ``wall`` the Unix time.
    """

    def __init__(self, *, reset_grace: float, backend: str = "") -> None:
        self._reset_grace = reset_grace
        self._backend = backend
        self._missing: tuple[Instance, ...] = ()
        self._confirmed: tuple[Instance, ...] = ()
        self._protected = False
        self._order = InstanceOrder()
        self.belief: Belief | None = None
        self.cursor: Cursor | None = None
        self.grace_ends_at: float | None = None

    def observed(self, observed: Observed, *, now: float, wall: float) -> bool:
        """Take in what the backend states."""
        if self._is_old(observed):
            return False
        shown = self.belief.instances if self.belief is not None else ()
        if observed.reset and shown:
            self._missing = shown
            self.grace_ends_at = now + self._reset_grace
        self.cursor = observed.cursor
        self._confirmed = observed.instances
        self._protected = observed.protected
        return self._conclude(now=now, wall=wall)

    def failed(self, reason: str, *, wall: float) -> bool:
        """Take in that the backend could not be asked, for a reason in words. The first reason of an outage stands."""
        if self.belief is None or (self.belief.stale_since is not None and self.belief.reason != RESET):
            return False
        since = wall if self.belief.stale_since is None else self.belief.stale_since
        return self._believe(msgspec.structs.replace(self.belief, stale_since=since, reason=reason))

    def grace_passed(self, *, now: float, wall: float) -> bool:
        """Take in that time has passed, for the end of the grace after a reset."""
        if self.grace_ends_at is None or now < self.grace_ends_at or self.belief is None:
            return False
        if self.belief.reason != RESET:  # an outage since: the backend has to confirm first
            return False
        return self._conclude(now=now, wall=wall)

    def _is_old(self, observed: Observed) -> bool:
        """Whether it was overtaken by a newer answer; only positions of the same data can be compared."""
        known = self.cursor
        return (
            known is not None
            and not observed.reset
            and known.store == observed.cursor.store
            and 0 < observed.cursor.position < known.position
        )

    def _conclude(self, *, now: float, wall: float) -> bool:
        if self._missing:
            over = self.grace_ends_at is not None and now >= self.grace_ends_at
            self._missing = () if over else _still_missing(self._missing, self._confirmed)
        if not self._missing:
            self.grace_ends_at = None
            return self._believe_in(self._confirmed)
        since = self.belief.stale_since if self.belief is not None else None
        return self._believe_in(
            (*self._confirmed, *self._missing), stale_since=wall if since is None else since, reason=RESET
        )

    def _believe_in(
        self, instances: tuple[Instance, ...], *, stale_since: float | None = None, reason: str = ""
    ) -> bool:
        belief = Belief(
            instances=self._order.of(instances),
            stale_since=stale_since,
            reason=reason,
            protected=self._protected,
            backend=self._backend,
            change=self._order.change,
        )
        return self._believe(belief)

    def _believe(self, belief: Belief) -> bool:
        known = self.belief
        if known is not None and msgspec.structs.replace(belief, change=known.change) == known:
            return False
        self.belief = belief
        return True


def continued(known: Cursor | None, observed: Observed) -> Observed:
    """An answer to a plain question, marked as a reset if it does not continue what was known when it was asked.

    It does not when the store is another one, or the position went back.
    """
    if known is None or observed.reset:
        return observed
    cursor = observed.cursor
    other_store = bool(known.store and cursor.store and known.store != cursor.store)
    if not other_store and cursor.position >= known.position:
        return observed
    return msgspec.structs.replace(observed, reset=True)


def _still_missing(missing: Iterable[Instance], present: Iterable[Instance]) -> tuple[Instance, ...]:
    """Those present neither by id nor by address: a program that starts anew may come back under another id."""
    ids, endpoints = set(), set()
    for instance in present:
        ids.add((instance.node, instance.id))
        endpoints.add(instance.endpoint)
    return tuple(
        instance
        for instance in missing
        if (instance.node, instance.id) not in ids and instance.endpoint not in endpoints
    )
