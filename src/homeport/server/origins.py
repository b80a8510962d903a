"""Which web pages may make a browser write here."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from homeport.wire.http import HTTPError


class Origins:
    """Refuses writes that a page of another origin makes a browser send: no token would tell them apart.

    A page of the server itself may write when it was asked for by IP address or as localhost. By any other name it may
    not, unless ``allowed`` says so: an attacker's own name can be made to lead here (DNS rebinding), and then looks
    like ours.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises `HTTPError` 403 for a write (by its headers, in lower case) that a page of another origin sends."""
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._allowed or _is_own(origin, headers.get("host", "")):
            return
        raise HTTPError(403, f'a page of "{origin}" may not write here; server.allowed_origins names those that may')


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    return bool(parts.netloc) and parts.netloc.lower() == host.lower() and _cannot_be_rebound(name)


def _cannot_be_rebound(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
