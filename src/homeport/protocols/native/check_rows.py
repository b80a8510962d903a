"""Checks and their history as this protocol shows them. Pure: views in, wire shapes out."""

from __future__ import annotations

import msgspec

from homeport.registry.health.history_file import PastTransition
from homeport.registry.health.views import CheckView
from homeport.wire.consul import go_name


class CheckRow(msgspec.Struct, frozen=True, kw_only=True, rename=go_name):
    """A check as it is; times are Unix seconds, null where there is none."""

    node: str
    service: str
    service_id: str
    check_id: str
    name: str
    type: str
    status: str
    output: str
    notes: str
    checked_at: float | None
    critical_since: float | None
    flapping: bool


class TransitionRow(msgspec.Struct, frozen=True, kw_only=True, rename=go_name):
    """One change of a check's status, at a Unix time."""

    service: str
    service_id: str
    check_id: str
    at: float
    status: str
    output: str


def check_row(view: CheckView) -> CheckRow:
    """The row of a check."""
    return CheckRow(
        node=view.node, service=view.service, service_id=view.service_id, check_id=view.check_id, name=view.name,
        type=view.type, status=view.status, output=view.output, notes=view.notes, checked_at=view.checked_at,
        critical_since=view.critical_since, flapping=view.flapping,
    )  # fmt: skip


def transition_row(past: PastTransition) -> TransitionRow:
    """The row of a change."""
    return TransitionRow(
        service=past.service, service_id=past.service_id, check_id=past.check_id, at=past.at, status=past.status,
        output=past.output,
    )  # fmt: skip
