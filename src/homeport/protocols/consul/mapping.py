"""Bodies of Consul's requests as records. Pure: checked shapes in, records out.

Bodies come here after the rules of `homeport.wire.consul_rules`, so ids, names, tags, weights and durations are set and
valid. What is refused here is what Consul would do and this registry does not: it says so instead of pretending.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from homeport.model import Status
from homeport.registry.records import CheckDefinition, CheckRecord, NodeRecord, ServiceRecord
from homeport.registry.registry import SERF_HEALTH
from homeport.wire import consul, consul_mesh, golang
from homeport.wire.consul_rules import RuleBroken, check_kind
from homeport.wire.durations import parse_duration
from homeport.wire.http import HTTPError

S = TypeVar("S", bound=msgspec.Struct)

SCRIPTS_DISABLED = (
    "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"
)

_EXECUTED_KINDS = ("http", "tcp", "grpc", "ttl", "alias", "script")


def checked(body: S, rules: Callable[[S], S]) -> S:
    """The body with what the rules fill in. Raises `HTTPError` with Consul's words for a rule that is broken."""
    try:
        return rules(body)
    except RuleBroken as broken:
        raise HTTPError(broken.status, str(broken)) from None


# ----- agent ----------------------------------------------------------------------------------------------------------


def with_address_of(body: consul.ServiceRegistration, client: str) -> consul.ServiceRegistration:
    """The body with the address of the client's host, when it gives none and comes from another host than ours.

    All replicas are one agent, which runs on no service's host: an empty address, which for Consul means "where the
    agent is", can only mean the client's. A client on loopback keeps Consul's behaviour.
    """
    if body.address or body.socket_path:
        return body
    address = _address_of_another_host(client)
    return msgspec.structs.replace(body, address=address) if address else body


def service_record(body: consul.ServiceRegistration, *, node: str) -> ServiceRecord:
    """The instance of a checked ``agent/service/register`` body. Raises `HTTPError` for what is not supported."""
    connect = msgspec.convert(body.connect or {}, consul_mesh.Connect)
    if connect.sidecar_service is not None:
        raise HTTPError(
            400, "Connect.SidecarService is not supported yet: register the sidecar proxy as a service of its own"
        )
    weights = body.weights or consul.DEFAULT_WEIGHTS
    return ServiceRecord(
        node=node, id=body.id, name=body.name, kind=body.kind, tags=tuple(body.tags or ()), address=body.address,
        port=body.port, socket_path=body.socket_path, tagged_addresses=_tagged(body.tagged_addresses),
        meta=body.meta or {}, weights=(weights.passing, weights.warning), enable_tag_override=body.enable_tag_override,
        proxy=_proxy(msgspec.convert(body.proxy or {}, consul_mesh.Proxy)),
        connect=_connect(connect), locality=_locality(body.locality),
    )  # fmt: skip


def service_checks(body: consul.ServiceRegistration, *, node: str, allows_scripts: bool) -> list[CheckRecord]:
    """The checks of a checked ``agent/service/register`` body. Raises `HTTPError` for one that is not executed here."""
    return [
        msgspec.structs.replace(
            _executed(check, check.check_id, node=node, allows_scripts=allows_scripts),
            service_id=body.id,
            service_name=body.name,
        )
        for check in body.checks or ()
    ]


def check_record(body: consul.CheckRegistration, *, node: str, allows_scripts: bool) -> CheckRecord:
    """The check of a checked ``agent/check/register`` body; the name of its service is the caller's to fill in.

    Raises `HTTPError` for one that is not executed here.
    """
    record = _executed(body, body.id, node=node, allows_scripts=allows_scripts)
    # Consul tells the times here, and neither of them for a check that came with its service.
    return msgspec.structs.replace(
        record, service_id=body.service_id, interval=body.interval or "0s", timeout=body.timeout or "0s"
    )


def _executed(check: consul.CheckSpecification, check_id: str, *, node: str, allows_scripts: bool) -> CheckRecord:
    if check_id.lower() == SERF_HEALTH.lower():
        raise HTTPError(400, f'the check id "{SERF_HEALTH}" is the agent\'s own; choose another one')
    kind = check_kind(check)
    if kind not in _EXECUTED_KINDS:
        raise HTTPError(
            400, f'checks of the kind "{kind}" are not executed here; use one of {", ".join(_EXECUTED_KINDS)}'
        )
    if kind == "script" and not allows_scripts:
        raise HTTPError(500, SCRIPTS_DISABLED)
    return CheckRecord(
        node=node, id=check_id, name=check.name, status=_status(check.status), notes=check.notes, type=kind,
        definition=_definition(check, kind), executed=True,
    )  # fmt: skip


def _definition(check: consul.CheckSpecification, kind: str) -> CheckDefinition:
    return CheckDefinition(
        kind=kind, http=check.http, method=check.method,
        header={name: tuple(values) for name, values in (check.header or {}).items()}, body=check.body,
        disable_redirects=check.disable_redirects, tcp=check.tcp, tcp_use_tls=check.tcp_use_tls, grpc=check.grpc,
        grpc_use_tls=check.grpc_use_tls, script=tuple(check.script_args or ()), alias_node=check.alias_node,
        alias_service=check.alias_service, ttl=_seconds(check.ttl), interval=_seconds(check.interval),
        timeout=_seconds(check.timeout), tls_server_name=check.tls_server_name, tls_skip_verify=check.tls_skip_verify,
        success_before_passing=check.success_before_passing, failures_before_warning=check.failures_before_warning,
        failures_before_critical=check.failures_before_critical,
        deregister_after=_seconds(check.deregister_critical_service_after),
        output_max_bytes=check.output_max_size,
    )  # fmt: skip


# ----- catalog --------------------------------------------------------------------------------------------------------


def node_record(body: consul.CatalogRegistration) -> NodeRecord:
    """The node of a checked ``catalog/register`` body."""
    return NodeRecord(
        name=body.node, id=body.id, address=body.address, tagged_addresses=body.tagged_addresses or {},
        meta=body.node_meta or {}, locality=_locality(body.locality),
    )  # fmt: skip


def catalog_service_record(body: consul.CatalogServiceBody, *, node: str) -> ServiceRecord:
    """The instance of a checked ``catalog/register`` body. It is recorded as it came: no sidecar comes of it."""
    weights = body.weights or consul.DEFAULT_WEIGHTS
    return ServiceRecord(
        node=node, id=body.id, name=body.service, kind=body.kind, tags=tuple(body.tags or ()), address=body.address,
        port=body.port, socket_path=body.socket_path, tagged_addresses=_tagged(body.tagged_addresses),
        meta=body.meta or {}, weights=(weights.passing, weights.warning), enable_tag_override=body.enable_tag_override,
        proxy=_proxy(msgspec.convert(body.proxy or {}, consul_mesh.Proxy)),
        connect=_connect(msgspec.convert(body.connect or {}, consul_mesh.Connect)), locality=_locality(body.locality),
    )  # fmt: skip


def catalog_check_record(body: consul.CatalogCheckBody, *, node: str, service_name: str) -> CheckRecord:
    """A check of a checked ``catalog/register`` body: recorded, never executed."""
    written = body.definition != consul.NO_DEFINITION
    return CheckRecord(
        node=node, id=body.check_id, name=body.name, status=_status(body.status), notes=body.notes, output=body.output,
        service_id=body.service_id, service_name=service_name, type=body.type, interval=body.interval,
        timeout=body.timeout, exposed_port=body.exposed_port,
        wire_definition=golang.encode(body.definition) if written else b"",
    )  # fmt: skip


# ----- parts ----------------------------------------------------------------------------------------------------------


def _address_of_another_host(client: str) -> str:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return ""  # a link-local address means nothing on any other host
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    return "" if address.is_loopback else str(address)


def _status(status: str) -> Status:
    match status:
        case "passing" | "warning" | "critical":
            return status
        case _:
            raise HTTPError(500, f"\"{status}\" is not a status; use 'passing', 'warning' or 'critical'")


def _seconds(duration: str) -> float:
    return parse_duration(duration) if duration else 0.0


def _tagged(addresses: Mapping[str, consul.ServiceAddress] | None) -> dict[str, tuple[str, int]]:
    return {name: (at.address, at.port) for name, at in (addresses or {}).items()}


def _locality(locality: consul.Locality | None) -> bytes:
    return golang.encode(locality) if locality is not None else b""


def _proxy(proxy: consul_mesh.Proxy) -> bytes:
    """The proxy block as JSON; empty when it says nothing."""
    encoded = golang.encode(proxy)
    return b"" if encoded == bytes(consul.NO_PROXY) else encoded


def _connect(connect: consul_mesh.Connect) -> bytes:
    """The Connect block as JSON; empty when it says nothing."""
    encoded = golang.encode(connect)
    return b"" if encoded == bytes(consul.EMPTY_OBJECT) else encoded
