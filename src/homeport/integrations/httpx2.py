"""Services in `httpx2`: ``http://user-service/path`` goes to an instance of its own with each request.

>>> async def main(discovery: Discovery) -> None:
...     async with httpx2.AsyncClient(transport=DiscoveryTransport(discovery)) as client:
...         response = await client.get("http://user-service/users/7")
...         print(response.json())
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2

from homeport.client.discovery import Discovery
from homeport.model import Instance

from .http.exchange import Exchange
from .http.routing import Routing
from .http.transport import AimedURL, AsyncBody, AsyncTransport, BlockingTransport, Body

if TYPE_CHECKING:
    from homeport.blocking import Discovery as BlockingDiscovery

__all__ = ["BlockingDiscoveryTransport", "DiscoveryTransport", "Routing"]


class DiscoveryTransport(httpx2.AsyncBaseTransport):
    """A transport for ``httpx2.AsyncClient(transport=…)``.

    ``transport`` is what sends a request once its instance is chosen, and everything that does not go to a service; by
    default an ``httpx2.AsyncHTTPTransport()``, which is also where TLS and limits are set. It is closed with this one.

    The URL of the request and of the response stay those of the service, and so do the ``Host`` header, the cookies,
    and the name in the certificate. The outcome is recorded when the body ends or the response is closed. A single
    request may ask for another key, idempotence or deadline by
    ``extensions={"homeport": {"key": …, "idempotent": …, "deadline": …}}``.
    """

    def __init__(
        self,
        discovery: Discovery,
        routing: Routing | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._inner = transport or httpx2.AsyncHTTPTransport()
        self._transport = AsyncTransport(_Library(), discovery, routing, self._inner.handle_async_request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response of an instance, or of whatever the URL names if it is no service.

        Raises:
            httpx2.ConnectError: there is no instance to call; ``__cause__`` is the `HomeportError` that says why.
            httpx2.ReadTimeout: the deadline of the call is over; ``__cause__`` is a `DeadlineExceeded`.
            httpx2.TransportError: the last attempt failed with it.
        """
        return await self._transport.send(request)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


class BlockingDiscoveryTransport(httpx2.BaseTransport):
    """A transport for ``httpx2.Client(transport=…)`` and a `homeport.blocking.Discovery`; see `DiscoveryTransport`."""

    def __init__(
        self,
        discovery: BlockingDiscovery,
        routing: Routing | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._inner = transport or httpx2.HTTPTransport()
        self._transport = BlockingTransport(_Library(), discovery, routing, self._inner.handle_request)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response of an instance; see `DiscoveryTransport.handle_async_request`."""
        return self._transport.send(request)

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class _AsyncBody(AsyncBody, httpx2.AsyncByteStream):
    """A body that httpx2 takes."""


class _Body(Body, httpx2.SyncByteStream):
    """A body that httpx2 takes."""


class _URL(AimedURL, httpx2.URL):
    def __init__(self, url: httpx2.URL, instance: Instance) -> None:
        super().__init__(url)
        self._instance = instance

    def __str__(self) -> str:
        return str(self.copy_with(host=self.host, port=self.port))


class _Library:
    def aimed(self, request: httpx2.Request, instance: Instance, extensions: dict[str, Any]) -> httpx2.Request:
        aimed = httpx2.Request(
            request.method, request.url, headers=request.headers, stream=request.stream, extensions=extensions
        )
        aimed.url = _URL(request.url, instance)
        return aimed

    def is_in_memory(self, request: httpx2.Request) -> bool:
        return isinstance(request.stream, httpx2.ByteStream)

    def follow(self, response: httpx2.Response, exchange: Exchange) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Body(response.stream, exchange, self.read_timeout)

    def follow_async(self, response: httpx2.Response, exchange: Exchange) -> None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncBody(response.stream, exchange, self.read_timeout)

    def is_of_an_instance(self, error: Exception) -> bool:
        return isinstance(error, httpx2.TransportError) and not isinstance(
            error, httpx2.PoolTimeout | httpx2.LocalProtocolError | httpx2.UnsupportedProtocol
        )

    def is_never_sent(self, error: Exception) -> bool:
        return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)

    def connect_error(self, message: str) -> Exception:
        return httpx2.ConnectError(message)

    def read_timeout(self, message: str) -> Exception:
        return httpx2.ReadTimeout(message)
