"""The four kinds of calls as ``grpc.aio`` hands them out, while it is still open which instance will answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio

from .unmade_call import UnmadeCall

Request = TypeVar("Request")
Response = TypeVar("Response")
Made = TypeVar("Made", bound=grpc.aio.Call)


class RoutedCall(Generic[Made]):
    """A call that is given to an instance by a task, and is that instance's call from then on."""

    def __init__(self, routing: Coroutine[Any, Any, Made | UnmadeCall], *, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._routing = loop.create_task(routing, name="homeport grpc call")
        self._deadline_at = None if timeout is None else loop.time() + timeout

    def cancelled(self) -> bool:
        """See ``grpc.aio.RpcContext``."""
        return self._routing.done() and self._routed().cancelled()

    def done(self) -> bool:
        """See ``grpc.aio.RpcContext``."""
        return self._routing.done() and self._routed().done()

    def time_remaining(self) -> float | None:
        """See ``grpc.aio.RpcContext``."""
        if self._deadline_at is None:
            return None
        return max(0.0, self._deadline_at - asyncio.get_running_loop().time())

    def cancel(self) -> bool:
        """See ``grpc.aio.RpcContext``."""
        return self._routed().cancel() if self._routing.done() else self._routing.cancel()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """See ``grpc.aio.RpcContext``."""
        self._routing.add_done_callback(lambda _: self._routed().add_done_callback(lambda _: callback(self)))

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """See ``grpc.aio.Call``."""
        return await (await self._made()).initial_metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """See ``grpc.aio.Call``."""
        return await (await self._made()).trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """See ``grpc.aio.Call``."""
        return await (await self._made()).code()

    async def details(self) -> str:
        """See ``grpc.aio.Call``."""
        return await (await self._made()).details()

    async def wait_for_connection(self) -> None:
        """See ``grpc.aio.Call``."""
        await (await self._made()).wait_for_connection()

    async def settled(self) -> None:
        """Wait until nothing of it goes on any more."""
        await asyncio.wait((self._routing,))

    async def _made(self) -> Made | UnmadeCall:
        """The call of the instance. Whoever waits here may be cancelled without harm to the call."""
        if not self._routing.done():
            await asyncio.wait((self._routing,))
        return self._routed()

    @contextmanager
    def _cancelled_with_its_reader(self) -> Iterator[None]:
        """Who gives up waiting for a message gives up the call, as with gRPC's own calls."""
        try:
            yield
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _routed(self) -> Made | UnmadeCall:
        return UnmadeCall.cancelled_by_caller() if self._routing.cancelled() else self._routing.result()


class UnaryUnaryCall(
    RoutedCall[grpc.aio.UnaryUnaryCall[Request, Response]], grpc.aio.UnaryUnaryCall[Request, Response]
):
    """One request, one response."""

    def __await__(self) -> Generator[Any, None, Response]:
        return self._response().__await__()

    async def _response(self) -> Response:
        with self._cancelled_with_its_reader():
            return await (await self._made())


class UnaryStreamCall(
    RoutedCall[grpc.aio.UnaryStreamCall[Request, Response]], grpc.aio.UnaryStreamCall[Request, Response]
):
    """One request, a stream of responses."""

    _iterator: AsyncIterator[Response] | None = None

    def __aiter__(self) -> AsyncIterator[Response]:
        if self._iterator is None:
            self._iterator = self._responses()
        return self._iterator

    async def read(self) -> Response | object:
        """See ``grpc.aio.UnaryStreamCall``."""
        with self._cancelled_with_its_reader():
            return await (await self._made()).read()

    async def _responses(self) -> AsyncIterator[Response]:
        with self._cancelled_with_its_reader():
            made = await self._made()
        async for response in made:
            yield response


class StreamUnaryCall(
    RoutedCall[grpc.aio.StreamUnaryCall[Request, Response]], grpc.aio.StreamUnaryCall[Request, Response]
):
    """A stream of requests, one response."""

    def __await__(self) -> Generator[Any, None, Response]:
        return self._response().__await__()

    async def write(self, request: Request) -> None:
        """See ``grpc.aio.StreamUnaryCall``."""
        with self._cancelled_with_its_reader():
            await (await self._made()).write(request)

    async def done_writing(self) -> None:
        """See ``grpc.aio.StreamUnaryCall``."""
        with self._cancelled_with_its_reader():
            await (await self._made()).done_writing()

    async def _response(self) -> Response:
        with self._cancelled_with_its_reader():
            return await (await self._made())


class StreamStreamCall(
    RoutedCall[grpc.aio.StreamStreamCall[Request, Response]], grpc.aio.StreamStreamCall[Request, Response]
):
    """A stream of requests, a stream of responses."""

    _iterator: AsyncIterator[Response] | None = None

    def __aiter__(self) -> AsyncIterator[Response]:
        if self._iterator is None:
            self._iterator = self._responses()
        return self._iterator

    async def read(self) -> Response | object:
        """See ``grpc.aio.StreamStreamCall``."""
        with self._cancelled_with_its_reader():
            return await (await self._made()).read()

    async def write(self, request: Request) -> None:
        """See ``grpc.aio.StreamStreamCall``."""
        with self._cancelled_with_its_reader():
            await (await self._made()).write(request)

    async def done_writing(self) -> None:
        """See ``grpc.aio.StreamStreamCall``."""
        with self._cancelled_with_its_reader():
            await (await self._made()).done_writing()

    async def _responses(self) -> AsyncIterator[Response]:
        with self._cancelled_with_its_reader():
            made = await self._made()
        async for response in made:
            yield response
