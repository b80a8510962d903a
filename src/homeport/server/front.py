"""What holds for every HTTP answer, whichever protocol gives it: an ASGI application over a table of routes.

Routing, methods and errors follow Go's ``ServeMux`` and Consul's wrapper around it, because that is what its clients
know: unknown paths and wrong methods get Consul's texts, errors are plain text, ``?pretty`` indents, bodies are
compressed when asked and worth it.
"""

from __future__ import annotations

import asyncio
import html
import logging
import posixpath
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote

import msgspec

from homeport.registry.answers import compress
from homeport.registry.store.contract import OutcomeUnknown, ReadOnly, StoreError, StoreFull
from homeport.registry.store.transaction import Refusal
from homeport.wire import golang
from homeport.wire.consul_decode import DecodeError
from homeport.wire.http import EMPTY, JSON, TEXT, Handler, HTTPError, Request, Response, Routes, text

from .compression import SMALLEST_COMPRESSED, accepts_gzip
from .http_date import HTTPDate
from .origins import Origins
from .settings import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Query = Mapping[str, Sequence[str]]

_READING = ("GET", "HEAD", "OPTIONS")
_WAITING = ("index", "hash")
"""Parameters of a read that may wait for a change."""
_LARGEST_COMPRESSED_AT_ONCE = 256 << 10
_CLOSE = ("Connection", "close")
_UNESCAPED = "/$&+,:;=@~"  # in a path that Go prints
_log = logging.getLogger(__name__)


class Front:
    """The ASGI application. ``common_headers`` go out with every answer."""

    def __init__(
        self, routes: Routes, *, common_headers: Sequence[tuple[bytes, bytes]], limits: Limits, date: HTTPDate,
        allowed_origins: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._routes = routes
        self._common = tuple(common_headers)
        self._limits = limits
        self._date = date
        self._origins = Origins(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope["headers"])
        query = parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
        try:
            response = await self._answer(scope, headers, query, receive)
        except asyncio.CancelledError:
            # Only the end of the server cancels, and it has waited for long.
            response = text("the registry ended before this request was answered", 503, headers=(_CLOSE,))
        except Exception as error:  # noqa: BLE001  # every failure becomes an answer
            response = _error(error, scope["method"], scope["path"])
        await self._send(scope["method"], response, headers, query, send)

    async def _answer(self, scope: Scope, headers: Mapping[str, str], query: Query, receive: Receive) -> Response:
        method, path = str(scope["method"]), str(scope["path"])
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        body = await self._body(headers, receive) if has_body else b""
        if not path.isprintable():
            return Response(status=400, content_type="")
        if path == "*":  # of OPTIONS: asks whether anybody is there
            return EMPTY
        cleaned = _cleaned(path)
        if cleaned != path:
            return _moved(method, cleaned, scope["query_string"])
        found = self._routes.find(path)
        if found is None:
            return _not_found(path)
        handlers, rest = found
        handler = handlers.get(method)
        if handler is None:
            return _not_allowed(method, handlers)
        if method not in _READING:
            self._origins.check(headers)
        client = scope["client"]
        request = Request(
            method=method,
            path=path,
            rest=rest,
            query=query,
            headers=headers,
            body=body,
            client=client[0] if client else "",
        )
        if method == "GET" and not query.keys().isdisjoint(_WAITING):
            return await _while_awaited(handler, request, receive, bodiless=not has_body)
        return await handler(request)

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """The whole body of a request, also where it has no meaning: the next request begins behind it."""
        most = self._limits.body_bytes
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise HTTPError(400, "the client went away before its request was complete", headers=(_CLOSE,))
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise _too_large(most)
                    parts.append(part)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise HTTPError(
                408, f"the request's body did not arrive within {self._limits.body_timeout:g} s", headers=(_CLOSE,)
            ) from None

    async def _send(
        self, method: str, response: Response, request_headers: Mapping[str, str], query: Query, send: Send
    ) -> None:
        body = response.body
        if "pretty" in query and response.content_type == JSON and body:
            body = golang.pretty(body)
        headers = [(name.encode(), _one_line(value)) for name, value in response.headers]
        headers.extend(self._common)
        if len(body) >= SMALLEST_COMPRESSED and accepts_gzip(request_headers.get("accept-encoding", "")):
            large = len(body) > _LARGEST_COMPRESSED_AT_ONCE
            body = await asyncio.to_thread(compress, body) if large else compress(body)
            headers.append((b"Content-Encoding", b"gzip"))
        if response.content_type:
            headers.append((b"Content-Type", response.content_type.encode()))
        headers.append((b"Content-Length", b"%d" % len(body)))
        headers.append((b"Date", self._date.value()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _while_awaited(handler: Handler, request: Request, receive: Receive, *, bodiless: bool) -> Response:
    """Answer a read that may wait; when the client closes its side meanwhile, as things stand then."""
    answer = asyncio.ensure_future(handler(request))
    leaving = asyncio.create_task(_left(receive, bodiless=bodiless))
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
    finally:
        answer.cancel()
        leaving.cancel()
        await asyncio.wait((answer, leaving))
    query = {name: values for name, values in request.query.items() if name not in _WAITING}
    return await handler(msgspec.structs.replace(request, query=query))


async def _left(receive: Receive, *, bodiless: bool) -> None:
    """Wait for the client to go away. Where there is no body, an empty one comes first."""
    for _ in range(1 + bodiless):
        if (await receive())["type"] == "http.disconnect":
            return
    await asyncio.get_running_loop().create_future()


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers


def _one_line(value: str) -> bytes:
    """A header's value, in which a line break becomes a space, as Go does."""
    return value.replace("\r", " ").replace("\n", " ").encode()


def _cleaned(path: str) -> str:
    """The canonical path, as Go's ServeMux redirects to it."""
    if "//" not in path and "/." not in path:
        return path
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _moved(method: str, path: str, query: bytes) -> Response:
    location = quote(path, safe=_UNESCAPED) + (f"?{query.decode('latin-1')}" if query else "")
    if method not in ("GET", "HEAD"):
        return Response(status=301, content_type="", headers=(("Location", location),))
    body = f'<a href="{html.escape(location)}">Moved Permanently</a>.\n\n'.encode()
    return Response(status=301, body=body, content_type="text/html; charset=utf-8", headers=(("Location", location),))


def _not_found(path: str) -> Response:
    if "/v1/" in path:
        return text("Invalid URL path: not a recognized HTTP API endpoint", 404)
    return text("Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n", 404)


def _not_allowed(method: str, handlers: Mapping[str, Handler]) -> Response:
    allowed = ("Allow", ",".join(("OPTIONS", *handlers)))
    if method == "OPTIONS":
        return Response(content_type="", headers=(allowed,))
    return text(f"method {method} not allowed", 405, headers=(allowed,))


def _too_large(most: int) -> HTTPError:
    return HTTPError(413, f"the request's body is larger than {most} bytes", headers=(_CLOSE,))


def _error(error: Exception, method: str, path: str) -> Response:
    match error:
        case HTTPError():
            return Response(status=error.status, body=error.message.encode(), content_type=TEXT, headers=error.headers)
        case Refusal():
            return text(str(error), error.status)
        case DecodeError():
            return text(str(error), 400)
        case StoreFull():
            return text(f"nothing was written: {error}", 507)
        case ReadOnly():
            return text(f"nothing was written: {error}", 503)
        case OutcomeUnknown():
            return text(f"the outcome of this write is unknown: {error}", 500)
        case StoreError():
            return text(f"nothing was written: {error}", 500)
        case _:
            # Neither headers nor query: they may hold a token.
            _log.error("a request failed", extra={"method": method, "path": path}, exc_info=error)
            return text("an internal error happened; the server's log has its cause", 500)
