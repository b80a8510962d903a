"""Questions as bytes, answers as bytes."""

import asyncio
import logging
from random import Random
from struct import pack

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.client.discovery import Discovery
from homeport.errors import PermissionDenied
from homeport.model import Instance
from homeport.server.zones.directory import Directory
from homeport.server.zones.responder import Responder, ServedZone
from homeport.testing.memory import Memory
from tests.unit.client.virtual_time import run
from tests.unit.protocols_dns.asking import a_zone
from tests.unit.server.zones.served import Counting, served

API = "api.company.local"


def test_a_change_is_in_the_next_answer() -> None:
    async def scenario() -> None:
        memory = Memory(api=["10.0.0.1:81", "10.0.0.2:82"])
        async with served(memory) as zone:
            for _ in range(20):
                assert await zone.said(API) == ["10.0.0.1", "10.0.0.2"]
            assert zone.from_memory == 12  # after eight, each in another order
            memory.put("api", "10.0.0.3:83")
            await asyncio.sleep(0.01)
            assert await zone.said(API) == ["10.0.0.3"]
            memory.put("api")
            await asyncio.sleep(0.01)
            assert await zone.said(API) == "NXDOMAIN"
            memory.put("api", "10.0.0.4:84")
            await asyncio.sleep(0.01)
            assert await zone.said(API) == ["10.0.0.4"]

    run(scenario())


def test_the_letters_and_flags_of_who_asks_are_kept() -> None:
    async def scenario() -> None:
        async with served(Memory(api=["10.0.0.1:81"])) as zone:
            await zone.said(API)
            for name in ("aPi.company.local", "API.COMPANY.LOCAL"):
                message = await zone.message(name)
                assert message.question[0].name.to_text() == f"{name}."
            assert zone.from_memory == 2

    run(scenario())


def test_orders_differ_from_answer_to_answer() -> None:
    async def scenario() -> None:
        async with served(Memory(api=[f"10.0.0.{n}:80" for n in range(1, 6)])) as zone:
            firsts = {(await zone.message(API)).answer[0][0].to_text() for _ in range(40)}
            assert len(firsts) > 2

    run(scenario())


def test_what_is_unhealthy_is_left_out_and_the_name_stays() -> None:
    async def scenario() -> None:
        ill = Instance(id="b", service="api", address="10.0.0.2", port=2, status="critical")
        memory = Memory(api=["10.0.0.1:1", ill])
        async with served(memory) as zone, served(memory, zone=a_zone(unhealthy_weight=1)) as weighed:
            assert await zone.said(API) == ["10.0.0.1"]
            assert len(await weighed.said(API, "SRV")) == 2
            memory.put("api", ill)
            await asyncio.sleep(0.01)
            assert await zone.said(API) == "NOERROR"
            assert await zone.said(API, "SRV") == "NOERROR"

    run(scenario())


def test_an_outage_keeps_what_is_known_and_fails_what_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        memory = Memory(api=["10.0.0.1:81"], web=["10.0.0.2:82"])
        async with served(memory) as zone:
            assert await zone.said(API) == ["10.0.0.1"]
            with memory.outage():
                await asyncio.sleep(30)
                message = await zone.message(API)
                assert [option.code for option in message.options] == [dns.edns.EDECode.STALE_ANSWER]
                assert await zone.said(API) == ["10.0.0.1"]
                for _ in range(3):
                    unknown = await zone.message("web.company.local")
                    assert unknown.rcode() == dns.rcode.SERVFAIL
                    assert [one.code for one in unknown.options] == [dns.edns.EDECode.NO_REACHABLE_AUTHORITY]
                assert (await zone.message("nobody.company.local")).rcode() == dns.rcode.SERVFAIL
            await asyncio.sleep(30)
            assert (await zone.message(API)).options == ()
            assert await zone.said("web.company.local") == ["10.0.0.2"]
            assert await zone.said("nobody.company.local") == "NXDOMAIN"
            with memory.outage():
                await asyncio.sleep(60)
                assert await zone.said("another.company.local") == "SERVFAIL"

    run(scenario())
    told = [record for record in caplog.records if record.name.startswith("homeport.server.zones")]
    assert [(record.levelno, record.getMessage()) for record in told] == [
        (logging.WARNING, "a zone cannot be answered")
    ] * 2  # once a minute at most


def test_a_backend_that_says_nothing_is_given_up_before_who_asks_gives_up() -> None:
    async def scenario() -> None:
        memory = Memory(api=["10.0.0.1:81"], latency=60.0)
        async with served(memory) as zone:
            began = asyncio.get_running_loop().time()
            assert await zone.said(API) == "SERVFAIL"
            assert asyncio.get_running_loop().time() - began < 5
            memory.latency = 0.0
            assert await zone.said(API) == ["10.0.0.1"]

    run(scenario())


def test_a_refusal_is_a_failure_and_no_absence() -> None:
    async def scenario() -> None:
        memory = Memory(api=["10.0.0.1:81"])
        async with served(memory) as zone:
            with memory.failing(PermissionDenied("no", backend="memory://")):
                assert await zone.said(API) == "SERVFAIL"

    run(scenario())


class TestDirectory:
    def test_names_at_random_cost_a_list_a_second_and_are_not_followed(self) -> None:
        async def scenario() -> None:
            memory = Counting(api=["10.0.0.1:81"])
            async with served(memory) as zone:
                for number in range(50):
                    assert await zone.said(f"no-{number}.company.local") == "NXDOMAIN"
                assert (memory.lists, memory.fetches) == (1, 0)
                await asyncio.sleep(1.5)
                await asyncio.gather(*(zone.said(f"nor-{number}.company.local") for number in range(50)))
                assert (memory.lists, memory.fetches) == (2, 0)

        run(scenario())

    def test_so_do_they_while_it_cannot_list(self) -> None:
        async def scenario() -> None:
            memory = Counting(api=["10.0.0.1:81"])
            async with served(memory) as zone:
                with memory.outage():
                    for number in range(20):
                        assert await zone.said(f"no-{number}.company.local") == "SERVFAIL"
                    assert await zone.said(API) == "SERVFAIL"
                    assert memory.lists == 1
                await asyncio.sleep(1.0)
                assert await zone.said(API) == ["10.0.0.1"]

        run(scenario())

    def test_a_new_service_is_there_after_a_second(self) -> None:
        async def scenario() -> None:
            memory = Counting()
            async with served(memory) as zone:
                assert await zone.said(API) == "NXDOMAIN"
                memory.put("api", "10.0.0.1:81")
                await asyncio.sleep(1.1)
                assert await zone.said(API) == ["10.0.0.1"]

        run(scenario())

    def test_those_who_ask_at_once_share_one_watch(self) -> None:
        async def scenario() -> None:
            memory = Counting(api=["10.0.0.1:81"])
            memory.latency = 0.5
            async with served(memory) as zone:
                assert await asyncio.gather(*(zone.said(API) for _ in range(20))) == [["10.0.0.1"]] * 20
                assert (memory.lists, memory.fetches) == (1, 1)

        run(scenario())

    def test_letters_of_a_name_do_not_matter(self) -> None:
        async def scenario() -> None:
            async with served(Memory({"User-Service": ["10.0.0.1:81"]})) as zone:
                assert await zone.said("user-service.company.local") == ["10.0.0.1"]

        run(scenario())

        async def both() -> None:
            async with served(Memory({"API": ["10.0.0.1:81"], "api": ["10.0.0.2:82"]})) as zone:
                assert await zone.said("API.company.local") == ["10.0.0.2"]

        run(both())

    def test_a_name_above_that_of_a_service_exists(self) -> None:
        async def scenario() -> None:
            async with served(Memory({"api.eu.shop": ["10.0.0.1:81"]})) as zone:
                assert await zone.said("api.eu.shop.company.local") == ["10.0.0.1"]
                assert await zone.said("eu.shop.company.local") == "NOERROR"
                assert await zone.said("shop.company.local") == "NOERROR"
                assert await zone.said("us.shop.company.local") == "NXDOMAIN"

        run(scenario())

    def test_what_nobody_asks_for_any_more_is_let_go(self) -> None:
        async def scenario() -> None:
            memory = Counting(api=["10.0.0.1:81"], web=["10.0.0.2:82"])
            async with served(memory) as zone:
                await zone.said("web.company.local")
                for _ in range(20):
                    await zone.said(API)
                    await asyncio.sleep(30)
                assert len(memory._waiting) == 1
                assert await zone.said("web.company.local") == ["10.0.0.2"]
                assert memory.fetches == 3

        run(scenario())

    def test_only_so_many_are_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("homeport.server.zones.directory._MOST_FOLLOWED", 3)

        async def scenario() -> None:
            memory = Counting({f"s{n}": [f"10.0.0.{n}:80"] for n in range(1, 7)})
            async with served(memory) as zone:
                for number in (1, 2, 3, 1, 4, 1, 5, 1, 6, 1):
                    assert await zone.said(f"s{number}.company.local") == [f"10.0.0.{number}"]
                    await asyncio.sleep(0.1)
                assert len(memory._waiting) == 3
                assert memory.fetches == 6

        run(scenario())

    def test_a_name_that_no_service_can_have_is_none(self) -> None:
        async def scenario() -> None:
            async with served(Memory(api=["10.0.0.1:81"])) as zone:
                assert await zone.said(r"a\000b.company.local") == "NXDOMAIN"
                assert await zone.said(r"caf\195\169.company.local") == "NXDOMAIN"

        run(scenario())


def _asked(name: str, kind: str, rdclass: dns.rdataclass.RdataClass = dns.rdataclass.IN, edns: int = -1) -> bytes:
    """A question with a number that is none by chance: it is part of the name of a test."""
    query = dns.message.make_query(name, kind, rdclass, use_edns=edns)
    query.id = 0x0102
    return query.to_wire()


def _answer(wire: bytes, *, known: bool = True) -> dns.message.Message | None:
    async def scenario() -> bytes | None:
        async with served(Memory(api=["10.0.0.1:81"])) as zone:
            return await zone.wire(wire)

    answer = run(scenario())
    if answer is None:
        return None
    assert answer[:2] == wire[:2]
    return dns.message.from_wire(answer, one_rr_per_rrset=known)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\1\2\0\0\0\1\0\0\0\0\0\0", "FORMERR"),  # a question is announced and not there
        (b"\1\2\1\0\0\0\0\0\0\0\0\0", "FORMERR"),  # none is
        (b"\1\2\1\0\0\2\0\0\0\0\0\0" + b"\1a\0\0\1\0\1" * 2, "FORMERR"),
        (b"\1\2\1\0\0\1\0\0\0\0\0\0" + b"\xc0\x0c\0\1\0\1", "FORMERR"),  # points to itself
        (b"\1\2\x28\0\0\0\0\0\0\0\0\0", "NOTIMP"),  # an update
        (b"\1\2\x20\0\0\0\0\0\0\0\0\0", "NOTIMP"),  # a notification
        (_asked("example.org", "A"), "REFUSED"),
        (_asked("local", "A"), "REFUSED"),
        (_asked("xcompany.local", "A"), "REFUSED"),
        (_asked(API, "A", dns.rdataclass.CH), "REFUSED"),
        (_asked("company.local", "AXFR"), "REFUSED"),
        (_asked("company.local", "IXFR"), "REFUSED"),
        (_asked(API, "A", edns=1), "BADVERS"),
    ],
)
def test_what_cannot_be_answered_is_told_so(wire: bytes, code: str) -> None:
    message = _answer(wire)
    assert message is not None
    assert dns.rcode.to_text(message.rcode()) == code
    assert message.flags & dns.flags.QR
    assert not message.answer


def test_who_signs_is_told_that_nobody_knows_the_key() -> None:
    query = dns.message.make_query(API, "A")
    query.use_tsig({dns.name.from_text("key"): b"secret"}, keyname="key")
    message = _answer(query.to_wire())
    assert message is not None
    assert message.rcode() == dns.rcode.NOTAUTH


def test_no_answer_is_answered() -> None:
    assert _answer(b"") is None
    assert _answer(b"\1\2\0\0") is None
    assert _answer(dns.message.make_response(dns.message.make_query(API, "A")).to_wire()) is None


@given(st.one_of(
    st.binary(max_size=100),
    st.builds(lambda flags, counts, rest: b"\1\2" + pack("!5H", flags, *counts) + rest, st.integers(0, 0xFFFF),
              st.tuples(*[st.integers(0, 2)] * 4), st.binary(max_size=60)),
))  # fmt: skip
def test_any_bytes_get_one_proper_answer_at_most(wire: bytes) -> None:
    _answer(wire, known=False)


def test_the_nearest_zone_answers() -> None:
    async def scenario() -> None:
        outer = a_zone()
        inner = msgspec.structs.replace(outer, origin=dns.name.from_text("eu.company.local"))
        directories = [
            Directory(Discovery(memory, environ={}, handle_signals=False), zone)
            for memory, zone in ((Memory(api=["10.0.0.1:1"]), outer), (Memory(api=["10.0.0.2:2"]), inner))
        ]
        responder = Responder([ServedZone(outer, directories[0]), ServedZone(inner, directories[1])], random=Random(1))
        for name, address in ((API, "10.0.0.1"), ("api.eu.company.local", "10.0.0.2")):
            wire = await responder.answer(dns.message.make_query(name, "A").to_wire(), tcp=False)
            assert wire is not None
            assert dns.message.from_wire(wire).answer[0][0].to_text() == address
        for directory in directories:
            await directory.aclose()

    run(scenario())
