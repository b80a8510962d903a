"""From a name to a connection: which addresses a host has, and which of them let this host in."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from homeport.connections.backend_url import HostPort
from homeport.connections.http_errors import system_words
from homeport.errors import BackendUnavailable

from .steps import since

PortState: TypeAlias = Literal["open", "refused", "filtered", "unreachable"]

_UNREACHABLE = frozenset((errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL, errno.EACCES))
_ADVICE: dict[PortState, str] = {
    "refused": "nothing listens there; is it running, and is that its port?",
    "filtered": "the host is down, or a firewall drops what is sent there",
    "unreachable": "this host has no route there; check its network and firewall",
}


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a connection to one address. ``local`` is the address of this host that it came from."""

    address: HostPort
    state: PortState
    milliseconds: float
    reason: str = ""
    local: str = ""

    def __str__(self) -> str:
        if self.state == "open":
            return f"{self.address} takes connections from {self.local}"
        return f"no connection to {self.address} ({self.reason}): {_ADVICE[self.state]}"


async def addresses_of(place: HostPort) -> tuple[HostPort, ...]:
    """The addresses of a host, as this system's resolver tells them, each once.

    Raises:
        BackendUnavailable: it has none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a label that is too long is an error of its encoding
        words = getattr(error, "strerror", None) or "it is no name for DNS"
        raise BackendUnavailable(
            f'the name "{place.host}" cannot be resolved ({words}); '
            f'check its spelling, or ask DNS by "homeport debug dns {place.host}"'
        ) from error
    return tuple(dict.fromkeys(HostPort(str(one[4][0]), place.port) for one in found))


async def reach(address: HostPort, *, timeout: float) -> Reached:
    """Connect once, for at most ``timeout`` seconds, and hang up; it never raises but when it is cancelled."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError:
        return _not_open(address, "filtered", begun, f"no answer within {timeout:g} s")
    except OSError as error:
        # The system's own patience may be shorter than ours.
        if error.errno == errno.ETIMEDOUT:
            return _not_open(address, "filtered", begun, system_words(error))
        state: PortState = "unreachable" if error.errno in _UNREACHABLE else "refused"
        return _not_open(address, state, begun, system_words(error))
    milliseconds = since(begun)
    local = str(writer.get_extra_info("sockname")[0])
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Reached(address=address, state="open", milliseconds=milliseconds, local=local)


async def reach_all(addresses: Sequence[HostPort], *, timeout: float, at_once: int) -> list[Reached]:
    """Connect to all of them, so many at a time; in their order."""
    turn = asyncio.Semaphore(at_once)

    async def one(address: HostPort) -> Reached:
        async with turn:
            return await reach(address, timeout=timeout)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(address)) for address in addresses]
    return [task.result() for task in tasks]


def _not_open(address: HostPort, state: PortState, begun: float, reason: str) -> Reached:
    return Reached(address=address, state=state, milliseconds=since(begun), reason=reason)
