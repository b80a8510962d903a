"""The health of an instance, a service and of everything, from the checks in the catalog. Pure.

A check counts for what it is attached to; a check of a node counts for all instances on it.
"""

from __future__ import annotations

from collections.abc import Iterable

from homeport.model import Status, worst_status

from ..catalog import Catalog
from ..checks import NODE_MAINTENANCE, SERVICE_MAINTENANCE
from ..records import CheckRecord, Entry, ServiceRecord


def check_status(check: CheckRecord) -> Status:
    """The status of a check as it counts for the whole: that of a maintenance check is ``maintenance``."""
    if check.id == NODE_MAINTENANCE or check.id.startswith(SERVICE_MAINTENANCE):
        return "maintenance"
    return check.status


def instance_status(catalog: Catalog, service: ServiceRecord) -> Status:
    """The worst status of the checks of an instance and of its node; without any it passes."""
    return _worst((*catalog.node_checks(service.node), *catalog.service_checks(service.node, service.id)))


def service_status(catalog: Catalog, name: str) -> Status | None:
    """The worst status of all instances of a service; None when it has none."""
    instances = catalog.instances(name)
    return worst_status(instance_status(catalog, entry.value) for entry in instances) if instances else None


def overall_status(catalog: Catalog) -> Status:
    """The worst status of all checks of all nodes."""
    return _worst(catalog.check_entries())


def _worst(checks: Iterable[Entry]) -> Status:
    return worst_status(check_status(entry.value) for entry in checks)
