"""How gRPC reaches one instance: the target of its connection, and the options that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeAlias

from homeport.model import Instance

Options: TypeAlias = Mapping[str, Any]
"""Channel options by name; their values are what gRPC takes, text or numbers (``grpc_types.h``)."""

TLS_SERVER_NAME = "tls_server_name"
"""The metadata of an instance that names its certificate, when that is not the service's name."""

Connection: TypeAlias = tuple[str, str, str]
"""What makes two connections different: the service, ``host:port``, and the name in the certificate."""

_INITIAL_BACKOFF_MS = 100
_LONGEST_BACKOFF_MS = 5_000


def connection_of(instance: Instance) -> Connection:
    """Which connection leads to ``instance``."""
    return instance.service, instance.endpoint, instance.meta.get(TLS_SERVER_NAME, "")


def address_of(instance: Instance) -> str:
    """The target of a connection to ``instance``: an address is taken as it is, a name asks DNS.

    https://github.com/grpc/grpc/blob/master/doc/naming.md
    """
    try:
        address = ip_address(instance.address)
    except ValueError:
        return f"dns:///{instance.endpoint}"
    return f"{_SCHEMES[type(address)]}:{instance.endpoint}"


def connection_options(
    instance: Instance, given: Options, *, connect_timeout: float, secure: bool
) -> list[tuple[str, Any]]:
    """The options of a connection to ``instance``; those given by the user win.

    The authority, and with it the name that a certificate must have, is the service's: an instance is one of many
    that share it. A connection is tried again soon, since the registry says that somebody listens there.
    """
    options: dict[str, Any] = {
        "grpc.default_authority": instance.service,
        # Despite its name, it is how long one attempt to connect may take
        # (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md, MIN_CONNECT_TIMEOUT).
        "grpc.min_reconnect_backoff_ms": round(connect_timeout * 1000),
        "grpc.initial_reconnect_backoff_ms": _INITIAL_BACKOFF_MS,
        "grpc.max_reconnect_backoff_ms": _LONGEST_BACKOFF_MS,
    }
    server_name = instance.meta.get(TLS_SERVER_NAME)
    if secure and server_name:
        options["grpc.ssl_target_name_override"] = server_name
    return list({**options, **given}.items())


_SCHEMES: Mapping[type[IPv4Address | IPv6Address], str] = {IPv4Address: "ipv4", IPv6Address: "ipv6"}
