"""gRPC checks, by the health protocol of gRPC (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).

The two messages of ``grpc.health.v1.Health/Check`` have one field each and are written and read here by hand
(https://protobuf.dev/programming-guides/encoding), so that neither generated code nor a protobuf runtime is needed. TLS
is spoken by `tls_relay` and not by grpcio, which can neither leave a certificate unverified nor trust what the
operating system trusts.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio

from homeport.wire.durations import format_duration

from ...records import CheckDefinition
from .connecting import failure
from .host_and_port import bracketed, host_and_port
from .http_request import USER_AGENT
from .prober import Result
from .resolver import Resolver
from .tls_relay import TLSRelay
from .trust import Trust

_METHOD = "/grpc.health.v1.Health/Check"
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_SERVING = 1
# Every probe is a connection of its own: it must find out whether one can be made.
_OPTIONS = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 64 << 10),
)


class GRPCProber:
    """Asks ``host:port[/service]`` for its health; SERVING passes."""

    def __init__(self, resolver: Resolver, trust: Trust) -> None:
        self._resolver = resolver
        self._trust = trust
        self._relay = TLSRelay()

    async def probe(self, definition: CheckDefinition) -> Result:
        """Ask once; see `Prober.probe`."""
        subject = _subject(definition)
        target, _, service = definition.grpc.partition("/")
        try:
            host, port = host_and_port(target)
        except ValueError as error:
            return Result("critical", f"{subject}: {error}", "error")
        try:
            addresses = await self._resolver.addresses(host)
            if not definition.grpc_use_tls:
                status = await _ask(_plain_target(addresses, port), target, service)
            else:
                tls = await self._trust.context(verify=not definition.tls_skip_verify, protocols=("h2",))
                server_name = self._trust.server_name(definition.tls_server_name, host)
                async with self._relay.open(addresses, port, tls=tls, server_name=server_name) as local:
                    status = await _ask(local, definition.tls_server_name or target, service)
        except OSError as error:
            return failure(subject, error)
        except grpc.aio.AioRpcError as error:
            reason = "connect" if error.code() is grpc.StatusCode.UNAVAILABLE else "status"
            return Result("critical", f"{subject}: {error.code().name}: {error.details()}", reason)
        except ValueError as error:
            return Result("critical", f"{subject}: the answer is not one of the health protocol: {error}", "error")
        if status == _SERVING:
            return Result("passing", f"{subject}: success")
        return Result("critical", f"{subject}: {_STATUSES[status] if status < len(_STATUSES) else status}", "status")

    def timed_out(self, definition: CheckDefinition, so_far: str) -> str:  # noqa: ARG002  # the end is all
        """See `SpeakingProber.timed_out`."""
        return f"{_subject(definition)}: timed out after {format_duration(definition.timeout)}"

    async def aclose(self) -> None:
        """Remove what the relay left."""
        await self._relay.aclose()


async def _ask(channel_target: str, authority: str, service: str) -> int:
    options = (*_OPTIONS, ("grpc.default_authority", authority))
    async with grpc.aio.insecure_channel(channel_target, options=options) as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHOD)
        answer = await check(health_request(service), wait_for_ready=False)
    return serving_status(answer)


def _subject(definition: CheckDefinition) -> str:
    """What is being done, as Consul's output names it."""
    return f"gRPC check {definition.grpc}"


def serving_status(message: bytes) -> int:
    """The field ``status`` of a ``HealthCheckResponse``; 0 when it is absent, other fields are passed over.

    Raises:
        ValueError: the bytes are not a message.
    """
    status = position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            if field == 1:
                status = value
        elif wire_type == 2:
            length, position = _varint(message, position)
            position += length
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
    if position > len(message):
        raise ValueError("it is cut off")
    return status


def health_request(service: str) -> bytes:
    """A ``HealthCheckRequest``; its only field is left out when it is empty, as proto3 does."""
    name = service.encode()
    if not name:
        return b""
    length, encoded = len(name), bytearray(b"\x0a")
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded) + name


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            break
    raise ValueError("a number does not end")


def _plain_target(addresses: Sequence[str], port: int) -> str:
    """The addresses of one family, that of the first, as gRPC names them.

    Source: https://github.com/grpc/grpc/blob/master/doc/naming.md.
    """
    family = ":" in addresses[0]
    same = ",".join(f"{bracketed(address)}:{port}" for address in addresses if (":" in address) == family)
    return f"{'ipv6' if family else 'ipv4'}:{same}"
