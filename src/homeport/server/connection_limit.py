"""How many connections each client has open."""

from __future__ import annotations

import ipaddress
from collections import Counter


class ConnectionLimit:
    """Counts connections by client address; beyond ``most`` of one address there are too many. 0 is no limit.

    Loopback is never limited: behind it are programs of this host, and proxies that speak for many.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: Counter[str] = Counter()

    def count(self, host: str) -> str:
        """Count a new connection of ``host``; returns what `forget` is to be given, "" when it is not counted."""
        if not self.most or is_this_host(host):
            return ""
        self._open[host] += 1
        return host

    def exceeded(self, counted: str) -> bool:
        """Whether a client has too many connections, the counted one among them."""
        return bool(counted) and self._open[counted] > self.most

    def forget(self, counted: str) -> None:
        """A counted connection has ended."""
        if not counted:
            return
        self._open[counted] -= 1
        if not self._open[counted]:
            del self._open[counted]

    def __len__(self) -> int:
        """How many clients are counted."""
        return len(self._open)


def is_this_host(host: str) -> bool:
    """Whether a peer's address is loopback; "" is a peer without an address, as on a Unix socket."""
    if not host:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
