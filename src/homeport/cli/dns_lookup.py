"""Which DNS servers are asked for which names, and all they say. Needs the extra ``dns``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import dns.name
import dns.rdatatype
import msgspec

from homeport.backends.dns import DNSBackend, DNSSettings
from homeport.backends.dns.naming import Names, absolute, names, servers_for
from homeport.connections.backend_url import HostPort, parse_host_port
from homeport.errors import HomeportError, SettingsError
from homeport.spi import Backend

from .dns_questions import ask, instances, system_servers
from .exits import Misuse
from .reach import addresses_of
from .steps import Step

_PORT = 53
_PATIENCE = 2.0
_CONSUL_DOMAIN = "service.consul"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which servers are asked, for which names, and why these; ``settings`` say what is made of the answers."""

    servers: Sequence[HostPort]
    names: Sequence[Names]
    why: str
    settings: DNSSettings


async def look_up(server: HostPort, asked: Names, settings: DNSSettings) -> Sequence[Step]:
    """The steps for one name and one server: a question each, and what Homeport makes of the answers."""
    kinds = [(asked.srv, dns.rdatatype.SRV), (asked.host, dns.rdatatype.A), (asked.host, dns.rdatatype.AAAA)]
    steps = list(await asyncio.gather(*(ask(server, one, kind) for one, kind in kinds)))
    if any(step.state == "ok" for step in steps):
        steps.append(await instances(settings, server, asked.host))
    return steps


async def planned(name: str, servers: Sequence[str] | None, backend: Backend) -> Plan:
    """Whom to ask for what: the ``servers``, else those of the backend, else those of this system.

    Raises:
        Misuse: a server cannot be right.
        InvalidValue: the name cannot be one.
        BackendUnavailable: a server's own name cannot be resolved, or this system names no server.
    """
    own = backend.settings if isinstance(backend, DNSBackend) else None
    wanted = _names(name, own)
    settings = own or DNSSettings()
    if servers:
        return Plan(servers=await _given(servers), names=wanted, why="--server names it", settings=settings)
    if own is not None:
        known = servers_for(wanted[0].host, own.resolvers) or own.servers
        found = [one for place in known for one in await addresses_of(place)] or system_servers(own)
        return Plan(servers=found, names=wanted, why=f"as {backend.url} says", settings=settings)
    place = await _of_registry(backend)
    if place:
        found = [parse_host_port(place, default_port=_PORT)]
        return Plan(servers=found, names=wanted, why=f"the DNS of {backend.url}", settings=settings)
    why = f"the DNS of this system, since {backend.url} names none"
    return Plan(servers=system_servers(settings), names=wanted, why=why, settings=settings)


async def _of_registry(backend: Backend) -> str:
    """Where a registry answers DNS itself, HOST:PORT; "" where it does not, or cannot be asked."""
    with contextlib.suppress(HomeportError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            return (await backend.ping()).get("dns", "")
    return ""


async def _given(texts: Sequence[str]) -> Sequence[HostPort]:
    try:
        places = [parse_host_port(text, default_port=_PORT) for text in texts]
    except SettingsError as error:
        raise Misuse(f"--server: {error}") from error
    return [one for place in places for one in await addresses_of(place)]


def _names(name: str, settings: DNSSettings | None) -> Sequence[Names]:
    """The names that are asked for: those of a service, or a whole name."""
    if "." in name.strip("."):
        whole = absolute(name.rstrip(".") + ".")
        inside = settings is not None and any(whole.is_subdomain(dns.name.from_text(one)) for one in settings.domains)
        prefix = settings.srv if settings is not None and inside else ""
        return [names(whole.to_text(), "", srv=prefix)]
    domains = settings.domains if settings is not None else (_CONSUL_DOMAIN,)
    return [names(name.strip("."), domain, srv=settings.srv if settings is not None else "") for domain in domains]
