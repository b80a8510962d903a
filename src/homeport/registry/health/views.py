"""Checks as those see them who ask: what is in the catalog, with what is known of the newest result. Pure."""

from __future__ import annotations

import msgspec

from homeport.model import Status

from ..records import CheckRecord
from .live import ALIAS, LiveCheck


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """A check as it is.

    ``status`` is what every answer of the registry says; ``output`` may be newer than what they say.
    ``checked_at`` is the Unix time of the newest result, None when there was none since the start or the check is not
    executed here. ``flapping`` says that the status changes so often that (but for TTL checks) the worst of it is held.
    ``critical_since`` is the Unix time of the turn to critical, None otherwise.
    """

    node: str
    service: str
    service_id: str
    check_id: str
    name: str
    type: str
    status: Status
    output: str
    notes: str
    checked_at: float | None
    critical_since: float | None
    flapping: bool


def view(record: CheckRecord, live: LiveCheck | None, *, flapping: bool) -> CheckView:
    """The view of a check; ``live`` is None for one that is not executed here."""
    knows_more = live is not None and record.type != ALIAS and live.definition.kind != ALIAS
    return CheckView(
        node=record.node, service=record.service_name, service_id=record.service_id, check_id=record.id,
        name=record.name, type=record.type, status=record.status, output=live.output if live is not None and knows_more
        else record.output, notes=record.notes, checked_at=live.checked_at if live is not None else None,
        critical_since=record.critical_since or None, flapping=flapping,
    )  # fmt: skip
