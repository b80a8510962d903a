"""From DNS records to instances, and from their TTL to the next question; pure.

What DNS has no word for stays at its default: an instance is passing, has no tags and no version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import dns.name
from dns.rdtypes.IN.SRV import SRV

from homeport.model import Instance

from .answers import Addresses
from .settings import DNSSettings


def by_priority(records: Iterable[object]) -> Sequence[Sequence[SRV]]:
    """SRV records in groups, the one to use first in front.

    A target of ``.`` says that the service is decidedly not there (RFC 2782), so it is left out.
    """
    groups: dict[int, list[SRV]] = {}
    for record in records:
        if isinstance(record, SRV) and record.target != dns.name.root:
            groups.setdefault(record.priority, []).append(record)
    return [groups[priority] for priority in sorted(groups)]


def from_srv(
    service: str, records: Sequence[SRV], hosts: Mapping[dns.name.Name, Addresses], *, datacenter: str
) -> tuple[Instance, ...]:
    """The instances of SRV records of one priority; one for each address of their targets.

    Weights are relative to each other. RFC 2782 gives a weight of 0 beside greater ones "a very small chance", which
    is a weight of 1 here; where all are 0, all have the same chance, and that is a weight of 1 too.
    """
    found: dict[str, Instance] = {}
    for record in sorted(records, key=lambda record: (record.weight, record.target)):
        for address in hosts[record.target].texts:
            one = _instance(
                service,
                address,
                record.port,
                weight=max(1, record.weight),
                node=record.target.to_text(omit_final_dot=True).lower(),
                meta={"dns_priority": str(record.priority)},
                datacenter=datacenter,
            )
            found[one.id] = one  # the same place twice: its greater weight
    return tuple(found.values())


def from_addresses(service: str, found: Addresses, port: int, *, datacenter: str) -> tuple[Instance, ...]:
    """The instances of plain addresses; all have the same port and weight."""
    return tuple(_instance(service, address, port, datacenter=datacenter) for address in found.texts)


def pause(ttl: float, settings: DNSSettings, *, empty: bool) -> float:
    """After how many seconds to ask again."""
    return max(settings.negative_floor if empty else settings.floor, min(ttl, settings.refresh))


def _instance(
    service: str,
    address: str,
    port: int,
    *,
    datacenter: str,
    weight: int = 1,
    node: str = "",
    meta: Mapping[str, str] | None = None,
) -> Instance:
    host = f"[{address}]" if ":" in address else address
    return Instance(
        id=f"{host}:{port}",
        service=service,
        address=address,
        port=port,
        weight=weight,
        node=node,
        meta=dict(meta or {}),
        datacenter=datacenter,
    )
