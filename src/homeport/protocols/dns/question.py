"""One question, as far as an answer depends on it."""

from __future__ import annotations

from typing import NamedTuple

import dns.flags
import dns.message
import dns.name

PAYLOAD_BYTES = 1232  # what passes every network unfragmented: https://www.dnsflagday.net/2020/
UDP_BYTES = 512  # without EDNS: RFC 1035, 4.2.1
TCP_BYTES = 65_535


class Question(NamedTuple):
    """Who asks what: the number, the flags that an answer repeats, the question in bytes, and room for the answer.

    ``edns`` are the flags of the extension (RFC 6891), None without it. ``room`` is in bytes.
    """

    number: int
    flags: int
    name: dns.name.Name
    kind: int
    of_class: int
    asked: bytes
    edns: int | None
    room: int
    tcp: bool

    @classmethod
    def of(cls, query: dns.message.Message, *, tcp: bool) -> Question:
        """The first question of a message."""
        first = query.question[0]
        asked = (first.name.to_wire() or b"") + first.rdtype.to_bytes(2, "big") + first.rdclass.to_bytes(2, "big")
        edns = query.edns >= 0
        return cls(
            number=query.id,
            flags=int(query.flags) & (dns.flags.RD | dns.flags.CD),
            name=first.name,
            kind=int(first.rdtype),
            of_class=int(first.rdclass),
            asked=asked,
            edns=int(query.ednsflags) & dns.flags.DO if edns else None,
            room=TCP_BYTES if tcp else room(query.payload if edns else 0),
            tcp=tcp,
        )


def room(payload: int) -> int:
    """How many bytes an answer by UDP may have for who can take so many."""
    return max(UDP_BYTES, min(payload, PAYLOAD_BYTES))
