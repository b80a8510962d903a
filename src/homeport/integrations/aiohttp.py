"""Services in `aiohttp`: ``http://user-service/path`` goes to an instance of its own with each request.

>>> async def main(discovery: Discovery) -> None:
...     async with aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]) as session:
...         async with session.get("http://user-service/users/7") as response:
...             print(await response.json())
"""

from __future__ import annotations

import asyncio
from collections import deque
from copy import copy
from functools import lru_cache, partial
from weakref import ref

import aiohttp
from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse
from yarl import URL

from homeport.client.discovery import Discovery
from homeport.errors import DeadlineExceeded, HomeportError
from homeport.model import Instance

from .http.environment import proxy_in_environment
from .http.exchange import Abandoned, Exchange
from .http.hedging import first_response, patience_for
from .http.routing import Routing

__all__ = ["DeadlinePassed", "Routing", "ServiceDisconnected", "ServiceUnreachable", "discovery_middleware"]

_TLS_SCHEMES = frozenset({"https", "wss"})
_SWITCHING_PROTOCOLS = 101
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ServerFingerprintMismatch)


class ServiceUnreachable(aiohttp.ClientConnectionError):
    """No instance was called; ``__cause__`` is the `HomeportError` that says why."""


class ServiceDisconnected(aiohttp.ServerConnectionError):
    """The connection to an instance ended before there was a response; ``__cause__`` is how.

    aiohttp would repeat the request by itself after an error of its own, beyond the attempts and the budget.
    """


class DeadlinePassed(aiohttp.ServerTimeoutError):
    """The deadline of the call is over; ``__cause__`` is the `DeadlineExceeded` that says which."""


def discovery_middleware(discovery: Discovery, routing: Routing | None = None) -> ClientMiddlewareType:
    """A middleware for ``aiohttp.ClientSession(middlewares=[…])``, or for a single request of such a session.

    It belongs at the end of the list, next to the network: others then see the name of the service.

    The URL of the request and of the response stay those of the service (``response.request_info.url`` tells the
    instance), and so do the ``Host`` header, the cookies, and the name in the certificate. The outcome is recorded when
    the body ends or the response is closed.
    """
    return partial(_send, discovery, routing or Routing(), deque())


async def _send(
    discovery: Discovery, routing: Routing, abandoned: Abandoned, request: ClientRequest, handler: ClientHandlerType
) -> ClientResponse:
    url = request.url
    service = routing.service(url.host, url.explicit_port)
    if service is None:
        return await handler(request)
    server_hostname = request.server_hostname
    if request.proxy is not None:
        _forget_environment_proxy(request)
    try:
        watch = await discovery.watching(service)
        exchange = Exchange(
            watch.attempts(
                key=routing.key_of(request),
                idempotent=routing.is_idempotent(request) and _is_in_memory(request),
                deadline=routing.deadline,
            ),
            abandoned,
        )
        patience = patience_for(request, exchange)
        while True:
            if patience is None:
                _aim(request, url, server_hostname, exchange.begin().instance)
            try:
                if patience is not None:
                    response = await first_response(exchange, _Sender(request, handler), patience=patience)
                elif exchange.bounded:
                    response = await _within_the_deadline(exchange, request, handler)
                else:
                    response = await handler(request)
            except aiohttp.ClientError as error:
                pause = _failed(exchange, error)
                if pause is None:
                    raise
            except BaseException as error:
                # Also aiohttp's total time-out (a TimeoutError is an OSError), after which no attempt could succeed.
                _end(exchange, error)
                raise
            else:
                pause = exchange.answered(response.status)
                if pause is None:
                    _follow(exchange, response)
                    return response
                response.release()
            if pause > 0.0:
                await asyncio.sleep(pause)
    except DeadlineExceeded as error:
        raise DeadlinePassed(str(error)) from error
    except HomeportError as error:
        raise ServiceUnreachable(str(error)) from error
    except aiohttp.ClientError as error:
        if _would_be_repeated(error):
            raise ServiceDisconnected(f'the connection to "{service}" was lost: {error}') from error
        raise
    finally:
        request.url = url
        request.server_hostname = server_hostname


async def _within_the_deadline(
    exchange: Exchange, request: ClientRequest, handler: ClientHandlerType
) -> ClientResponse:
    limit = asyncio.timeout(exchange.remaining)
    try:
        async with limit:
            return await handler(request)
    except TimeoutError as error:
        if limit.expired():
            raise exchange.exceeded() from error.__cause__
        raise


def _aim(request: ClientRequest, url: URL, server_hostname: str | None, instance: Instance) -> None:
    """Point the request at an instance; what was derived from its URL before (``Host``, cookies) stays."""
    request.url = _url_at(url, instance.address, instance.port)
    if server_hostname is None and url.scheme in _TLS_SCHEMES:
        request.server_hostname = instance.meta.get("tls_server_name") or url.host


@lru_cache(512)  # as yarl remembers what it parsed
def _url_at(url: URL, address: str, port: int) -> URL:
    # An instance without a port of its own is at that of the scheme.
    return url.with_host(address).with_port(port or None)


class _Sender:
    """Sends one request to several instances; see `homeport.integrations.http.hedging.Sender`."""

    def __init__(self, request: ClientRequest, handler: ClientHandlerType) -> None:
        self._request = request
        self._handler = handler

    async def send(self, exchange: Exchange) -> ClientResponse:
        instance = exchange.begin().instance
        # A request is changed while it is sent, so each attempt has one of its own.
        request = copy(self._request)
        request.headers = request.headers.copy()
        _aim(request, request.url, request.server_hostname, instance)
        if exchange.bounded:
            return await _within_the_deadline(exchange, request, self._handler)
        return await self._handler(request)

    def status(self, response: ClientResponse) -> int:
        return response.status

    def ended(self, exchange: Exchange, error: BaseException) -> None:
        _end(exchange, error)

    async def discard(self, response: ClientResponse) -> None:
        response.close()


def _failed(exchange: Exchange, error: aiohttp.ClientError) -> float | None:
    if isinstance(error, aiohttp.InvalidURL):
        exchange.disregard()
        return None
    return exchange.failed(error, sent=not isinstance(error, _NEVER_SENT))


def _end(exchange: Exchange, error: BaseException) -> None:
    """Record an attempt that ended without a response."""
    of_an_instance = isinstance(error, aiohttp.ClientError) and not isinstance(error, aiohttp.InvalidURL)
    if of_an_instance or isinstance(error, OSError | asyncio.CancelledError):
        exchange.broke(error)
    else:
        exchange.disregard()


def _would_be_repeated(error: aiohttp.ClientError) -> bool:
    """Whether aiohttp would make the whole request again on this error."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    return isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)


def _follow(exchange: Exchange, response: ClientResponse) -> None:
    """Record the outcome when the body ends, and end it at the deadline."""
    connection = response.connection
    if connection is None:  # the body came with the head
        exchange.complete()
        return
    expiry = None
    if exchange.bounded and response.status != _SWITCHING_PROTOCOLS:  # a WebSocket is no body
        expiry = asyncio.get_running_loop().call_later(exchange.remaining or 0.0, _expire, exchange, response)
    # Weakly, for the connection must not keep alive a response that nobody holds any more.
    connection.add_callback(partial(_ended, exchange, ref(response), expiry))


def _ended(exchange: Exchange, reference: ref[ClientResponse], expiry: asyncio.TimerHandle | None) -> None:
    """The connection is given back or closed."""
    if expiry is not None:
        expiry.cancel()
    response = reference()
    if response is None or not response.closed:
        return  # it was thrown away: no end is recorded from within a garbage collection, see Exchange
    trouble = response.content.exception()
    if trouble is not None and not _is_closing(trouble):
        exchange.broke(trouble)
    elif response.content.is_eof():
        exchange.complete()
    else:
        exchange.closed()


def _is_closing(trouble: BaseException) -> bool:
    """Whether a body ended because its response was closed; only then there is this very error, without a cause."""
    return type(trouble) is aiohttp.ClientConnectionError and trouble.__cause__ is None


def _expire(exchange: Exchange, response: ClientResponse) -> None:
    exceeded = exchange.exceeded()
    error = DeadlinePassed(str(exceeded))
    error.__cause__ = exceeded
    response.content.set_exception(error)
    response.close()


def _is_in_memory(request: ClientRequest) -> bool:
    """Whether the body can be sent a second time, whatever became of the first."""
    return not request.body or isinstance(request.body, aiohttp.BytesPayload)


def _forget_environment_proxy(request: ClientRequest) -> None:
    """Call an instance directly, unless the program itself named a proxy."""
    if not request.session.trust_env or request.proxy is None:
        return
    named = proxy_in_environment(request.url.scheme)
    if named is not None and URL(named).with_user(None) == request.proxy:
        request.update_proxy(None, None, None)
