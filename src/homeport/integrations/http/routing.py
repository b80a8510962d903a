"""Which requests go to a service, and how each is to be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from homeport.errors import InvalidValue

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110, 9.2.2."""

IDEMPOTENCY_KEY = "Idempotency-Key"
"""A header whose presence says that the server makes no difference between one request and several alike
(draft-ietf-httpapi-idempotency-key-header)."""


class Headers(Protocol):
    """Headers of any of the libraries; names are case-insensitive."""

    def get(self, name: str, /) -> str | bytes | None:
        """The value of a header."""
        ...

    def __contains__(self, name: object, /) -> bool: ...


class HTTPRequest(Protocol):
    """What the request objects of all the libraries have."""

    @property
    def method(self) -> str | None:
        """The method, in capitals."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers."""
        ...


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests go to a service, and how each is to be called.

    A host without a dot is the name of a service if the URL has no port; ``localhost``, IP addresses and everything
    else are left to the library. With ``suffix`` (such as ``".service"``) the names of services are those that end in
    it, and are called without it. ``service_of`` replaces both: it returns the service for a host, or None.

    ``key`` (a text, or a function of the request) or else the value of the header ``key_header`` keeps alike requests
    together, for balancers that do that. ``idempotent`` says whether a request that may have arrived may be repeated;
    None decides by the method and the header ``Idempotency-Key``. ``deadline`` bounds a request with all its attempts
    and its body, in seconds; None takes ``client.retry.deadline`` of the settings.
    """

    suffix: str = ""
    service_of: Callable[[str], str | None] | None = None
    key: str | Callable[[HTTPRequest], str | None] | None = None
    key_header: str = ""
    idempotent: bool | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        if self.suffix and self.service_of is not None:
            raise InvalidValue("give either suffix or service_of, not both")
        if self.deadline is not None and not self.deadline > 0:
            raise InvalidValue(f"the deadline is {self.deadline}; it must be above 0")

    def service(self, host: str | None, port: int | None) -> str | None:
        """The service behind a host and the port that its URL names, or None if it is none."""
        if not host or port is not None:
            return None
        if self.service_of is not None:
            return self.service_of(host) or None
        if self.suffix:
            return host.removesuffix(self.suffix) or None if host.endswith(self.suffix) else None
        # Digits alone are an IPv4 address too (inet_aton(3)).
        return None if "." in host or ":" in host or host == "localhost" or host.isdigit() else host

    def key_of(self, request: HTTPRequest) -> str | None:
        """What keeps this request together with others."""
        key = self.key(request) if callable(self.key) else self.key
        if key is not None or not self.key_header:
            return key
        value = request.headers.get(self.key_header)
        return value.decode("latin-1") if isinstance(value, bytes) else value  # requests takes both

    def is_idempotent(self, request: HTTPRequest) -> bool:
        """Whether this request may be repeated although it may have arrived."""
        if self.idempotent is not None:
            return self.idempotent
        return request.method in IDEMPOTENT_METHODS or IDEMPOTENCY_KEY in request.headers

    def replaced(self, changes: Mapping[str, object]) -> Routing:
        """The same with other values for ``key``, ``idempotent`` or ``deadline``, which a single request asks for.

        Raises:
            InvalidValue: it names anything else, or a value cannot be right.
        """
        unknown = set(changes) - set(_PER_REQUEST)
        if unknown:
            raise InvalidValue(
                f'"{min(unknown)}" cannot be asked for by a single request; there are {", ".join(_PER_REQUEST)}'
            )
        for name, value in changes.items():
            if value is not None and not isinstance(value, _PER_REQUEST[name]):
                raise InvalidValue(f'"{name}" of a request is a {type(value).__name__}')
        return msgspec.structs.replace(self, **changes)


_PER_REQUEST = {"key": str, "idempotent": bool, "deadline": int | float}
