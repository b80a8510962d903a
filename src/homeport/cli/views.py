"""What programs get as JSON, and people as rows: the model as plain dictionaries whose keys are promised.

Every key is always there; what is not known is null. Times are RFC 3339 in UTC, durations seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from homeport.model import STATUSES, CheckState, Event, Instance, Service, worst_status
from homeport.spi import CheckTransition, ServiceSummary


def timestamp(at: float | None) -> str | None:
    """A Unix time as ``2026-01-31T12:00:00Z``."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def check_view(check: CheckState) -> dict[str, Any]:
    """One check of an instance."""
    return {
        "id": check.id,
        "name": check.name,
        "kind": check.kind,
        "status": check.status,
        "output": check.output,
        "notes": check.notes,
        "checked_at": timestamp(check.checked_at),
        "flapping": check.flapping,
    }


def instance_view(instance: Instance) -> dict[str, Any]:
    """One instance with its checks."""
    return {
        "service": instance.service,
        "id": instance.id,
        "address": instance.address,
        "port": instance.port,
        "endpoint": instance.endpoint,
        "status": instance.status,
        "healthy": instance.healthy,
        "version": instance.version,
        "environment": instance.environment,
        "tags": list(instance.tags),
        "meta": dict(instance.meta),
        "weight": instance.weight,
        "node": instance.node,
        "datacenter": instance.datacenter,
        "region": instance.region,
        "zone": instance.zone,
        "started_at": instance.started_at or None,
        "last_check": timestamp(instance.last_check),
        "checks": [check_view(check) for check in instance.checks],
    }


def summary_view(summary: ServiceSummary) -> dict[str, Any]:
    """One line of a list of services; the counts are null where the backend does not tell."""
    return {
        "name": summary.name,
        "instances": summary.instances,
        "passing": summary.passing,
        "tags": list(summary.tags),
    }


def health_view(service: str, instances: Sequence[Instance]) -> dict[str, Any]:
    """How a service fares: its status is the worst of its instances'."""
    counts = Counter(instance.status for instance in instances)
    return {
        "service": service,
        "status": worst_status(counts),
        "instances": len(instances),
        **{status: counts[status] for status in STATUSES},
    }


def state_view(service: str, instance: str, check: CheckState) -> dict[str, Any]:
    """One check with what it belongs to."""
    return {"service": service, "instance": instance, **check_view(check)}


def transition_view(service: str, transition: CheckTransition) -> dict[str, Any]:
    """One change of a check's status."""
    return {
        "at": timestamp(transition.at),
        "service": service,
        "instance": transition.instance,
        "check": transition.check,
        "status": transition.status,
        "output": transition.output,
    }


def event_view(event: Event, *, at: float) -> dict[str, Any]:
    """One difference between two states of a service."""
    return {
        "at": timestamp(at),
        "event": event.kind,
        "service": event.service,
        "id": event.id,
        "instance": None if event.current is None else instance_view(event.current),
        "previous": None if event.previous is None else instance_view(event.previous),
    }


def failing_checks(instance: Instance) -> list[str]:
    """The names of the checks that do not pass."""
    return [check.name or check.id for check in instance.checks if check.status != "passing"]


def ordered(instances: Iterable[Instance]) -> list[Instance]:
    """Instances by id, then node."""
    return sorted(instances, key=lambda one: (one.service, one.id, one.node))


def registration_view(service: Service, *, backend: str) -> dict[str, Any]:
    """What was registered, and where."""
    host = f"[{service.address}]" if ":" in service.address else service.address
    return {
        "service": service.name,
        "id": service.id,
        "address": service.address,
        "port": service.port,
        "endpoint": f"{host}:{service.port}",
        "tags": list(service.tags),
        "backend": backend,
    }
