"""All HTTP clients behind one face, so that one test speaks for each; those that block do so in a thread."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
import httpx
import httpx2
import requests

from homeport import ClientSettings, Discovery
from homeport.balancing.loads import Load
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.client.resilience.traffic import Traffic
from homeport.integrations import httpx as for_httpx
from homeport.integrations import httpx2 as for_httpx2
from homeport.integrations.aiohttp import discovery_middleware
from homeport.integrations.http import Routing
from homeport.integrations.requests import DiscoveryAdapter
from homeport.spi import Observer
from homeport.testing.memory import Memory


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    body: bytes
    url: str
    served_by: str


class Opened(Protocol):
    """A response whose body is read in pieces."""

    async def piece(self) -> bytes:
        """The next piece, empty at the end."""
        ...

    async def close(self) -> None:
        """Read no further."""
        ...


class Client(Protocol):
    """One of the libraries, with services."""

    @property
    def connect_error(self) -> type[Exception]:
        """For a connection that cannot be made."""
        ...

    @property
    def timeout_error(self) -> type[Exception]:
        """For an answer that does not come in time."""
        ...

    @property
    def any_error(self) -> type[Exception]:
        """For whatever happens on the network."""
        ...

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        pieces: list[bytes] | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        """One request; ``pieces`` are a body that can be read once only, ``timeout`` is for the answer."""
        ...

    async def open(self, url: str) -> Opened:
        """One request whose body is yet to be read."""
        ...

    async def traffic(self, service: str = "users") -> Traffic:
        """What is known of a service from calling it."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


async def load(client: Client, endpoint: str) -> Load:
    """What is known of an instance from calling it."""
    return (await client.traffic()).table.of(endpoint)


async def _async_pieces(pieces: list[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece


def _pieces(pieces: list[bytes]) -> Generator[bytes, None, None]:
    yield from pieces


class Aiohttp:
    connect_error = aiohttp.ClientConnectionError
    timeout_error = aiohttp.ServerTimeoutError
    any_error = aiohttp.ClientError

    def __init__(
        self,
        memory: Memory,
        routing: Routing,
        settings: ClientSettings,
        authority: Path | None,
        observer: Observer | None,
    ) -> None:
        self.discovery = Discovery(memory, settings=settings, observer=observer, handle_signals=False)
        self._tls = ssl.create_default_context(cafile=authority) if authority else True
        self.session = aiohttp.ClientSession(middlewares=[discovery_middleware(self.discovery, routing)])

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        pieces: list[bytes] | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        data = body if pieces is None else _async_pieces(pieces)
        limit = aiohttp.ClientTimeout(total=20, sock_read=timeout)
        async with self.session.request(
            method, url, headers=headers, data=data, ssl=self._tls, timeout=limit
        ) as response:
            return Answer(
                response.status, await response.read(), str(response.url), response.headers.get("Served-By", "")
            )

    async def open(self, url: str) -> Opened:
        return _AiohttpOpened(await self.session.get(url))

    async def traffic(self, service: str = "users") -> Traffic:
        return (await self.discovery.watching(service)).traffic

    async def aclose(self) -> None:
        await self.session.close()
        await self.discovery.aclose()


class _AiohttpOpened:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def piece(self) -> bytes:
        return await self.response.content.readany()

    async def close(self) -> None:
        self.response.release()


class AsyncHttpx:
    """httpx or httpx2, in an event loop."""

    def __init__(
        self,
        library: Any,
        transport: Callable[..., Any],
        memory: Memory,
        routing: Routing,
        settings: ClientSettings,
        authority: Path | None,
        observer: Observer | None,
    ) -> None:
        self.connect_error = library.ConnectError
        self.timeout_error = library.ReadTimeout
        self.any_error = library.TransportError
        self._timeout = library.Timeout
        self.discovery = Discovery(memory, settings=settings, observer=observer, handle_signals=False)
        inner = library.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=authority)) if authority else None
        self.client = library.AsyncClient(transport=transport(self.discovery, routing, transport=inner))

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        pieces: list[bytes] | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        content = body if pieces is None else _async_pieces(pieces)
        response = await self.client.request(
            method,
            url,
            headers=headers,
            content=content,
            timeout=self._timeout(20, read=timeout),
            follow_redirects=True,
        )
        return _httpx_answer(response)

    async def open(self, url: str) -> Opened:
        response = await self.client.send(self.client.build_request("GET", url, timeout=20), stream=True)
        return _AsyncHttpxOpened(response)

    async def traffic(self, service: str = "users") -> Traffic:
        return (await self.discovery.watching(service)).traffic

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.discovery.aclose()


class _AsyncHttpxOpened:
    def __init__(self, response: Any) -> None:
        self._response = response
        self._pieces = response.aiter_raw()

    async def piece(self) -> bytes:
        return await anext(self._pieces, b"")

    async def close(self) -> None:
        await self._response.aclose()


class BlockingHttpx:
    """httpx or httpx2, in threads."""

    def __init__(
        self,
        library: Any,
        transport: Callable[..., Any],
        memory: Memory,
        routing: Routing,
        settings: ClientSettings,
        authority: Path | None,
        observer: Observer | None,
    ) -> None:
        self.connect_error = library.ConnectError
        self.timeout_error = library.ReadTimeout
        self.any_error = library.TransportError
        self._timeout = library.Timeout
        self.discovery = BlockingDiscovery(memory, settings=settings, observer=observer, handle_signals=False)
        inner = library.HTTPTransport(verify=ssl.create_default_context(cafile=authority)) if authority else None
        self.client = library.Client(transport=transport(self.discovery, routing, transport=inner))

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        pieces: list[bytes] | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        content = body if pieces is None else _pieces(pieces)
        response = await asyncio.to_thread(
            self.client.request, method, url, headers=headers, content=content,
            timeout=self._timeout(20, read=timeout), follow_redirects=True,
        )  # fmt: skip
        return _httpx_answer(response)

    async def open(self, url: str) -> Opened:
        request = self.client.build_request("GET", url, timeout=20)
        response = await asyncio.to_thread(self.client.send, request, stream=True)
        return _BlockingOpened(response.iter_raw(), response.close)

    async def traffic(self, service: str = "users") -> Traffic:
        return (await asyncio.to_thread(self.discovery.watching, service)).traffic

    async def aclose(self) -> None:
        self.client.close()
        await asyncio.to_thread(self.discovery.close)


class Requests:
    connect_error = requests.ConnectionError
    timeout_error = requests.ReadTimeout
    any_error = requests.RequestException

    def __init__(
        self,
        memory: Memory,
        routing: Routing,
        settings: ClientSettings,
        authority: Path | None,
        observer: Observer | None,
    ) -> None:
        self.discovery = BlockingDiscovery(memory, settings=settings, observer=observer, handle_signals=False)
        self.session = requests.Session()
        # Given with each request, since REQUESTS_CA_BUNDLE would take precedence over the session's.
        self._verify = str(authority) if authority else True
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, DiscoveryAdapter(self.discovery, routing))

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        pieces: list[bytes] | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        data = body if pieces is None else _pieces(pieces)
        response = await asyncio.to_thread(
            self.session.request, method, url, headers=headers, data=data, timeout=(20, timeout), verify=self._verify
        )
        return Answer(response.status_code, response.content, response.url, response.headers.get("Served-By", ""))

    async def open(self, url: str) -> Opened:
        response = await asyncio.to_thread(self.session.get, url, stream=True, timeout=20)
        return _BlockingOpened(response.iter_content(None), response.close)

    async def traffic(self, service: str = "users") -> Traffic:
        return (await asyncio.to_thread(self.discovery.watching, service)).traffic

    async def aclose(self) -> None:
        self.session.close()
        await asyncio.to_thread(self.discovery.close)


class _BlockingOpened:
    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None]) -> None:
        self._pieces = pieces
        self._close = close

    async def piece(self) -> bytes:
        return await asyncio.to_thread(next, self._pieces, b"")

    async def close(self) -> None:
        self._close()


def _httpx_answer(response: Any) -> Answer:
    return Answer(response.status_code, response.content, str(response.url), response.headers.get("Served-By", ""))


def make(
    name: str,
    memory: Memory,
    *,
    routing: Routing | None = None,
    settings: ClientSettings | None = None,
    authority: Path | None = None,
    observer: Observer | None = None,
) -> Client:
    """The client of that name."""
    routing, settings = routing or Routing(), settings or ClientSettings()
    match name:
        case "aiohttp":
            return Aiohttp(memory, routing, settings, authority, observer)
        case "requests":
            return Requests(memory, routing, settings, authority, observer)
        case "httpx":
            return AsyncHttpx(httpx, for_httpx.DiscoveryTransport, memory, routing, settings, authority, observer)
        case "httpx2":
            return AsyncHttpx(httpx2, for_httpx2.DiscoveryTransport, memory, routing, settings, authority, observer)
        case "httpx blocking":
            return BlockingHttpx(
                httpx, for_httpx.BlockingDiscoveryTransport, memory, routing, settings, authority, observer
            )
        case "httpx2 blocking":
            return BlockingHttpx(
                httpx2, for_httpx2.BlockingDiscoveryTransport, memory, routing, settings, authority, observer
            )
    raise ValueError(name)


NAMES = ("aiohttp", "requests", "httpx", "httpx2", "httpx blocking", "httpx2 blocking")
