"""From a question and what is known of a service to the bytes of an answer; pure.

Answers are authoritative and minimal. What does not fit is a random selection: by UDP with the sign that there is more
(TC), on which clients ask again by TCP; by TCP, which ends at 64 KiB, without. Records are shuffled, since many clients
take the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from struct import pack
from typing import NamedTuple, TypeVar

import dns.edns
import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype

from .listing import Listing
from .question import PAYLOAD_BYTES, Question
from .zone import Apex, Host, IPAddress, Meaning, Nothing, ServiceName, Zone

T = TypeVar("T")

_IN = 1
_HEADER = 12
_ASKED = b"\xc0\x0c"  # the name in the question (RFC 1035, 4.1.4)
_POINTER = 0xC000
_FARTHEST = 0x3FFF
_OF_RECORD = 12  # bytes beside its data: a pointer to its name, type, class, TTL, length
_SMALLEST = _OF_RECORD + 4
_PRIORITY = 1
_REFRESH, _RETRY, _EXPIRE = 3600, 600, 86_400  # seconds, for secondary servers, of which there are none
_A, _AAAA, _SRV = int(dns.rdatatype.A), int(dns.rdatatype.AAAA), int(dns.rdatatype.SRV)


class Record(NamedTuple):
    """The data of a record, and the address of the name at their end if that is to be told too."""

    kind: int
    data: bytes
    host: IPAddress | None = None
    of_host: int = 0
    """Where in the data that name begins."""


class Records(NamedTuple):
    """Records of the name that is asked for, of how many in all; or whether that name exists at all."""

    found: Sequence[Record] = ()
    total: int = 0
    exists: bool = True


def answer(question: Question, zone: Zone, meaning: Meaning, service: Listing | None, *, random: Random) -> bytes:
    """The answer to a question in ``zone``; ``service`` is the one that it means, None if there is none.

    An extended error (RFC 8914) tells who understands it that the service could not be confirmed lately.
    """
    why = dns.edns.EDECode.STALE_ANSWER if service is not None and service.stale else None
    extension = _extension(question, why)
    room = question.room - _HEADER - len(question.asked) - len(extension)
    records = _records(zone, meaning, question.kind, service, room=room, random=random)
    if not records.found:
        code = dns.rcode.NOERROR if records.exists else dns.rcode.NXDOMAIN
        origin = _POINTER | _HEADER + len(question.asked) - 4 - len(_wire(zone.origin))  # which ends what is asked
        soa = origin.to_bytes(2, "big") + _record(dns.rdatatype.SOA, zone.negative_ttl, _soa(zone))
        return _message(question, dns.flags.AA | code, b"", 0, soa, 1, extension)
    body, offset = bytearray(), _HEADER + len(question.asked)
    hosts: dict[IPAddress, int] = {}
    given = 0
    for kind, data, host, of_host in records.found:
        if len(body) + _OF_RECORD + len(data) > room:
            break
        if host is not None and offset + len(body) + _OF_RECORD + of_host <= _FARTHEST:
            hosts.setdefault(host, offset + len(body) + _OF_RECORD + of_host)
        body += _ASKED + _record(kind, zone.ttl, data)
        given += 1
    beside, count = bytearray(), 0
    for host, at in hosts.items():
        told = (_POINTER | at).to_bytes(2, "big") + _record(_kind_of(host), zone.ttl, host.packed)
        # What does not fit here is no loss to whom it does not tell (RFC 2181, 9).
        if len(body) + len(beside) + len(told) > room:
            break
        beside += told
        count += 1
    cut = dns.flags.TC if given < records.total and not question.tcp else 0
    return _message(
        question, dns.flags.AA | cut, bytes(body), given, b"", 0, extension, beside=bytes(beside), count=count
    )


def refusal(question: Question, code: dns.rcode.Rcode, *, why: dns.edns.EDECode | None = None) -> bytes:
    """An answer that is none, and why (RFC 8914)."""
    return _message(question, code & 15, b"", 0, b"", 0, _extension(question, why, code=code))


def _message(
    question: Question, flags: int, answers: bytes, given: int, authority: bytes, authorities: int, extension: bytes,
    *, beside: bytes = b"", count: int = 0,
) -> bytes:  # fmt: skip
    head = pack(
        "!6H", question.number, dns.flags.QR | question.flags | flags, 1, given, authorities, count + bool(extension)
    )
    return b"".join((head, question.asked, answers, authority, beside, extension))


def _extension(question: Question, why: dns.edns.EDECode | None, *, code: int = 0) -> bytes:
    """The OPT record of an answer, for who asked with one (RFC 6891)."""
    if question.edns is None:
        return b""
    option = b"" if why is None else pack("!3H", dns.edns.OptionType.EDE, 2, why)
    return pack("!xHHBxHH", dns.rdatatype.OPT, PAYLOAD_BYTES, code >> 4, question.edns, len(option)) + option


def _record(kind: int, ttl: int, data: bytes) -> bytes:
    """A record, but for the name before it."""
    return pack("!HHIH", kind, _IN, ttl, len(data)) + data


def _records(zone: Zone, meaning: Meaning, kind: int, service: Listing | None, *, room: int, random: Random) -> Records:
    if isinstance(meaning, Nothing):
        return Records(exists=meaning.exists)
    if isinstance(meaning, ServiceName) and service is None:
        return Records(exists=False)
    if kind == dns.rdatatype.ANY:
        return _all_of([Record(dns.rdatatype.HINFO, b"\7RFC8482\0")])  # RFC 8482, 4.2
    if isinstance(meaning, Apex):
        return _of_apex(zone, kind)
    if isinstance(meaning, Host):
        return _all_of(_addresses(meaning.addresses, kind))
    assert service is not None
    if kind == _SRV:
        servers = _sample(service.servers, room // _SMALLEST, random)
        return Records([_server(zone, *one) for one in servers], len(service.servers))
    if kind in (_A, _AAAA) and not meaning.srv_only:
        return _places(service, kind, room, random)
    return Records()


def _of_apex(zone: Zone, kind: int) -> Records:
    if kind == dns.rdatatype.SOA:
        return _all_of([Record(dns.rdatatype.SOA, _soa(zone))])
    if kind == dns.rdatatype.NS:
        return _all_of([Record(dns.rdatatype.NS, _wire(zone.name_server), next(iter(zone.addresses), None))])
    return Records()


def _server(zone: Zone, server: tuple[IPAddress | dns.name.Name, int], weight: int) -> Record:
    host, port = server
    place = pack("!HHH", _PRIORITY, weight, port)
    if isinstance(host, dns.name.Name):
        return Record(_SRV, place + _wire(host))
    # Whole: "name compression is not to be used for this field" (RFC 2782).
    return Record(_SRV, place + _wire(zone.address_name(host)), host, len(place))


def _places(service: Listing, kind: int, room: int, random: Random) -> Records:
    """Addresses of one kind; where there are none of any kind, a host's name stands in for its own."""
    if service.hosts and not service.v4 and not service.v6:
        return _all_of([Record(dns.rdatatype.CNAME, _wire(random.choice(service.hosts)))])
    found = service.v4 if kind == _A else service.v6
    return Records([Record(kind, one.packed) for one in _sample(found, room // _SMALLEST, random)], len(found))


def _all_of(records: Sequence[Record]) -> Records:
    return Records(records, len(records))


def _addresses(addresses: Iterable[IPAddress], kind: int) -> Sequence[Record]:
    return [Record(kind, one.packed) for one in addresses if _kind_of(one) == kind]


def _kind_of(address: IPAddress) -> int:
    return _A if address.version == 4 else _AAAA


def _soa(zone: Zone) -> bytes:
    names = _wire(zone.name_server) + _wire(dns.name.Name((b"hostmaster",)).concatenate(zone.origin))
    return names + pack("!5I", zone.serial, _REFRESH, _RETRY, _EXPIRE, zone.negative_ttl)


def _wire(name: dns.name.Name) -> bytes:
    return name.to_wire() or b""


def _sample(of: Sequence[T], most: int, random: Random) -> Sequence[T]:
    """All of them in a random order, or as many as could fit."""
    return random.sample(of, min(most + 1, len(of)))
