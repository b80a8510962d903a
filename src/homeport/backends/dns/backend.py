"""Services found in DNS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, MutableMapping, Sequence
from typing import NamedTuple

import dns.name
import dns.rcode
import dns.rdatatype
from dns.rdtypes.IN.SRV import SRV

from homeport.abilities import LISTING
from homeport.connections.access import Access
from homeport.errors import InvalidAnswer, Unsupported
from homeport.model import Instance
from homeport.spi import Cursor, Observed, ServiceSummary

from . import answers, mapping, naming
from .answers import Addresses, Answer
from .exchange import Exchange, Exchanged
from .settings import DNSSettings

_log = logging.getLogger(__name__)

_LONGEST_CHAIN = 8
_MOST_ROUNDS = 5
_MOST_NAMED = 3
_Known = Mapping[tuple[dns.name.Name, dns.rdatatype.RdataType], Addresses]


class _Found(NamedTuple):
    """What one round of questions found, and for how many seconds that holds.

    ``records`` are the SRV records, ``missing`` those of their hosts that were asked for and have no address.
    ``nothing`` says that several questions found nothing, each by itself.
    """

    instances: tuple[Instance, ...]
    ttl: float
    records: frozenset[SRV] = frozenset()
    missing: frozenset[dns.name.Name] = frozenset()
    nothing: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is no more than what one answer stated."""
        return not self.missing and not self.nothing

    def same(self, before: _Found | None) -> bool:
        """Whether the round before named the same hosts, and missed the same ones, or found nothing as well."""
        return before is not None and (self.records, self.missing, self.nothing) == (
            before.records, before.missing, before.nothing,
        )  # fmt: skip


_Rounds = MutableMapping[str, _Found]
"""The last round of each domain."""


class DNSBackend:
    """A `Discoverer` over SRV, A and AAAA records. DNS takes no registrations and has no list of services.

    A watch asks again when the TTL of an answer has run out; there is no other way to watch DNS.
    """

    def __init__(self, settings: DNSSettings) -> None:
        self._settings = settings
        self._exchange = Exchange(settings)
        self._told: dict[tuple[str, str], frozenset[dns.name.Name]] = {}

    def __repr__(self) -> str:
        return f"DNSBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL: the servers and the domains."""
        return self._settings.url

    @property
    def access(self) -> Access:
        """The servers, for diagnosis; none where it is those of the system."""
        return Access(addresses=self._settings.servers, transport="dns")

    @property
    def settings(self) -> DNSSettings:
        """Which servers are asked, and for which names."""
        return self._settings

    @property
    def watch_limit(self) -> int | None:
        """Any number: between two questions nothing is kept open."""
        return None

    async def ping(self) -> Mapping[str, str]:
        """Ask for the first domain itself; which server answered, and how fast.

        Raises:
            BackendError: none answered.
        """
        domain = self._settings.domains[0]
        exchanged = await self._exchange.ask(naming.absolute(f"{domain}."), dns.rdatatype.SOA)
        return {
            "product": "dns",
            "server": str(exchanged.server),
            "latency": f"{exchanged.duration * 1000:.1f} ms",
            "domain": domain or ".",
            "domain_exists": "no" if exchanged.message.rcode() == dns.rcode.NXDOMAIN else "yes",
        }

    async def aclose(self) -> None:
        """Nothing is held."""

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now, as the server knows them.

        Raises:
            BackendError: no server answers, or what it answers makes no sense.
            Unsupported: the domain has no datacenters.
            InvalidValue: the service has a name that DNS cannot have.
        """
        return Observed(instances=(await self._find(service, datacenter, {})).instances)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service``: at once, and whenever the TTL of the last answer has run out, within the set bounds.

        Raises:
            BackendError: as `fetch`.
        """
        del after  # DNS has no positions
        rounds: dict[str, _Found] = {}
        while True:
            found = await self._find(service, datacenter, rounds)
            yield Observed(instances=found.instances)
            await asyncio.sleep(mapping.pause(found.ttl, self._settings, empty=not found.instances))

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """DNS cannot tell.

        Raises:
            Unsupported: always.
        """
        del datacenter
        raise Unsupported(
            "DNS has no list of services", backend=self.url, instead="ask for one by its name", able=LISTING
        )

    async def _find(self, service: str, datacenter: str, rounds: _Rounds) -> _Found:
        """What the first domain says that has instances; if none has, how long that holds."""
        domains = [
            naming.in_datacenter(domain, datacenter, backend=self.url)
            for domain in ([""] if naming.is_absolute(service) else self._settings.domains)
        ]
        ttl = float("inf")
        for domain in domains:
            found = rounds[domain] = await self._settled(service, domain, datacenter, rounds.get(domain))
            self._tell(service, domain, found)
            ttl = min(ttl, found.ttl)
            if found.instances:
                return _Found(found.instances, ttl)
        return _Found((), ttl)

    async def _settled(self, service: str, domain: str, datacenter: str, before: _Found | None) -> _Found:
        """What a domain says, asked until nothing is missing for the reason alone that the zone changed meanwhile.

        SRV records and addresses are answers of their own. When the zone changes between them, a host may have no
        address although none lacked one before or after (RFC 2782 wants at least one for each). So that is believed
        only when two rounds of questions in a row say it. So it is when there are neither SRV records nor addresses: a
        service that goes over from the ones to the others was never absent.

        Raises:
            InvalidAnswer: no two rounds say the same, or none of the hosts has an address.
        """
        for _ in range(_MOST_ROUNDS):
            found = await self._find_in(service, domain, datacenter)
            if found.whole or found.same(before):
                break
            before = found
        else:
            raise InvalidAnswer(
                f'the SRV records of "{service}" and the addresses of their hosts did not fit together {_MOST_ROUNDS} '
                "times in a row: the zone changes all the time, or the servers of it differ",
                backend=self.url,
            )
        if found.missing and not found.instances:
            raise InvalidAnswer(
                f'the SRV records of "{service}" name {_names(found.missing)}: none of them has an address in DNS',
                backend=self.url,
            )
        return found

    def _tell(self, service: str, domain: str, found: _Found) -> None:
        """Log which hosts are left out, whenever these are others."""
        if found.missing == self._told.get((service, domain), frozenset()):
            return
        if not found.missing:
            del self._told[service, domain]
            return
        self._told[service, domain] = found.missing
        _log.warning(
            'the SRV records of "%s" name %s without an address in DNS; left out',
            service,
            _names(found.missing),
            extra={"service": service, "backend": self.url},
        )

    async def _find_in(self, service: str, domain: str, datacenter: str) -> _Found:
        """One round of questions."""
        settings = self._settings
        names = naming.names(service, domain, srv=settings.srv)
        ttl = float("inf")
        if settings.record != "a":
            answer, exchanged = await self._ask(names.srv, dns.rdatatype.SRV)
            if answer.records is not None:
                known = answers.additional_addresses(exchanged.message)
                return await self._at_targets(service, answer, known, datacenter)
            ttl = answer.ttl
            if settings.record == "srv":
                return _Found((), ttl)
        # Also where the name was said not to exist: dnsmasq says so of a type that it has no record of.
        found = await self._addresses(names.host, {})
        if not found.texts:
            several = settings.record != "a" or settings.family in ("auto", "both")
            return _Found((), min(ttl, found.ttl), nothing=several)
        if settings.port is None:
            raise InvalidAnswer(
                f"{names.host.to_text(omit_final_dot=True)} has addresses and no SRV records, which would tell "
                "the port; add port=… to the URL of the backend",
                backend=self.url,
            )
        return _Found(mapping.from_addresses(service, found, settings.port, datacenter=datacenter), found.ttl)

    async def _at_targets(self, service: str, answer: Answer, known: _Known, datacenter: str) -> _Found:
        """The instances of the first priority of which a target has an address, and the targets that have none."""
        groups = mapping.by_priority(answer.records or ())
        ttl = answer.ttl
        missing: set[dns.name.Name] = set()
        instances: tuple[Instance, ...] = ()
        for group in groups:
            hosts = await self._hosts(group, known)
            ttl = min(ttl, *(host.ttl for host in hosts.values()))
            missing.update(name for name, host in hosts.items() if not host.texts)
            instances = mapping.from_srv(service, group, hosts, datacenter=datacenter)
            if instances:
                break
        return _Found(instances, ttl, frozenset(record for group in groups for record in group), frozenset(missing))

    async def _hosts(self, records: Sequence[SRV], known: _Known) -> Mapping[dns.name.Name, Addresses]:
        """The addresses of all targets, asked for at once where they did not come along."""
        targets = sorted({record.target for record in records})
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._addresses(target, known)) for target in targets]
        except ExceptionGroup as errors:
            first = errors.exceptions[0]
        else:
            return dict(zip(targets, (task.result() for task in tasks), strict=True))
        raise first

    async def _addresses(self, host: dns.name.Name, known: _Known) -> Addresses:
        """The addresses of a host, of the wanted families."""
        match self._settings.family:
            case "ipv4":
                return await self._of_type(host, dns.rdatatype.A, known)
            case "ipv6":
                return await self._of_type(host, dns.rdatatype.AAAA, known)
            case "auto":
                found = await self._of_type(host, dns.rdatatype.A, known)
                return found if found.texts else await self._of_type(host, dns.rdatatype.AAAA, known)
            case "both":
                first = await self._of_type(host, dns.rdatatype.A, known)
                second = await self._of_type(host, dns.rdatatype.AAAA, known)
                ttl = min(one.ttl for one in (first, second) if one.texts or not (first.texts or second.texts))
                return Addresses(first.texts + second.texts, ttl)

    async def _of_type(self, host: dns.name.Name, kind: dns.rdatatype.RdataType, known: _Known) -> Addresses:
        if (host, kind) in known:
            return known[host, kind]
        answer, _ = await self._ask(host, kind)
        return answers.addresses(answer.records, answer.ttl)

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> tuple[Answer, Exchanged]:
        """Ask, and go after aliases that the server did not follow itself."""
        ttl = float("inf")
        for _ in range(_LONGEST_CHAIN):
            exchanged = await self._exchange.ask(name, kind)
            answer = answers.read(exchanged.message, backend=self.url)
            ttl = min(ttl, answer.ttl)
            if answer.alias is None:
                return answer._replace(ttl=ttl), exchanged
            name = answer.alias
        raise InvalidAnswer(
            f"{name.to_text(omit_final_dot=True)} is an alias in a chain of aliases without an end", backend=self.url
        )


def _names(hosts: frozenset[dns.name.Name]) -> str:
    """The first few names, and how many more there are."""
    names = [host.to_text(omit_final_dot=True) for host in sorted(hosts)]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
