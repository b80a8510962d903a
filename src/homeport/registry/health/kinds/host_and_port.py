"""``host:port`` as check targets are written. Pure."""

from __future__ import annotations


def host_and_port(text: str) -> tuple[str, int]:
    """The host (an IPv6 address without its brackets; empty means this host) and the port of a target.

    Raises:
        ValueError: it is not a target; the message says why.
    """
    host, colon, digits = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f'write the IPv6 address of "{text}" in brackets, as in [::1]:80')
    if not colon or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f'"{text}" is not host:port')
    port = int(digits)
    if not 0 < port <= 65535:
        raise ValueError(f'the port of "{text}" does not lie between 1 and 65535')
    return host or "localhost", port


def bracketed(host: str) -> str:
    """A host as it is written before a port (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host
