"""What Consul demands of a registration, and what it fills in: pure functions over the shapes of ``consul``.

Sources: https://developer.hashicorp.com/consul/api-docs/agent/service, …/agent/check and …/catalog, and the answers of
Consul itself, whose texts are kept word for word because clients show and test them. Script checks that are not
allowed, unknown ids and everything else that needs the registry's state is decided elsewhere.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from . import consul, consul_mesh, golang
from .durations import format_nanoseconds, parse_nanoseconds

C = TypeVar("C", bound=consul.CheckSpecification)

STATUSES: Final = ("passing", "warning", "critical")
MAXIMUM_META_PAIRS: Final = 64
MAXIMUM_META_KEY_LENGTH: Final = 128
MAXIMUM_META_VALUE_LENGTH: Final = 512
RESERVED_META_PREFIX: Final = "consul-"
MAXIMUM_WEIGHT: Final = 65_535

CONNECT_PROXY: Final = "connect-proxy"
_GATEWAYS: Final = ("mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway")
_GATEWAYS_WITHOUT_PORT: Final = ("ingress-gateway", "api-gateway")
_MESH_GATEWAY_META: Final = frozenset(("consul-wan-federation",))

_META_KEY = re.compile(r"[a-zA-Z0-9_-]+")
_UUID = re.compile(r"(.{8})-(.{4})-(.{4})-(.{4})-(.{12})", re.DOTALL)


_Service: TypeAlias = consul.ServiceRegistration | consul.CatalogServiceBody


class RuleBroken(ValueError):
    """A registration breaks a rule. The message is the text of the answer, ``status`` its HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


# ----- services -------------------------------------------------------------------------------------------------------


def checked_service(body: consul.ServiceRegistration) -> consul.ServiceRegistration:
    """The body of ``agent/service/register`` with everything filled in that Consul fills in.

    ``id``, ``tags``, ``meta``, ``weights`` and ``tagged_addresses`` are set; all checks stand in ``checks`` (``check``
    is None), each with its id, name and status, and with durations in Go's usual form. Raises RuleBroken.
    """
    if not body.name:
        raise RuleBroken("Missing service name", status=400)
    if is_unspecified(body.address):
        raise RuleBroken("Invalid service address", status=400)
    if body.weights is not None and (complaint := _weights_complaint(body.weights)):
        raise RuleBroken(f"Invalid Weights: {complaint}", status=400)
    if complaint := meta_complaint(body.meta or {}, kind=body.kind):
        raise RuleBroken(f"Invalid Service Meta: {complaint}", status=400)
    if complaints := _mesh_complaints(body):
        raise RuleBroken(f"Validation failed: {_joined(complaints)}", status=400)
    service_id = body.id or body.name
    checks = _checked_service_checks(body, service_id=service_id)
    return replace(
        body,
        id=service_id,
        tags=body.tags or [],
        meta=body.meta or {},
        weights=body.weights or consul.DEFAULT_WEIGHTS,
        tagged_addresses=_checked_tagged_addresses(body),
        proxy=_with_upstream_types(body.proxy),
        check=None,
        checks=checks,
    )


def is_unspecified(address: str) -> bool:
    """Whether an address is 0.0.0.0 or ::, which nobody can be reached at."""
    return address in ("0.0.0.0", "::", "[::]")  # noqa: S104 - it is refused here, not bound


def meta_complaint(meta: Mapping[str, str], *, kind: str = "") -> str:
    """What is wrong with metadata of a service or node, "" if nothing is."""
    if len(meta) > MAXIMUM_META_PAIRS:
        return f"Node metadata cannot contain more than {MAXIMUM_META_PAIRS} key/value pairs"
    for key, value in meta.items():
        if complaint := _meta_pair_complaint(key, value, kind=kind):
            return f"Couldn't load metadata pair ('{key}', '{value}'): {complaint}"
    return ""


def _meta_pair_complaint(key: str, value: str, *, kind: str) -> str:
    if not key:
        return "Key cannot be blank"
    if not _META_KEY.fullmatch(key):
        return "Key contains invalid characters"
    if len(key) > MAXIMUM_META_KEY_LENGTH:
        return f"Key is too long (limit: {MAXIMUM_META_KEY_LENGTH} characters)"
    allowed = kind == "mesh-gateway" and key in _MESH_GATEWAY_META
    if key.startswith(RESERVED_META_PREFIX) and not allowed:
        return f"Key prefix '{RESERVED_META_PREFIX}' is reserved for internal use"
    # Go counts bytes.
    if len(value.encode()) > MAXIMUM_META_VALUE_LENGTH:
        return f"Value is too long (limit: {MAXIMUM_META_VALUE_LENGTH} characters)"
    return ""


def _weights_complaint(weights: consul.Weights) -> str:
    if weights.passing < 1:
        return "Passing must be greater than 0"
    if weights.warning < 0:
        return "Warning must be greater or equal than 0"
    if weights.passing > MAXIMUM_WEIGHT or weights.warning > MAXIMUM_WEIGHT:
        return f"DNS Weight must be between 0 and {MAXIMUM_WEIGHT}"
    return ""


def _checked_tagged_addresses(body: consul.ServiceRegistration) -> dict[str, consul.ServiceAddress] | None:
    """The tagged addresses with those added that follow from an address that is an IP. Raises RuleBroken."""
    addresses = dict(body.tagged_addresses or {})
    # Consul does not look at "wan_ipv6".
    for name, version in (("lan_ipv4", 4), ("wan_ipv4", 4), ("lan_ipv6", 6)):
        if name in addresses and _ip_version(addresses[name].address) != version:
            message = f'Service tagged address "{name}" must be a valid ipv{version} address'
            raise RuleBroken(message, status=500)
    if version := _ip_version(body.address):
        for name in (f"lan_ipv{version}", f"wan_ipv{version}"):
            addresses.setdefault(name, consul.ServiceAddress(address=body.address, port=body.port))
    return addresses or None


def _ip_version(address: str) -> int:
    """4 or 6 for an IP literal without zone, 0 for anything else. An IPv4-mapped address counts as 4, as in Go."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return 0
    if isinstance(parsed, ipaddress.IPv4Address):
        return 4
    if parsed.scope_id is not None:
        return 0
    return 4 if parsed.ipv4_mapped is not None else 6


# ----- service mesh ---------------------------------------------------------------------------------------------------


def _mesh_complaints(body: _Service) -> list[str]:
    """What is wrong with a proxy, a gateway or a service that is part of the mesh."""
    proxy = consul_mesh.Proxy() if body.proxy is None else msgspec.convert(body.proxy, consul_mesh.Proxy)
    connect = consul_mesh.Connect() if body.connect is None else msgspec.convert(body.connect, consul_mesh.Connect)
    sidecar = connect.sidecar_service
    complaints: list[str] = []
    if body.kind == CONNECT_PROXY:
        complaints += _proxy_complaints(body, proxy, native=connect.native)
    if body.kind in _GATEWAYS:
        complaints += _gateway_complaints(body, proxy, has_sidecar=sidecar is not None)
    if sidecar is not None and sidecar.id:
        complaints.append("A SidecarService cannot specify an ID as this is managed by the agent")
    if sidecar is not None and (sidecar.connect or {}).get("SidecarService") is not None:
        complaints.append("A SidecarService cannot have a nested SidecarService")
    if connect.native and not body.port and not body.socket_path:
        complaints.append("Port or SocketPath must be set for a Connect native service.")
    return complaints


def _proxy_complaints(body: _Service, proxy: consul_mesh.Proxy, *, native: bool) -> Iterable[str]:
    if not body.port and not body.socket_path:
        yield f"Port or SocketPath must be set for a {body.kind}"
    if not proxy.destination_service_name.strip():
        yield "Proxy.DestinationServiceName must be non-empty for Connect proxy services"
    if proxy.destination_service_name == "*":
        yield "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services"
    if native:
        yield "A Proxy cannot also be Connect Native, only typical services"
    yield from _upstream_complaints(proxy.upstreams or [])
    yield from _exposure_complaints(proxy.expose.paths or [])


def _with_upstream_types(proxy: dict[str, Any] | None) -> dict[str, Any] | None:
    """The block with the type of each upstream, a service unless told otherwise."""
    if proxy is None or not proxy.get("Upstreams"):
        return proxy
    upstreams = [
        upstream | {"DestinationType": upstream.get("DestinationType") or "service"} for upstream in proxy["Upstreams"]
    ]
    return proxy | {"Upstreams": upstreams}


def _upstream_complaints(upstreams: list[consul_mesh.Upstream]) -> Iterable[str]:
    keys: set[str] = set()
    addresses: set[str] = set()
    for upstream in upstreams:
        key = _upstream_key(upstream)
        address = _upstream_address(upstream)
        if complaint := _upstream_complaint(upstream):
            yield complaint
        elif key in keys:
            yield f"upstreams cannot contain duplicates of {key}"
        elif address in addresses and not upstream.centrally_configured:
            yield (
                "upstreams cannot contain duplicates by local bind address and port or unix path; "
                f"{golang.quote(address)} is specified twice"
            )
            keys.add(key)
        else:
            keys.add(key)
            addresses.add(address)


def _upstream_complaint(upstream: consul_mesh.Upstream) -> str:
    chosen_locally = not upstream.centrally_configured
    places = bool(upstream.local_bind_port) + bool(upstream.local_bind_socket_path)
    rules = (
        (
            upstream.destination_type not in ("", "service", "prepared_query"),
            f"unknown upstream destination type: {golang.quote(upstream.destination_type)}",
        ),
        (not upstream.destination_name, "upstream destination name cannot be empty"),
        (upstream.destination_name == "*" and chosen_locally, "upstream destination name cannot be a wildcard"),
        (
            bool(upstream.destination_peer and upstream.datacenter),
            "upstream cannot specify both destination peer and datacenter",
        ),
        (
            not places and chosen_locally,
            "upstream local bind port or local socket path must be defined and nonzero",
        ),
        (
            places > 1 and chosen_locally,
            "only one of upstream local bind port or local socket path can be defined and nonzero",
        ),
    )
    return next((complaint for broken, complaint in rules if broken), "")


def _upstream_key(upstream: consul_mesh.Upstream) -> str:
    named = (
        ("type", upstream.destination_type or "service"),
        ("name", upstream.destination_name),
        ("partition", upstream.destination_partition),
        ("namespace", upstream.destination_namespace),
        ("peer", upstream.destination_peer),
        ("datacenter", upstream.datacenter),
    )
    return f"[{', '.join(f'{name}={golang.quote(value)}' for name, value in named)}]"


def _upstream_address(upstream: consul_mesh.Upstream) -> str:
    if not upstream.local_bind_port and not upstream.local_bind_address and upstream.local_bind_socket_path:
        return upstream.local_bind_socket_path
    host = upstream.local_bind_address or "127.0.0.1"
    return f"[{host}]:{upstream.local_bind_port}" if ":" in host else f"{host}:{upstream.local_bind_port}"


def _exposure_complaints(paths: list[consul_mesh.ExposePath]) -> Iterable[str]:
    seen: set[int] = set()
    for path in paths:
        if not path.path:
            yield "expose.paths: empty path exposed"
        if path.listener_port in seen:
            yield "expose.paths: duplicate listener ports exposed"
        seen.add(path.listener_port)
        if not 0 < path.listener_port <= 65_535:
            yield f"expose.paths: invalid listener port: {path.listener_port}"
        protocol = path.protocol.lower()
        if protocol not in ("", "http", "http2"):
            yield f"protocol '{protocol}' not supported for path: {path.path}, must be in: [http http2]"


def _gateway_complaints(body: _Service, proxy: consul_mesh.Proxy, *, has_sidecar: bool) -> Iterable[str]:
    if not body.port and body.kind not in _GATEWAYS_WITHOUT_PORT:
        yield f"Port must be non-zero for a {body.kind}"
    if has_sidecar:
        yield f"A {body.kind} cannot have a sidecar service defined"
    for name, value in (
        ("DestinationServiceName", proxy.destination_service_name),
        ("DestinationServiceID", proxy.destination_service_id),
        ("LocalServiceAddress", proxy.local_service_address),
        ("LocalServicePort", proxy.local_service_port),
        ("LocalServiceSocketPath", proxy.local_service_socket_path),
        ("Upstreams", proxy.upstreams),
    ):
        if value:
            yield f"The Proxy.{name} configuration is invalid for a {body.kind}"


def _joined(complaints: list[str]) -> str:
    """Several complaints in the one form in which Consul lists them."""
    count = "1 error" if len(complaints) == 1 else f"{len(complaints)} errors"
    return f"{count} occurred:\n" + "".join(f"\t* {complaint}\n" for complaint in complaints) + "\n"


# ----- checks ---------------------------------------------------------------------------------------------------------


def checked_check(body: consul.CheckRegistration) -> consul.CheckRegistration:
    """The body of ``agent/check/register`` with id and status filled in and durations in Go's usual form.

    Raises RuleBroken.
    """
    if not body.name:
        raise RuleBroken("Missing check name", status=400)
    if body.status and body.status not in STATUSES:
        raise RuleBroken("Bad check status", status=400)
    if complaint := check_complaint(body):
        raise RuleBroken(f"Invalid check: {complaint}", status=400)
    return replace(_completed(body), id=body.id or body.name)


def checked_update(body: consul.CheckUpdate) -> consul.CheckUpdate:
    """The body of ``agent/check/update``. Raises RuleBroken for a status that there is not."""
    if body.status not in STATUSES:
        raise RuleBroken(f"Invalid check status: '{body.status}'", status=400)
    return body


def check_complaint(check: consul.CheckSpecification) -> str:
    """What is wrong with what a check does, "" if nothing is."""
    interval, ttl = _nanoseconds(check.interval), _nanoseconds(check.ttl)
    runs = bool(
        check.script_args or check.http or check.tcp or check.udp or check.grpc or check.h2ping or check.os_service
    )
    is_alias = bool(check.alias_node or check.alias_service)
    rules = (
        (interval > 0 and ttl > 0, "Interval and TTL cannot both be specified"),
        (runs and interval <= 0, "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"),
        (runs and is_alias, "Interval cannot be set for Alias checks"),
        (is_alias and ttl > 0, "TTL must be not be set for Alias checks"),
        (not runs and not is_alias and ttl <= 0, "TTL must be > 0 for TTL checks"),
        (check.output_max_size < 0, "MaxOutputMaxSize must be positive"),
        (
            check.failures_before_warning > check.failures_before_critical,
            "FailuresBeforeWarning can't be higher than FailuresBeforeCritical",
        ),
    )
    return next((complaint for broken, complaint in rules if broken), "")


def check_kind(check: consul.CheckSpecification | consul.HealthCheckDefinition) -> str:
    """The ``Type`` of a check: the first kind in Consul's order that is configured completely, "" if none is."""
    repeated = _nanoseconds(check.interval) > 0
    ttl = check.ttl if isinstance(check.ttl, int) else _nanoseconds(check.ttl)
    kinds = (
        ("grpc", check.grpc and repeated),
        ("http", check.http and repeated),
        ("ttl", ttl > 0),
        ("tcp", check.tcp and repeated),
        ("udp", check.udp and repeated),
        ("alias", check.alias_node or check.alias_service),
        ("docker", check.script_args and check.docker_container_id and repeated),
        ("script", check.script_args),
        ("h2ping", check.h2ping and repeated),
        ("os_service", check.os_service and repeated),
    )
    return next((kind for kind, configured in kinds if configured), "")


def _checked_service_checks(body: consul.ServiceRegistration, *, service_id: str) -> list[consul.AgentCheck]:
    checks = list(body.checks or [])
    # An empty "Check" is no check at all; an empty one in "Checks" is a mistake.
    if body.check is not None and replace(body.check, service_id="") != consul.AgentCheck():
        checks.insert(0, body.check)
    for check in checks:
        if complaint := check_complaint(check):
            raise RuleBroken(f"Invalid check: {complaint}", status=400)
    for check in checks:
        if check.status and check.status not in STATUSES:
            raise RuleBroken("Status for checks must 'passing', 'warning', 'critical'", status=400)
    only = len(checks) == 1
    return [
        replace(
            _completed(check),
            check_id=check.check_id or (f"service:{service_id}" if only else f"service:{service_id}:{position}"),
            name=check.name or f"Service '{body.name}' check",
        )
        for position, check in enumerate(checks, start=1)
    ]


def _completed(check: C) -> C:
    return replace(
        check,
        status=check.status or "critical",
        interval=_usual_form(check.interval),
        timeout=_usual_form(check.timeout),
        ttl=_usual_form(check.ttl),
        deregister_critical_service_after=_usual_form(check.deregister_critical_service_after),
        h2ping_use_tls=check.h2ping_use_tls is not False if check.h2ping else bool(check.h2ping_use_tls),
    )


def _nanoseconds(duration: str) -> int:
    return parse_nanoseconds(duration) if duration else 0


def _usual_form(duration: str) -> str:
    nanoseconds = _nanoseconds(duration)
    return format_nanoseconds(nanoseconds) if nanoseconds else ""


# ----- catalog --------------------------------------------------------------------------------------------------------


def checked_catalog_registration(body: consul.CatalogRegistration) -> consul.CatalogRegistration:
    """The body of ``catalog/register`` with everything filled in that Consul fills in.

    The service has its id, tags and weights; all checks stand in ``checks`` (``check`` is None), each with node, id,
    status and type. Whether a check's service exists is for the store to say. Raises RuleBroken, always with status
    500.
    """
    if not body.node:
        raise RuleBroken("Must provide node", status=500)
    if body.id and (complaint := _uuid_complaint(body.id)):
        raise RuleBroken(f"Bad node ID: {complaint}", status=500)
    if not body.address and not body.skip_node_update:
        raise RuleBroken("Must provide address if SkipNodeUpdate is not set", status=500)
    service = None if body.service is None else _checked_catalog_service(body.service, node=body.node)
    checks = ([] if body.check is None else [body.check]) + (body.checks or [])
    return replace(
        body,
        service=service,
        check=None,
        checks=[_checked_catalog_check(check, node=body.node) for check in checks],
    )


def checked_catalog_deregistration(body: consul.CatalogDeregistration) -> consul.CatalogDeregistration:
    """The body of ``catalog/deregister``. Raises RuleBroken if it names no node."""
    if not body.node:
        raise RuleBroken("Must provide node", status=500)
    return body


def _checked_catalog_service(service: consul.CatalogServiceBody, *, node: str) -> consul.CatalogServiceBody:
    if complaints := _mesh_complaints(service):
        raise RuleBroken(_joined(complaints), status=500)
    if not service.service:
        # 1.8 fails later and less clearly when there is no id either.
        raise RuleBroken("Must provide service name (Service.Service) when service ID is provided", status=500)
    if is_unspecified(service.address):
        raise RuleBroken("Invalid service address", status=500)
    service_id = service.id or service.service
    if complaint := meta_complaint(service.meta or {}, kind=service.kind):
        message = (
            f"failed inserting service: Invalid Service Meta for node {node} and serviceID {service_id}: {complaint}"
        )
        raise RuleBroken(message, status=500)
    # Here, unlike at the agent, weights that make no sense are replaced instead of refused.
    weights = service.weights
    if weights is None or _weights_complaint(weights):
        weights = consul.DEFAULT_WEIGHTS
    return replace(service, id=service_id, tags=service.tags or [], weights=weights)


def _checked_catalog_check(check: consul.CatalogCheckBody, *, node: str) -> consul.CatalogCheckBody:
    if check.node and check.node.casefold() != node.casefold():
        raise RuleBroken(f'check node "{check.node}" does not match node "{node}"', status=500)
    check_id = check.check_id or check.name
    if not check_id:
        message = f'failed inserting check: failed inserting check: object missing primary index on node "{node}"'
        raise RuleBroken(message, status=500)
    definition = check.definition
    definition = replace(
        definition,
        interval=_usual_form(definition.interval),
        timeout=_usual_form(definition.timeout),
        deregister_critical_service_after=_usual_form(definition.deregister_critical_service_after),
    )
    return replace(
        check,
        node=node,
        check_id=check_id,
        status=check.status or "critical",
        type=check.type or check_kind(definition),
        definition=definition,
    )


def _uuid_complaint(text: str) -> str:
    if len(text) != 36:
        return "uuid string is wrong length"
    match = _UUID.fullmatch(text)
    if match is None:
        return "uuid is improperly formatted"
    wrong = next(
        (character for character in "".join(match.groups()) if character not in "0123456789abcdefABCDEF"), None
    )
    return "" if wrong is None else f"encoding/hex: invalid byte: U+{ord(wrong):04X} '{wrong}'"
