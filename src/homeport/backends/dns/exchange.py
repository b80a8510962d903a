"""One question to the DNS servers that know: by UDP, by TCP when the answer is too large, and to the next one."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from homeport.connections.backend_url import HostPort
from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer, Refused

from .naming import servers_for
from .settings import DNSSettings

_UDP_BYTES = 512  # without EDNS: RFC 1035, 4.2.1
_TCP_BYTES = 65_535
_PAYLOAD_BYTES = 1232  # what passes every network unfragmented: https://www.dnsflagday.net/2020/
_FIRST_ROUND = 1 / 3  # of the time; the rest is for those that said nothing then
_AT_ONCE = 64
_ANSWERS = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
_WITHOUT_EDNS = (dns.rcode.FORMERR, dns.rcode.NOTIMP)


class Exchanged(NamedTuple):
    """An answer, who gave it, and how many seconds that took."""

    message: dns.message.Message
    server: HostPort
    duration: float


class Exchange:
    """Asks. At most 64 questions are under way at once; nothing is kept open between them."""

    def __init__(self, settings: DNSSettings) -> None:
        self._settings = settings
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._failed: set[HostPort] = set()

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Exchanged:
        """Ask for the records of one type; the answer has the code NOERROR or NXDOMAIN.

        A server that says nothing is asked once more, since UDP loses packets; all have ``timeout`` together.

        Raises:
            BackendUnavailable: no server answers in time, or they failed themselves (SERVFAIL).
            Refused: they will not answer for that name.
            InvalidAnswer: what they answer is not DNS, or makes no sense.
        """
        query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD_BYTES)
        async with self._turn:
            waiting = self._in_order(await self._servers(name))
            failures: dict[HostPort, BackendError] = {}
            deadline = asyncio.get_running_loop().time() + self._settings.timeout
            for share in (_FIRST_ROUND, 1.0):
                silent = []
                for position, server in enumerate(waiting):
                    now = asyncio.get_running_loop().time()
                    patience = share * (deadline - now) / (len(waiting) - position)
                    try:
                        message = await self._ask_one(server, query, patience)
                    except TimeoutError:
                        silent.append(server)
                        self._failed.add(server)
                    except BackendError as error:
                        failures[server] = error
                        self._failed.add(server)
                    else:
                        self._failed.discard(server)
                        return Exchanged(message, server, asyncio.get_running_loop().time() - now)
                waiting = silent
            for server in waiting:
                failures[server] = self._no_answer(server, f"no answer within {self._settings.timeout:g} s")
            raise self._failure(list(failures.values()))

    async def _ask_one(self, server: HostPort, query: dns.message.QueryMessage, patience: float) -> dns.message.Message:
        """Ask one server. Raises TimeoutError, or the error that it is."""
        try:
            async with asyncio.timeout(patience):
                message = await self._send(server, query)
                if message.rcode() in _WITHOUT_EDNS:  # a server from before EDNS (RFC 6891, 7)
                    plain = dns.message.make_query(query.question[0].name, query.question[0].rdtype)
                    message = await self._send(server, plain)
        except TimeoutError:
            raise
        except dns.exception.DNSException as error:
            raise InvalidAnswer(
                f"{server} answers, but not with proper DNS: {_words(error)}", backend=self._settings.url
            ) from error
        except (OSError, EOFError) as error:
            raise self._no_answer(server, _words(error)) from error
        if message.rcode() not in _ANSWERS:
            raise self._declined(server, query, message.rcode())
        return message

    async def _send(self, server: HostPort, query: dns.message.QueryMessage) -> dns.message.Message:
        """One question to one server, however long it takes."""
        message = None
        if not self._settings.tcp:
            message = await by_udp(server, query)
        if message is None:
            message = await dns.asyncquery.tcp(query, server.host, port=server.port)
        if message.flags & dns.flags.TC or _may_be_cut(message, _TCP_BYTES):
            raise InvalidAnswer(
                f"the answer of {server} for {_asked(query)} is cut off even by TCP", backend=self._settings.url
            )
        return message

    async def _servers(self, name: dns.name.Name) -> Sequence[HostPort]:
        """The addresses of the servers that are to be asked for a name."""
        named = servers_for(name, self._settings.resolvers) or self._settings.servers
        if not named:
            return await asyncio.to_thread(self._system_servers)
        found: list[HostPort] = []
        unknown: OSError | None = None
        for server in named:
            try:
                found += await self._resolved(server)
            except OSError as error:
                unknown = error
        if not found:
            names = ", ".join(map(str, named))
            raise BackendUnavailable(
                f"the DNS server {names} cannot be asked: its own name is not known to this system",
                backend=self._settings.url,
            ) from unknown
        return found

    async def _resolved(self, server: HostPort) -> Sequence[HostPort]:
        """A server under its addresses, from the system if it has a name. Raises OSError when there are none."""
        if _is_address(server.host):
            return [server]
        try:
            async with asyncio.timeout(self._settings.timeout):
                places = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)
        except UnicodeError as error:
            raise OSError("no name of a host") from error
        return list(dict.fromkeys(HostPort(str(place[4][0]), server.port) for place in places))

    def _system_servers(self) -> Sequence[HostPort]:
        """Blocks. Read each time, since a laptop moves."""
        path = self._settings.resolv_conf
        try:
            system = dns.resolver.Resolver(filename=path)
        except (dns.exception.DNSException, ValueError) as error:  # ValueError: an address that is none
            raise BackendUnavailable(
                f"this system names no DNS server in {path}; name one, for example dns://10.0.0.1:53/service.consul",
                backend=self._settings.url,
            ) from error
        return [HostPort(str(server), self._settings.system_port) for server in system.nameservers]

    def _in_order(self, servers: Sequence[HostPort]) -> Sequence[HostPort]:
        """Those that did not answer the last time behind, so that one that is down costs time only once."""
        return sorted(servers, key=lambda server: server in self._failed)

    def _no_answer(self, server: HostPort, reason: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"no DNS server answers at {server} ({reason}); check the address, or name another",
            backend=self._settings.url,
        )

    def _declined(self, server: HostPort, query: dns.message.Message, code: dns.rcode.Rcode) -> BackendError:
        asked, text, backend = _asked(query), dns.rcode.to_text(code), self._settings.url
        if code == dns.rcode.SERVFAIL:
            return BackendUnavailable(
                f"the DNS server {server} could not find out about {asked} ({text}); see its log", backend=backend
            )
        if code == dns.rcode.REFUSED:
            return Refused(
                f"the DNS server {server} does not answer for {asked} ({text}); "
                "name one that knows that domain and lets this host ask",
                backend=backend,
                status=int(code),
            )
        return InvalidAnswer(f"the DNS server {server} answers {text} for {asked}", backend=backend)

    def _failure(self, failures: Sequence[BackendError]) -> BackendError:
        """One error for all servers; of its own kind if they all agree in it."""
        first = failures[0]
        if len(failures) == 1:
            return first
        text = "; ".join(map(str, failures))
        error: BackendError = BackendUnavailable(text, backend=self._settings.url)
        if all(isinstance(failure, Refused) for failure in failures):
            error = Refused(text, backend=self._settings.url, status=int(dns.rcode.REFUSED))
        error.__cause__ = first
        return error


async def by_udp(server: HostPort, query: dns.message.QueryMessage) -> dns.message.Message | None:
    """The answer, or None when it is too large for UDP.

    The socket is connected, so that nobody else can answer, and a port where nobody listens is told at once.
    """
    transport, answering = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Answering(query), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(query.to_wire())
        return await answering.answer
    finally:
        transport.close()


class Answering(asyncio.DatagramProtocol):
    """Takes the answer to one question out of what comes in: a message, or None where TCP is needed for the whole."""

    def __init__(self, query: dns.message.QueryMessage) -> None:
        self._query = query
        self.answer: asyncio.Future[dns.message.Message | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """What does not belong to the question may be forged (RFC 5452, 9.1): the true answer may still come."""
        del addr  # the kernel has checked it
        try:
            message, whole = dns.message.from_wire(data, raise_on_truncation=True), True
        except dns.message.Truncated as error:
            message, whole = error.kwargs["message"], False
        except (dns.exception.DNSException, ValueError):
            return
        if self._query.is_response(message) and not self.answer.done():
            whole = whole and not _may_be_cut(message, self._query.payload or _UDP_BYTES)
            self.answer.set_result(message if whole else None)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there."""
        if not self.answer.done():
            self.answer.set_exception(exc)


def _may_be_cut(message: dns.message.Message, room_bytes: int) -> bool:
    """Whether an answer has so little room left that records may lack, though it does not say so.

    Consul leaves out the records that do not fit, by TCP too, and says so only with ``dns_config.enable_truncate``. An
    answer of which it did that has no room for another record, and records are of about one size: this asks for room
    for two.
    """
    size_bytes = len(message.wire or b"")
    records = sum(len(records) for records in message.answer)
    return records > 0 and room_bytes - size_bytes < 2 * size_bytes / (records + 1)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _asked(query: dns.message.Message) -> str:
    return query.question[0].name.to_text(omit_final_dot=True)


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, EOFError):
        return "the connection was closed"
    if isinstance(error, socket.gaierror):  # its numbers are no errno
        return str(error.strerror).lower()
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error).rstrip(".").lower()
