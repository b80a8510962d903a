"""Requests to the API server: lists, watches and writes of objects, and what its refusals mean.

The rules for lists and watches are those of https://kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from homeport.connections.http import Answer
from homeport.connections.http_stream import Stream, StreamEnded
from homeport.connections.kubernetes import KubernetesConnection
from homeport.errors import (
    BackendError,
    BackendUnavailable,
    Conflict,
    InvalidAnswer,
    PermissionDenied,
    Refused,
)

from .kinds import FAILED_EVENT, Kind
from .settings import ALL_NAMESPACES, KubernetesSettings
from .shapes import EventOf, KubernetesObject, Status, Version

T = TypeVar("T", bound=KubernetesObject)

PAGE_SIZE = 500
"""As many objects a page as Kubernetes' own clients ask for."""

_STATUS = msgspec.json.Decoder(Status)
_VERSION = msgspec.json.Decoder(Version)
_USER = re.compile(r'User "([^"]*)"')
_DONE = (200, 201, 202)
_GONE = 410
_LONGEST_LINE_BYTES = 64 * 1024 * 1024
_EVENTS = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError)


class Gone(Exception):
    """What is asked for is older than the API server remembers: list anew."""


class Listed(NamedTuple):
    """All objects of a list, and the version at which they were all there."""

    items: tuple[Any, ...]
    resource_version: int


class KubernetesAPI:
    """The API server below the backend."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self.settings = settings
        self.url = settings.url
        self.connection = KubernetesConnection(
            settings.access, backend=settings.url, timeout=settings.timeout, connect_timeout=settings.connect_timeout
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self.connection.aclose()

    async def version(self) -> str:
        """The version of the API server."""
        answer = await self.connection.request("GET", "/version")
        if answer.status != 200:
            raise self._refusal(answer, "get", "the version")
        try:
            return _VERSION.decode(answer.body).git_version
        except _DECODE_ERRORS as error:
            raise self.garbled(answer.origin, error) from error

    async def get(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """One object, or None if there is none of that name."""
        answer = await self.connection.request("GET", kind.path(namespace, name))
        if answer.status == 404 and _status(answer) is not None:
            return None
        return self._object(answer, "get", kind, namespace)

    async def create(self, kind: Kind[T], namespace: str, body: msgspec.Struct) -> T | None:
        """A new object; None if there is one of that name already."""
        answer = await self.connection.request("POST", kind.path(namespace), body=_encoded(body), repeatable=False)
        status = _status(answer) if answer.status == 409 else None
        if status is not None and status.reason == "AlreadyExists":
            return None
        return self._object(answer, "create", kind, namespace)

    async def replace(self, kind: Kind[T], namespace: str, name: str, body: msgspec.Struct) -> T | None:
        """The object as it is now; None if there is none of that name any more.

        Raises:
            Conflict: it is not of the ``resource_version`` any more that ``body`` names.
        """
        answer = await self.connection.request("PUT", kind.path(namespace, name), body=_encoded(body), repeatable=False)
        if answer.status == 404 and _status(answer) is not None:
            return None
        return self._object(answer, "update", kind, namespace)

    async def delete(self, kind: Kind[T], namespace: str, found: KubernetesObject) -> bool:
        """Remove an object as it was found; False if it is gone.

        Raises:
            Conflict: it was changed, or made anew, since.
        """
        conditions = {"uid": found.metadata.uid, "resourceVersion": found.metadata.resource_version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        answer = await self.connection.request(
            "DELETE", kind.path(namespace, found.metadata.name), body=msgspec.json.encode(body), repeatable=False
        )
        if answer.status == 404 and _status(answer) is not None:
            return False
        if answer.status not in _DONE:
            raise self._refusal(answer, "delete", kind.plural, kind.group, namespace)
        return True

    async def list(self, kind: Kind[T], namespace: str, *, selector: str = "") -> Listed:
        """All objects of a kind in a namespace, page by page, read from the store itself."""
        while True:
            try:
                return await self._pages(kind, namespace, selector)
            except Gone:  # the pages that are left are too old now; what was read is no use
                continue

    async def watch(
        self, kind: Kind[T], namespace: str, *, after: int, seconds: float, selector: str = ""
    ) -> Watching[T]:
        """Follow the changes after a version for that many seconds; the caller closes it.

        Raises:
            Gone: the API server does not remember that version.
        """
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(after),
            "timeoutSeconds": str(max(1, math.ceil(seconds))),
            **({"labelSelector": selector} if selector else {}),
        }
        opened = await self.connection.stream(kind.path(namespace), params=params)
        if isinstance(opened, Answer):
            raise self._list_refusal(opened, "watch", kind, namespace)
        return Watching(self, opened, kind, namespace, patience=float(params["timeoutSeconds"]) + self.settings.timeout)

    async def _pages(self, kind: Kind[T], namespace: str, selector: str) -> Listed:
        params = {"limit": str(PAGE_SIZE), **({"labelSelector": selector} if selector else {})}
        items: list[T] = []
        while True:
            answer = await self.connection.request("GET", kind.path(namespace), params=params)
            if answer.status != 200:
                raise self._list_refusal(answer, "list", kind, namespace)
            try:
                page = kind.page.decode(answer.body)
            except _DECODE_ERRORS as error:
                raise self.garbled(answer.origin, error) from error
            if page.kind != f"{kind.name}List":
                raise self.garbled(answer.origin, ValueError(f"a {page.kind} in the place of a {kind.name}List"))
            items += page.items or ()
            if not page.metadata.rest:
                return Listed(tuple(items), self.resource_version(answer.origin, page.metadata.resource_version))
            params = {**params, "continue": page.metadata.rest}

    def resource_version(self, origin: str, text: str) -> int:
        """The number in a resource version; they count up (https://kep.k8s.io/5504).

        Raises:
            InvalidAnswer: there is none.
        """
        if not (text.isascii() and text.isdigit()) or text == "0":
            raise self.garbled(origin, ValueError(f'"{text}" is no resource version'))
        return int(text)

    def failed_event(self, origin: str, status: Status, kind: Kind[T], namespace: str) -> Exception:
        """The error for the end of a watch that says why."""
        if status.code == _GONE:
            return Gone(status.message)
        return self._error(origin, status, status.code, "watch", kind.plural, kind.group, namespace)

    def _object(self, answer: Answer, verb: str, kind: Kind[T], namespace: str) -> T:
        if answer.status not in _DONE:
            raise self._refusal(answer, verb, kind.plural, kind.group, namespace)
        try:
            found = kind.one.decode(answer.body)
        except _DECODE_ERRORS as error:
            raise self.garbled(answer.origin, error) from error
        if found.kind != kind.name or not found.metadata.name:
            raise self.garbled(answer.origin, ValueError(f"no {kind.name}"))
        return found

    def _list_refusal(self, answer: Answer, verb: str, kind: Kind[T], namespace: str) -> Exception:
        if answer.status == _GONE:
            return Gone(answer.text)
        return self._refusal(answer, verb, kind.plural, kind.group, namespace)

    def _refusal(self, answer: Answer, verb: str, what: str, group: str = "", namespace: str = "") -> BackendError:
        status = _status(answer)
        if status is not None:
            return self._error(answer.origin, status, answer.status, verb, what, group, namespace)
        if answer.status in (401, 403):
            return self._error(answer.origin, Status(kind="Status"), answer.status, verb, what, group, namespace)
        if answer.status in (429, 502, 503, 504):
            return BackendUnavailable(
                f"the Kubernetes API server at {answer.origin} cannot {verb} {what} now "
                f"({answer.text or f'HTTP {answer.status}'}); try again.",
                backend=self.url,
            )
        return InvalidAnswer(
            f"what answers at {answer.origin} is no Kubernetes API server (HTTP {answer.status})", backend=self.url
        )

    def _error(
        self, origin: str, status: Status, code: int, verb: str, what: str, group: str, namespace: str
    ) -> BackendError:
        """The error for a refusal; 429 and 5xx are taken for passing, as client-go does."""
        server = f"the Kubernetes API server at {origin}"
        where = {"": "", ALL_NAMESPACES: " in all namespaces"}.get(namespace, f' in the namespace "{namespace}"')
        if code == 401:
            return PermissionDenied(
                f"{server} does not accept the credentials of {self._who()}; log in again, or renew its token or "
                "certificate.",
                backend=self.url,
                unauthenticated=True,
            )
        if code == 403:
            match = _USER.search(status.message)
            who = f'"{match[1]}"' if match else self._who()
            if match is None or "cannot" not in status.message:
                said = f": {status.message}" if status.message else ""
                return PermissionDenied(f"{server} does not let {who} {verb} {what}{where}{said}", backend=self.url)
            role = "ClusterRole" if namespace in ("", ALL_NAMESPACES) else "Role"
            return PermissionDenied(
                f"{server} does not let {who} {verb} {what}{where}; give it a {role} with the verb {verb} on {what} "
                f'of the API group "{group}".',
                backend=self.url,
            )
        said = status.message or status.reason or f"HTTP {code}"
        if code == 409:
            return Conflict(f"{server} did not {verb} {what}{where}: {said}", backend=self.url)
        if code == 404 and status.details is not None and status.details.kind == "namespaces":
            return Refused(
                f'{server} has no namespace "{namespace}"; create it, or name another one in the backend URL.',
                backend=self.url,
                status=code,
            )
        if code == 429 or code >= 500:
            return BackendUnavailable(
                f"{server} cannot {verb} {what}{where} now ({said}); try again.", backend=self.url
            )
        return Refused(f"{server} refuses to {verb} {what}{where}: {said}", backend=self.url, status=code)

    def _who(self) -> str:
        access = self.settings.access
        if access.in_cluster:
            return "the service account of this pod"
        return f'the context "{access.context}"' if access.context else "the current context"

    def garbled(self, origin: str, error: Exception) -> InvalidAnswer:
        """The error for an answer of another shape."""
        return InvalidAnswer(
            f"{origin} sent an answer that is not what the Kubernetes API promises: {error}", backend=self.url
        )


class Watching(Generic[T]):
    """The events of one watch, in the order they happened."""

    def __init__(self, api: KubernetesAPI, stream: Stream, kind: Kind[T], namespace: str, *, patience: float) -> None:
        self._api = api
        self._stream = stream
        self._kind = kind
        self._namespace = namespace
        self._ends_at = asyncio.get_running_loop().time() + patience
        self._received = bytearray()

    async def next(self) -> list[EventOf[T]] | None:
        """The next events, as many as have come; None when the API server ended the watch, as it was asked to.

        Raises:
            Gone: the API server cannot go on from where it was; list anew.
            BackendError: the watch is over, or says nothing though its time is up.
        """
        while True:
            left = self._ends_at - asyncio.get_running_loop().time()
            try:
                received = await self._stream.read(timeout=max(0.001, left))
            except StreamEnded:
                if self._received:  # in the middle of a line
                    raise
                return None
            if not received:
                raise BackendUnavailable(
                    f"the Kubernetes API server at {self._stream.origin} did not end a watch when its time was up: the "
                    "connection is dead; try again.",
                    backend=self._api.url,
                )
            self._received += received
            if len(self._received) > _LONGEST_LINE_BYTES:
                raise self._api.garbled(self._stream.origin, ValueError("an event is too long"))
            end = self._received.rfind(b"\n") + 1
            if end:
                lines = bytes(self._received[:end]).splitlines()
                del self._received[:end]
                return [self._event(line) for line in lines if line]

    @property
    def origin(self) -> str:
        """The URL of the API server."""
        return self._stream.origin

    def close(self) -> None:
        """End the watch; calling it twice is harmless."""
        self._stream.close()

    def _event(self, line: bytes) -> EventOf[T]:
        origin = self._stream.origin
        try:
            event = self._kind.event.decode(line)
            if event.type == "ERROR":
                raise self._api.failed_event(origin, FAILED_EVENT.decode(line).object, self._kind, self._namespace)
        except _DECODE_ERRORS as error:
            raise self._api.garbled(origin, error) from error
        if event.type not in _EVENTS or event.object.kind != self._kind.name:
            raise self._api.garbled(
                origin, ValueError(f"{event.type} of a {event.object.kind} in a watch of {self._kind.plural}")
            )
        return event


def _status(answer: Answer) -> Status | None:
    try:
        status = _STATUS.decode(answer.body)
    except _DECODE_ERRORS:
        return None
    return status if status.kind == "Status" else None


def _encoded(body: msgspec.Struct) -> bytes:
    return msgspec.json.encode(body)
