"""As what a web application is registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TypedDict, Unpack

from homeport.client.backoff import Backoff
from homeport.client.settings import ClientSettings
from homeport.errors import BackendError, HomeportError, InvalidValue
from homeport.model import Check, Service

_LONGEST_RETRY_INTERVAL = 10.0

LISTENING_INTERVAL = 0.1
"""Seconds between two looks whether the process listens. What was seen counts when it is seen twice: a process may open
other ports before the one it serves on, and the watcher of a reloader is known as one only after it listens."""


class RegistrationOptions(TypedDict, total=False):
    """What may be said about a registration, with the names and meanings of `homeport.Discovery.register`."""

    id: str
    address: str
    tags: Sequence[str]
    meta: Mapping[str, object]
    weight: int
    version: str
    environment: str
    checks: Sequence[Check | Mapping[str, object]]
    health_check: Check | Mapping[str, object]
    ttl: float


class Advertisement:
    """A service and the port under which it is to be found: the argument, else that of the `Service`, else ``PORT``.

    Without any of them it is the port on which the process listens.

    Raises:
        InvalidValue: ``PORT`` is not a number.
    """

    def __init__(
        self,
        service: Service | str,
        *,
        port: int | None,
        environ: Mapping[str, str],
        **options: Unpack[RegistrationOptions],
    ) -> None:
        self.service = service
        self.name = service.name if isinstance(service, Service) else service
        self.options = options
        self._port = port or (service.port if isinstance(service, Service) else 0) or _port_of(environ)

    def port(self, listening: frozenset[int] | None) -> int | None:
        """The port to register when the process listens on these, or None while it does not serve yet.

        Raises:
            InvalidValue: no port was given, and where it listens does not tell which is meant.
        """
        if self._port:
            return self._port if listening is None or listening else None
        if listening is None:
            raise InvalidValue(f'this system does not tell on which port "{self.name}" listens; give a port')
        ports = sorted(listening - {0})
        if len(ports) == 1:
            return ports[0]
        if ports:
            raise InvalidValue(f'"{self.name}" listens on the ports {", ".join(map(str, ports))}; give the one to use')
        if listening:
            raise InvalidValue(f'"{self.name}" listens on a Unix socket; give the port of the server before it')
        return None


def worth_repeating(error: HomeportError) -> bool:
    """Whether a registration that failed like this may succeed later."""
    return isinstance(error, BackendError) and error.retryable


def pauses(settings: ClientSettings) -> Backoff:
    """The pauses between attempts to register: the application serves meanwhile, so they may become long."""
    longest = max(_LONGEST_RETRY_INTERVAL, settings.longest_retry_interval)
    return Backoff(first=settings.first_retry_interval, longest=longest, random=Random().random)


def _port_of(environ: Mapping[str, str]) -> int:
    text = environ.get("PORT", "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InvalidValue(f'the variable PORT is "{text}"; it must be a number between 1 and 65535')
    return int(text)
