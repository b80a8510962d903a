"""Questions to DNS servers, each told with all that came back. Needs the extra ``dns``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import msgspec

from homeport.backends.dns import DNSBackend, DNSSettings
from homeport.backends.dns.answers import read
from homeport.backends.dns.exchange import by_udp
from homeport.connections.backend_url import HostPort
from homeport.connections.http_errors import system_words
from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer, Refused

from .exits import Failure
from .steps import Details, Step, Warned, failed, retold, since, skipped, tried

PATIENCE = 3.0
"""How many seconds a server has for one question."""
_FIRST_TRY = 1.0  # UDP loses packets
_PAYLOAD_BYTES = 1232
_WITHOUT_EDNS = (dns.rcode.FORMERR, dns.rcode.NOTIMP)


class Said(msgspec.Struct, frozen=True):
    """An answer, and how it came: by UDP, by TCP or by TCP since it was too large."""

    message: dns.message.Message
    transport: str


async def ask(server: HostPort, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Step:
    """One question to one server, and what its answer means."""
    begun = time.perf_counter()
    label, subject = dns.rdatatype.to_text(kind), name.to_text(omit_final_dot=True)
    try:
        said = await _exchanged(server, name, kind)
    except HomeportError as error:
        return failed(label, error, milliseconds=since(begun))
    milliseconds, message = since(begun), said.message
    answers, additional = _texts(message.answer), _texts(message.additional)
    details: Details = {
        "server": str(server), "question": f"{subject} {label}", "transport": said.transport,
        "rcode": dns.rcode.to_text(message.rcode()), "answers": answers, "additional": additional,
    }  # fmt: skip
    came = f"{details['rcode']} from {server} by {said.transport}"
    try:
        found = _meaning(message, subject, label)
    except HomeportError as error:
        step = Step(name=label, text="", milliseconds=milliseconds, details=details)
        return retold(step, error, f"{error} ({came})")
    if found is None:
        text = f"{subject} exists, but has no {label} records ({came})"
        return msgspec.structs.replace(skipped(label, text), milliseconds=milliseconds, details=details)
    return Step(
        name=label,
        text=f"{subject} has {len(found)} record{'' if len(found) == 1 else 's'} ({came})",
        milliseconds=milliseconds,
        details=details,
        lines=(*answers, *(f"additional: {one}" for one in additional)),
    )


async def instances(settings: DNSSettings, server: HostPort, name: dns.name.Name) -> Step:
    """What the backend makes of the answers of one server."""
    backend = DNSBackend(msgspec.structs.replace(settings, servers=(server,), resolvers=(), timeout=PATIENCE))

    async def find() -> tuple[str, Details]:
        try:
            found = (await backend.fetch(name.to_text())).instances
        except InvalidAnswer as error:  # a host without a service is nothing wrong
            raise Warned(f"Homeport finds no instances: {error}") from error
        if not found:
            raise Failure(f"Homeport finds no instances in what {server} says")
        details: Details = {"instances": [one.endpoint for one in found]}
        weights = ", ".join(f"{one.endpoint}{f' (weight {one.weight})' if one.weight != 1 else ''}" for one in found)
        return f"Homeport finds {len(found)}: {weights}", details

    return await tried("instances", find, backend=backend.url, timeout=2 * PATIENCE)


def system_servers(settings: DNSSettings) -> Sequence[HostPort]:
    """The DNS servers of this system.

    Raises:
        BackendUnavailable: it names none.
    """
    import dns.resolver

    try:
        found = dns.resolver.Resolver(filename=settings.resolv_conf).nameservers
    except (dns.exception.DNSException, ValueError) as error:  # a line that names none, or bytes that are no text
        raise BackendUnavailable(
            f"this system names no DNS server in {settings.resolv_conf}; name one by --server"
        ) from error
    return [HostPort(str(server), settings.system_port) for server in found]


def _meaning(message: dns.message.Message, subject: str, label: str) -> dns.rrset.RRset | None:
    """The records that were asked for, None when the name has none.

    Raises:
        HomeportError: the answer is another one.
    """
    match message.rcode():
        case dns.rcode.NXDOMAIN:
            why = "; Consul also says so of a service of which no instance passes" if ".consul" in subject else ""
            raise Failure(f"there is no such name as {subject}{why}")
        case dns.rcode.REFUSED:
            raise Refused(
                f"the server does not answer for {subject}: it knows other domains, or does not let this host ask"
            )
        case dns.rcode.SERVFAIL:
            raise BackendUnavailable(f"the server could not find out about {subject}: its log may say why")
        case dns.rcode.NOERROR:
            found = read(message, backend="")
            if found.alias is not None:
                alias = found.alias.to_text(omit_final_dot=True)
                raise Failure(f"{subject} is an alias of {alias}, which this server does not follow; ask for that")
            return found.records
        case _:
            raise InvalidAnswer(f"the server does not understand a question for {label} records")


async def _exchanged(server: HostPort, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Said:
    """Ask by UDP, twice at most, and by TCP what does not fit.

    Raises:
        BackendUnavailable: nobody answers.
        InvalidAnswer: what answers is no DNS server.
    """
    query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD_BYTES)
    try:
        async with asyncio.timeout(PATIENCE):
            said = await _sent(server, query)
            if said.message.rcode() in _WITHOUT_EDNS:  # a server from before EDNS (RFC 6891, 7)
                said = await _sent(server, dns.message.make_query(name, kind))
    except TimeoutError as error:
        raise BackendUnavailable(
            f"no answer from {server} within {PATIENCE:g} s; "
            "the host is down, a firewall drops DNS, or it is no DNS server"
        ) from error
    except dns.exception.DNSException as error:
        words = str(error).rstrip(".").lower()
        raise InvalidAnswer(f"{server} answers, but not with proper DNS ({words}); is that its port?") from error
    except (OSError, EOFError) as error:
        words = system_words(error) if isinstance(error, OSError) else "connection closed"
        raise BackendUnavailable(f"no DNS server answers at {server} ({words}); is that its port?") from error
    return said


async def _sent(server: HostPort, query: dns.message.QueryMessage) -> Said:
    message = None
    try:
        async with asyncio.timeout(_FIRST_TRY):
            message = await by_udp(server, query)
    except TimeoutError:
        message = await by_udp(server, query)
    if message is not None:
        return Said(message, "UDP")
    return Said(await dns.asyncquery.tcp(query, server.host, port=server.port), "TCP, since it did not fit into UDP")


def _texts(section: Sequence[dns.rrset.RRset]) -> list[str]:
    found = []
    for records in section:
        asked = f"{records.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(records.rdtype)}"
        found += [f"{asked} {record} (TTL {records.ttl} s)" for record in records]
    return found
