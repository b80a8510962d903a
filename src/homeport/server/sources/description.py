"""What the check on a source's node says; who mirrors this registry reads it there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from homeport.model import Instance
from homeport.registry.mirroring import SOURCE_CHECK

_UNCONFIRMED = ", not confirmed since "


def confirmed(url: str) -> str:
    """All is as it is at the source."""
    return f"mirrored from {url}"


def unconfirmed(url: str, since: float, reason: str) -> str:
    """It is not known to be, since a Unix time."""
    return f"mirrored from {url}{_UNCONFIRMED}{datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}: {reason}"


def doubts(instance: Instance) -> Iterator[str]:
    """What the registry that an instance comes from says, if it mirrors it itself and it is not confirmed there."""
    return (one.output for one in instance.checks if one.id == SOURCE_CHECK and _UNCONFIRMED in one.output)
