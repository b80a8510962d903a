"""Between a key of etcd with its JSON value and Homeport's model; pure.

A service's instance is the key ``PREFIX/<service>/<id>`` with a value like this one, which programs in other
languages write and read too; what they do not know they ignore, and so do we::

    {"id": "api-1", "name": "api", "address": "10.0.0.1", "port": 8080,
     "metadata": {"version": "2.1.0", "region": "eu-west"}, "start_time": "2026-01-02T03:04:05Z",
     "tags": ["eu"], "weight": 1, "healthy": true, "homeport_incarnation": "…"}

Only ``address`` has to be there. The key decides which service and id it is. etcd has no words for environment, zone
and so on: they travel as metadata of these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from homeport.abilities import CHECKS
from homeport.errors import InvalidValue, Unsupported
from homeport.model import Instance, Service
from homeport.spi import ServiceSummary

_NO_START_TIME = "0001-01-01T00:00:00Z"
"""How Go writes a time that was never set."""
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


class Unreadable(Exception):
    """A key or its value does not stand for an instance; the text says why, as a few words."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON value of a key."""

    id: str = ""
    name: str = ""
    address: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    metadata: dict[str, Any] | None = None
    start_time: str | None = None
    tags: tuple[str, ...] | None = None
    weight: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 1
    healthy: bool | None = None
    homeport_incarnation: str = ""


class _Owner(msgspec.Struct, frozen=True):
    homeport_incarnation: str = ""


_VALUE = msgspec.json.Decoder(Value)
_OWNER = msgspec.json.Decoder(_Owner)


def service_prefix(prefix: str, service: str) -> str:
    """What the keys of the instances of ``service`` begin with.

    Raises:
        InvalidValue: the name is empty or has a slash, which ends a name here.
    """
    if not service or "/" in service:
        raise InvalidValue(
            f'"{service}" cannot be a service in etcd, where a slash ends the name within the key; use another name'
        )
    return f"{prefix}{service}/"


def instance_key(prefix: str, service: str, instance_id: str) -> str:
    """The key of an instance.

    Raises:
        InvalidValue: the name cannot be one, see `service_prefix`, or there is no id.
    """
    if not instance_id:
        raise InvalidValue(f'an instance of "{service}" needs an id to be registered in etcd')
    return f"{service_prefix(prefix, service)}{instance_id}"


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with ``prefix``, as etcd's own clients compute it."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"


def place_of(key: bytes, prefix: str) -> tuple[str, str]:
    """The service and the id that a key below ``prefix`` stands for.

    Raises:
        Unreadable: it has none.
    """
    try:
        service, slash, instance_id = key.decode().removeprefix(prefix).partition("/")
    except UnicodeDecodeError:
        raise Unreadable("the key is not text") from None
    if not (service and slash and instance_id):
        raise Unreadable(f"the key is not {prefix}SERVICE/ID")
    return service, instance_id


def value_of(service: Service, *, incarnation: str) -> bytes:
    """The value that registers ``service``.

    Raises:
        InvalidValue: its version or environment contradicts its metadata.
        Unsupported: it has health checks, which etcd does not run.
    """
    if service.checks:
        raise Unsupported(
            f'etcd runs no health checks, so "{service.name}" cannot have any there',
            instead="leave them out (its lease tells whether the program lives)",
            able=CHECKS,
        )
    meta = dict(service.meta)
    for key, value in (("version", service.version), ("environment", service.environment)):
        if value and meta.setdefault(key, value) != value:
            raise InvalidValue(
                f'"{service.name}" has the {key} "{value}", but its metadata says "{meta[key]}"; give one of them'
            )
    started_at = meta.get("started_at", "")
    return msgspec.json.encode(
        Value(
            id=service.id,
            name=service.name,
            address=service.address,
            port=service.port,
            metadata=meta or None,
            # Go's decoder refuses the whole value for a time that is none.
            start_time=started_at if _RFC_3339.match(started_at) else None,
            tags=service.tags or None,
            weight=service.weight,
            homeport_incarnation=incarnation,
        )
    )


def instance(key: bytes, value: bytes, prefix: str) -> Instance:
    """The instance that a key with its value stands for.

    Raises:
        Unreadable: it stands for none.
    """
    service, instance_id = place_of(key, prefix)
    try:
        found = _VALUE.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(str(error)) from None
    meta = {name: _text(content) for name, content in (found.metadata or {}).items() if content is not None}
    start_time = "" if found.start_time in (None, _NO_START_TIME) else str(found.start_time)
    return Instance(
        id=instance_id,
        service=service,
        address=found.address,
        port=found.port,
        tags=found.tags or (),
        meta=meta,
        weight=found.weight,
        status="critical" if found.healthy is False else "passing",
        version=meta.get("version", ""),
        environment=meta.get("environment", ""),
        datacenter=meta.get("datacenter", ""),
        region=meta.get("region", ""),
        zone=meta.get("zone", ""),
        started_at=start_time or meta.get("started_at", ""),
    )


def incarnation_of(value: bytes) -> str:
    """By whom a value was registered; "" when it was not by Homeport."""
    try:
        return _OWNER.decode(value).homeport_incarnation
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def within(found: Iterable[Instance], datacenter: str) -> tuple[Instance, ...]:
    """The instances whose metadata name that datacenter; "" is all of them."""
    return tuple(one for one in found if datacenter in ("", one.datacenter))


def summaries(found: Iterable[Instance]) -> list[ServiceSummary]:
    """The services of these instances, by name."""
    services: dict[str, list[Instance]] = {}
    for one in found:
        services.setdefault(one.service, []).append(one)
    return [
        ServiceSummary(
            name=name,
            tags=tuple(sorted({tag for one in instances for tag in one.tags})),
            instances=len(instances),
            passing=sum(one.healthy for one in instances),
        )
        for name, instances in sorted(services.items())
    ]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()
