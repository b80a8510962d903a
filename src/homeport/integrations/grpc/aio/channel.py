"""A ``grpc.aio`` channel to a service, each of whose calls goes to the instance that the balancer chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from random import random, sample
from typing import Any, Self, TypeVar
from weakref import WeakSet

import grpc
import grpc.aio
from grpc import ChannelConnectivity

from homeport.client.discovery import Discovery
from homeport.client.resilience.attempts import NoTimeLeft
from homeport.client.watch import Watch
from homeport.errors import BackendError, DeadlineExceeded, HomeportError, NoInstances
from homeport.integrations.grpc.address import address_of, connection_options
from homeport.integrations.grpc.call_key import key_in
from homeport.integrations.grpc.connectivity import combined
from homeport.integrations.grpc.obstacles import FIRST_PAUSE, LONGEST_PAUSE, Unreachable, no_time, status_of
from homeport.integrations.grpc.settings import ChannelSettings
from homeport.model import Instance, Query, Snapshot

from .calls import RoutedCall
from .methods import Metadata, StreamStream, StreamUnary, UnaryStream, UnaryUnary
from .routing import Start, performed, placed
from .subchannels import Subchannels
from .unmade_call import UnmadeCall

Request = TypeVar("Request")
Response = TypeVar("Response")
Made = TypeVar("Made", bound=grpc.aio.Call)
Kept = TypeVar("Kept", bound=RoutedCall[Any])


class DiscoveryChannel(grpc.aio.Channel):
    """A channel to all instances of a service; see `homeport.integrations.grpc.discovery_channel`.

    It has one connection for each instance that was called, and a watch of its own. Both begin with the first call and
    end with `close`. It belongs to the event loop of its `Discovery`, which is not closed with it.
    """

    def __init__(
        self,
        discovery: Discovery,
        query: Query,
        settings: ChannelSettings,
        *,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> None:
        self._discovery = discovery
        self._query = query
        self._settings = settings
        self._interceptors = interceptors
        self._subchannels = Subchannels(self._open_channel, on_state=self._announce)
        self._watch: Watch | None = None
        self._changed = asyncio.Event()
        self._calls: WeakSet[RoutedCall[Any]] = WeakSet()
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<DiscoveryChannel to {self._query.service!r} on {self._discovery.backend.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Take no more calls, give those under way ``grace`` seconds, cancel the rest, and close all connections.

        Calling it twice is harmless.
        """
        self._closed = True
        self._announce()
        calls = [call for call in self._calls if not call.done()]
        if grace and calls:
            endings = [asyncio.ensure_future(call.code()) for call in calls]
            await asyncio.wait(endings, timeout=grace)
            for ending in endings:
                ending.cancel()
            await asyncio.wait(endings)
        for call in calls:
            call.cancel()
        for call in calls:
            await call.settled()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self._watch is not None:
            await self._watch.close()
        await self._subchannels.aclose()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._subchannels)

    # connectivity

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:  # noqa: FBT001, FBT002 - gRPC's signature
        """The best state of the connections; with ``try_to_connect`` a first one is made."""
        if self._closed:
            return ChannelConnectivity.SHUTDOWN
        state = combined(self._subchannels.states)
        if state is not ChannelConnectivity.READY and try_to_connect:
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.get_running_loop().create_task(self._connect(), name="homeport grpc connect")
            if state is ChannelConnectivity.IDLE:
                return ChannelConnectivity.CONNECTING
        return state

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        """Wait until the state is another."""
        while self.get_state() is last_observed_state:
            await self._changed.wait()

    async def channel_ready(self) -> None:
        """Wait until an instance is connected to.

        Raises:
            grpc.aio.UsageError: the channel was closed.
        """
        while self.get_state(try_to_connect=True) is not ChannelConnectivity.READY:
            self._check_open()
            await self._changed.wait()

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

    def keep(self, call: Kept) -> Kept:
        """A call was begun: it ends with the channel."""
        self._calls.add(call)
        return call

    def perform(
        self,
        method: str,
        start: Start[grpc.aio.UnaryUnaryCall[Request, Response]],
        *,
        timeout: float | None,
        metadata: Metadata | None,
        wait_for_ready: bool | None,
    ) -> Coroutine[Any, Any, grpc.aio.UnaryUnaryCall[Request, Response] | UnmadeCall]:
        """Make a call from its request to its response; see `performed`."""
        self._check_open()
        key = key_in(metadata, self._settings.key)
        idempotent = self._settings.idempotent(method)

        async def attempt(watch: Watch, left: float | None) -> grpc.aio.UnaryUnaryCall[Request, Response]:
            return await performed(
                watch, self._subchannels, start, key=key, idempotent=idempotent, timeout=left, wait=bool(wait_for_ready)
            )

        return self._made(attempt, timeout=timeout, wait=bool(wait_for_ready))

    def place(
        self, start: Start[Made], *, timeout: float | None, metadata: Metadata | None, wait_for_ready: bool | None
    ) -> Coroutine[Any, Any, Made | UnmadeCall]:
        """Begin a call on an instance that is connected; see `placed`."""
        self._check_open()
        key = key_in(metadata, self._settings.key)

        async def attempt(watch: Watch, left: float | None) -> Made:
            attempts = watch.attempts(key=key, deadline=left)
            return await placed(attempts, self._subchannels, start, wait=bool(wait_for_ready))

        return self._made(attempt, timeout=timeout, wait=bool(wait_for_ready))

    # inner

    async def _made(
        self,
        attempt: Callable[[Watch, float | None], Coroutine[Any, Any, Made]],
        *,
        timeout: float | None,
        wait: bool,
    ) -> Made | UnmadeCall:
        """A call, or why there is none. With ``wait``, what keeps it from being made may still change."""
        loop = asyncio.get_running_loop()
        deadline_at = None if timeout is None else loop.time() + timeout
        pause = FIRST_PAUSE
        obstacle: Exception | None = None
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline_at):
                        watch = await self._begun()
                    left = None if deadline_at is None else max(0.0, deadline_at - loop.time())
                    return await attempt(watch, left)
                except (NoInstances, BackendError, Unreachable) as error:
                    if not wait:
                        raise
                    obstacle = error
                async with asyncio.timeout_at(deadline_at):
                    await self._until_news(pause * (0.5 + random() / 2))
                pause = min(pause * 2, LONGEST_PAUSE)
        except TimeoutError as error:
            if isinstance(error, DeadlineExceeded) and not isinstance(error, NoTimeLeft):
                return UnmadeCall(status_of(error), str(error), cause=error)
            text = no_time(self._query.service, timeout, obstacle)
            return UnmadeCall(grpc.StatusCode.DEADLINE_EXCEEDED, text, cause=obstacle)
        except (HomeportError, Unreachable) as error:
            return UnmadeCall(status_of(error), str(error), cause=error)

    async def _begun(self) -> Watch:
        """The watch of this channel, with its first snapshot."""
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
        await self._watch.begin()
        return self._watch

    def _take(self, snapshot: Snapshot) -> None:
        self._subchannels.retain(snapshot.instances)
        self._announce()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _until_news(self, pause: float) -> None:
        """Wait until something changed, but no longer than for a pause."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()

    async def _connect(self) -> None:
        """Connect to one instance, each in turn until one answers."""
        try:
            # All programs that start together are not to meet at the first.
            instances = (await self._begun()).current.instances
            for instance in sample(instances, len(instances)):
                with self._subchannels.use(instance) as subchannel:
                    if await subchannel.connect():
                        return
        except HomeportError:
            pass  # who waits asks again at the next change
        await self._until_news(LONGEST_PAUSE)
        self._announce()

    def _open_channel(self, instance: Instance) -> grpc.aio.Channel:
        settings = self._settings
        target = address_of(instance)
        options = connection_options(
            instance,
            settings.options,
            connect_timeout=settings.connect_timeout,
            secure=settings.credentials is not None,
        )
        if settings.credentials is None:
            return grpc.aio.insecure_channel(target, options, settings.compression, self._interceptors)
        return grpc.aio.secure_channel(target, settings.credentials, options, settings.compression, self._interceptors)

    def _check_open(self) -> None:
        if self._closed:
            raise grpc.aio.UsageError("Channel is closed.")
