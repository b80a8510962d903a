"""The section ``dns_discovery`` of the settings file: which DNS server is asked for which names, and how long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import msgspec

from homeport.connections.backend_url import HostPort, parse_host_port
from homeport.errors import SettingsError

SECTION = "dns_discovery"

_CONSUL, _KUBERNETES = "consul", "kubernetes"
_CONSUL_DNS_PORT = 8600
_DNS_PORT = 53
_HEAVIEST = 65_535
_LONGEST_NAME = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked for the names that a pattern such as ``*.service.consul`` matches.

    ``consul`` is the DNS port (8600) of the agent that ``consul.server.address`` or ``CONSUL_HTTP_ADDR`` names, by
    default on this host; ``kubernetes`` are the servers that the system names, which in a pod are the cluster's. Any
    other is ``host`` or ``host:port``.
    """

    pattern: str
    resolver: str

    @property
    def domain(self) -> str:
        """The pattern without its star."""
        return self.pattern.removeprefix("*.").strip(".").lower()


class OwnZone(msgspec.Struct, frozen=True, kw_only=True):
    """A zone that ``homeport serve`` answers for, such as ``company.local``, and the backend that has its services.

    ``type`` is the name of a backend, which a section of the file may describe, or its URL; ``homeport`` is the
    registry that serves the zone.
    """

    name: str
    type: str

    @property
    def domain(self) -> str:
        """The name in small letters, without the dot of the root."""
        return self.name.strip().removesuffix(".").lower()


class Caching(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers are used; seconds. With ``enabled`` false, `discover` and `resolve` ask each time."""

    enabled: bool = True
    ttl: float | None = None
    negative_ttl: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttl", "negative_ttl"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{SECTION}.caching.{name} is {value}; it must be above 0")


class HealthAwareness(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with unhealthy instances, in zones of one's own: left out, or with a weight in SRV records.

    With ``enabled`` false they are like the others. DNS servers of others leave them out.
    """

    enabled: bool = True
    unhealthy_weight: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.unhealthy_weight <= _HEAVIEST:
            raise SettingsError(
                f"{SECTION}.health_awareness.unhealthy_weight is {self.unhealthy_weight}; it must lie between 0 and "
                f"{_HEAVIEST}"
            )

    def fit_for_others(self) -> None:
        """Refuse what a DNS server of others cannot do.

        Raises:
            SettingsError: it is asked for.
        """
        if not self.enabled:
            raise SettingsError(
                f"{SECTION}.health_awareness.enabled is false, but a DNS server leaves out what is unhealthy; "
                "set it to true, or ask a registry: backend: consul"
            )
        if self.unhealthy_weight != 0:
            raise SettingsError(
                f"{SECTION}.health_awareness.unhealthy_weight is {self.unhealthy_weight}, but a DNS server leaves out "
                "what is unhealthy; set it to 0, or ask a registry: backend: consul"
            )


class DNSSection(msgspec.Struct, frozen=True, kw_only=True):
    """The section as a whole."""

    zones: tuple[OwnZone, ...] = ()
    resolution: tuple[Resolution, ...] = ()
    caching: Caching = Caching()
    health_awareness: HealthAwareness = HealthAwareness()

    def __post_init__(self) -> None:
        for place, zone in enumerate(self.zones):
            _check_zone(zone, self.zones[:place], place=f"{SECTION}.zones[{place}]")
        if not self.zones:
            self.health_awareness.fit_for_others()
        for position, one in enumerate(self.resolution):
            if not one.pattern.startswith("*.") or not one.domain or "*" in one.domain:
                raise SettingsError(
                    f'{SECTION}.resolution[{position}].pattern is "{one.pattern}"; write for example *.service.consul'
                )
            if one.resolver not in (_CONSUL, _KUBERNETES):
                _server(one, place=f"{SECTION}.resolution[{position}].resolver")
        for one in self.resolution:
            above = next((other for other in self.resolution if one.domain.endswith(f".{other.domain}")), None)
            if one.resolver == _KUBERNETES and above is not None and above.resolver != _KUBERNETES:
                raise SettingsError(
                    f"{SECTION}.resolution has {one.pattern} below {above.pattern}; give the address of its server "
                    f"instead of {_KUBERNETES}"
                )

    def describes(self) -> bool:
        """Whether it says whom to ask, so that DNS is meant where no backend is named."""
        return bool(self.resolution)

    def url(self, environ: Mapping[str, str]) -> str:
        """What ``dns`` stands for: that name itself, or a URL with what ``environ`` does not say.

        ``environ`` names the agent of ``consul``.

        Raises:
            SettingsError: the environment contradicts the section.
        """
        parameters = {"resolvers": ",".join(f"*.{one.domain}={server}" for one, server in self._servers(environ))}
        if self.caching.ttl is not None and not environ.get("DNS_REFRESH_TTL", "").strip():
            parameters["refresh"] = f"{self.caching.ttl:g}"
        if self.caching.negative_ttl is not None:
            parameters["negative_floor"] = f"{self.caching.negative_ttl:g}"
        domains = () if environ.get("DNS_DOMAIN", "").strip() else dict.fromkeys(one.domain for one in self.resolution)
        given = {name: text for name, text in parameters.items() if text}
        if not given and not domains:
            return "dns"
        return f"dns:///{quote(','.join(domains), safe=',')}{f'?{urlencode(given)}' if given else ''}"

    def variables(self, _environ: Mapping[str, str]) -> dict[str, str]:
        """Nothing: the URL says it all."""
        return {}

    def implied(self) -> dict[str, tuple[object, str]]:
        """What it says about settings of the client, each with the key here."""
        return {} if self.caching.enabled else {"cache.enabled": (False, f"{SECTION}.caching.enabled")}

    def _servers(self, environ: Mapping[str, str]) -> list[tuple[Resolution, HostPort]]:
        """The patterns that have a server of their own; the others are asked of the system's."""
        found = []
        for position, one in enumerate(self.resolution):
            if one.resolver == _KUBERNETES:
                if environ.get("DNS_SERVER", "").strip():
                    raise SettingsError(
                        f"{SECTION}.resolution[{position}].resolver is {_KUBERNETES}, the servers of this system, but "
                        "DNS_SERVER names others; give the address of the server instead"
                    )
            elif one.resolver == _CONSUL:
                found.append((one, HostPort(_consul_host(environ), _CONSUL_DNS_PORT)))
            else:
                found.append((one, _server(one, place=f"{SECTION}.resolution[{position}].resolver")))
        return found


def _server(one: Resolution, *, place: str) -> HostPort:
    try:
        return parse_host_port(one.resolver, default_port=_DNS_PORT)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from None


def _check_zone(zone: OwnZone, before: Sequence[OwnZone], *, place: str) -> None:
    """Refuse what cannot be a zone. Raises SettingsError."""
    labels = zone.domain.split(".")
    if len(zone.domain) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise SettingsError(f'{place}.name is "{zone.name}", no name in DNS; write for example company.local')
    if not zone.type.strip():
        raise SettingsError(f"{place}.type is empty; name the backend that has its services, for example consul")
    if any(other.domain == zone.domain for other in before):
        raise SettingsError(f'{place}.name is "{zone.name}", which stands there before; give each zone once')


def _consul_host(environ: Mapping[str, str]) -> str:
    address = environ.get("CONSUL_HTTP_ADDR", "").strip().rpartition("://")[2].rstrip("/")
    return parse_host_port(address, default_port=_CONSUL_DNS_PORT).host if address else "127.0.0.1"
