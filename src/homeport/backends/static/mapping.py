"""From what a file or a program lists to instances; pure.

The shape of a file::

    services:
      billing:
        - 10.0.0.1:8080
        - address: 10.0.0.2
          port: 8080
          tags: [eu]
          meta: {team: payments}
          version: "2.1.0"
          zone: eu-1a
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from homeport.connections.backend_url import parse_host_port
from homeport.connections.near_miss import did_you_mean
from homeport.errors import InvalidValue, SettingsError
from homeport.model import Instance, Status, frozen_meta
from homeport.settings.shapes import Place, build, field_values
from homeport.spi import ServiceSummary

Entry: TypeAlias = str | Mapping[str, object] | Instance
"""One instance as it may be given: ``host:port``, its keys, or (from code) an `Instance`."""
Services: TypeAlias = Mapping[str, tuple[Instance, ...]]

_HOST_AND_PORT = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):\d+\Z", re.ASCII)


class InstanceKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of an instance in a file; they mean what they mean in `homeport.Instance`."""

    address: Annotated[str, msgspec.Meta(min_length=1)]
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    id: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, Any] = msgspec.field(default_factory=dict)
    weight: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 1
    version: str = ""
    environment: str = ""
    zone: str = ""
    region: str = ""
    datacenter: str = ""
    node: str = ""
    status: Status = "passing"


def services(document: object, *, source: str) -> Services:
    """What a whole file says; ``source`` is how errors call it.

    Raises:
        InvalidValue: a key is unknown, a value is not what it should be, or an id is there twice.
    """
    for key in document if isinstance(document, Mapping) else ():
        if key != "services":
            hint = did_you_mean(str(key), ["services"])
            raise SettingsError(f'{source}: {key} is no key of this file, which has "services" alone{hint}')
    if not isinstance(document, Mapping) or not document:
        raise SettingsError(
            f'{source}: there must be "services:" in it, with the name of each service and its instances below; '
            "services: {} is none"
        )
    section, place = document["services"], Place(source, "services")
    if not isinstance(section, Mapping):
        raise place.wrong(section, "the name of each service with its instances below it")
    return {str(name): instances(str(name), listed, place.below(name)) for name, listed in section.items()}


def instances(service: str, listed: object, place: Place) -> tuple[Instance, ...]:
    """The instances of one service.

    Raises:
        InvalidValue: see `services`.
    """
    if not service:
        raise SettingsError(f"{place}: a service needs a name")
    if isinstance(listed, str | Mapping) or not isinstance(listed, Iterable):
        raise place.wrong(listed, "a list of instances")
    found: dict[str, Instance] = {}
    for position, entry in enumerate(listed):
        here = place.item(position)
        one = _instance(service, entry, here)
        if one.id in found:
            raise SettingsError(f'{here}: there is another instance with the id "{one.id}"; give each its own')
        found[one.id] = one
    return tuple(found.values())


def summaries(known: Services) -> Sequence[ServiceSummary]:
    """The list of services, by name."""
    return [
        ServiceSummary(
            name=name,
            tags=tuple(sorted({tag for instance in known[name] for tag in instance.tags})),
            instances=len(known[name]),
            passing=sum(instance.healthy for instance in known[name]),
        )
        for name in sorted(known)
    ]


def within(found: Iterable[Instance], datacenter: str) -> tuple[Instance, ...]:
    """The instances of one datacenter; "" is all of them."""
    return tuple(instance for instance in found if datacenter in ("", instance.datacenter))


def in_datacenter(known: Services, datacenter: str) -> Services:
    """The services that have instances in one datacenter, with these; "" is all of them."""
    if not datacenter:
        return known
    narrowed = {name: within(found, datacenter) for name, found in known.items()}
    return {name: found for name, found in narrowed.items() if found}


def _instance(service: str, entry: object, place: Place) -> Instance:
    if isinstance(entry, Instance):
        if entry.service != service:
            raise InvalidValue(f'{place} is an instance of "{entry.service}", not of "{service}"')
        return entry
    if isinstance(entry, str):
        return _from_text(service, entry, place)
    if not isinstance(entry, Mapping):
        raise place.wrong(entry, "host:port, or the keys of an instance")
    keys = _keys(entry, place)
    try:
        meta = frozen_meta(keys.meta)
    except InvalidValue as error:
        raise SettingsError(f"{place}: {error}") from error
    given = {name: getattr(keys, name) for name in InstanceKeys.__struct_fields__}
    name = keys.id or _default_id(service, keys.address, keys.port)
    return Instance(**{**given, "id": name, "service": service, "meta": meta})


def _keys(entry: Mapping[str, object], place: Place) -> InstanceKeys:
    """The keys of an instance; slowly where something is wrong with them, to tell what."""
    try:
        return msgspec.convert(entry, InstanceKeys)
    except msgspec.ValidationError:
        pass
    for key in entry:
        if key not in InstanceKeys.__struct_fields__:
            hint = did_you_mean(str(key), InstanceKeys.__struct_fields__)
            raise SettingsError(f"{place.below(key)} is no key of an instance{hint}")
    told: InstanceKeys = build(InstanceKeys, field_values(entry, InstanceKeys, place), place)
    return told


def _from_text(service: str, text: str, place: Place) -> Instance:
    if not _HOST_AND_PORT.match(text):
        raise place.wrong(text, "host:port, for example 10.0.0.1:8080 or [fd00::1]:8080")
    try:
        address = parse_host_port(text, default_port=0)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error
    return Instance(
        id=_default_id(service, address.host, address.port), service=service, address=address.host, port=address.port
    )


def _default_id(service: str, address: str, port: int) -> str:
    return f"{service}-{address.replace(':', '-')}-{port}"
