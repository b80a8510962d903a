"""HTTP towards a system with one or more addresses.

Every request has a finite time-out, every answer a bounded size, and every failure is one of `homeport.errors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Self, TypeVar
from weakref import WeakSet

import aiohttp
import msgspec
from yarl import URL

from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer

from .backend_url import HostPort
from .http_errors import NATIVE_ERRORS, Cause, Failure, NotTrusted, failure
from .http_stream import Stream
from .keep_alive import watch_over
from .rotating_context import RotatingContext
from .tls import TLS
from .token import FixedToken, Token

_log = logging.getLogger(__name__)

_GATEWAY_FAILURES = frozenset((502, 503, 504))
_NEVER_PROCESSED = frozenset((Cause.NOT_REACHED, Cause.NOT_TRUSTED))
_REFUSALS = frozenset((401, 403))


class Answer(msgspec.Struct, frozen=True):
    """What a server answered: status, headers (names in lower case), body, and the URL of the address that gave it."""

    status: int
    headers: dict[str, str]
    body: bytes
    origin: str

    @property
    def text(self) -> str:
        """The beginning of the body on one line, for messages: at most 300 characters, all printable."""
        words = " ".join(self.body[:2000].decode("utf-8", "replace").split())
        return "".join(character for character in words if character.isprintable())[:300]


A = TypeVar("A", bound=Answer | Stream)


class _Credentials(NamedTuple):
    """How a request shows who asks: its token, and what its connection is made with."""

    token: str
    context: ssl.SSLContext | None


class HTTPConnection:
    """Requests to a system that answers under any of several addresses.

    The address that answered last is asked first. The next one is asked when nobody accepts a connection, and for
    requests that may be repeated also when the connection breaks or a gateway says that it reaches nobody. Sockets
    are opened by the first request, in the running event loop, and kept for the next ones; `aclose` closes them.
    Redirects are not followed and cookies not kept.

    A token and certificates that change are followed. Where who asks is refused (401, 403, or by TLS), both are looked
    at again, and the request is repeated once if one of them changed.

    ``system`` is what people call the other side ("registry"), ``advice`` is a sentence for the error that says that
    nobody answers.
    """

    def __init__(
        self,
        addresses: Sequence[HostPort],
        *,
        system: str,
        advice: str = "",
        backend: str = "",
        tls: TLS | None = None,
        token: Token | None = None,
        token_header: str = "Authorization",  # noqa: S107 - the name of a header
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 5.0,
        timeout: float = 10.0,
        answer_limit_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self._addresses = tuple(addresses)
        scheme = "http" if tls is None else "https"
        self._origins = tuple(f"{scheme}://{address}" for address in addresses)
        self._system = system
        self._advice = advice
        self._backend = backend
        self._server_name = tls.server_name if tls is not None else ""
        self._context = RotatingContext(tls, backend=backend) if tls is not None else None
        self._token = token or FixedToken()
        self._token_header = token_header
        self._headers = {"User-Agent": "homeport", **(headers or {})}
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._answer_limit_bytes = answer_limit_bytes
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._first = 0
        self._sockets: WeakSet[socket.socket] = WeakSet()

    @property
    def origin(self) -> str:
        """The URL of the address that is asked first."""
        return self._origins[self._first]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all sockets; requests under way fail. Calling it twice is harmless."""
        self._closed = True
        session, self._session = self._session, None
        if session is None:
            return
        await session.close()
        # TLS would wait for the other side to say goodbye, which it may never do while it holds a long poll back.
        for opened in tuple(self._sockets):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for _ in range(50):  # the event loop closes them when it sees that; nobody announces it
            if all(opened.fileno() == -1 for opened in self._sockets):
                return
            await asyncio.sleep(0.001)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Send a request and read the whole answer, whatever its status.

        ``path`` is percent-encoded already. ``timeout`` covers everything from connecting to the end of the body, for
        each address. A request that is not ``repeatable`` is sent to another address only if it certainly did not
        arrive.

        Raises:
            BackendUnavailable: nobody answered, or not in time, or the connection broke.
            InvalidAnswer: the answer is not HTTP, or larger than allowed.
            SettingsError: the token or a certificate cannot be read.
        """
        seconds = self._timeout if timeout is None else timeout

        async def ask(origin: str, who: _Credentials) -> Answer:
            async with await self._send(
                method, origin, path, params=params, body=body, who=who, timeout=seconds, total=seconds
            ) as response:
                return await self._whole(response, origin)

        return await self._with_credentials(ask, timeout=seconds, repeatable=repeatable)

    async def stream(
        self, method: str, path: str, *, body: bytes | None = None, timeout: float | None = None
    ) -> Stream | Answer:
        """Send a request whose answer goes on; the caller closes the `Stream`.

        An answer of another status than 200 is read as a whole instead. ``timeout`` is for what comes before the body;
        addresses are asked in turn as for a request that may be repeated.

        Raises:
            BackendError: see `request`.
        """
        seconds = self._timeout if timeout is None else timeout

        async def ask(origin: str, who: _Credentials) -> Stream | Answer:
            async with asyncio.timeout(seconds):
                response = await self._send(
                    method, origin, path, params=None, body=body, who=who, timeout=seconds, total=None
                )
                if response.status == Stream.status:
                    return Stream(response, origin=origin, system=self._system, backend=self._backend)
                async with response:
                    return await self._whole(response, origin)

        return await self._with_credentials(ask, timeout=seconds, repeatable=True)

    async def _with_credentials(
        self, ask: Callable[[str, _Credentials], Awaitable[A]], *, timeout: float, repeatable: bool
    ) -> A:
        """What is answered with the credentials of now, or with those that have taken their place."""
        await self._ready_session()
        context = await self._context.current() if self._context is not None else None
        who = _Credentials(await self._token.current(), context)
        try:
            answer = await self._in_turn(ask, who, timeout=timeout, repeatable=repeatable)
            if answer.status not in _REFUSALS or (renewed := await self._renewed()) == who:
                return answer
        except NotTrusted:
            if (renewed := await self._renewed()) == who:
                raise
        return await self._in_turn(ask, renewed, timeout=timeout, repeatable=repeatable)

    async def _renewed(self) -> _Credentials:
        context = await self._context.reread() if self._context is not None else None
        return _Credentials(await self._token.reread(), context)

    async def _in_turn(
        self, ask: Callable[[str, _Credentials], Awaitable[A]], who: _Credentials, *, timeout: float, repeatable: bool
    ) -> A:
        """What the first address says that can be asked."""
        failures: list[tuple[str, Failure, BaseException | None]] = []
        first = self._first  # which other requests may change meanwhile
        for turn in range(len(self._origins)):
            place = (first + turn) % len(self._origins)
            origin = self._origins[place]
            cause: BaseException | None = None
            try:
                answer = await ask(origin, who)
            except NATIVE_ERRORS as error:
                failed = failure(error, timeout=timeout)
                cause = error
            else:
                if answer.status not in _GATEWAY_FAILURES or len(self._origins) == 1:
                    self._prefer(place)
                    return answer
                failed = Failure(Cause.BROKEN, f"HTTP {answer.status}")
            failures.append((origin, failed, cause))
            if failed.cause not in _NEVER_PROCESSED and not repeatable:
                break
        self._first = (first + 1) % len(self._origins)
        raise self._error(failures) from failures[-1][2]

    async def local_address(self) -> str:
        """The address of this host from which the system is reached, found without sending anything.

        Raises:
            BackendUnavailable: no name resolves, or no route leads there.
        """
        loop = asyncio.get_running_loop()
        failures: list[tuple[str, Failure, BaseException | None]] = []
        first = self._first  # which requests may change meanwhile
        for turn in range(len(self._addresses)):
            place = (first + turn) % len(self._addresses)
            address = self._addresses[place]
            try:
                async with asyncio.timeout(self._connect_timeout):
                    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
                return _source_address(found)
            except (OSError, UnicodeError) as error:
                failed = Failure(Cause.NOT_REACHED, "its name cannot be resolved")
                failures.append((self._origins[place], failed, error))
        raise self._error(failures) from failures[-1][2]

    def _prefer(self, place: int) -> None:
        if place != self._first:
            _log.info("another address answers now", extra={"address": self._origins[place], "backend": self._backend})
            self._first = place

    async def _ready_session(self) -> aiohttp.ClientSession:
        if self._session is not None:
            return self._session
        async with self._opening:
            if self._closed:
                raise BackendUnavailable(
                    f"the connection to the {self._system} at {self.origin} was closed", backend=self._backend
                )
            if self._session is None:
                # Long polls hold a connection each; a limit here would let them starve the writes.
                connector = aiohttp.TCPConnector(limit=0, socket_factory=self._new_socket)
                self._session = aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True, trust_env=False
                )
            return self._session

    def _new_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        opened = socket.socket(family, kind, protocol)
        watch_over(opened)
        self._sockets.add(opened)
        return opened

    async def _send(
        self,
        method: str,
        origin: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        body: bytes | None,
        who: _Credentials,
        timeout: float,
        total: float | None,
    ) -> aiohttp.ClientResponse:
        """The answer without its body; ``total`` None sets that no limit of time."""
        session = await self._ready_session()
        headers = {**self._headers, self._token_header: who.token} if who.token else self._headers
        return await session.request(
            method,
            URL(f"{origin}{path}", encoded=True),
            params=params,
            # Of bytes that are many, aiohttp warns, since it would write them without a pause.
            data=None if body is None else io.BytesIO(body),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=total, connect=min(timeout, self._connect_timeout)),
            allow_redirects=False,
            ssl=True if who.context is None else who.context,  # each context has connections of its own
            server_hostname=self._server_name or None,
        )

    async def _whole(self, response: aiohttp.ClientResponse, origin: str) -> Answer:
        content = await self._read(response, origin)
        lower = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, lower, content, origin)

    async def _read(self, response: aiohttp.ClientResponse, origin: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > self._answer_limit_bytes:
                response.close()
                raise InvalidAnswer(
                    f"the {self._system} at {origin} answers with more than {self._answer_limit_bytes} bytes; "
                    "the answer was not read",
                    backend=self._backend,
                )
            parts.append(part)
        return b"".join(parts)

    def _error(self, failures: Sequence[tuple[str, Failure, BaseException | None]]) -> BackendError:
        causes = {failed.cause for _, failed, _ in failures}
        places = " or ".join(f"{origin} ({failed.reason})" for origin, failed, _ in failures)
        if causes <= {Cause.NOT_REACHED}:
            return BackendUnavailable(
                f"no {self._system} answers at {places}. {self._advice}".rstrip(), backend=self._backend
            )
        if causes <= {Cause.NOT_REACHED, Cause.NOT_HTTP}:
            return InvalidAnswer(f"no {self._system} answers at {places}.", backend=self._backend)
        if Cause.NOT_TRUSTED in causes and causes <= _NEVER_PROCESSED:
            return NotTrusted(f"the {self._system} cannot be asked at {places}.", backend=self._backend)
        if len(failures) == 1:
            origin, failed, _ = failures[0]
            return BackendUnavailable(
                f"the {self._system} at {origin} failed ({failed.reason}); try again.", backend=self._backend
            )
        return BackendUnavailable(f"the {self._system} cannot be asked at {places}.", backend=self._backend)


def _source_address(found: Sequence[tuple[int, int, int, str, tuple[object, ...]]]) -> str:
    """The source address that the routing table chooses for the first of these destinations that has a route."""
    last: OSError | None = None
    for family, kind, protocol, _, destination in found:
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            try:
                probe.connect(destination)  # a datagram socket: nothing is sent
            except OSError as error:
                last = error
                continue
            return str(ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]))
    raise last or OSError("the name has no address")
