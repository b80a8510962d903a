"""Which DNS servers are asked, for which names, and how often: from a URL and the environment.

A parameter of the URL wins over a variable of the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias, cast, get_args

import msgspec

from homeport.connections.backend_url import BackendURL, HostPort, parse_backend_url, parse_host_port
from homeport.errors import InvalidValue, SettingsError
from homeport.settings import duration

DEFAULT_PORT = 53
DEFAULT_DOMAIN = "service.consul"
DEFAULT_REFRESH = 30.0
LONGEST_REFRESH = 60.0
"""A watch gives a sign of life at least that often."""

Record: TypeAlias = Literal["auto", "srv", "a"]
Family: TypeAlias = Literal["auto", "ipv4", "ipv6", "both"]

_PATTERN = re.compile(r"\*(\.[^.*]{1,63})+\.?")

PARAMETERS = (
    "port", "record", "srv", "family", "resolvers", "refresh", "floor", "negative_floor", "timeout", "tcp",
    "resolv_conf",
)  # fmt: skip


class Resolver(msgspec.Struct, frozen=True):
    """The server to ask for a domain and every name below it; ``pattern`` is ``*.`` and the domain."""

    pattern: str
    server: HostPort

    @property
    def domain(self) -> str:
        """The domain, in lower case and without dots at its ends."""
        return self.pattern.removeprefix("*.").strip(".").lower()


class DNSSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how; durations are seconds.

    ``servers`` are asked in this order, each when the one before it does not answer; without any, those that
    ``resolv_conf`` names, at ``system_port``. ``resolvers`` are asked instead for the names they match, the longest
    match first. A service is looked for in one of the ``domains`` after the other.

    ``record``: SRV records, addresses (``a``: A and AAAA), or SRV and then addresses (``auto``). ``port`` is that of
    every address that has no SRV record. ``srv`` is put before a name to ask for its SRV records, such as
    ``_http._tcp``. ``family`` says which addresses of a host are instances: those of one family, of ``both``, or
    (``auto``) IPv6 only where there is no IPv4.

    A watch asks again when the lowest TTL of an answer has run out, but not before ``floor`` (``negative_floor`` for
    the answer that there is nothing) and not after ``refresh``. ``timeout`` is for one question to all its servers.

    Raises:
        SettingsError: a value cannot be right, or contradicts another.
    """

    servers: tuple[HostPort, ...] = ()
    domains: tuple[str, ...] = (DEFAULT_DOMAIN,)
    port: int | None = None
    record: Record = "auto"
    srv: str = ""
    family: Family = "auto"
    resolvers: tuple[Resolver, ...] = ()
    refresh: float = DEFAULT_REFRESH
    floor: float = 5.0
    negative_floor: float = 5.0
    timeout: float = 5.0
    tcp: bool = False
    resolv_conf: str = "/etc/resolv.conf"
    system_port: int = DEFAULT_PORT

    def __post_init__(self) -> None:
        if not self.domains:
            raise SettingsError(f"{self.url}: there is no domain; name one, such as {DEFAULT_DOMAIN}")
        if self.port is not None and not 0 <= self.port <= 65535:
            raise SettingsError(f"{self.url}: port is {self.port}; it must lie between 0 and 65535")
        if self.record not in get_args(Record):
            raise SettingsError(f'{self.url}: record is "{self.record}"; give {_choice(Record)}')
        if self.family not in get_args(Family):
            raise SettingsError(f'{self.url}: family is "{self.family}"; give {_choice(Family)}')
        if self.record == "a" and self.port is None:
            raise SettingsError(f"{self.url}: record=a tells no ports; add port=… for the port of every instance")
        if self.refresh > LONGEST_REFRESH:
            raise SettingsError(f"{self.url}: refresh is {self.refresh:g} s; it can be {LONGEST_REFRESH:g} at most")
        for name, value in (("floor", self.floor), ("negative_floor", self.negative_floor)):
            if value > self.refresh:
                raise SettingsError(
                    f"{self.url}: {name} is {value:g} s, more than refresh with its {self.refresh:g} s; change one"
                )
        for resolver in self.resolvers:
            if not _PATTERN.fullmatch(resolver.pattern):
                raise SettingsError(
                    f'{self.url}: resolvers names the pattern "{resolver.pattern}"; write for example *.service.consul'
                )

    @property
    def url(self) -> str:
        """The URL for people and for logs: the servers and the domains."""
        return f"dns://{','.join(map(str, self.servers))}/{','.join(domain or '.' for domain in self.domains)}"

    @classmethod
    def from_url(cls, url: str, environ: Mapping[str, str]) -> DNSSettings:
        """Settings from ``dns://SERVER:53/service.consul?port=8080``; ``dns:///DOMAIN`` asks the system's servers.

        What the URL leaves out, ``DNS_SERVER``, ``DNS_PORT``, ``DNS_DOMAIN`` and ``DNS_REFRESH_TTL`` tell.

        Raises:
            SettingsError: a part cannot be read, is unknown, or contradicts another.
        """
        server_port = _port(environ.get("DNS_PORT", "").strip() or str(DEFAULT_PORT), place="DNS_PORT", lowest=1)
        parsed = parse_backend_url(url, default_port=server_port)
        parsed.only(PARAMETERS)
        if url.partition("://")[2].startswith(("/", "?")) or not url.partition("://")[2]:
            parsed = msgspec.structs.replace(parsed, addresses=_servers(environ, server_port))
        given = parsed.parameters
        domains = _domains(parsed.path) or _domains(environ.get("DNS_DOMAIN", "")) or (DEFAULT_DOMAIN,)
        return cls(
            servers=parsed.addresses,
            domains=domains,
            port=_port(given["port"], place=f"{parsed}: port") if "port" in given else None,
            record=cast("Record", given.get("record", "auto")),  # checked when it is made
            srv=given.get("srv", "").strip("."),
            family=cast("Family", given.get("family", "auto")),
            resolvers=_resolvers(given.get("resolvers", ""), parsed, server_port),
            refresh=parsed.seconds("refresh") or _refresh(environ),
            floor=parsed.seconds("floor") or 5.0,
            negative_floor=parsed.seconds("negative_floor") or 5.0,
            timeout=parsed.seconds("timeout") or 5.0,
            tcp=parsed.flag("tcp") or False,
            resolv_conf=given.get("resolv_conf", "/etc/resolv.conf"),
            system_port=server_port,
        )


def _servers(environ: Mapping[str, str], port: int) -> tuple[HostPort, ...]:
    """``DNS_SERVER``: one or several of ``host`` or ``host:port``, with commas; none is the system's own."""
    named = [part.strip() for part in environ.get("DNS_SERVER", "").split(",")]
    try:
        return tuple(parse_host_port(part, default_port=port) for part in named if part)
    except SettingsError as error:
        raise SettingsError(f"DNS_SERVER: {error}") from None


def _domains(text: str) -> tuple[str, ...]:
    """Domains with commas between them; ``.`` is the root, below which a service has its whole name."""
    parts = (part.strip() for part in text.strip("/").split(","))
    return tuple(part.strip(".").lower() for part in parts if part)


def _resolvers(text: str, url: BackendURL, port: int) -> tuple[Resolver, ...]:
    """``*.service.consul=10.0.0.1:8600,*.svc.cluster.local=10.96.0.10``; a pattern may be there more than once."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        pattern, separator, server = part.partition("=")
        if not separator:
            raise SettingsError(
                f'{url}: resolvers has "{part}"; write PATTERN=SERVER, for example *.service.consul=127.0.0.1:8600'
            )
        try:
            found.append(Resolver(pattern.strip(), parse_host_port(server.strip(), default_port=port)))
        except SettingsError as error:
            raise SettingsError(f"{url}: resolvers, {pattern}: {error}") from None
    return tuple(found)


def _refresh(environ: Mapping[str, str]) -> float:
    text = environ.get("DNS_REFRESH_TTL", "").strip()
    if not text:
        return DEFAULT_REFRESH
    try:
        value = duration.seconds(text)
    except InvalidValue as error:
        raise SettingsError(f"DNS_REFRESH_TTL: {error}") from None
    if value <= 0:
        raise SettingsError(f'DNS_REFRESH_TTL is "{text}"; give a time above 0')
    return value


def _port(text: str, *, place: str, lowest: int = 0) -> int:
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= 65535:
        raise SettingsError(f'{place} is "{text}"; it must lie between {lowest} and 65535')
    return int(text)


def _choice(words: object) -> str:
    *others, last = get_args(words)
    return f"{', '.join(others)} or {last}"
