"""A zone in memory that can be asked."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from random import Random

import dns.message
import dns.rcode

from homeport.client.discovery import Discovery
from homeport.protocols.dns.zone import Zone
from homeport.server.zones.directory import Directory
from homeport.server.zones.responder import Responder, ServedZone
from homeport.spi import Discoverer, ServiceSummary
from homeport.testing.memory import Memory
from tests.unit.protocols_dns.asking import a_zone, texts


class Counting(Memory):
    """Counts what it is asked for."""

    lists = 0
    fetches = 0

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        self.lists += 1
        return await super().services(datacenter=datacenter)

    def watch(self, service, *, datacenter="", after=None):  # type: ignore[no-untyped-def]
        self.fetches += 1
        return super().watch(service, datacenter=datacenter, after=after)


class Served:
    """A responder with one zone."""

    def __init__(self, responder: Responder, directory: Directory) -> None:
        self.responder = responder
        self.directory = directory
        self.from_memory = 0

    async def wire(self, wire: bytes, *, tcp: bool = False) -> bytes | None:
        kept = self.responder.at_once(wire, tcp=tcp)
        self.from_memory += kept is not None
        return kept if kept is not None else await self.responder.answer(wire, tcp=tcp)

    async def message(self, name: str, kind: str = "A", *, edns: int = 0) -> dns.message.Message:
        """The answer to a question."""
        query = dns.message.make_query(name, kind, use_edns=edns)
        wire = await self.wire(query.to_wire())
        assert wire is not None
        message = dns.message.from_wire(wire)
        assert query.is_response(message)
        return message

    async def said(self, name: str, kind: str = "A") -> list[str] | str:
        """The data that were answered, sorted; or the code, if there were none."""
        message = await self.message(name, kind)
        return sorted(text.split(" ", 2)[2] for text in texts(message)) or dns.rcode.to_text(message.rcode())


@contextlib.asynccontextmanager
async def served(backend: Discoverer, *, zone: Zone | None = None) -> AsyncIterator[Served]:
    zone = zone or a_zone()
    discovery = Discovery(backend, environ={}, handle_signals=False, random=Random(1))
    directory = Directory(discovery, zone)
    try:
        yield Served(Responder([ServedZone(zone, directory)], random=Random(1)), directory)
    finally:
        await directory.aclose()
