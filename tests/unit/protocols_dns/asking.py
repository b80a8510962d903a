"""Questions and zones for these tests."""

import ipaddress
from random import Random

import dns.flags
import dns.message
import dns.name

from homeport.model import Instance, Snapshot, Status
from homeport.protocols.dns.answers import answer
from homeport.protocols.dns.listing import listing
from homeport.protocols.dns.question import Question
from homeport.protocols.dns.zone import Zone

ORIGIN = dns.name.from_text("company.local")


def a_zone(*, unhealthy_weight: int = 0, health_aware: bool = True) -> Zone:
    return Zone(
        origin=ORIGIN,
        ttl=30,
        negative_ttl=10,
        unhealthy_weight=unhealthy_weight,
        health_aware=health_aware,
        addresses=(ipaddress.ip_address("192.0.2.53"),),
        serial=7,
    )


def instance(place: str, *, weight: int = 1, status: Status = "passing") -> Instance:
    """An instance at ADDRESS:PORT."""
    address, _, port = place.rpartition(":")
    return Instance(id=place, service="api", address=address, port=int(port), weight=weight, status=status)


def snapshot(*instances: Instance, stale: bool = False) -> Snapshot:
    return Snapshot(service="api", instances=instances, registered=len(instances), stale_since=1.0 if stale else None)


def asked(
    name: str, kind: str, *instances: Instance, zone: Zone | None = None, absent: bool = False, stale: bool = False,
    edns: bool = True, payload: int = 1232, tcp: bool = False,
) -> dns.message.Message:  # fmt: skip
    """The answer of a zone in which the service that is asked for has these instances."""
    zone = zone or a_zone()
    query = dns.message.make_query(name, kind, use_edns=0 if edns else -1, payload=payload)
    said = None if absent else listing(zone, snapshot(*instances, stale=stale))
    question = Question.of(query, tcp=tcp)
    wire = answer(question, zone, zone.meaning(question.name), said, random=Random(1))
    assert len(wire) <= (65_535 if tcp else max(512, min(payload, 1232)) if edns else 512)
    message = dns.message.from_wire(wire, raise_on_truncation=False)
    assert query.is_response(message)
    assert message.flags & dns.flags.AA
    assert not message.flags & dns.flags.RA
    return message


def texts(message: dns.message.Message) -> list[str]:
    """The answers, each as TTL, type and data, in order."""
    return [
        f"{rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {data.to_text()}"
        for rrset in message.answer
        for data in rrset
    ]
