"""Requests to etcd's JSON gateway, and what its answers mean when they are no success.

The gateway takes each call of etcd's gRPC API as a POST; a watch is one whose answer goes on, and a lease is kept by
one call after another (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from homeport.connections.http import Answer, HTTPConnection
from homeport.connections.http_stream import Stream
from homeport.connections.token import FixedToken, Token
from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer, LeaseLost, PermissionDenied, Refused

from .login import Login
from .mapping import prefix_end
from .settings import EtcdSettings
from .shapes import Changes, Problem, StatusAnswer, TokenAnswer, WatchLine

T = TypeVar("T")

ADVICE = "Start etcd, or name another one in the backend URL or by ETCD_ENDPOINTS."

# Of gRPC's codes (https://grpc.io/docs/guides/status-codes/) those that a later try may not meet again.
_CANCELLED, _DEADLINE_EXCEEDED, _UNAVAILABLE = 1, 4, 14
_PASSING = frozenset((_CANCELLED, _DEADLINE_EXCEEDED, _UNAVAILABLE))
_PERMISSION_DENIED, _UNAUTHENTICATED = 7, 16
# etcd has one code for whatever it finds wrong with a request.
_LOGIN_WORDS = ("user name is empty", "revision of auth store is old")
_REFUSED_LOGIN_WORDS = "authentication failed"
_NO_LOGIN_WORDS = "authentication is not enabled"
_LATER_WORDS = "too many requests"
_LEASE_WORDS = "requested lease not found"

_PROBLEM = msgspec.json.Decoder(Problem)
_LINE = msgspec.json.Decoder(WatchLine, strict=False)
_STATUS = msgspec.json.Decoder(StatusAnswer, strict=False)
_TOKEN = msgspec.json.Decoder(TokenAnswer, strict=False)
_CANCEL_REASON = re.compile(r"rpc error: code = (\w+) desc = (.*)", re.DOTALL)
_CODE_NAMES = {"Unauthenticated": _UNAUTHENTICATED, "PermissionDenied": _PERMISSION_DENIED, "Unavailable": _UNAVAILABLE}
_UNKNOWN = 2
_LONGEST_LINE_BYTES = 256 * 1024 * 1024


class EtcdAPI:
    """The gateway below the backend: one connection, and who asks.

    With a user, each request carries the token of a login; one that etcd no longer accepts, since it ran out or the
    password was changed, is replaced and the request repeated once.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self.settings = settings
        self._login = Login(self._authenticate) if settings.user else None
        self._connection = self._connect(self._login or FixedToken())
        self._before_login = self._connect(FixedToken())

    def _connect(self, token: Token) -> HTTPConnection:
        return HTTPConnection(
            self.settings.addresses,
            system="etcd",
            advice=ADVICE,
            backend=self.settings.url,
            tls=self.settings.tls,
            token=token,
            connect_timeout=self.settings.connect_timeout,
            timeout=self.settings.timeout,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()
        await self._before_login.aclose()

    async def local_address(self) -> str:
        """The source address of this host towards etcd."""
        return await self._connection.local_address()

    async def status(self) -> StatusAnswer:
        """What the member that answers says of itself."""
        return await self.call("/v3/maintenance/status", {}, _STATUS, purpose="ask for the status")

    async def call(
        self, path: str, request: Mapping[str, object], decoder: msgspec.json.Decoder[T], *, purpose: str
    ) -> T:
        """Do one call of the API. ``purpose`` completes "cannot …" in errors.

        Raises:
            BackendError: it was not done; see `refusal`.
        """
        body = msgspec.json.encode(request)
        token = await self._login.current() if self._login is not None else ""
        answer = await self._connection.request("POST", path, body=body)
        if self._login is not None and self._wants_login(answer):
            self._login.forget(token)
            answer = await self._connection.request("POST", path, body=body)
        return self._decode(decoder, answer, purpose)

    async def watch(self, keys: Mapping[str, str], *, start_revision: int, purpose: str) -> Watching:
        """Follow a range of keys, such as `keys_below`, from a revision on; the caller closes it.

        Raises:
            BackendError: it is not accepted.
        """
        body = msgspec.json.encode({"create_request": {**keys, "start_revision": str(start_revision)}})
        for last_try in (False, True):
            token = await self._login.current() if self._login is not None else ""
            opened = await self._connection.stream("POST", "/v3/watch", body=body)
            if isinstance(opened, Answer):
                if self._login is not None and not last_try and self._wants_login(opened):
                    self._login.forget(token)
                    continue
                raise self.refusal(opened, purpose)
            watching = Watching(self, opened, purpose)
            try:
                first = await watching.next(timeout=self.settings.timeout)
            except _WantsLoginError as error:
                watching.close()
                if self._login is None or last_try:
                    raise self.denial(opened.origin, purpose, error.said, unauthenticated=True) from None
                self._login.forget(token)
                continue
            except BaseException:
                watching.close()
                raise
            if first is None:
                watching.close()
                raise BackendUnavailable(
                    f"the etcd at {opened.origin} accepted a watch and then said nothing; try again.",
                    backend=self.settings.url,
                )
            watching.unread(first)
            return watching
        raise AssertionError("the last try ends by itself")

    def refusal(self, answer: Answer, purpose: str) -> BackendError:
        """The error for an answer that is no success."""
        problem = _problem(answer)
        if problem is not None:
            return self.problem(answer.origin, purpose, problem.code, problem.message)
        if answer.status in (429, 502, 503, 504):
            said = answer.text or f"HTTP {answer.status}"
            return BackendUnavailable(f"the etcd at {answer.origin} cannot {purpose} now: {said}", backend=self._url)
        return InvalidAnswer(
            f"what answers at {answer.origin} is not the gateway of an etcd 3.4 or newer (HTTP {answer.status})",
            backend=self._url,
        )

    def problem(self, origin: str, purpose: str, code: int, message: str) -> BackendError:
        """The error for what etcd says is wrong."""
        said = message.removeprefix("etcdserver: ")
        if code in (_PERMISSION_DENIED, _UNAUTHENTICATED) or _wants_login(code, message):
            return self.denial(origin, purpose, said, unauthenticated=_wants_login(code, message))
        if _REFUSED_LOGIN_WORDS in message:
            return PermissionDenied(
                f'the etcd at {origin} does not accept the user "{self.settings.user}" with its password; '
                "correct user= and password_file= in the backend URL, or ETCD_USERNAME and ETCD_PASSWORD.",
                backend=self._url,
                unauthenticated=True,
            )
        if _LEASE_WORDS in message:
            return LeaseLost(f"the etcd at {origin} cannot {purpose}: the lease ran out; try again", backend=self._url)
        if code in _PASSING or _LATER_WORDS in message:
            return BackendUnavailable(f"the etcd at {origin} cannot {purpose} now: {said}", backend=self._url)
        return Refused(f"the etcd at {origin} refuses to {purpose}: {said}", backend=self._url, status=code)

    def denial(self, origin: str, purpose: str, said: str, *, unauthenticated: bool) -> PermissionDenied:
        """The error for a lack of rights, or of a login that holds."""
        who = f'the user "{self.settings.user}"' if self.settings.user else "a program without a user"
        return PermissionDenied(
            f"the etcd at {origin} does not let {who} {purpose}: {said}. "
            "Give a user that may by user= and password_file= in the backend URL.",
            backend=self._url,
            unauthenticated=unauthenticated,
        )

    def garbled(self, origin: str, error: Exception) -> InvalidAnswer:
        """The error for an answer of another shape."""
        return InvalidAnswer(
            f"{origin} sent an answer that is not what etcd's gateway promises: {error}", backend=self._url
        )

    @property
    def _url(self) -> str:
        return self.settings.url

    def _decode(self, decoder: msgspec.json.Decoder[T], answer: Answer, purpose: str) -> T:
        if answer.status != 200:
            raise self.refusal(answer, purpose)
        try:
            return decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.garbled(answer.origin, error) from error

    def _wants_login(self, answer: Answer) -> bool:
        problem = None if answer.status == 200 else _problem(answer)
        return problem is not None and _wants_login(problem.code, problem.message)

    async def _authenticate(self) -> str:
        password = await self.settings.password.current()
        answer, problem = await self._asked_for_token(password)
        if problem is not None and _REFUSED_LOGIN_WORDS in problem.message:
            renewed = await self.settings.password.reread()
            if renewed != password:
                answer, problem = await self._asked_for_token(renewed)
        if problem is not None and _NO_LOGIN_WORDS in problem.message:
            return ""
        return self._decode(_TOKEN, answer, "log in").token

    async def _asked_for_token(self, password: str) -> tuple[Answer, Problem | None]:
        body = msgspec.json.encode({"name": self.settings.user, "password": password})
        answer = await self._before_login.request("POST", "/v3/auth/authenticate", body=body)
        return answer, None if answer.status == 200 else _problem(answer)


class Watching:
    """The messages of one watch."""

    def __init__(self, api: EtcdAPI, stream: Stream, purpose: str) -> None:
        self._api = api
        self._stream = stream
        self._purpose = purpose
        self._received = bytearray()
        self._unread: Changes | None = None

    async def next(self, *, timeout: float) -> Changes | None:
        """The next message; None when there was none for ``timeout`` seconds. One that was compacted away says so.

        Raises:
            BackendError: the watch is over.
        """
        if self._unread is not None:
            message, self._unread = self._unread, None
            return message
        while (end := self._received.find(b"\n")) < 0:
            received = await self._stream.read(timeout=timeout)
            if not received:
                return None
            self._received += received
            if len(self._received) > _LONGEST_LINE_BYTES:
                raise self._api.garbled(self._stream.origin, ValueError("a message is too long"))
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            return self._judged(_LINE.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._api.garbled(self._stream.origin, error) from error

    def unread(self, message: Changes) -> None:
        """Give this message out again, next."""
        self._unread = message

    def close(self) -> None:
        """End the watch; calling it twice is harmless."""
        self._stream.close()

    def _judged(self, message: WatchLine) -> Changes:
        origin = self._stream.origin
        if message.error is not None:
            raise self._api.problem(origin, self._purpose, message.error.grpc_code, message.error.message)
        if message.result is None:
            raise self._api.garbled(origin, ValueError("a message says nothing"))
        if not message.result.canceled or message.result.compact_revision:
            return message.result
        reason = message.result.cancel_reason
        match = _CANCEL_REASON.match(reason)
        code, said = (_CODE_NAMES.get(match[1], _UNKNOWN), match[2]) if match else (_UNKNOWN, reason)
        if _wants_login(code, said):
            raise _WantsLoginError(
                f"the etcd at {origin} ended a watch, since the login no longer holds; try again.",
                backend=self._api.settings.url,
                said=said.removeprefix("etcdserver: "),
            )
        if code == _UNKNOWN:
            raise BackendUnavailable(
                f"the etcd at {origin} ended a watch: {said or 'it gives no reason'}; try again.",
                backend=self._api.settings.url,
            )
        raise self._api.problem(origin, self._purpose, code, said)


class _WantsLoginError(BackendUnavailable):
    """A watch is over for want of a token that holds; ``said`` is how etcd calls it."""

    def __init__(self, message: str, *, backend: str, said: str) -> None:
        super().__init__(message, backend=backend)
        self.said = said


def keys_below(prefix: bytes) -> dict[str, str]:
    """The range of all keys that begin with ``prefix``, as requests name it."""
    return {"key": encoded(prefix), "range_end": encoded(prefix_end(prefix))}


def encoded(data: bytes) -> str:
    """A key or a value as requests carry it."""
    return base64.b64encode(data).decode()


def _problem(answer: Answer) -> Problem | None:
    try:
        return _PROBLEM.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _wants_login(code: int, message: str) -> bool:
    return code == _UNAUTHENTICATED or any(words in message for words in _LOGIN_WORDS)
