"""Opens a channel to a service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, overload

import grpc
import grpc.aio

from homeport import blocking
from homeport.balancing.balancer import Balancer
from homeport.client.discovery import Discovery

from .aio.channel import DiscoveryChannel
from .blocking.channel import DiscoveryChannel as BlockingDiscoveryChannel
from .idempotence import Idempotent, idempotence
from .settings import ChannelSettings
from .target import parse_target

Interceptor: TypeAlias = (
    grpc.UnaryUnaryClientInterceptor
    | grpc.UnaryStreamClientInterceptor
    | grpc.StreamUnaryClientInterceptor
    | grpc.StreamStreamClientInterceptor
)


@overload
def discovery_channel(
    discovery: Discovery,
    target: str,
    *,
    options: Iterable[tuple[str, Any]] = (),
    credentials: grpc.ChannelCredentials | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    idempotent: Idempotent = (),
    key: str | None = None,
    connect_timeout: float = 5.0,
    balancer: str | Balancer | None = None,
) -> DiscoveryChannel: ...


@overload
def discovery_channel(
    discovery: blocking.Discovery,
    target: str,
    *,
    options: Iterable[tuple[str, Any]] = (),
    credentials: grpc.ChannelCredentials | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[Interceptor] = (),
    idempotent: Idempotent = (),
    key: str | None = None,
    connect_timeout: float = 5.0,
    balancer: str | Balancer | None = None,
) -> grpc.Channel: ...


def discovery_channel(
    discovery: Discovery | blocking.Discovery,
    target: str,
    *,
    options: Iterable[tuple[str, Any]] = (),
    credentials: grpc.ChannelCredentials | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[Any] = (),
    idempotent: Idempotent = (),
    key: str | None = None,
    connect_timeout: float = 5.0,
    balancer: str | Balancer | None = None,
) -> grpc.aio.Channel | grpc.Channel:
    """A channel to the service that ``target`` names, for stubs: each *call* goes to the instance that is its turn.

    >>> async def main(discovery: Discovery) -> None:
    ...     async with discovery_channel(discovery, "discovery:///user-service?tag=v2") as channel:
    ...         users = UsersStub(channel)
    ...         print(await users.Get(request, timeout=1.0))

    With a `homeport.Discovery` it is a channel of ``grpc.aio``, with a `homeport.blocking.Discovery` one of ``grpc``.
    ``target`` is ``discovery:///NAME`` or ``homeport:///NAME``, narrowed by ``tag``, ``version``, ``environment``,
    ``datacenter`` and ``meta.KEY`` as its query. ``options``, ``credentials`` and ``compression`` are those of gRPC's
    own channels and hold for each connection. The authority, and the name that a certificate must have, is the
    service's name; the metadata ``tls_server_name`` of an instance names its certificate otherwise.

    A call that was never sent is made again on another instance; so is a call with one request and one response that
    failed with UNAVAILABLE, if its method is ``idempotent``: a collection of full names, or a function of the name.
    How often, and within which budget, is said by ``client.retry`` of the settings. ``key`` names the metadata of a
    call whose value is its key, for balancers that keep calls alike together. ``balancer``
    chooses instead of the one of ``discovery``. An attempt to connect may take
    ``connect_timeout`` seconds.

    Interceptors of ``grpc.aio`` see each attempt, those of ``grpc`` the call as a whole.

    Raises:
        InvalidValue: the target, or one of the arguments, cannot be right.
    """
    query = parse_target(target)
    settings = ChannelSettings(
        options=dict(options),
        credentials=credentials,
        compression=compression,
        idempotent=idempotence(idempotent),
        key=key,
        connect_timeout=connect_timeout,
        balancer=balancer,
    )
    if isinstance(discovery, Discovery):
        return DiscoveryChannel(discovery, query, settings, interceptors=interceptors)
    channel = BlockingDiscoveryChannel(discovery, query, settings)
    return grpc.intercept_channel(channel, *interceptors) if interceptors else channel
