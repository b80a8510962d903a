"""Transactions on service instances."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .checks import FROM_FILE, put_check, remove_check
from .records import CHECKS, SERVICES, CheckRecord, ServiceRecord
from .store.transaction import Refusal, Transaction


def register(
    transaction: Transaction,
    service: ServiceRecord,
    checks: Sequence[CheckRecord],
    *,
    replaces_checks: bool,
    now: float,
) -> None:
    """Register an instance with its checks, as a Consul agent does.

    A check that is known keeps its status. Checks of the instance that are not named stay, unless
    ``replaces_checks``; they follow the instance when its name changed. What the operator gave, maintenance and
    checks from a file, is never replaced.
    """
    transaction.put(SERVICES, service)
    named = {check.id.lower() for check in checks}
    for entry in transaction.scan(("chk", service.node.lower(), service.id.lower())):
        check: CheckRecord = entry.value
        if check.id.lower() in named:
            continue
        if replaces_checks and check.type != "maintenance" and check.origin != FROM_FILE:
            remove_check(transaction, check.node, check.id)
        elif check.service_name != service.name:
            transaction.put(CHECKS, msgspec.structs.replace(check, service_name=service.name))
    for check in checks:
        put_check(transaction, check, now=now, keeps_state=True)


def deregister(transaction: Transaction, node: str, service_id: str) -> bool:
    """Remove an instance and its checks; False when there is none."""
    for entry in transaction.scan(("chk", node.lower(), service_id.lower())):
        remove_check(transaction, entry.value.node, entry.value.id)
    return transaction.delete(SERVICES, node, service_id)


def deregister_incarnation(transaction: Transaction, node: str, service_id: str, incarnation: str) -> bool:
    """Remove an instance only if it was registered by that incarnation; False when it was not, or there is none."""
    service = transaction.get(SERVICES, node, service_id)
    if service is None or service.meta.get(INCARNATION) != incarnation:
        return False
    return deregister(transaction, node, service_id)


def must_know(transaction: Transaction, node: str, service_id: str) -> ServiceRecord:
    """The instance; raises `Refusal` with 404 and Consul's words when there is none."""
    service = transaction.get(SERVICES, node, service_id)
    if service is None:
        raise Refusal(
            f'Unknown service ID "{service_id}". Ensure that the service ID is passed, not the service name.',
            status=404,
        )
    return service


INCARNATION = "homeport-incarnation"
"""The metadata key by which a registration tells one process' attempt from its successor's."""
