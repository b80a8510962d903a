"""Services found in DNS, by SRV records or addresses; needs the extra ``dns``."""

from __future__ import annotations

from collections.abc import Mapping

from homeport.errors import MissingExtra

from .settings import DNSSettings, Resolver

try:
    from .backend import DNSBackend
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "dns":
        raise
    raise MissingExtra("homeport.backends.dns", "dns") from error

__all__ = ["DNSBackend", "DNSSettings", "Resolver", "open_dns"]


def open_dns(url: str, environ: Mapping[str, str]) -> DNSBackend:
    """The backend of a ``dns://`` URL."""
    return DNSBackend(DNSSettings.from_url(url, environ))
