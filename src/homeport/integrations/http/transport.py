"""What the transports for httpx and for httpx2 do: two libraries with the same classes under two names."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterator,
    Mapping,
    MutableMapping,
)
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from homeport.client.discovery import Discovery
from homeport.client.resilience.attempts import Attempts
from homeport.errors import DeadlineExceeded, HomeportError, InvalidValue
from homeport.model import Instance

from .exchange import Abandoned, Exchange
from .hedging import first_response, patience_for
from .routing import Headers, Routing

if TYPE_CHECKING:
    from homeport.blocking import Discovery as BlockingDiscovery

EXTENSION = "homeport"
"""The request extension by which a single request asks for another ``key``, ``idempotent`` or ``deadline``."""

_TIMEOUTS = ("connect", "read", "write", "pool")


class URL(Protocol):
    """A URL."""

    @property
    def scheme(self) -> str:
        """In lower case."""
        ...

    @property
    def host(self) -> str:
        """In lower case, an IPv6 address without brackets."""
        ...

    @property
    def port(self) -> int | None:
        """None if it is that of the scheme."""
        ...


class Request(Protocol):
    """A request."""

    @property
    def method(self) -> str:
        """In capitals."""
        ...

    @property
    def url(self) -> URL:
        """Where it goes."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers."""
        ...

    @property
    def extensions(self) -> MutableMapping[str, Any]:
        """What is meant for transports."""
        ...


class Response(Protocol):
    """A response."""

    @property
    def status_code(self) -> int:
        """The status."""
        ...

    def close(self) -> None:
        """Give back the connection."""
        ...

    async def aclose(self) -> None:
        """Give back the connection."""
        ...


RequestT = TypeVar("RequestT", bound=Request)
ResponseT = TypeVar("ResponseT", bound=Response)
ResponseT_contra = TypeVar("ResponseT_contra", bound=Response, contravariant=True)


class Library(Protocol[RequestT, ResponseT_contra]):
    """What is spelled differently in the two libraries."""

    def aimed(self, request: RequestT, instance: Instance, extensions: dict[str, Any]) -> RequestT:
        """A copy of a request that goes to an instance, with the same headers and the same body."""
        ...

    def is_in_memory(self, request: RequestT) -> bool:
        """Whether the body can be sent a second time, whatever became of the first."""
        ...

    def follow(self, response: ResponseT_contra, exchange: Exchange) -> None:
        """Put a `Body` in the place of that of a response."""
        ...

    def follow_async(self, response: ResponseT_contra, exchange: Exchange) -> None:
        """Put an `AsyncBody` in the place of that of a response."""
        ...

    def is_of_an_instance(self, error: Exception) -> bool:
        """Whether an error is a failure of the instance, rather than of the program or its pool of connections."""
        ...

    def is_never_sent(self, error: Exception) -> bool:
        """Whether there was no connection."""
        ...

    def connect_error(self, message: str) -> Exception:
        """The library's error for a connection that cannot be made."""
        ...

    def read_timeout(self, message: str) -> Exception:
        """The library's error for a response that does not come in time."""
        ...


class AimedURL:
    """The URL of a request for an instance: the path of the one and the host and port of the other.

    To parse such a URL would cost more than everything else that is done for a request.
    """

    _instance: Instance

    @property
    def host(self) -> str:
        """The address of the instance."""
        return self._instance.address

    @property
    def raw_host(self) -> bytes:
        """The address of the instance."""
        return self._instance.address.encode("idna")

    @property
    def port(self) -> int | None:
        """The port of the instance; without one it is at that of the scheme."""
        return self._instance.port or None

    @property
    def netloc(self) -> bytes:
        """The address and the port of the instance."""
        return self._instance.endpoint.removesuffix(":0").encode("idna")


class _Transport(Generic[RequestT, ResponseT]):
    """What does not depend on who waits, a task or a thread."""

    def __init__(self, library: Library[RequestT, ResponseT], routing: Routing | None) -> None:
        self._library = library
        self._routing = routing or Routing()
        self._abandoned: Abandoned = deque()

    def _routing_of(self, request: RequestT) -> Routing:
        changes = request.extensions.get(EXTENSION)
        if changes is None:
            return self._routing
        if not isinstance(changes, Mapping):
            raise InvalidValue(f'the extension "{EXTENSION}" is a {type(changes).__name__}; give a dictionary')
        return self._routing.replaced(changes)

    def _exchange(self, attempts: Callable[..., Attempts], routing: Routing, request: RequestT) -> Exchange:
        idempotent = routing.is_idempotent(request) and self._library.is_in_memory(request)
        return Exchange(
            attempts(key=routing.key_of(request), idempotent=idempotent, deadline=routing.deadline), self._abandoned
        )

    def _aimed(self, request: RequestT, instance: Instance, remaining: float | None) -> RequestT:
        extensions = dict(request.extensions)
        if request.url.scheme == "https" and "sni_hostname" not in extensions:
            extensions["sni_hostname"] = instance.meta.get("tls_server_name") or request.url.host
        if remaining is not None:
            given = extensions.get("timeout", {})
            extensions["timeout"] = {name: _sooner(given.get(name), remaining) for name in _TIMEOUTS}
        return self._library.aimed(request, instance, extensions)

    def _failed(self, exchange: Exchange, error: Exception) -> float | None:
        """The pause before the next attempt, or None if the error is to stand."""
        if not self._library.is_of_an_instance(error):
            exchange.disregard()
            return None
        return exchange.failed(error, sent=not self._library.is_never_sent(error))

    def _translated(self, error: HomeportError) -> Exception:
        if isinstance(error, DeadlineExceeded):
            return self._library.read_timeout(str(error))
        return self._library.connect_error(str(error))


class AsyncTransport(_Transport[RequestT, ResponseT]):
    """Sends the requests of an event loop."""

    def __init__(
        self,
        library: Library[RequestT, ResponseT],
        discovery: Discovery,
        routing: Routing | None,
        inner: Callable[[RequestT], Awaitable[ResponseT]],
    ) -> None:
        super().__init__(library, routing)
        self._discovery = discovery
        self._inner = inner

    async def send(self, request: RequestT) -> ResponseT:
        """The response of an instance, or of whatever the URL names if it is no service."""
        service = self._routing.service(request.url.host, request.url.port)
        if service is None:
            return await self._inner(request)
        routing = self._routing_of(request)
        try:
            watch = await self._discovery.watching(service)
            return await self._exchanged(self._exchange(watch.attempts, routing, request), request)
        except HomeportError as error:
            raise self._translated(error) from error

    async def _exchanged(self, exchange: Exchange, request: RequestT) -> ResponseT:
        patience = patience_for(request, exchange)
        while True:
            if patience is None:
                answer = self._attempt(exchange, request, exchange.begin().instance)
            else:
                sender = _Sender(request, self._attempt, self._library)
                answer = first_response(exchange, sender, patience=patience)
            try:
                response = await answer
            except Exception as error:
                pause = self._failed(exchange, error)
                if pause is None:
                    raise
            except BaseException as error:
                exchange.broke(error)
                raise
            else:
                pause = exchange.answered(response.status_code)
                if pause is None:
                    self._library.follow_async(response, exchange)
                    return response
                await response.aclose()
            if pause > 0.0:
                await asyncio.sleep(pause)

    async def _attempt(self, exchange: Exchange, request: RequestT, instance: Instance) -> ResponseT:
        aimed = self._aimed(request, instance, None)
        if not exchange.bounded:
            return await self._inner(aimed)
        limit = asyncio.timeout(exchange.remaining)
        try:
            async with limit:
                return await self._inner(aimed)
        except TimeoutError as error:
            if limit.expired():
                raise exchange.exceeded() from error.__cause__
            raise


class _Sender(Generic[RequestT, ResponseT]):
    """Sends one request to several instances; see `homeport.integrations.http.hedging.Sender`."""

    def __init__(
        self,
        request: RequestT,
        attempt: Callable[[Exchange, RequestT, Instance], Awaitable[ResponseT]],
        library: Library[RequestT, ResponseT],
    ) -> None:
        self._request = request
        self._attempt = attempt
        self._library = library

    async def send(self, exchange: Exchange) -> ResponseT:
        return await self._attempt(exchange, self._request, exchange.begin().instance)

    def status(self, response: ResponseT) -> int:
        return response.status_code

    def ended(self, exchange: Exchange, error: BaseException) -> None:
        if isinstance(error, Exception) and not self._library.is_of_an_instance(error):
            exchange.disregard()
        else:
            exchange.broke(error)

    async def discard(self, response: ResponseT) -> None:
        await response.aclose()


class BlockingTransport(_Transport[RequestT, ResponseT]):
    """Sends the requests of threads."""

    def __init__(
        self,
        library: Library[RequestT, ResponseT],
        discovery: BlockingDiscovery,
        routing: Routing | None,
        inner: Callable[[RequestT], ResponseT],
    ) -> None:
        super().__init__(library, routing)
        self._discovery = discovery
        self._inner = inner

    def send(self, request: RequestT) -> ResponseT:
        """The response of an instance, or of whatever the URL names if it is no service."""
        service = self._routing.service(request.url.host, request.url.port)
        if service is None:
            return self._inner(request)
        routing = self._routing_of(request)
        try:
            watch = self._discovery.watching(service)
            return self._exchanged(self._exchange(watch.attempts, routing, request), request)
        except HomeportError as error:
            raise self._translated(error) from error

    def _exchanged(self, exchange: Exchange, request: RequestT) -> ResponseT:
        while True:
            aimed = self._aimed(request, exchange.begin().instance, exchange.remaining)
            try:
                response = self._inner(aimed)
            except Exception as error:
                if exchange.remaining == 0.0:
                    raise exchange.exceeded(error) from error
                pause = self._failed(exchange, error)
                if pause is None:
                    raise
            except BaseException as error:
                exchange.broke(error)
                raise
            else:
                pause = exchange.answered(response.status_code)
                if pause is None:
                    self._library.follow(response, exchange)
                    return response
                response.close()
            if pause > 0.0:
                time.sleep(pause)


class AsyncBody:
    """The body of a response, whose end is the outcome of the call."""

    def __init__(self, stream: AsyncStream, exchange: Exchange, read_timeout: Callable[[str], Exception]) -> None:
        self._stream = stream
        self._exchange = exchange
        self._read_timeout = read_timeout

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        chunks = aiter(self._stream)
        while True:
            try:
                chunk = await self._next(chunks)
            except StopAsyncIteration:
                break
            except BaseException as error:
                self._exchange.broke(error)
                raise
            yield chunk
        self._exchange.complete()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes:
        if not self._exchange.bounded:
            return await anext(chunks)
        limit = asyncio.timeout(self._exchange.remaining)
        try:
            async with limit:
                return await anext(chunks)
        except TimeoutError:
            if not limit.expired():
                raise
        exceeded = self._exchange.exceeded()
        raise self._read_timeout(str(exceeded)) from exceeded

    async def aclose(self) -> None:
        """Give back the connection."""
        self._exchange.closed()
        await self._stream.aclose()


class Body:
    """The body of a response, whose end is the outcome of the call."""

    def __init__(self, stream: Stream, exchange: Exchange, read_timeout: Callable[[str], Exception]) -> None:
        self._stream = stream
        self._exchange = exchange
        self._read_timeout = read_timeout

    def __iter__(self) -> Generator[bytes, None, None]:
        chunks = iter(self._stream)
        while True:
            try:
                chunk = next(chunks, None)
            except Exception as error:
                if self._exchange.remaining == 0.0:
                    exceeded = self._exchange.exceeded(error)
                    raise self._read_timeout(str(exceeded)) from exceeded
                self._exchange.broke(error)
                raise
            except BaseException as error:
                self._exchange.broke(error)
                raise
            if chunk is None:
                break
            if self._exchange.remaining == 0.0:
                exceeded = self._exchange.exceeded()
                raise self._read_timeout(str(exceeded)) from exceeded
            yield chunk
        self._exchange.complete()

    def close(self) -> None:
        """Give back the connection."""
        self._exchange.closed()
        self._stream.close()


class AsyncStream(Protocol):
    """Where an `AsyncBody` comes from."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks."""
        ...

    async def aclose(self) -> None:
        """Give back the connection."""
        ...


class Stream(Protocol):
    """Where a `Body` comes from."""

    def __iter__(self) -> Iterator[bytes]:
        """The chunks."""
        ...

    def close(self) -> None:
        """Give back the connection."""
        ...


def _sooner(seconds: float | None, remaining: float) -> float:
    return remaining if seconds is None else min(seconds, remaining)
