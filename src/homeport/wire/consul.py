"""The shapes of Consul's HTTP API, for its server and its client side.

Source: https://developer.hashicorp.com/consul/api-docs, and the answers of Consul itself.

Attributes are snake_case, wire names are Go's. What Go marks ``omitempty`` is left out of the JSON when it is empty,
everything else is always written: a field of the first kind has a plain default here, a field of the second kind
``always(…)``. Decoding is tolerant: missing fields take their defaults, unknown ones are ignored. ``None`` stands
only where Consul itself writes ``null``. Durations are Go texts (see ``durations``); "" stands for none.

Bodies of requests are shapes of their own (``…Registration``, ``AgentCheck``, …) and refuse unknown fields.
Fields and their order are those of Consul 1.21.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

T = TypeVar("T")

# The pattern admits the usual texts only; whatever it refuses is judged, and named, by the decoder of requests.
DurationText = Annotated[
    str,
    Meta(pattern=r"^(?=[0-9])([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,9}(\.[0-9]{1,9})?(s|ms|us|ns))?$", title="duration"),
]
"""A duration of a request. It is always a valid Go text after decoding, "" if there is none."""
DurationNumber = Annotated[int, Meta(title="duration")]
"""The one duration that is a number of nanoseconds on the wire; a text is accepted too."""

ProxyBlock = Annotated[dict[str, Any], Meta(title="proxy")]
ConnectBlock = Annotated[dict[str, Any], Meta(title="connect")]
"""Blocks of a registration, after decoding in the form of ``consul_mesh.Proxy`` and ``.Connect``."""

Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Go's int."""

_ACRONYMS: Final = frozenset(
    ("acl", "grpc", "http", "id", "os", "tcp", "tls", "ttl", "udp"),
)


def go_name(attribute: str) -> str:
    """Go's name of an attribute: ``service_id`` is ``ServiceID``, ``tls_skip_verify`` is ``TLSSkipVerify``."""
    return "".join(part.upper() if part in _ACRONYMS else part.capitalize() for part in attribute.split("_"))


def always(default: Callable[[], T]) -> T:
    """A field that is written even when it has its default value (Go: no ``omitempty``).

    msgspec leaves out a field that is identical to its default or an empty ``list``/``dict`` made by that type; any
    other factory, also ``str`` or ``int``, makes it a field that is always written.
    """
    return field(default_factory=default)


def _list() -> list[Any]:
    return []


def _map() -> dict[str, Any]:
    return {}


def _null() -> None:
    return None


EMPTY_OBJECT: Final = Raw(b"{}")
NO_PROXY: Final = Raw(b'{"Mode":"","MeshGateway":{},"Expose":{}}')
"""The proxy block of a service that is no proxy (1.8 has no ``Mode``)."""


def _no_proxy() -> Raw:
    return NO_PROXY


def _no_connect() -> Raw:
    return EMPTY_OBJECT


class WireShape(Struct, frozen=True, gc=False, omit_defaults=True, rename=go_name):
    """What all shapes share. ``gc=False`` is right because JSON has no cycles."""


# ----- parts ----------------------------------------------------------------------------------------------------------


class ServiceAddress(WireShape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the tagged addresses of a service; port 0 means the service's own port."""

    address: str = always(str)
    port: Integer = always(int)


class Weights(WireShape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """DNS weights by status. A body that leaves one out means 0 for it, which validation refuses for ``passing``."""

    passing: Integer = always(int)
    warning: Integer = always(int)


DEFAULT_WEIGHTS: Final = Weights(passing=1, warning=1)


def _default_weights() -> Weights:
    return DEFAULT_WEIGHTS


class Locality(WireShape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a node or service runs. It is shown but cannot be selected by a filter."""

    region: str = ""
    zone: str = ""


# ----- answers --------------------------------------------------------------------------------------------------------


class Node(WireShape, frozen=True, kw_only=True):
    """A node: ``catalog/nodes``, and inside ``catalog/node`` and health entries."""

    id: str = always(str)
    node: str = always(str)
    address: str = always(str)
    datacenter: str = always(str)
    peer_name: str = ""
    tagged_addresses: dict[str, str] | None = always(_null)
    meta: dict[str, str] | None = always(_null)
    locality: Locality | None = None
    create_index: int = always(int)
    modify_index: int = always(int)


class NodeService(WireShape, frozen=True, kw_only=True):
    """A service of a node, as in health entries, ``catalog/node`` and ``catalog/node-services``.

    ``port`` is left out when 0 (since 1.11), ``meta`` is null when empty, ``tags`` is never null.
    ``proxy`` and ``connect`` are kept as the JSON they came as; decoded ones hold on to the whole answer that they are
    a part of, so copy them (``Raw.copy``) before keeping them.
    """

    kind: str = ""
    id: str = always(str)
    service: str = always(str)
    tags: list[str] = always(_list)
    address: str = always(str)
    tagged_addresses: dict[str, ServiceAddress] | None = None
    meta: dict[str, str] | None = always(_null)
    port: int = 0
    socket_path: str = ""
    weights: Weights = always(_default_weights)
    enable_tag_override: bool = always(bool)
    locality: Locality | None = None
    proxy: Raw = always(_no_proxy)
    connect: Raw = always(_no_connect)
    peer_name: str = always(str)
    create_index: int = always(int)
    modify_index: int = always(int)


class CatalogService(WireShape, frozen=True, kw_only=True):
    """A row of ``catalog/service``: node and service in one flat object. ``address`` is the node's address."""

    id: str = always(str)
    node: str = always(str)
    address: str = always(str)
    datacenter: str = always(str)
    tagged_addresses: dict[str, str] | None = always(_null)
    node_meta: dict[str, str] | None = always(_null)
    service_kind: str = always(str)
    service_id: str = always(str)
    service_name: str = always(str)
    service_tags: list[str] = always(_list)
    service_address: str = always(str)
    service_tagged_addresses: dict[str, ServiceAddress] | None = None
    service_weights: Weights = always(_default_weights)
    service_meta: dict[str, str] | None = always(_map)
    service_port: int = always(int)
    service_socket_path: str = always(str)
    service_enable_tag_override: bool = always(bool)
    service_proxy: Raw = always(_no_proxy)
    service_connect: Raw = always(_no_connect)
    service_locality: Locality | None = always(_null)
    peer_name: str = ""
    create_index: int = always(int)
    modify_index: int = always(int)


class HealthCheckDefinition(WireShape, frozen=True, kw_only=True):
    """How a check of the catalog is executed. Unknown fields are tolerated also in requests, as Consul does.

    ``ttl`` alone is a number of nanoseconds on the wire; the other durations are texts.
    """

    interval: DurationText = ""
    output_max_size: int = 0
    timeout: DurationText = ""
    deregister_critical_service_after: DurationText = ""
    http: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    header: dict[str, list[str]] | None = None
    method: str = ""
    body: str = ""
    disable_redirects: bool = False
    tcp: str = ""
    tcp_use_tls: bool = field(name="TCPUseTLS", default=False)
    udp: str = ""
    h2ping: str = field(name="H2PING", default="")
    os_service: str = ""
    h2ping_use_tls: bool = field(name="H2PingUseTLS", default=False)
    script_args: list[str] | None = None
    docker_container_id: str = ""
    shell: str = ""
    grpc: str = ""
    grpc_use_tls: bool = field(name="GRPCUseTLS", default=False)
    alias_node: str = ""
    alias_service: str = ""
    ttl: DurationNumber = 0
    session_name: str = ""


NO_DEFINITION: Final = HealthCheckDefinition()


def _no_definition() -> HealthCheckDefinition:
    return NO_DEFINITION


class HealthCheck(WireShape, frozen=True, kw_only=True):
    """A check with its result: ``agent/checks``, ``health/checks|node|state``, and inside health entries.

    ``interval`` and ``timeout`` are "0s" after ``check/register`` without them and "" after ``service/register``.
    1.8 has neither them nor ``exposed_port``.
    """

    node: str = always(str)
    check_id: str = always(str)
    name: str = always(str)
    status: str = always(str)
    notes: str = always(str)
    output: str = always(str)
    service_id: str = always(str)
    service_name: str = always(str)
    service_tags: list[str] = always(_list)
    type: str = always(str)
    interval: str = always(str)
    timeout: str = always(str)
    exposed_port: int = always(int)
    peer_name: str = ""
    definition: HealthCheckDefinition = always(_no_definition)
    create_index: int = always(int)
    modify_index: int = always(int)


class ServiceEntry(WireShape, frozen=True, kw_only=True):
    """A row of ``health/service``: an instance with its node and the checks of both, the node's first."""

    node: Node = always(Node)
    service: NodeService = always(NodeService)
    checks: list[HealthCheck] = always(_list)


class NodeServices(WireShape, frozen=True, kw_only=True):
    """The answer of ``catalog/node/:node``. An unknown node is answered by ``null`` instead."""

    node: Node | None = always(_null)
    services: dict[str, NodeService] | None = always(_null)


class NodeServiceList(WireShape, frozen=True, kw_only=True):
    """The answer of ``catalog/node-services/:node``; both fields are null for an unknown node."""

    node: Node | None = always(_null)
    services: list[NodeService] | None = always(_null)


class AgentService(WireShape, frozen=True, kw_only=True):
    """A service as its agent sees it: ``agent/services``, ``agent/service/:id``, ``agent/health/service``.

    ``content_hash`` is set by ``agent/service/:id`` only. ``connect`` and ``proxy`` are kept as JSON.
    """

    kind: str = ""
    id: str = always(str)
    service: str = always(str)
    tags: list[str] = always(_list)
    meta: dict[str, str] = always(_map)
    port: int = always(int)
    address: str = always(str)
    socket_path: str = ""
    tagged_addresses: dict[str, ServiceAddress] | None = None
    weights: Weights = always(_default_weights)
    enable_tag_override: bool = always(bool)
    content_hash: str = ""
    proxy: Raw | msgspec.UnsetType = msgspec.UNSET
    connect: Raw | msgspec.UnsetType = msgspec.UNSET
    peer_name: str = ""
    datacenter: str = ""
    locality: Locality | None = None


class AgentHealthCheckDefinition(WireShape, frozen=True, kw_only=True):
    """The definition inside ``agent/health/service`` answers, where Consul writes every field even if empty."""

    interval: str = always(lambda: "0s")
    timeout: str = always(lambda: "0s")
    deregister_critical_service_after: str = always(lambda: "0s")
    http: str = always(str)
    header: dict[str, list[str]] | None = always(_null)
    method: str = always(str)
    body: str = always(str)
    tls_server_name: str = always(str)
    tls_skip_verify: bool = always(bool)
    tcp: str = always(str)
    tcp_use_tls: bool = field(name="TCPUseTLS", default_factory=bool)
    udp: str = always(str)
    grpc: str = always(str)
    os_service: str = always(str)
    grpc_use_tls: bool = field(name="GRPCUseTLS", default_factory=bool)
    session_name: str = ""


class AgentHealthCheck(WireShape, frozen=True, kw_only=True):
    """A check inside ``agent/health/service`` answers; unlike HealthCheck it has no interval and no timeout."""

    node: str = always(str)
    check_id: str = always(str)
    name: str = always(str)
    status: str = always(str)
    notes: str = always(str)
    output: str = always(str)
    service_id: str = always(str)
    service_name: str = always(str)
    service_tags: list[str] = always(_list)
    type: str = always(str)
    exposed_port: int = always(int)
    peer_name: str = ""
    definition: AgentHealthCheckDefinition = always(AgentHealthCheckDefinition)
    create_index: int = always(int)
    modify_index: int = always(int)


class AgentServiceHealth(WireShape, frozen=True, kw_only=True):
    """The answer of ``agent/health/service/id/:id`` and a row of ``…/name/:name``."""

    aggregated_status: str = always(str)
    service: AgentService | None = always(_null)
    checks: list[AgentHealthCheck] | None = always(_null)


class Member(WireShape, frozen=True, kw_only=True):
    """A row of ``agent/members``. ``status``: 1 alive, 2 leaving, 3 left, 4 failed."""

    name: str = always(str)
    addr: str = always(str)
    port: int = always(int)
    tags: dict[str, str] | None = always(_map)
    status: int = always(int)
    protocol_min: int = always(int)
    protocol_max: int = always(int)
    protocol_cur: int = always(int)
    delegate_min: int = always(int)
    delegate_max: int = always(int)
    delegate_cur: int = always(int)


class SelfConfig(WireShape, frozen=True, kw_only=True):
    """The part ``Config`` of ``agent/self``."""

    datacenter: str = always(str)
    primary_datacenter: str = always(str)
    node_name: str = always(str)
    node_id: str = always(str)
    revision: str = always(str)
    server: bool = always(bool)
    version: str = always(str)
    build_date: str = always(str)


class Self(WireShape, frozen=True, kw_only=True):
    """The answer of ``agent/self``. Every value must be an object or null: Go's client reads a map of maps."""

    config: SelfConfig = always(SelfConfig)
    debug_config: dict[str, Any] | None = always(_null)
    coord: dict[str, Any] | None = always(_null)
    member: Member | None = always(_null)
    stats: dict[str, dict[str, str]] | None = always(_null)
    meta: dict[str, str] | None = always(_null)
    xds: dict[str, Any] | None = field(name="xDS", default_factory=_null)


class KeyValuePair(WireShape, frozen=True, kw_only=True):
    """A row of ``/v1/kv``. ``value`` is base64 on the wire and null when empty; ``flags`` has 64 unsigned bits."""

    lock_index: int = always(int)
    key: str = always(str)
    flags: int = always(int)
    value: bytes | None = always(_null)
    session: str = ""
    create_index: int = always(int)
    modify_index: int = always(int)


class SessionServiceCheck(WireShape, frozen=True, kw_only=True):
    """A service check that a session depends on."""

    id: str = always(str)
    namespace: str = ""


class Session(WireShape, frozen=True, kw_only=True):
    """A row of ``session/info|list|node``. ``lock_delay`` is a number of nanoseconds, ``ttl`` a text."""

    id: str = always(str)
    name: str = always(str)
    node: str = always(str)
    lock_delay: int = always(int)
    behavior: str = always(str)
    ttl: str = always(str)
    node_checks: list[str] | None = always(_null)
    service_checks: list[SessionServiceCheck] | None = always(_null)
    create_index: int = always(int)
    modify_index: int = always(int)


# ----- requests -------------------------------------------------------------------------------------------------------


class RequestShape(WireShape, frozen=True, forbid_unknown_fields=True):
    """What bodies of requests share: since 1.7 Consul refuses fields that it does not know."""


class CheckSpecification(RequestShape, frozen=True, kw_only=True):
    """What a check does, in any request to an agent.

    Durations are Go texts; the server's decoder turns numbers of nanoseconds into such texts and refuses texts that
    are no durations. ``h2ping_use_tls`` is None when not given: an H2PING check uses TLS unless told otherwise.
    """

    name: str = ""
    status: str = ""
    notes: str = ""
    script_args: list[str] | None = None
    http: str = ""
    h2ping: str = field(name="H2PING", default="")
    h2ping_use_tls: bool | None = field(name="H2PingUseTLS", default=None)
    header: dict[str, list[str]] | None = None
    method: str = ""
    body: str = ""
    disable_redirects: bool = False
    tcp: str = ""
    tcp_use_tls: bool = field(name="TCPUseTLS", default=False)
    udp: str = ""
    interval: DurationText = ""
    alias_node: str = ""
    alias_service: str = ""
    docker_container_id: str = ""
    shell: str = ""
    grpc: str = ""
    grpc_use_tls: bool = field(name="GRPCUseTLS", default=False)
    os_service: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    timeout: DurationText = ""
    ttl: DurationText = ""
    success_before_passing: Integer = 0
    failures_before_warning: Integer = 0
    failures_before_critical: Integer = 0
    deregister_critical_service_after: DurationText = ""
    output_max_size: Integer = 0


class AgentCheck(CheckSpecification, frozen=True, kw_only=True):
    """A check inside ``agent/service/register``. ``service_id`` is accepted and ignored."""

    check_id: str = ""
    proxy_http: str = field(name="ProxyHTTP", default="")
    proxy_grpc: str = field(name="ProxyGRPC", default="")
    service_id: str = ""


class CheckRegistration(CheckSpecification, frozen=True, kw_only=True):
    """The body of ``agent/check/register``: a check and the service it belongs to, if any."""

    id: str = ""
    service_id: str = ""
    token: str = ""


class CheckUpdate(RequestShape, frozen=True, kw_only=True):
    """The body of ``agent/check/update/:id``."""

    status: str = ""
    output: str = ""


class ServiceRegistration(RequestShape, frozen=True, kw_only=True):
    """The body of ``agent/service/register``. See ``consul_mesh`` for ``proxy`` and ``connect``."""

    kind: str = ""
    id: str = ""
    name: str = ""
    tags: list[str] | None = None
    address: str = ""
    tagged_addresses: dict[str, ServiceAddress] | None = None
    meta: dict[str, str] | None = None
    port: Integer = 0
    socket_path: str = ""
    check: AgentCheck | None = None
    checks: list[AgentCheck] | None = None
    weights: Weights | None = None
    token: str = ""
    enable_tag_override: bool = False
    locality: Locality | None = None
    proxy: ProxyBlock | None = None
    connect: ConnectBlock | None = None


class CatalogServiceBody(RequestShape, frozen=True, kw_only=True):
    """The ``Service`` of ``catalog/register``; ``service`` is its name. Peer name and indexes are ignored."""

    kind: str = ""
    id: str = ""
    service: str = ""
    tags: list[str] | None = None
    address: str = ""
    tagged_addresses: dict[str, ServiceAddress] | None = None
    meta: dict[str, str] | None = None
    port: Integer = 0
    socket_path: str = ""
    weights: Weights | None = None
    enable_tag_override: bool = False
    locality: Locality | None = None
    proxy: ProxyBlock | None = None
    connect: ConnectBlock | None = None
    peer_name: str = ""
    create_index: Integer = 0
    modify_index: Integer = 0


class CatalogCheckBody(RequestShape, frozen=True, kw_only=True):
    """A check of ``catalog/register``: it is recorded, never executed. Peer name and indexes are ignored."""

    node: str = ""
    check_id: str = ""
    name: str = ""
    status: str = ""
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: list[str] | None = None
    type: str = ""
    interval: str = ""
    timeout: str = ""
    exposed_port: Integer = 0
    peer_name: str = ""
    definition: HealthCheckDefinition = NO_DEFINITION
    create_index: Integer = 0
    modify_index: Integer = 0


class CatalogRegistration(RequestShape, frozen=True, kw_only=True):
    """The body of ``catalog/register``."""

    datacenter: str = ""
    id: str = ""
    node: str = ""
    address: str = ""
    tagged_addresses: dict[str, str] | None = None
    node_meta: dict[str, str] | None = None
    service: CatalogServiceBody | None = None
    check: CatalogCheckBody | None = None
    checks: list[CatalogCheckBody] | None = None
    skip_node_update: bool = False
    locality: Locality | None = None
    peer_name: str = ""
    create_index: Integer = 0
    modify_index: Integer = 0


class CatalogDeregistration(RequestShape, frozen=True, kw_only=True):
    """The body of ``catalog/deregister``. ``address`` is obsolete: accepted and ignored."""

    node: str = ""
    service_id: str = ""
    check_id: str = ""
    datacenter: str = ""
    address: str = ""
