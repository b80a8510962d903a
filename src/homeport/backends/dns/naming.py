"""Which names stand for a service, and which server knows them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import dns.exception
import dns.name

from homeport.abilities import DATACENTERS
from homeport.connections.backend_url import HostPort
from homeport.errors import InvalidValue, Unsupported

from .settings import Resolver


class Names(NamedTuple):
    """What is asked for: the name that has SRV records, and the one that has addresses."""

    srv: dns.name.Name
    host: dns.name.Name


def names(service: str, domain: str, *, srv: str) -> Names:
    """The names of a service in a domain.

    ``srv`` (such as ``_http._tcp``) stands before the name that has SRV records, unless the service is named in that
    form itself (RFC 2782: ``_billing._tcp``). A service whose name ends with a dot has its whole name already.

    Raises:
        InvalidValue: that is no name for DNS, which allows 63 bytes between two dots and 255 in all.
    """
    host = service if is_absolute(service) else f"{service}.{domain}"
    own_form = not srv or service.startswith("_")
    return Names(srv=absolute(host if own_form else f"{srv}.{host}"), host=absolute(host))


def is_absolute(service: str) -> bool:
    """Whether the name is whole already, so that no domain belongs behind it."""
    return service.endswith(".")


def absolute(text: str) -> dns.name.Name:
    """The name that a text stands for, down from the root.

    Raises:
        InvalidValue: it is none.
    """
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise InvalidValue(f'"{text}" cannot be a name in DNS: {str(error).rstrip(".").lower()}') from error


def in_datacenter(domain: str, datacenter: str, *, backend: str) -> str:
    """The same domain in another datacenter: Consul's alone has one, as ``service.DATACENTER.consul``.

    Raises:
        Unsupported: nobody knows how the domain would be called there.
    """
    labels = domain.split(".")
    if not datacenter:
        return domain
    if labels[0] != "service" or labels[-1] != "consul" or len(labels) not in (2, 3):
        raise Unsupported(
            f'{domain or "the root"} has no names for the datacenter "{datacenter}"',
            backend=backend,
            instead=f"name the domain of that datacenter in the URL (Consul's is service.{datacenter}.consul)",
            able=DATACENTERS,
        )
    return f"service.{datacenter}.consul"


def servers_for(name: dns.name.Name, resolvers: Iterable[Resolver]) -> Sequence[HostPort]:
    """The servers of the longest pattern that matches a name, in their order; none if no pattern does.

    A pattern matches its domain and everything below it.

    Raises:
        InvalidValue: a pattern has no name for DNS.
    """
    matching: dict[int, list[HostPort]] = {}
    for resolver in resolvers:
        domain = absolute(resolver.domain)
        if name.is_subdomain(domain):
            matching.setdefault(len(domain), []).append(resolver.server)
    return matching[max(matching)] if matching else ()
