"""What a stub holds for each of its methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import grpc

if TYPE_CHECKING:
    from grpc import _CallFuture, _CallIterator

    from .channel import DiscoveryChannel

Request = TypeVar("Request")
Response = TypeVar("Response")

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """A method of a service on a channel, and how its messages become bytes."""

    channel: DiscoveryChannel
    name: str
    serializer: Callable[[Request], bytes] | None
    deserializer: Callable[[bytes], Response] | None


class UnaryUnary(Method[Request, Response], grpc.UnaryUnaryMultiCallable):  # type: ignore[type-arg]  # it has none at run time
    """One request, one response."""

    __slots__ = ()

    def __call__(
        self,
        request: Request,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> Response:
        """Make a call and wait for its response; see ``grpc.UnaryUnaryMultiCallable``."""
        response, _ = self.with_call(request, timeout, metadata, credentials, wait_for_ready, compression)
        return response

    def with_call(
        self,
        request: Request,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> tuple[Response, grpc.Call]:
        """Make a call and wait for its response; see ``grpc.UnaryUnaryMultiCallable``."""

        def send(connection: grpc.Channel, left: float | None) -> tuple[Response, grpc.Call]:
            return connection.unary_unary(self.name, self.serializer, self.deserializer).with_call(
                request, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        return self.channel.perform(self.name, send, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)

    def future(
        self,
        request: Request,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> _CallFuture[Response]:
        """Begin a call; see ``grpc.UnaryUnaryMultiCallable``."""

        def start(connection: grpc.Channel, left: float | None) -> _CallFuture[Response]:
            return connection.unary_unary(self.name, self.serializer, self.deserializer).future(
                request, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        return self.channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)


class UnaryStream(Method[Request, Response], grpc.UnaryStreamMultiCallable):  # type: ignore[type-arg]  # it has none at run time
    """One request, a stream of responses."""

    __slots__ = ()

    def __call__(
        self,
        request: Request,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> _CallIterator[Response]:
        """Begin a call; see ``grpc.UnaryStreamMultiCallable``."""

        def start(connection: grpc.Channel, left: float | None) -> _CallIterator[Response]:
            return connection.unary_stream(self.name, self.serializer, self.deserializer)(
                request, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        return self.channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)


class StreamUnary(Method[Request, Response], grpc.StreamUnaryMultiCallable):  # type: ignore[type-arg]  # it has none at run time
    """A stream of requests, one response."""

    __slots__ = ()

    def __call__(
        self,
        request_iterator: Iterator[Request],
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> Response:
        """Make a call and wait for its response; see ``grpc.StreamUnaryMultiCallable``."""
        response, _ = self.with_call(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return response

    def with_call(
        self,
        request_iterator: Iterator[Request],
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> tuple[Response, grpc.Call]:
        """Make a call and wait for its response; see ``grpc.StreamUnaryMultiCallable``."""
        call = self.future(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return call.result(), call

    def future(
        self,
        request_iterator: Iterator[Request],
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> _CallFuture[Response]:
        """Begin a call; see ``grpc.StreamUnaryMultiCallable``."""

        def start(connection: grpc.Channel, left: float | None) -> _CallFuture[Response]:
            return connection.stream_unary(self.name, self.serializer, self.deserializer).future(
                request_iterator, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        return self.channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)


class StreamStream(Method[Request, Response], grpc.StreamStreamMultiCallable):  # type: ignore[type-arg]  # it has none at run time
    """A stream of requests, a stream of responses."""

    __slots__ = ()

    def __call__(
        self,
        request_iterator: Iterator[Request],
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,  # noqa: FBT001 - gRPC's signature
        compression: grpc.Compression | None = None,
    ) -> _CallIterator[Response]:
        """Begin a call; see ``grpc.StreamStreamMultiCallable``."""

        def start(connection: grpc.Channel, left: float | None) -> _CallIterator[Response]:
            return connection.stream_stream(self.name, self.serializer, self.deserializer)(
                request_iterator, timeout=left, metadata=metadata, credentials=credentials, compression=compression
            )

        return self.channel.place(start, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready)
