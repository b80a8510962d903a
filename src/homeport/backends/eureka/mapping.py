"""Between an instance of Eureka and Homeport's model; pure.

Eureka has no words for tags, versions, environments and weights: they travel as metadata of these names, tags with
commas between them, so that programs in other languages can write and read them too. The names of applications know
no case; a service has the name in lower case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from homeport.abilities import CHECKS
from homeport.errors import InvalidValue, Unsupported
from homeport.model import Instance, Service, Status
from homeport.spi import ServiceSummary
from homeport.wire import eureka as wire

from .settings import By

INCARNATION_KEY: Final = "homeport.incarnation"
TAGS_KEY: Final = "tags"
WEIGHT_KEY: Final = "weight"

STATUSES: Final[Mapping[str, Status]] = {
    wire.UP: "passing",
    wire.DOWN: "critical",
    wire.STARTING: "warning",
    wire.OUT_OF_SERVICE: "maintenance",
    wire.UNKNOWN: "critical",
}
"""A status that is none of these is critical."""

_LONGEST_DURATION = 2_000_000
"""A server counts a lease in milliseconds as an int of Java; beyond some 24 days it would end at once."""
_WEIGHT = re.compile(r"\d{1,5}\Z", re.ASCII)
_HIDDEN = frozenset((INCARNATION_KEY, TAGS_KEY))
_NOT_IN_PATHS = frozenset("/\\;%")


class Nowhere(Exception):
    """An instance has nothing by which it could be called or told apart; the text says what, as a few words."""


def app_of(service: str) -> str:
    """The application that a service is in Eureka.

    Raises:
        InvalidValue: there can be none of that name.
    """
    return in_path(service, "a service").upper()


def in_path(text: str, what: str) -> str:
    """A name or an id that may stand in a path.

    Raises:
        InvalidValue: servers refuse such a path.
    """
    if text in ("", ".", "..") or not text.isprintable() or not _NOT_IN_PATHS.isdisjoint(text):
        raise InvalidValue(
            f"{text!a} cannot be {what} in Eureka, where it is part of a path: it must not be empty or of dots alone, "
            "nor have a slash, a backslash, a semicolon, a percent sign or what cannot be printed; use another name"
        )
    return text


def quoted(text: str) -> str:
    """A name or an id as a part of a path."""
    return quote(text, safe="")


def services_of(info: wire.InstanceInfo, by: By) -> tuple[str, ...]:
    """The services that an instance is one of: its application, or each of its VIP addresses."""
    if by == "app":
        return ((info.app or "").lower(),)
    addresses = f"{info.vip_address or ''},{info.secure_vip_address or ''}"
    return tuple(dict.fromkeys(one.strip().lower() for one in addresses.split(",") if one.strip()))


def instance(info: wire.InstanceInfo, service: str, *, prefer_ip: bool) -> Instance:
    """An instance as one of ``service``.

    Raises:
        Nowhere: it has neither a host name nor an IP address, or no id.
    """
    names = (info.ip_addr, info.host_name) if prefer_ip else (info.host_name, info.ip_addr)
    address = next((name for name in names if name), "")
    if not address or not info.id:
        raise Nowhere("it has neither a host name nor an IP address" if info.id else "it has no id")
    port, secure = _port(info)
    properties = info.properties
    meta = {name: text for name, text in properties.items() if name not in _HIDDEN}
    if secure:
        meta.setdefault("scheme", "https")
    weight = _WEIGHT.match(meta.get(WEIGHT_KEY, "")) and int(meta[WEIGHT_KEY])
    if weight is not None and weight <= 65535:
        del meta[WEIGHT_KEY]
    else:
        weight = 1
    return Instance(
        id=info.id,
        service=service,
        address=address,
        port=port,
        tags=tuple(tag for one in properties.get(TAGS_KEY, "").split(",") if (tag := one.strip())),
        meta=meta,
        weight=weight,
        status=STATUSES.get(info.status or wire.UNKNOWN, "critical"),
        version=meta.get("version", ""),
        environment=meta.get("environment", ""),
        node=info.host_name or "",
        datacenter=meta.get("datacenter", ""),
        region=meta.get("region", ""),
        zone=meta.get("zone", "") or _amazon_zone(info),
        started_at=meta.get("started_at", "") or _started_at(info),
    )


def incarnation_of(info: wire.InstanceInfo) -> str:
    """By whom it was registered; "" when it was not by Homeport."""
    return info.properties.get(INCARNATION_KEY, "")


def registration(service: Service, *, ttl: float | None, incarnation: str, dirty_at: int) -> wire.InstanceInfo:
    """The instance that registers ``service``; ``dirty_at`` is its time of change in Unix milliseconds.

    A server lets a lease that was renewed run for twice its duration, so half the ``ttl`` is asked for.

    Raises:
        InvalidValue: its name, its id or its tags cannot be written, or its version, environment or metadata
            contradict each other.
        Unsupported: it has health checks, which Eureka does not run, or no ``ttl``.
    """
    if service.checks:
        raise Unsupported(
            f'Eureka runs no health checks, so "{service.name}" cannot have any there',
            instead="leave them out (its lease tells whether the program lives)",
            able=CHECKS,
        )
    if ttl is None:
        raise Unsupported(
            f'Eureka forgets what nobody renews, so "{service.name}" cannot be registered there without a ttl',
            instead="let a program keep the registration (on the command line by --keep)",
        )
    duration = math.ceil(ttl / 2)
    if duration > _LONGEST_DURATION:
        raise InvalidValue(f"a ttl in Eureka is at most {2 * _LONGEST_DURATION} s; that of {service.name} is {ttl:g} s")
    secure = service.meta.get("scheme") == "https"
    used = wire.Port(number=service.port, enabled=service.port > 0)
    home = Instance(id=service.id, service=service.name, address=service.address, port=service.port, meta=service.meta)
    return wire.InstanceInfo(
        instance_id=in_path(service.id, "an instance"),
        host_name=service.address,
        app=app_of(service.name),
        ip_addr=service.address,
        vip_address=service.name,
        secure_vip_address=service.name,
        status=wire.UP,
        overridden_status=wire.UNKNOWN,
        port=wire.Port(number=80, enabled=False) if secure else used,
        secure_port=used if secure else wire.Port(number=443, enabled=False),
        country_id=1,
        data_center_info=wire.DataCenterInfo(name=wire.MY_OWN),
        lease_info=wire.LeaseInfo(renewal_interval=max(1, int(ttl / 3)), duration=duration),
        metadata=_metadata(service, incarnation),
        home_page_url=home.url(),
        last_updated_timestamp=dirty_at,
        last_dirty_timestamp=dirty_at,
        action_type=wire.ADDED,
    )


def within(found: tuple[Instance, ...], datacenter: str) -> tuple[Instance, ...]:
    """The instances whose metadata name that datacenter; "" is all of them, as the same object."""
    return tuple(one for one in found if one.datacenter == datacenter) if datacenter else found


def summary(service: str, instances: Iterable[Instance]) -> ServiceSummary:
    """A service with these instances."""
    found = tuple(instances)
    return ServiceSummary(
        name=service,
        tags=tuple(sorted({tag for one in found for tag in one.tags})),
        instances=len(found),
        passing=sum(one.healthy for one in found),
    )


def _metadata(service: Service, incarnation: str) -> dict[str, str]:
    for tag in service.tags:
        if "," in tag or tag != tag.strip() or not tag:
            raise InvalidValue(
                f'the tag {tag!a} of "{service.name}" cannot be written to Eureka, where tags stand in one text with '
                "commas between them; use a tag without commas and without white space around it"
            )
    meta = dict(service.meta)
    for key, value in (
        ("version", service.version),
        ("environment", service.environment),
        (TAGS_KEY, ",".join(service.tags)),
        (WEIGHT_KEY, str(service.weight) if service.weight != 1 else ""),
        (INCARNATION_KEY, incarnation),
    ):
        if value and meta.setdefault(key, value) != value:
            raise InvalidValue(
                f'"{service.name}" has the {key} "{value}", but its metadata says "{meta[key]}"; give one of them'
            )
    return meta


def _port(info: wire.InstanceInfo) -> tuple[int, bool]:
    """The port to call, and whether it is the one for TLS, which is taken when it is there, as Spring's clients do.

    Of a port that is not the secure one, readers do not agree what it means that nothing says it is enabled.
    """
    secure = info.secure_port
    if isinstance(secure, int):
        secure = wire.Port(number=secure, enabled=True)
    if secure is not None and secure.enabled and _is_port(secure.number):
        return secure.number or 0, True
    plain = info.port.number if isinstance(info.port, wire.Port) else info.port
    return (plain or 0) if _is_port(plain) else 0, False


def _is_port(number: int | None) -> bool:
    return number is not None and 0 < number <= 65535


def _amazon_zone(info: wire.InstanceInfo) -> str:
    center = info.data_center_info
    return str(((center.metadata if center is not None else None) or {}).get("availability-zone") or "")


def _started_at(info: wire.InstanceInfo) -> str:
    lease = info.lease_info
    milliseconds = (lease.up_at or lease.registered_at or 0) if lease is not None else 0
    if not 0 < milliseconds < 253_402_300_800_000:  # up to the year 9999, where the form ends
        return ""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
