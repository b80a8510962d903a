"""Opening the server's sockets, and saying plainly why one cannot be opened."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import os
import socket

from homeport.errors import HomeportError

_BACKLOG = 4096
_PROBE_TIMEOUT = 1.0
_PROBING = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
_FOREIGN = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses of other hosts, for documentation (RFC 5737, RFC 3849)."""


class CannotStart(HomeportError):
    """The server cannot start; nothing was changed. The message says what to do."""


def parse_address(text: str, *, option: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as a pair.

    Raises:
        CannotStart: it is not of that form.
    """
    host, separator, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        separator = ""
    if not separator or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise CannotStart(f'{option} is "{text}"; write HOST:PORT, for example 127.0.0.1:8500')
    return host or "0.0.0.0", int(port)  # noqa: S104  # ":8500" means every interface, as everywhere else


def listen(address: str, *, option: str) -> socket.socket:
    """A listening TCP socket at ``address``; port 0 takes a free one. What it accepts is probed when silent for long.

    Raises:
        CannotStart: the address is malformed, not of this host, taken, or not permitted.
    """
    host, port = parse_address(address, option=option)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except UnicodeError as error:
        raise CannotStart(f'"{host}" is not an address of this host; choose another with {option}') from error
    except OSError as error:
        raise CannotStart(_reason(error, host, port, option)) from error
    # Accepted connections inherit this (Linux, socket(7)): a watcher whose host vanished must not be kept for ever.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _PROBING.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    listener.settimeout(0)
    return listener


def shown(listener: socket.socket) -> str:
    """Where a socket listens, as ``host:port``."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_nearby(address: str) -> str:
    """The backend URL, for programs on this host, of the registry that listens at ``host:port``."""
    host, _, port = address.rpartition(":")
    near = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - nothing is bound here
    return f"homeport://{near}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether a socket can be reached from this host only."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def reachable_address(listener: socket.socket) -> str:
    """The address that a socket listens on; if that is all of them, the one from which this host reaches others."""
    address = str(listener.getsockname()[0])
    if not ipaddress.ip_address(address).is_unspecified:
        return address
    with socket.socket(listener.family, socket.SOCK_DGRAM) as prober:
        try:
            prober.connect((_FOREIGN[listener.family], 9))  # finds the route, sends nothing
        except OSError:  # there is no other host
            return "127.0.0.1" if listener.family == socket.AF_INET else "::1"
        return str(prober.getsockname()[0])


def _reason(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken{_whose(host, port, option)}"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges this user does not have; choose one above 1023 with {option}"
    # The errors of name resolution are negative; `create_server` hides that they are `socket.gaierror`.
    if error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:
        return f'"{host}" is not an address of this host; choose another with {option}'
    why = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot listen on {host}:{port} ({why}); choose another with {option}"


def _whose(host: str, port: int, option: str) -> str:
    """Who answers at a taken port, and what to do about it."""
    other = f"or choose another port with {option}."
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", "/v1/status/leader")
        response = connection.getresponse()
        body = response.read(256)
    except (OSError, http.client.HTTPException):
        return f" by another program; stop it, {other}"
    finally:
        connection.close()
    shown_host = f"[{host}]" if ":" in host else host
    if response.headers.get("X-Homeport-Store"):
        return f" (a Homeport registry answers there). Use it with --backend homeport://{shown_host}:{port}, {other}"
    if response.headers.get("X-Consul-Default-Acl-Policy") or (response.status == 200 and body.startswith(b'"')):
        return f" (a Consul agent answers there). Use it with --backend consul://{shown_host}:{port}, {other}"
    return f" by another HTTP server; stop it, {other}"
