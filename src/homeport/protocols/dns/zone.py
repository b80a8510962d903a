"""A zone, and what its names mean; pure.

In the zone ``company.local``, ``api.company.local`` is the service ``api``, and so is ``_api._tcp.company.local`` for
who asks for SRV records by RFC 2782. The target of an SRV record is ``c0a80001.addr.company.local``, an address by its
digits, as Consul has it.
"""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

import dns.exception
import dns.name
import msgspec

from homeport.errors import SettingsError

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_ADDRESSES = b"addr"
_TCP = b"_tcp"
_NAME_SERVER = b"ns"
_LONGEST_TTL = 2**31 - 1  # RFC 2181, 8
_LENGTHS = {8: 4, 32: 16}  # hexadecimal digits: bytes of an address


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """How a zone answers.

    ``ttl`` is for how many seconds answers may be kept, ``negative_ttl`` the same for that there is nothing. Unhealthy
    instances are left out with ``unhealthy_weight`` 0; otherwise they have that weight in SRV records, and stand in
    for addresses of which none is healthy. Without ``health_aware`` all are alike. ``addresses`` are those of the name
    server. ``serial`` is the one of the SOA record.
    """

    origin: dns.name.Name
    ttl: int
    negative_ttl: int
    unhealthy_weight: int
    health_aware: bool
    addresses: tuple[IPAddress, ...]
    serial: int

    @property
    def name_server(self) -> dns.name.Name:
        """The name of the server."""
        return dns.name.Name((_NAME_SERVER, _ADDRESSES)).concatenate(self.origin)

    def address_name(self, address: IPAddress) -> dns.name.Name:
        """The name that has just that address."""
        return dns.name.Name((address.packed.hex().encode(), _ADDRESSES)).concatenate(self.origin)

    def meaning(self, name: dns.name.Name) -> Meaning:
        """What a name in this zone stands for."""
        labels = tuple(label.lower() for label in name.relativize(self.origin).labels)
        match labels:
            case ():
                return Apex()
            case (b"ns", b"addr"):
                return Host(self.addresses)
            case (digits, b"addr"):
                address = _address(digits)
                return Nothing(exists=False) if address is None else Host((address,))
            case (b"addr",) | (b"_tcp",):
                return Nothing(exists=True)  # there are names below it (RFC 8020)
            case (*_, b"addr"):
                return Nothing(exists=False)
            case (service, b"_tcp") if service.startswith(b"_"):
                return _service((service[1:],), srv_only=True)
            case _:
                return _service(labels, srv_only=False)


class Apex(msgspec.Struct, frozen=True):
    """The zone itself."""


class Host(msgspec.Struct, frozen=True):
    """A name that has addresses."""

    addresses: tuple[IPAddress, ...]


class Nothing(msgspec.Struct, frozen=True):
    """A name without records; whether it exists, because there are names below it."""

    exists: bool


class ServiceName(msgspec.Struct, frozen=True):
    """A service by its name in lower case; ``srv_only`` if only its SRV records have that name."""

    service: str
    srv_only: bool


Meaning: TypeAlias = Apex | Host | Nothing | ServiceName


def zone_name(text: str, *, place: str) -> dns.name.Name:
    """The name of a zone.

    Raises:
        SettingsError: it is none, or the root, which would claim every name there is.
    """
    try:
        name = dns.name.from_text(text.strip())
    except (dns.exception.DNSException, UnicodeError) as error:
        raise SettingsError(f'{place} is "{text}", no name in DNS: {str(error).rstrip(".").lower()}') from None
    if name == dns.name.root:
        raise SettingsError(f'{place} is "{text}", which would claim every name; write for example company.local')
    return name.canonicalize()


def whole_seconds(value: float) -> int:
    """A TTL; one below a second is none at all."""
    return min(int(value), _LONGEST_TTL)


def _address(digits: bytes) -> IPAddress | None:
    if len(digits) not in _LENGTHS:
        return None
    try:
        return ipaddress.ip_address(bytes.fromhex(digits.decode("ascii")))
    except ValueError:
        return None


def _service(labels: tuple[bytes, ...], *, srv_only: bool) -> Meaning:
    try:
        return ServiceName(b".".join(labels).decode("ascii"), srv_only=srv_only)
    except UnicodeDecodeError:
        return Nothing(exists=False)
