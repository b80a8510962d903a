"""What a zone says of a service, worked out once for each state of it; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import dns.exception
import dns.name

from homeport.model import Instance, Snapshot

from .zone import IPAddress, Zone

_HEAVIEST = 65_535


class Server(NamedTuple):
    """Where an instance is called: an address, or a host by its name, and a port."""

    host: IPAddress | dns.name.Name
    port: int


class Listing(NamedTuple):
    """The servers of a service with their weights, its addresses, and hosts for who finds no address."""

    servers: Sequence[tuple[Server, int]]
    v4: Sequence[IPAddress]
    v6: Sequence[IPAddress]
    hosts: Sequence[dns.name.Name]
    stale: bool

    @property
    def several(self) -> bool:
        """Whether there is an order to it."""
        return max(len(self.servers), len(self.v4), len(self.v6), len(self.hosts)) > 1


def listing(zone: Zone, snapshot: Snapshot) -> Listing:
    """What ``zone`` says of a service. What has no port is in no SRV record: nobody can call it."""
    weighed = bool(zone.health_aware and zone.unhealthy_weight)
    servers: dict[Server, int] = {}
    for instance in snapshot.instances:
        host = _host(instance.address)
        if host is not None and instance.port:
            server = Server(host, instance.port)
            weight = zone.unhealthy_weight if weighed and instance.status != "passing" else instance.weight
            servers[server] = max(min(weight, _HEAVIEST), servers.get(server, 0))
    places: Sequence[Instance] = snapshot.instances
    if weighed:
        places = [one for one in places if one.status == "passing"] or places
    hosts = dict.fromkeys(host for one in places if (host := _host(one.address)) is not None)
    return Listing(
        servers=tuple(servers.items()),
        v4=[host for host in hosts if isinstance(host, ipaddress.IPv4Address)],
        v6=[host for host in hosts if isinstance(host, ipaddress.IPv6Address)],
        hosts=[host for host in hosts if isinstance(host, dns.name.Name)],
        stale=snapshot.stale,
    )


@lru_cache(maxsize=1 << 16)  # of ten thousand instances one changes
def _host(address: str) -> IPAddress | dns.name.Name | None:
    """An address, or the name of a host; None if DNS cannot say it."""
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        pass
    try:
        name = dns.name.from_text(address)
    except (dns.exception.DNSException, UnicodeError):
        return None
    return None if name == dns.name.root else name
