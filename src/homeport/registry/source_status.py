"""How sources fare, as those see them who ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import msgspec

SourceState: TypeAlias = Literal["connecting", "connected", "stale", "refused"]


class HeldRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """Instances of a service that are gone at the source and kept here until a Unix time, unless they come back."""

    service: str
    instances: int
    until: float


class NameConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A service that is not mirrored since another node has one of that name."""

    service: str
    node: str


class SourceBehind(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a source that is not confirmed there: its node there, and what that says."""

    node: str
    reason: str


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source.

    ``connecting`` is one that was not reached yet since the start, ``refused`` one that is not mirrored at all.
    ``stale_since`` is the Unix time since when its rows, or some of them, are not confirmed, and ``reason`` why. The
    reason of a ``connected`` one is why something of it can never be mirrored and is left out.
    ``services`` and ``instances`` count what is mirrored here, ``looped`` the instances that came from this registry
    and were left out. ``unconfirmed`` are sources of the source itself that it cannot confirm. ``last_change`` is the
    Unix time of the last write.
    """

    node: str
    url: str
    owner: str
    state: SourceState
    stale_since: float | None = None
    reason: str = ""
    services: int = 0
    instances: int = 0
    looped: int = 0
    held: Sequence[HeldRemoval] = ()
    conflicts: Sequence[NameConflict] = ()
    unconfirmed: Sequence[SourceBehind] = ()
    last_change: float | None = None


Statuses: TypeAlias = Callable[[], Sequence[SourceStatus]]
"""Tells how each source fares now."""


def no_sources() -> Sequence[SourceStatus]:
    """What a registry without sources says."""
    return ()
