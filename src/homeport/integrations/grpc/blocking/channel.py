"""A ``grpc`` channel to a service, each of whose calls goes to the instance that the balancer chooses."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from random import random
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from grpc import ChannelConnectivity

from homeport.blocking import Discovery, Watch
from homeport.client.resilience.attempts import NoTimeLeft
from homeport.errors import BackendError, HomeportError, NoInstances
from homeport.integrations.grpc.address import address_of, connection_options
from homeport.integrations.grpc.call_key import key_in
from homeport.integrations.grpc.obstacles import FIRST_PAUSE, LONGEST_PAUSE, Unreachable, no_time, status_of
from homeport.integrations.grpc.settings import ChannelSettings
from homeport.model import Instance, Query, Snapshot

from .connectivity import Connectivity
from .methods import Metadata, StreamStream, StreamUnary, UnaryStream, UnaryUnary
from .routing import Send, Start, performed, placed
from .subchannels import Subchannels, closed_channel
from .unmade_call import UnmadeCall

Request = TypeVar("Request")
Response = TypeVar("Response")
Made = TypeVar("Made", bound=grpc.Call)
Result = TypeVar("Result")


class DiscoveryChannel(grpc.Channel):
    """A channel to all instances of a service; see `homeport.integrations.grpc.discovery_channel`.

    It has one connection for each instance that was called, and a watch of its own. Both begin with the first call and
    end with `close`. It may be used from any thread. Its `Discovery` is not closed with it.
    """

    def __init__(self, discovery: Discovery, query: Query, settings: ChannelSettings) -> None:
        self._discovery = discovery
        self._query = query
        self._settings = settings
        self._news = threading.Condition()
        self._subchannels = Subchannels(self._open_channel)
        self._connectivity = Connectivity(self._subchannels, instances=self._instances, news=self._news)
        self._beginning = threading.Lock()
        self._watch: Watch | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<blocking DiscoveryChannel to {self._query.service!r} on {self._discovery.backend.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more calls, cancel those under way, and close all connections. Calling it twice is harmless."""
        with self._beginning:
            self._closed = True
            watch = self._watch
        self._announce()
        self._connectivity.close()
        if watch is not None:
            watch.close()
        self._subchannels.close()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._subchannels)

    # connectivity

    def subscribe(
        self,
        callback: Callable[[ChannelConnectivity], None],
        try_to_connect: bool | None = False,  # noqa: FBT001, FBT002 - gRPC's signature
    ) -> None:
        """Have ``callback`` called with the best state of the connections, now and whenever it changes.

        It is called on a thread for that. With ``try_to_connect`` a first connection is made.
        """
        self._check_open()
        self._connectivity.subscribe(callback, try_to_connect=bool(try_to_connect))

    def unsubscribe(self, callback: Callable[[ChannelConnectivity], None]) -> None:
        """Have it called no more."""
        self._connectivity.unsubscribe(callback)

    # methods

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Request], bytes] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,  # noqa: FBT001, FBT002 - what generated code tells gRPC's own channels
    ) -> UnaryUnary[Request, Response]:
        """A method with one request and one response."""
        return UnaryUnary(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Request], bytes] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,  # noqa: FBT001, FBT002
    ) -> UnaryStream[Request, Response]:
        """A method with one request and a stream of responses."""
        return UnaryStream(self, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Callable[[Request], bytes] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,  # noqa: FBT001, FBT002
    ) -> StreamUnary[Request, Response]:
        """A method with a stream of requests and one response."""
        return StreamUnary(self, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Request], bytes] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,  # noqa: FBT001, FBT002
    ) -> StreamStream[Request, Response]:
        """A method with a stream of requests and a stream of responses."""
        return StreamStream(self, method, request_serializer, response_deserializer)

    # what methods need of their channel

    def perform(
        self,
        method: str,
        send: Send[Response],
        *,
        timeout: float | None,
        metadata: Metadata | None,
        wait_for_ready: bool | None,
    ) -> tuple[Response, grpc.Call]:
        """Make a call from its request to its response; see `performed`.

        Raises:
            grpc.RpcError: the call failed.
        """
        self._check_open()
        key = key_in(metadata, self._settings.key)
        idempotent = self._settings.idempotent(method)

        def attempt(watch: Watch, left: float | None) -> tuple[Response, grpc.Call]:
            return performed(
                watch, self._subchannels, send, key=key, idempotent=idempotent, timeout=left, wait=bool(wait_for_ready)
            )

        return self._made(attempt, timeout=timeout, wait=bool(wait_for_ready))

    def place(
        self, start: Start[Made], *, timeout: float | None, metadata: Metadata | None, wait_for_ready: bool | None
    ) -> Made:
        """Begin a call on an instance that is connected; see `placed`. If there is none, the call has failed."""
        self._check_open()
        key = key_in(metadata, self._settings.key)

        def attempt(watch: Watch, left: float | None) -> Made:
            attempts = watch.attempts(key=key, deadline=left)
            return placed(attempts, self._subchannels, start, wait=bool(wait_for_ready))

        try:
            return self._made(attempt, timeout=timeout, wait=bool(wait_for_ready))
        except UnmadeCall as call:
            # To whoever called, it is a call like others, which fails when it is looked at.
            unmade: Any = call.with_traceback(None)
            made: Made = unmade
            return made

    # inner

    def _made(self, attempt: Callable[[Watch, float | None], Result], *, timeout: float | None, wait: bool) -> Result:
        """What an attempt makes. With ``wait``, what keeps it from being made may still change.

        Raises:
            UnmadeCall: it was not made.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE
        obstacle: Exception | None = None
        while True:
            left = max(0.0, until - time.monotonic())
            try:
                return attempt(self._begun(), left if math.isfinite(left) else None)
            except (NoInstances, BackendError, Unreachable) as error:
                obstacle = error
                if not wait:
                    raise UnmadeCall(grpc.StatusCode.UNAVAILABLE, str(error)) from error
            except NoTimeLeft:
                raise self._too_late(timeout, obstacle) from obstacle
            except HomeportError as error:
                raise UnmadeCall(status_of(error), str(error)) from error
            with self._news:
                self._news.wait(min(pause * (0.5 + random() / 2), max(0.0, until - time.monotonic())))
            self._check_open()
            if time.monotonic() >= until:
                raise self._too_late(timeout, obstacle) from obstacle
            pause = min(pause * 2, LONGEST_PAUSE)

    def _too_late(self, timeout: float | None, obstacle: Exception | None) -> UnmadeCall:
        return UnmadeCall(grpc.StatusCode.DEADLINE_EXCEEDED, no_time(self._query.service, timeout, obstacle))

    def _begun(self) -> Watch:
        """The watch of this channel, with its first snapshot."""
        watch = self._watch
        if watch is not None and not watch.closed:
            return watch
        with self._beginning:
            self._check_open()
            if self._watch is None or self._watch.closed:
                query = self._query
                self._watch = self._discovery.watch(
                    query.service,
                    tags=query.tags,
                    version=query.version,
                    environment=query.environment,
                    meta=query.meta,
                    datacenter=query.datacenter,
                    balancer=self._settings.balancer,
                    on_change=self._take,
                )
            return self._watch

    def _take(self, snapshot: Snapshot) -> None:
        self._subchannels.retain(snapshot.instances)
        self._announce()

    def _announce(self) -> None:
        with self._news:
            self._news.notify_all()

    def _instances(self) -> Sequence[Instance]:
        return self._begun().current.instances

    def _open_channel(self, instance: Instance) -> grpc.Channel:
        settings = self._settings
        target = address_of(instance)
        options = connection_options(
            instance,
            settings.options,
            connect_timeout=settings.connect_timeout,
            secure=settings.credentials is not None,
        )
        if settings.credentials is None:
            return grpc.insecure_channel(target, options, settings.compression)
        return grpc.secure_channel(target, settings.credentials, options, settings.compression)

    def _check_open(self) -> None:
        if self._closed:
            raise closed_channel()
