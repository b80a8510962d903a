"""An instance of another system as a row of ours. Pure."""

from __future__ import annotations

import msgspec

from homeport.model import CheckState, Instance, Status, worst_status
from homeport.registry.checks import SERVICE_MAINTENANCE
from homeport.registry.mirroring import MIRRORED, PATH, SOURCE_CHECK, Row
from homeport.registry.records import CheckRecord, ServiceRecord
from homeport.registry.registry import SERF_HEALTH

_OF_NODES = (SERF_HEALTH, SOURCE_CHECK)
"""Checks of nodes that say nothing while they pass, and would say it in one row for every instance."""
_ENCODER = msgspec.json.Encoder()
SOURCE_NODE = "homeport-source-node"
"""The metadata key of the node that an instance is on at the source."""
SOURCE_ID = "homeport-source-id"
"""The metadata key of the id that an instance has at the source, where it has another one here."""


class Placement(msgspec.Struct, frozen=True):
    """Where rows go: the node, the name of the service there, and the path of all who had them before, us not."""

    node: str
    service: str
    path: tuple[str, ...]


def path_of(instance: Instance) -> tuple[str, ...]:
    """The way that an instance has come to the source, empty if it is at home there."""
    return tuple(instance.meta.get(PATH, "").split())


def row_of(instance: Instance, service_id: str, placement: Placement) -> Row:
    """The row of an instance, under the id that it has here.

    What Consul has no words for (version, environment, region, zone, start) travels as metadata, as a registration with
    Consul has it.
    """
    meta = {
        **{
            key: value
            for key in ("version", "environment", "region", "zone", "started_at")
            if (value := getattr(instance, key))
        },
        **instance.meta,
        PATH: " ".join(placement.path),
    }
    for key, value in ((SOURCE_NODE, instance.node), (SOURCE_ID, instance.id if instance.id != service_id else "")):
        meta.pop(key, None)
        if value:
            meta[key] = value
    service = ServiceRecord(
        node=placement.node, id=service_id, name=placement.service, tags=instance.tags, address=instance.address,
        port=instance.port, meta=meta, weights=(instance.weight, 1),
    )  # fmt: skip
    return Row(service, _checks(instance, service))


def unstorable(row: Row) -> str:
    """Why a row cannot be stored, empty if it can be: YAML, for one, can write half a surrogate pair into a text."""
    try:
        for record in (row.service, *row.checks):
            _ENCODER.encode(record)
    except UnicodeEncodeError as error:
        return f"the instance {row.service.id!a} of {row.service.name!a} cannot be stored ({error})"
    return ""


def _checks(instance: Instance, service: ServiceRecord) -> tuple[CheckRecord, ...]:
    """The checks by which the instance has here the status that it has at the source."""
    maintained = any(check.status == "maintenance" for check in instance.checks) or instance.status == "maintenance"
    checks = [
        _check(one, service)
        for one in instance.checks
        if one.status != "maintenance" and (one.id not in _OF_NODES or one.status != "passing")
    ]
    told = worst_status(check.status for check in instance.checks)
    if told != instance.status and instance.status in ("warning", "critical"):
        state = CheckState(id="status", name="Status at the source", status=instance.status)
        checks.append(_check(state, service))
    if maintained:
        checks.append(_maintenance(instance, service))
    return tuple(checks)


def _check(state: CheckState, service: ServiceRecord) -> CheckRecord:
    # Two instances at the source may have checks of one id; the escape keeps any two pairs apart.
    owner = service.id.replace("%", "%25").replace(":", "%3A")
    return CheckRecord(
        node=service.node, id=f"{owner}:{state.id}", name=state.name or state.id, status=state.status,
        notes=state.notes, output=state.output, service_id=service.id, service_name=service.name, type=state.kind,
        origin=MIRRORED,
    )  # fmt: skip


def _maintenance(instance: Instance, service: ServiceRecord) -> CheckRecord:
    status: Status = "critical"
    reason = next((check for check in instance.checks if check.status == "maintenance"), None)
    return CheckRecord(
        node=service.node, id=SERVICE_MAINTENANCE + service.id, name="Service Maintenance Mode", status=status,
        notes=reason.notes if reason else "in maintenance at the source", output=reason.output if reason else "",
        service_id=service.id, service_name=service.name, type="maintenance", origin=MIRRORED,
    )  # fmt: skip
