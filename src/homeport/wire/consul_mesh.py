"""The blocks ``Proxy`` and ``Connect`` of a service: what Consul's service mesh knows of a proxy and of its service.

Source: https://developer.hashicorp.com/consul/docs/connect/proxies/proxy-config-reference. Registrations carry these
blocks as JSON in this form: Go's names, what Consul always writes always there. Fields and order are those of 1.21.
"""

from __future__ import annotations

from typing import Any

from msgspec import field

from . import consul
from .consul import Integer, RequestShape, WireShape, always


class MeshGateway(RequestShape, frozen=True, kw_only=True):
    """Through which gateway connections to another datacenter go."""

    mode: str = ""


class Upstream(RequestShape, frozen=True, kw_only=True):
    """A service that a proxy makes reachable for its own."""

    destination_type: str = always(str)
    destination_namespace: str = ""
    destination_partition: str = ""
    destination_peer: str = ""
    destination_name: str = always(str)
    datacenter: str = always(str)
    local_bind_address: str = ""
    local_bind_port: Integer = 0
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    config: dict[str, Any] | None = None
    mesh_gateway: MeshGateway = always(MeshGateway)
    centrally_configured: bool = False


class ExposePath(RequestShape, frozen=True, kw_only=True):
    """A path that can be asked for without the mesh's encryption."""

    listener_port: Integer = 0
    path: str = ""
    local_path_port: Integer = 0
    protocol: str = ""
    parsed_from_check: bool = False


class Expose(RequestShape, frozen=True, kw_only=True):
    """What can be asked for without the mesh's encryption."""

    checks: bool = False
    paths: list[ExposePath] | None = None


class TransparentProxy(RequestShape, frozen=True, kw_only=True):
    """Settings of a proxy that all traffic is led through."""

    outbound_listener_port: Integer = 0
    dialed_directly: bool = False


class AccessLogs(RequestShape, frozen=True, kw_only=True):
    """Settings of a proxy's access logs."""

    enabled: bool = False
    disable_listener_logs: bool = False
    type: str = ""
    path: str = ""
    json_format: str = field(name="JSONFormat", default="")
    text_format: str = ""


class EnvoyExtension(RequestShape, frozen=True, kw_only=True):
    """An extension of a proxy."""

    name: str = always(str)
    required: bool = always(bool)
    arguments: dict[str, Any] | None = field(default_factory=lambda: None)
    consul_version: str = always(str)
    envoy_version: str = always(str)


class Proxy(RequestShape, frozen=True, kw_only=True):
    """The ``Proxy`` block."""

    transparent_proxy: TransparentProxy | None = None
    access_logs: AccessLogs | None = None
    envoy_extensions: list[EnvoyExtension] | None = None
    destination_service_name: str = ""
    destination_service_id: str = ""
    local_service_address: str = ""
    local_service_port: Integer = 0
    local_service_socket_path: str = ""
    mode: str = always(str)
    config: dict[str, Any] | None = None
    upstreams: list[Upstream] | None = None
    mesh_gateway: MeshGateway = always(MeshGateway)
    expose: Expose = always(Expose)


class Connect(WireShape, frozen=True, kw_only=True):
    """The ``Connect`` block. Unknown fields are tolerated in it, also in requests, as Consul does."""

    native: bool = False
    sidecar_service: consul.ServiceRegistration | None = None
