"""Transactions on health checks: registering, removing, and the one way a status changes."""

from __future__ import annotations

import msgspec

from ..model import Status
from .records import CHECKS, HISTORY, SERVICES, CheckRecord, HistoryRecord, Transition
from .store.transaction import Refusal, Transaction

KEPT_TRANSITIONS = 20
KEPT_OUTPUT = 512
"""Characters of an output that a transition keeps; all of a check's transitions are written with each of them."""
FROM_FILE = "file"
"""The `CheckRecord.origin` of the checks that the operator's file gives every instance of a service."""
SERVICE_MAINTENANCE = "_service_maintenance:"
NODE_MAINTENANCE = "_node_maintenance"


def put_check(transaction: Transaction, check: CheckRecord, *, now: float, keeps_state: bool) -> CheckRecord:
    """Create or replace a check, and return it as it stands.

    With ``keeps_state`` an existing check keeps its status and output, as an agent's does when it is registered
    again; without, the status given is a result like any other and goes into the history.
    """
    before = transaction.get(CHECKS, check.node, check.id)
    if before is not None and keeps_state:
        check = msgspec.structs.replace(
            check, status=before.status, output=before.output, critical_since=before.critical_since
        )
    elif before is None or before.status != check.status:
        check = _turned(transaction, check, check.status, check.output, now)
    else:
        check = msgspec.structs.replace(check, critical_since=before.critical_since)
    transaction.put(CHECKS, check)
    return check


def remove_check(transaction: Transaction, node: str, check_id: str) -> bool:
    """Remove a check and its history; False when there is none."""
    transaction.delete(HISTORY, node, check_id)
    return transaction.delete(CHECKS, node, check_id)


def set_status(
    transaction: Transaction, node: str, check_id: str, status: Status, output: str, *, now: float
) -> CheckRecord:
    """Set the status and output of a check; what does not change writes nothing.

    Raises:
        Refusal: 404, there is no such check.
    """
    check = transaction.get(CHECKS, node, check_id)
    if check is None:
        raise Refusal(
            f'Unknown check ID "{check_id}". Ensure that the check ID is passed, not the check name.', status=404
        )
    if check.status == status:
        changed = msgspec.structs.replace(check, output=output)
    else:
        changed = _turned(transaction, check, status, output, now)
    transaction.put(CHECKS, changed)
    return changed


def set_maintenance(
    transaction: Transaction, node: str, service_id: str | None, *, enable: bool, reason: str, now: float
) -> None:
    """Put an instance (or, with None, the node) into maintenance or take it out.

    Raises:
        Refusal: 404, there is no such service.
    """
    service_name = ""
    if service_id is None:
        check_id, name, note = (
            NODE_MAINTENANCE,
            "Node Maintenance Mode",
            "Maintenance mode is enabled for this node, but no reason was provided. This is a default message.",
        )
    else:
        service = transaction.get(SERVICES, node, service_id)
        if service is None:
            raise Refusal(
                f'Unknown service ID "{service_id}". Ensure that the service ID is passed, not the service name.',
                status=404,
            )
        service_id, service_name = service.id, service.name
        check_id = SERVICE_MAINTENANCE + service_id
        name, note = (
            "Service Maintenance Mode",
            "Maintenance mode is enabled for this service, but no reason was provided. This is a default message.",
        )
    if not enable:
        remove_check(transaction, node, check_id)
        return
    if transaction.get(CHECKS, node, check_id) is not None:
        return
    check = CheckRecord(
        node=node, id=check_id, name=name, notes=reason or note, status="critical",
        service_id=service_id or "", service_name=service_name, type="maintenance",
    )  # fmt: skip
    put_check(transaction, check, now=now, keeps_state=False)


def _turned(transaction: Transaction, check: CheckRecord, status: Status, output: str, now: float) -> CheckRecord:
    """The check with its new status, and that turn written into its history."""
    history = transaction.get(HISTORY, check.node, check.id) or HistoryRecord(node=check.node, check_id=check.id)
    turn = Transition(now, status, output if len(output) <= KEPT_OUTPUT else f"{output[:KEPT_OUTPUT]} …")
    transaction.put(
        HISTORY, msgspec.structs.replace(history, transitions=(*history.transitions[1 - KEPT_TRANSITIONS :], turn))
    )
    return msgspec.structs.replace(
        check, status=status, output=output, critical_since=now if status == "critical" else 0.0
    )
