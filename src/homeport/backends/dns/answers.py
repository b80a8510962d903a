"""What one DNS message says; pure.

An answer is what was asked for, or the statement that it does not exist (RFC 2308). Everything else is an error: an
answer about other names, a referral to other servers, a chain of aliases without an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from homeport.errors import InvalidAnswer

ADDRESS_TYPES = (dns.rdatatype.A, dns.rdatatype.AAAA)


class Answer(NamedTuple):
    """What a message says about a question.

    ``records`` is None if there are none; ``ttl`` is for how many seconds that holds. ``alias`` is where the name leads
    when the server did not follow it to its end.
    """

    records: dns.rrset.RRset | None
    ttl: float
    alias: dns.name.Name | None = None


class Addresses(NamedTuple):
    """The addresses of a host, and for how many seconds they (or their absence) hold."""

    texts: tuple[str, ...]
    ttl: float


def read(message: dns.message.Message, *, backend: str) -> Answer:
    """What a message with the code NOERROR or NXDOMAIN says about its question.

    The TTL is the lowest of the records and the aliases that lead to them. That of an absence is the lower of the TTL
    of the SOA record and its last field (RFC 2308, 5), and 0 without such a record.

    Raises:
        InvalidAnswer: it says something else.
    """
    question = _question(message)
    try:
        assert isinstance(message, dns.message.QueryMessage)
        chain = message.resolve_chaining()
    except dns.exception.DNSException as error:
        raise InvalidAnswer(
            f"the answer for {question} contradicts itself: {str(error).rstrip('.').lower()}", backend=backend
        ) from error
    alias_ttl = min((float(alias.ttl) for alias in chain.cnames), default=float("inf"))
    if chain.answer is not None:
        return Answer(chain.answer, min(alias_ttl, float(chain.answer.ttl)))
    if message.answer and not chain.cnames:
        other = message.answer[0].name.to_text(omit_final_dot=True)
        raise InvalidAnswer(f"the answer for {question} is about {other} instead", backend=backend)
    soa = next((records for records in message.authority if records.rdtype == dns.rdatatype.SOA), None)
    if soa is not None and isinstance(soa[0], SOA):
        negative_ttl = float(min(soa.ttl, soa[0].minimum))
    elif message.rcode() == dns.rcode.NXDOMAIN:
        negative_ttl = 0.0
    elif chain.cnames:
        return Answer(None, alias_ttl, alias=chain.canonical_name)
    elif any(records.rdtype == dns.rdatatype.NS for records in message.authority):
        raise InvalidAnswer(
            f"the server knows nothing of {question} and names other servers; give one that answers for that domain",
            backend=backend,
        )
    else:
        negative_ttl = 0.0
    return Answer(None, min(alias_ttl, negative_ttl))


def addresses(records: dns.rrset.RRset | None, ttl: float) -> Addresses:
    """The addresses in A or AAAA records, as text, in order."""
    texts = {record.address for record in records or () if isinstance(record, A | AAAA)}
    return Addresses(tuple(sorted(texts)), ttl)


def additional_addresses(
    message: dns.message.Message,
) -> Mapping[tuple[dns.name.Name, dns.rdatatype.RdataType], Addresses]:
    """The addresses that came along with an answer, by host and type (RFC 2782 advises servers to send them)."""
    return {
        (records.name, records.rdtype): addresses(records, float(records.ttl))
        for records in message.additional
        if records.rdtype in ADDRESS_TYPES and records.rdclass == dns.rdataclass.IN
    }


def _question(message: dns.message.Message) -> str:
    asked = message.question[0]
    return f"{dns.rdatatype.to_text(asked.rdtype)} {asked.name.to_text(omit_final_dot=True)}"
