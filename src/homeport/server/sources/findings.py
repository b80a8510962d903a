"""What is not here as it is at the source, and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from homeport.registry.source_status import NameConflict, SourceBehind

_log = logging.getLogger(__name__)


class _Finding(msgspec.Struct, frozen=True):
    """Of one service."""

    conflict: NameConflict | None = None
    looped: int = 0
    unstorable: Mapping[str, str] = {}
    unconfirmed: Mapping[str, str] = {}


class Findings:
    """What was found last of each service of the source that stands on ``node``. What is new is logged."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._found: dict[str, _Finding] = {}

    def note(
        self, name: str, *, conflict: NameConflict | None = None, looped: int = 0,
        unstorable: Mapping[str, str] | None = None, unconfirmed: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Replace what is known of a service.

        ``conflict`` is the node that has its name. ``looped`` instances came from this registry. ``unstorable`` says
        by id why an instance cannot be stored, and ``unconfirmed`` by their nodes there what the source says of its own
        sources.
        """
        known = self._found.pop(name, _Finding())
        found = _Finding(conflict, looped, unstorable or {}, unconfirmed or {})
        if conflict is not None and conflict != known.conflict:
            fields = {"source": self._node, "service": conflict.service, "node": conflict.node}
            _log.warning("a service is not mirrored, since there is one of that name here", extra=fields)
        for service_id in found.unstorable.keys() - known.unstorable.keys():
            fields = {"source": self._node, "reason": found.unstorable[service_id]}
            _log.warning("an instance cannot be mirrored", extra=fields)
        if found != _Finding():
            self._found[name] = found

    def forget(self, name: str) -> None:
        """The service is no more."""
        self._found.pop(name, None)

    @property
    def conflicts(self) -> list[NameConflict]:
        """The services that another node has, by name."""
        conflicts = [one.conflict for one in self._found.values() if one.conflict is not None]
        return sorted(conflicts, key=lambda conflict: conflict.service)

    @property
    def looped(self) -> int:
        """How many instances came from this registry and were left out."""
        return sum(one.looped for one in self._found.values())

    @property
    def unstorable(self) -> dict[str, str]:
        """Why an instance cannot be stored, by the service at the source; one of each service."""
        return {name: next(iter(one.unstorable.values())) for name, one in self._found.items() if one.unstorable}

    @property
    def unconfirmed(self) -> list[SourceBehind]:
        """The sources of the source that are not confirmed there, by their nodes.

        That is told, but not written onto our node: in a ring of registries everybody's doubts would come back to
        where they began, and never end.
        """
        behind = {node: reason for one in self._found.values() for node, reason in one.unconfirmed.items()}
        return [SourceBehind(node=node, reason=reason) for node, reason in sorted(behind.items())]
