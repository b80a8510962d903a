"""When a watch asks again, on virtual time."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from homeport.backends.dns import DNSBackend, DNSSettings
from homeport.backends.dns.exchange import Exchange, Exchanged
from homeport.connections.backend_url import HostPort
from tests.unit.client import virtual_time


class Scripted:
    """Answers in the place of the network: to each question for addresses the next of some records, by TTL."""

    def __init__(self, *script: tuple[Sequence[str], int]) -> None:
        self._script = list(script)

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Exchanged:
        made = dns.message.make_response(dns.message.make_query(name, kind))
        addresses, ttl = self._script[0]
        if kind == dns.rdatatype.A:
            self._script.pop(0)
            if addresses:
                made.answer.append(dns.rrset.from_text_list(name, ttl, "IN", "A", addresses))
        if not made.answer:
            soa = f"ns.test. admin.test. 1 2 3 4 {ttl}"
            made.authority.append(dns.rrset.from_text("test.", 100_000, "IN", "SOA", soa))
        return Exchanged(dns.message.from_wire(made.to_wire()), HostPort("127.0.0.1", 53), 0.001)


def test_the_ttl_of_each_answer_decides_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted(
        (["10.0.0.1"], 7),  # its TTL
        (["10.0.0.1"], 0),  # the floor
        (["10.0.0.2"], 86400),  # the refresh
        ([], 0),  # the negative floor
        ([], 11),  # the negative TTL
        ([], 86400),  # the refresh
        (["10.0.0.3"], 1),
    )

    async def scenario() -> list[tuple[float, list[str]]]:
        backend = DNSBackend(
            DNSSettings(record="a", port=1, family="ipv4", floor=2.0, negative_floor=3.0, refresh=30.0)
        )
        seen: list[tuple[float, list[str]]] = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with aclosing(backend.watch("billing")) as stream:
            async for observed in stream:
                seen.append((loop.time() - began, [one.address for one in observed.instances]))
                if len(seen) == 7:
                    break
        return seen

    monkeypatch.setattr(Exchange, "ask", lambda _self, name, kind: scripted.ask(name, kind))
    assert virtual_time.run(scenario()) == [
        (0.0, ["10.0.0.1"]), (7.0, ["10.0.0.1"]), (9.0, ["10.0.0.2"]), (39.0, []), (42.0, []), (53.0, []),
        (83.0, ["10.0.0.3"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "pause"),
    [
        # the SRV records change sooner than their host, and the other way round
        ({"billing.test. SRV": "billing.test. 7 SRV 0 1 80 h.test.", "h.test. A": "h.test. 20 A 10.0.0.1"}, 7.0),
        ({"billing.test. SRV": "billing.test. 20 SRV 0 1 80 h.test.", "h.test. A": "h.test. 7 A 10.0.0.1"}, 7.0),
        # an alias that the server does not follow itself
        ({"billing.test. SRV": "billing.test. 6 CNAME b.test.", "b.test. SRV": "b.test. 20 SRV 0 1 80 h.test.",
          "h.test. A": "h.test. 20 A 10.0.0.1"}, 6.0),
    ],
)  # fmt: skip
def test_the_lowest_ttl_of_all_that_was_needed_decides(
    zone: dict[str, str], pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(_self: Exchange, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Exchanged:
        made = dns.message.make_response(dns.message.make_query(name, kind))
        owner, ttl, record, data = zone[f"{name} {dns.rdatatype.to_text(kind)}"].split(" ", 3)
        made.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", record, data))
        return Exchanged(dns.message.from_wire(made.to_wire()), HostPort("127.0.0.1", 53), 0.001)

    async def scenario() -> float:
        backend = DNSBackend(DNSSettings(domains=("test",), floor=1.0))
        began = asyncio.get_running_loop().time()
        async with aclosing(backend.watch("billing")) as stream:
            for _ in range(2):
                (one,) = (await anext(stream)).instances
                assert one.endpoint == "10.0.0.1:80"
        return asyncio.get_running_loop().time() - began

    monkeypatch.setattr(Exchange, "ask", ask)
    assert virtual_time.run(scenario()) == pause
