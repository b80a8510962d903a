"""A stand-in for a DNS server, for what no real one can be brought to answer."""

import socketserver
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Self, TypeAlias

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rcode import Rcode

from tests.servers.ports import LOOPBACK

Answers: TypeAlias = Callable[[dns.message.QueryMessage, str], Sequence[bytes]]
"""From a question and how it came (``udp`` or ``tcp``) to the packets that are sent, in this order."""


def reply(
    query: dns.message.Message,
    *answer: str,
    authority: Sequence[str] = (),
    additional: Sequence[str] = (),
    code: Rcode = dns.rcode.NOERROR,
    flags: int = 0,
) -> bytes:
    """A proper answer to a question; a record is written ``NAME TTL IN TYPE DATA``."""
    message = dns.message.make_response(query)
    message.set_rcode(code)
    message.flags |= flags
    for section, records in (
        (message.answer, answer),
        (message.authority, authority),
        (message.additional, additional),
    ):
        for record in records:
            name, ttl, cls, kind, data = record.split(" ", 4)
            section.append(dns.rrset.from_text(name, int(ttl), cls, kind, data))
    return message.to_wire(max_size=65_535)


class StandInServer:
    """Answers by UDP and TCP on one loopback port, and keeps what it was asked: how, for what name, of what type."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self._answers = answers
        server = self

        class ByUDP(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, out = self.request
                for packet in server._answer(data, "udp"):
                    out.sendto(packet, self.client_address)

        class ByTCP(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                (length,) = struct.unpack("!H", self.rfile.read(2))
                for packet in server._answer(self.rfile.read(length), "tcp"):
                    self.wfile.write(struct.pack("!H", len(packet)) + packet)

        while True:
            self._udp = socketserver.ThreadingUDPServer((LOOPBACK, 0), ByUDP)
            self.port: int = self._udp.server_address[1]
            try:
                self._tcp = socketserver.ThreadingTCPServer((LOOPBACK, self.port), ByTCP)
                break
            except OSError:  # somebody has that port by TCP
                self._udp.server_close()
        self._threads = [
            threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, name="stand-in DNS")
            for one in (self._udp, self._tcp)
        ]

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for server, thread in zip((self._udp, self._tcp), self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def _answer(self, data: bytes, way: str) -> Sequence[bytes]:
        query = dns.message.from_wire(data)
        assert isinstance(query, dns.message.QueryMessage)
        question = query.question[0]
        self.asked.append((way, question.name.to_text(), dns.rdatatype.to_text(question.rdtype)))
        return self._answers(query, way)
