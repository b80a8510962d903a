"""Records as the agent's own view of them, which differs from the catalog's. Pure: records in, wire shapes out."""

from __future__ import annotations

import msgspec

from homeport.registry.records import CheckRecord, Entry, ServiceRecord
from homeport.wire import consul

from .rows import check_row

_PROXY_KINDS = frozenset(("connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"))
_NATIVE = b'{"Native":true}'


def agent_service(record: ServiceRecord, datacenter: str) -> consul.AgentService:
    """An instance as in ``agent/services``: a proxy block is shown for proxies only, Connect only when native."""
    return consul.AgentService(
        kind=record.kind, id=record.id, service=record.name, tags=list(record.tags), meta=record.meta, port=record.port,
        address=record.address, socket_path=record.socket_path,
        tagged_addresses={
            name: consul.ServiceAddress(address=address, port=port)
            for name, (address, port) in record.tagged_addresses.items()
        } or None,
        weights=consul.Weights(passing=record.weights[0], warning=record.weights[1]),
        enable_tag_override=record.enable_tag_override,
        proxy=msgspec.Raw(record.proxy or bytes(consul.NO_PROXY)) if record.kind in _PROXY_KINDS else msgspec.UNSET,
        connect=msgspec.Raw(_NATIVE) if record.connect.startswith(_NATIVE[:-1]) else msgspec.UNSET,
        datacenter=datacenter,
        locality=msgspec.json.decode(record.locality, type=consul.Locality) if record.locality else None,
    )  # fmt: skip


def agent_check(entry: Entry, tags: tuple[str, ...], *, output: str) -> consul.HealthCheck:
    """A check as in ``agent/checks``: with its newest output, and no indexes, since the agent knows none."""
    return msgspec.structs.replace(check_row(entry, tags), output=output, create_index=0, modify_index=0)


def agent_health_check(record: CheckRecord, tags: tuple[str, ...], *, output: str) -> consul.AgentHealthCheck:
    """A check as inside ``agent/health/service``, where Consul leaves out its type, definition and indexes."""
    return consul.AgentHealthCheck(
        node=record.node, check_id=record.id, name=record.name, status=record.status, notes=record.notes,
        output=output, service_id=record.service_id, service_name=record.service_name, service_tags=list(tags),
    )  # fmt: skip
