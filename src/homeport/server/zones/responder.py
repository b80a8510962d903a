"""From the bytes of a question to those of its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from random import Random
from struct import pack
from typing import NamedTuple

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from homeport.errors import HomeportError
from homeport.protocols.dns.answers import answer, refusal
from homeport.protocols.dns.kept import KeptAnswers
from homeport.protocols.dns.plain import plain, question_of, readdressed
from homeport.protocols.dns.question import Question
from homeport.protocols.dns.zone import Nothing, ServiceName, Zone

from .directory import Directory

_log = logging.getLogger(__name__)

_PATIENCE = 4.0
"""Seconds for the first answer of a backend; most who ask give up after five."""
_KEPT_BYTES = 16 << 20
_SILENCE = 60.0
"""Seconds between two words to the operator."""
_HEADER = 12
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)


class ServedZone(NamedTuple):
    """A zone, and who knows its services."""

    zone: Zone
    directory: Directory


class Responder:
    """Answers for its zones, and refuses every other name."""

    def __init__(self, zones: Sequence[ServedZone], *, random: Random) -> None:
        # The longest first: a zone within another one answers for itself.
        self._zones = sorted(zones, key=lambda one: -len(one.zone.origin))
        self._random = random
        self._kept = KeptAnswers(_KEPT_BYTES)
        self._told_at: dict[dns.name.Name, float] = {}

    def at_once(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The answer, if one is kept."""
        question = plain(wire, tcp=tcp)
        kept = None if question is None else self._kept.find(question.key)
        return None if question is None or kept is None else readdressed(kept, wire, question.end)

    async def answer(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The answer; None for what is no question."""
        if len(wire) < _HEADER or wire[2] & 0x80:  # an answer; two servers could go on for ever
            return None
        plainly = plain(wire, tcp=tcp)
        if plainly is not None:
            return await self._answer(question_of(wire, plainly, tcp=tcp), key=plainly.key)
        opcode = (wire[2] >> 3) & 15
        if opcode != dns.opcode.QUERY:
            return _bare(wire, dns.rcode.NOTIMP)
        try:
            query = dns.message.from_wire(wire)
        except dns.message.UnknownTSIGKey:
            return _bare(wire, dns.rcode.NOTAUTH)
        except (dns.exception.DNSException, ValueError):
            return _bare(wire, dns.rcode.FORMERR)
        if len(query.question) != 1:
            return _bare(wire, dns.rcode.FORMERR)
        question = Question.of(query, tcp=tcp)
        if query.edns > 0:
            return refusal(question, dns.rcode.BADVERS)
        return await self._answer(question, key=None)

    async def _answer(self, question: Question, *, key: bytes | None) -> bytes:
        """The answer, kept under ``key`` as long as it stands."""
        served = next((one for one in self._zones if question.name.is_subdomain(one.zone.origin)), None)
        if served is None or question.of_class != dns.rdataclass.IN:
            return refusal(question, dns.rcode.REFUSED, why=dns.edns.EDECode.NOT_AUTHORITATIVE)
        if question.kind in _TRANSFERS:
            return refusal(question, dns.rcode.REFUSED, why=dns.edns.EDECode.PROHIBITED)
        zone, directory = served
        meaning = zone.meaning(question.name)
        if not isinstance(meaning, ServiceName):
            made = answer(question, zone, meaning, None, random=self._random)
            self._keep(key, made, current=_always, ordered=False)
            return made
        try:
            async with asyncio.timeout(_PATIENCE):
                followed = await directory.find(meaning.service)
        except (HomeportError, TimeoutError) as error:
            self._in_trouble(zone, str(error) or f"no answer within {_PATIENCE:g} s")
            return refusal(question, dns.rcode.SERVFAIL, why=dns.edns.EDECode.NO_REACHABLE_AUTHORITY)
        if followed is None:
            # Not kept: there are more names that do not exist than any memory holds.
            exists = directory.is_above(meaning.service)
            return answer(question, zone, Nothing(exists=exists), None, random=self._random)
        said = followed.listing
        made = answer(question, zone, meaning, said, random=self._random)
        self._keep(key, made, current=lambda: followed.says(said), ordered=said.several)
        return made

    def _keep(self, key: bytes | None, made: bytes, *, current: Callable[[], bool], ordered: bool) -> None:
        if key is not None:
            self._kept.keep(key, made, current=current, ordered=ordered)

    def _in_trouble(self, zone: Zone, reason: str) -> None:
        """Tell the operator, once a minute at most: questions are many."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at.get(zone.origin, -_SILENCE) >= _SILENCE:
            self._told_at[zone.origin] = now
            _log.warning("a zone cannot be answered", extra={"zone": str(zone.origin), "reason": reason})


def _always() -> bool:
    return True


def _bare(wire: bytes, code: dns.rcode.Rcode) -> bytes:
    """An answer to what cannot be read: the number and what was to be done, and that it cannot be."""
    flags = dns.flags.QR | (wire[2] & 0x79) << 8 | code  # the opcode, and whether recursion was desired
    return wire[:2] + pack("!5H", flags, 0, 0, 0, 0)
