"""Datagrams that are answered from the address at which they came."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from typing import Any, NamedTuple

_LARGEST = 65_535
_IP_PKTINFO = 8  # Linux, ip(7); Python has no name for it
_ANCILLARY_BYTES = 64


class Datagram(NamedTuple):
    """What came, from whom, and at which address if that is not the only one."""

    data: bytes
    sender: Any
    ancillary: list[tuple[int, int, bytes]]


class Datagrams:
    """A bound UDP socket without waiting.

    On a socket that is bound to all addresses, the system would answer from the address that is nearest to who asked,
    and who asked another one would not believe it. So the answer is told where the question came, where the system
    can tell (Linux); elsewhere bind to one address.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._tells = sys.platform == "linux" and ipaddress.ip_address(bound.getsockname()[0]).is_unspecified
        if self._tells and bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif self._tells:
            bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def fileno(self) -> int:
        """For an event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def receive(self) -> Datagram | None:
        """The next datagram, None if none has come."""
        try:
            if self._tells:
                data, ancillary, _, sender = self._socket.recvmsg(_LARGEST, _ANCILLARY_BYTES)
                return Datagram(data, sender, ancillary)
            data, sender = self._socket.recvfrom(_LARGEST)
        except OSError:  # nothing has come, or an earlier answer did not arrive
            return None
        return Datagram(data, sender, [])

    def reply(self, to: Datagram, data: bytes) -> None:
        """Send an answer, or drop it where the system has no room for it; who asked asks again."""
        with contextlib.suppress(OSError):
            if to.ancillary:
                self._socket.sendmsg((data,), to.ancillary, 0, to.sender)
            else:
                self._socket.sendto(data, to.sender)
