"""Services in `requests`: ``http://user-service/path`` goes to an instance of its own with each request.

>>> def main(discovery: Discovery) -> None:
...     with requests.Session() as session:
...         session.mount("http://", DiscoveryAdapter(discovery))
...         print(session.get("http://user-service/users/7").json())
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError
from urllib3.response import HTTPResponse
from urllib3.util import Retry, Timeout

from homeport.errors import DeadlineExceeded, HomeportError
from homeport.model import Instance

from .http.environment import proxy_in_environment
from .http.exchange import Abandoned, Exchange
from .http.routing import Routing

if TYPE_CHECKING:
    from homeport.blocking import Discovery

__all__ = ["DiscoveryAdapter", "Routing"]


class DiscoveryAdapter(HTTPAdapter):
    """An adapter to mount: ``session.mount("http://", DiscoveryAdapter(discovery))``, and the same for ``https://``.

    What does not go to a service is sent as by requests' own adapter. An adapter with another `Routing` may be mounted
    for a part of a service, such as ``http://user-service/orders``. The other arguments are those of
    ``requests.adapters.HTTPAdapter``; ``pool_connections`` counts instances.

    The URL of the request and of the response stay those of the service, and so do the ``Host`` header, the cookies,
    and the name in the certificate. The outcome is recorded when the body ends or the response is closed.
    """

    def __init__(
        self,
        discovery: Discovery,
        routing: Routing | None = None,
        *,
        pool_connections: int = 100,
        pool_maxsize: int = 10,
        max_retries: int | Retry = 0,
        pool_block: bool = False,
    ) -> None:
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)
        self._discovery = discovery
        self._routing = routing or Routing()
        self._abandoned: Abandoned = deque()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - the signature of requests
        timeout: Any = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The response of an instance, or of whatever the URL names if it is no service.

        Raises:
            requests.ConnectionError: there is no instance to call (``__cause__`` is the `HomeportError` that says
                why), or the last attempt failed with it.
            requests.ReadTimeout: the deadline of the call is over; ``__cause__`` is a `DeadlineExceeded`.
            requests.RequestException: the last attempt failed with it.
        """
        url = urlsplit(str(request.url))
        service = self._routing.service(url.hostname, url.port)
        if service is None:
            return super().send(request, stream, timeout, verify, cert, proxies)
        direct = {scheme: proxy for scheme, proxy in (proxies or {}).items() if proxy != proxy_in_environment(scheme)}
        routing = self._routing
        try:
            watch = self._discovery.watching(service)
            exchange = Exchange(
                watch.attempts(
                    key=routing.key_of(request),
                    idempotent=routing.is_idempotent(request) and _is_in_memory(request),
                    deadline=routing.deadline,
                ),
                self._abandoned,
            )
            while True:
                aimed = _AimedRequest(request, url, exchange.begin().instance)
                try:
                    response = super().send(aimed, stream, _bounded(timeout, exchange.remaining), verify, cert, direct)
                except Exception as error:
                    if exchange.remaining == 0.0:
                        raise exchange.exceeded(error) from error
                    pause = _failed(exchange, error)
                    if pause is None:
                        raise
                except BaseException as error:
                    exchange.broke(error)
                    raise
                else:
                    pause = exchange.answered(response.status_code)
                    if pause is None:
                        response.url = str(request.url)
                        response.request = request
                        response.raw = _Body(response.raw, exchange, request)
                        return response
                    response.close()
                if pause > 0.0:
                    time.sleep(pause)
        except DeadlineExceeded as error:
            raise requests.ReadTimeout(str(error), request=request) from error
        except HomeportError as error:
            raise requests.ConnectionError(str(error), request=request) from error

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 - the signature of requests
        cert: Any = None,
    ) -> Any:
        """As that of requests; but the name in the certificate of an instance is that of its service."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if isinstance(request, _AimedRequest) and host["scheme"] == "https":
            return host, {**pool, "server_hostname": request.server_name}
        return host, pool


class _AimedRequest(requests.PreparedRequest):
    """A request for one instance, whose original stays untouched."""

    def __init__(self, request: requests.PreparedRequest, url: SplitResult, instance: Instance) -> None:
        vars(self).update(vars(request))
        # An instance without a port of its own is at that of the scheme.
        netloc = instance.endpoint if instance.port else instance.endpoint.removesuffix(":0")
        self.url = url._replace(netloc=netloc).geturl()
        self.headers = request.headers.copy()
        self.headers.setdefault("Host", url.hostname or "")
        self.server_name = instance.meta.get("tls_server_name") or url.hostname


class _Body:
    """The body of a response as urllib3 gives it, whose end is the outcome of the call."""

    def __init__(self, raw: HTTPResponse, exchange: Exchange, request: requests.PreparedRequest) -> None:
        self._raw = raw
        self._exchange = exchange
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self._followed(iter(self._raw))

    def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001
        """The chunks of the body."""
        return self._followed(self._raw.stream(amt, decode_content))

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001
        """The chunks as the server cut them."""
        return self._followed(self._raw.read_chunked(amt, decode_content))

    def read(self, amt: int | None = None, *arguments: Any, **named: Any) -> bytes:
        """So much of the body, or all of it."""
        return self._some(self._raw.read, amt, *arguments, **named)

    def read1(self, amt: int | None = None, *arguments: Any, **named: Any) -> bytes:
        """What is there of the body, at most so much."""
        return self._some(self._raw.read1, amt, *arguments, **named)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill a buffer; the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the connection."""
        self._exchange.closed()
        self._raw.close()

    def release_conn(self) -> None:
        """Give back the connection."""
        self._exchange.closed()
        self._raw.release_conn()

    def _some(self, read: Callable[..., bytes], amt: int | None, *arguments: Any, **named: Any) -> bytes:
        with self._watched():
            data = read(amt, *arguments, **named)
        if self._raw.closed or (not data and amt != 0):
            self._exchange.complete()
        return data

    def _followed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with self._watched():
                chunk = next(chunks, None)
            if chunk is None:
                break
            yield chunk
        self._exchange.complete()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Something of the body is read."""
        exchange = self._exchange
        try:
            yield
        except Exception as error:
            if exchange.remaining == 0.0:
                self._raise_late(error)
            exchange.broke(error)
            raise
        except BaseException as error:
            exchange.broke(error)
            raise
        if exchange.remaining == 0.0:
            self._raise_late(None)

    def _raise_late(self, error: Exception | None) -> NoReturn:
        exceeded = self._exchange.exceeded(error)
        self._raw.close()
        raise requests.ReadTimeout(str(exceeded), request=self._request) from exceeded


def _failed(exchange: Exchange, error: Exception) -> float | None:
    """The pause before the next attempt, or None if the error is to stand."""
    if not isinstance(error, requests.ConnectionError | requests.Timeout):
        exchange.disregard()
        return None
    return exchange.failed(error, sent=not _is_never_sent(error))


def _is_never_sent(error: Exception) -> bool:
    """Whether there was no connection; requests hides that in what it wraps."""
    inner = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or (
        isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError | ConnectTimeoutError)
    )


def _is_in_memory(request: requests.PreparedRequest) -> bool:
    """Whether the body can be sent a second time, whatever became of the first."""
    return request.body is None or isinstance(request.body, bytes | str)


def _bounded(timeout: Any, remaining: float | None) -> Any:
    """The time-outs of the program, and together no more than what remains until the deadline."""
    if remaining is None:
        return timeout
    if isinstance(timeout, Timeout):
        bounded = timeout.clone()
        bounded.total = min(timeout.total, remaining) if isinstance(timeout.total, int | float) else remaining
        return bounded
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return Timeout(total=remaining, connect=connect, read=read)
