"""Requests to Eureka's REST API, and what its answers mean when they are no success.

Source: the resources of https://github.com/Netflix/eureka (``eureka-core``), which Spring Cloud's server runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from homeport.connections.http import Answer, HTTPConnection
from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer, PermissionDenied, Refused
from homeport.wire import eureka as wire

from .basic_auth import BasicAuth
from .mapping import quoted
from .settings import EurekaSettings

T = TypeVar("T")

ADVICE = "Start a Eureka server, or name another one in the backend URL or by EUREKA_CLIENT_SERVICEURL_DEFAULTZONE."

_OK, _REGISTERED = 200, 204
_NOT_NOW = frozenset((429, 502, 503, 504))
_LARGE_BYTES = 256 * 1024
"""An answer that is larger is decoded in a thread, since the event loop would stand still for too long."""


class Reading(NamedTuple):
    """Applications as one of the servers told them; ``origin`` is its URL."""

    applications: wire.Applications
    origin: str


class EurekaAPI:
    """The API below the backend: one connection, and who asks."""

    def __init__(self, settings: EurekaSettings) -> None:
        self.settings = settings
        self._connection = HTTPConnection(
            settings.addresses,
            system="Eureka server",
            advice=ADVICE,
            backend=settings.url,
            tls=settings.tls,
            token=BasicAuth(settings.user, settings.password) if settings.user else None,
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            connect_timeout=settings.connect_timeout,
            timeout=settings.timeout,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    async def local_address(self) -> str:
        """The source address of this host towards Eureka."""
        return await self._connection.local_address()

    async def applications(self, *, purpose: str) -> Reading:
        """All instances of all applications.

        Raises:
            BackendError: they cannot be had.
        """
        answer = await self._send("GET", "/apps")
        if answer.status == 403:
            raise self._not_ready(answer, purpose)
        if answer.status != _OK:
            raise self.refusal(answer, purpose)
        return Reading(await self._decoded(wire.decode_applications, answer), answer.origin)

    async def delta(self, *, purpose: str) -> Reading | None:
        """What changed in the last minutes; None where the server does not say so (now, or ever).

        Raises:
            BackendError: nobody answers as a Eureka server does.
        """
        answer = await self._send("GET", "/apps/delta")
        if answer.status in (403, 404):
            return None
        if answer.status != _OK:
            raise self.refusal(answer, purpose)
        return Reading(await self._decoded(wire.decode_applications, answer), answer.origin)

    async def application(self, app: str, *, purpose: str) -> wire.Applications | None:
        """The instances of one application; None where the answer is 404, of whomever.

        Raises:
            BackendError: they cannot be had.
        """
        answer = await self._send("GET", f"/apps/{quoted(app)}")
        if answer.status == 404:
            return None
        if answer.status == 403:
            raise self._not_ready(answer, purpose)
        if answer.status != _OK:
            raise self.refusal(answer, purpose)
        return await self._decoded(wire.decode_application, answer)

    async def instance(self, app: str | None, instance_id: str, *, purpose: str) -> wire.InstanceInfo | None:
        """One instance, of that application or of any; None where the answer is 404, of whomever.

        The server looks it up as it is now, past what it keeps ready for other questions.

        Raises:
            BackendError: it cannot be had.
        """
        path = f"/instances/{quoted(instance_id)}" if app is None else instance_path(app, instance_id)
        answer = await self._send("GET", path)
        if answer.status == 404:
            return None
        if answer.status != _OK:
            raise self.refusal(answer, purpose)
        return await self._decoded(wire.decode_instance, answer)

    async def register(self, info: wire.InstanceInfo, *, purpose: str) -> None:
        """Write an instance, whole.

        Raises:
            BackendError: it was not done.
        """
        path = f"/apps/{quoted(info.app or '')}"
        answer = await self._send("POST", path, body=wire.encode_instance(info))
        if answer.status not in (_OK, _REGISTERED):
            raise self.stranger(answer) if answer.status in (404, 405) else self.refusal(answer, purpose)
        if answer.body.strip():
            raise self.stranger(answer)

    async def change(self, method: str, path: str, params: Mapping[str, str] | None = None, *, purpose: str) -> bool:
        """Renew, remove or set a status; False where the answer is 404, of whomever.

        Raises:
            BackendError: it was not done.
        """
        answer = await self._send(method, path, params=params)
        if answer.status == 404:
            return False
        if answer.status != _OK:
            raise self.refusal(answer, purpose)
        if answer.body.lstrip().startswith(b"<"):
            raise self.stranger(answer)
        return True

    def refusal(self, answer: Answer, purpose: str) -> BackendError:
        """The error for an answer that is no success."""
        where, url = answer.origin, self.settings.url
        if answer.status == 401:
            who = (
                f'the user "{self.settings.user}" with its password' if self.settings.user else "anybody without a user"
            )
            return PermissionDenied(
                f"the Eureka server at {where} does not accept {who}, so it does not {purpose}; "
                "give user= and password_file= in the backend URL.",
                backend=url,
                unauthenticated=True,
            )
        if answer.status == 403:
            return PermissionDenied(
                f"the Eureka server at {where} does not let this program {purpose}; give a user that may by user= and "
                "password_file= in the backend URL. A server with Spring Security must have its protection against "
                "CSRF switched off for this path.",
                backend=url,
            )
        if 300 <= answer.status < 400 or answer.status in (404, 405):
            return self.stranger(answer)
        if answer.status in _NOT_NOW or answer.status >= 500:
            return BackendUnavailable(
                f"the Eureka server at {where} cannot {purpose} now: HTTP {answer.status}", backend=url
            )
        return Refused(
            f"the Eureka server at {where} refuses to {purpose}: {_words(answer)}", backend=url, status=answer.status
        )

    def stranger(self, answer: Answer) -> InvalidAnswer:
        """The error for an answer that no Eureka server would give."""
        return InvalidAnswer(
            f"what answers at {answer.origin}{self.settings.path}/apps is no Eureka server (HTTP {answer.status}); "
            "the path in the backend URL is mostly /eureka, and /eureka/v2 on Netflix' own server.",
            backend=self.settings.url,
        )

    def _not_ready(self, answer: Answer, purpose: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"the Eureka server at {answer.origin} cannot {purpose} now (HTTP 403): it has just started and waits for "
            "its peers, or does not let this program read.",
            backend=self.settings.url,
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        return await self._connection.request(
            method, f"{quoted_path(self.settings.path)}{path}", params=params, body=body
        )

    async def _decoded(self, decode: Callable[[bytes], T], answer: Answer) -> T:
        """The body in its shape.

        Raises:
            InvalidAnswer: it has another.
        """
        try:
            if len(answer.body) > _LARGE_BYTES:
                return await asyncio.to_thread(decode, answer.body)
            return decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if answer.body.lstrip().startswith(b"<"):
                raise self.stranger(answer) from error
            raise InvalidAnswer(
                f"{answer.origin} sent an answer that is not what Eureka's API promises: {error}",
                backend=self.settings.url,
            ) from error


def instance_path(app: str, instance_id: str) -> str:
    """The path of one instance, below that of the server."""
    return f"/apps/{quoted(app)}/{quoted(instance_id)}"


def quoted_path(path: str) -> str:
    """The path of a server, part by part."""
    return "/".join(map(quoted, path.split("/")))


def _words(answer: Answer) -> str:
    """What an answer says, as far as people can read it."""
    return f"HTTP {answer.status}" if not answer.text or answer.text.startswith("<") else answer.text
