"""What a stub holds for each of its methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import grpc
import grpc.aio

from .calls import StreamStreamCall, StreamUnaryCall, UnaryStreamCall, UnaryUnaryCall

if TYPE_CHECKING:
    from .channel import DiscoveryChannel

Request = TypeVar("Request")
Response = TypeVar("Response")

Metadata: TypeAlias = grpc.aio.Metadata | Sequence[tuple[str, str | bytes]]
Requests: TypeAlias = AsyncIterator[Request] | Iterator[Request]


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """A method of a service on a channel, and how its messages become bytes."""

    channel: DiscoveryChannel
    name: str
    serializer: Callable[[Request], bytes] | None
    deserializer: Callable[[bytes], Response] | None


class UnaryUnary(Method[Request, Response], grpc.aio.UnaryUnaryMultiCallable[Request, Response]):
    """One request, one response."""

    __slots__ = ()

    def __call__(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryUnaryCall[Request, Response]:
        """Begin a call; see ``grpc.aio.UnaryUnaryMultiCallable``."""

        def start(connection: grpc.aio.Channel, left: float | None) -> grpc.aio.UnaryUnaryCall[Request, Response]:
            return connection.unary_unary(self.name, self.serializer, self.deserializer)(
                request, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        channel = self.channel
        routing = channel.perform(self.name, start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)
        return channel.keep(UnaryUnaryCall(routing, timeout=timeout))


class UnaryStream(Method[Request, Response], grpc.aio.UnaryStreamMultiCallable[Request, Response]):
    """One request, a stream of responses."""

    __slots__ = ()

    def __call__(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryStreamCall[Request, Response]:
        """Begin a call; see ``grpc.aio.UnaryStreamMultiCallable``."""

        def start(connection: grpc.aio.Channel, left: float | None) -> grpc.aio.UnaryStreamCall[Request, Response]:
            return connection.unary_stream(self.name, self.serializer, self.deserializer)(
                request, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        channel = self.channel
        routing = channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)
        return channel.keep(UnaryStreamCall(routing, timeout=timeout))


class StreamUnary(Method[Request, Response], grpc.aio.StreamUnaryMultiCallable[Request, Response]):
    """A stream of requests, one response."""

    __slots__ = ()

    def __call__(
        self,
        request_iterator: Requests[Request] | None = None,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> StreamUnaryCall[Request, Response]:
        """Begin a call; see ``grpc.aio.StreamUnaryMultiCallable``."""

        def start(connection: grpc.aio.Channel, left: float | None) -> grpc.aio.StreamUnaryCall[Request, Response]:
            return connection.stream_unary(self.name, self.serializer, self.deserializer)(
                request_iterator, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        channel = self.channel
        routing = channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)
        return channel.keep(StreamUnaryCall(routing, timeout=timeout))


class StreamStream(Method[Request, Response], grpc.aio.StreamStreamMultiCallable[Request, Response]):
    """A stream of requests, a stream of responses."""

    __slots__ = ()

    def __call__(
        self,
        request_iterator: Requests[Request] | None = None,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> StreamStreamCall[Request, Response]:
        """Begin a call; see ``grpc.aio.StreamStreamMultiCallable``."""

        def start(connection: grpc.aio.Channel, left: float | None) -> grpc.aio.StreamStreamCall[Request, Response]:
            return connection.stream_stream(self.name, self.serializer, self.deserializer)(
                request_iterator, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        channel = self.channel
        routing = channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)
        return channel.keep(StreamStreamCall(routing, timeout=timeout))
