"""Answers that no real server can be brought to give, from a stand-in: nothing false is believed, nothing is lost."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

import dns.flags
import dns.message
import dns.rrset
import pytest
from dns.rcode import Rcode

from homeport import BackendUnavailable, InvalidAnswer
from homeport.backends.dns import open_dns
from homeport.testing.contract.waiting import fresh, stale, until
from tests.integration.backends_dns.following import PATIENT, endpoints, has, opened, url
from tests.integration.backends_dns.stand_in import Answers, StandInServer, reply

StandIn: TypeAlias = Callable[[Answers], StandInServer]
Query: TypeAlias = dns.message.QueryMessage
HOST = "billing.services.test."
A_RECORD = f"{HOST} 0 IN A 10.0.0.1"
OPTIONS = {"port": 80, "record": "a", "family": "ipv4", "timeout": PATIENT}


async def places(server: StandInServer, **parameters: object) -> list[str]:
    backend = open_dns(url(server.address, **{**OPTIONS, **parameters}), {})
    return endpoints((await backend.fetch("billing")).instances)


async def test_hosts_that_came_along_are_not_asked_for(stand_in: StandIn) -> None:
    server = stand_in(
        lambda query, _way: [
            reply(
                query, f"{HOST} 0 IN SRV 0 1 81 web.services.test.", additional=["web.services.test. 0 IN A 10.0.0.2"]
            )
        ]
    )
    assert await places(server, record="srv") == ["10.0.0.2:81"]
    assert server.asked == [("udp", HOST, "SRV")]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(lambda _query: b"", id="nothing"),
        pytest.param(lambda _query: b"HTTP/1.1 400 Bad Request\r\n\r\n", id="no DNS"),
        pytest.param(lambda query: query.to_wire(), id="the question itself"),
        pytest.param(lambda query: bytes(2) + reply(query, A_RECORD)[2:], id="another id"),
        pytest.param(lambda query: reply(query, A_RECORD)[:-3], id="cut off"),
        pytest.param(
            lambda query: reply(dns.message.make_query("x.test", "A", id=query.id), A_RECORD), id="another question"
        ),
    ],
)
async def test_what_does_not_belong_to_the_question_is_passed_over(
    stand_in: StandIn, garbage: Callable[[Query], bytes]
) -> None:
    server = stand_in(lambda query, _way: [garbage(query), reply(query, A_RECORD)])
    assert await places(server) == ["10.0.0.1:80"]
    useless = stand_in(lambda query, _way: [garbage(query)])
    with pytest.raises(BackendUnavailable, match=r"no answer within 0\.2 s"):
        await places(useless, timeout=0.2)


async def test_garbage_is_stale_and_heals(stand_in: StandIn) -> None:
    sound = True

    def answers(query: Query, _way: str) -> Sequence[bytes]:
        return [reply(query, A_RECORD) if sound else b"garbage"]

    backend = url(stand_in(answers).address, **{**OPTIONS, "timeout": 6})
    async with opened(backend) as discovery, discovery.watch("billing") as watch:
        assert has("10.0.0.1:80")(watch.current)
        sound = False
        assert has("10.0.0.1:80")(await until(watch, stale))
        sound = True
        assert has("10.0.0.1:80")(await until(watch, fresh))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            lambda query: reply(query, "x.test. 0 IN A 10.0.0.1"),
            r"for A billing\S+ is about x\.test instead",
        ),
        (lambda query: reply(query, A_RECORD, code=Rcode.NXDOMAIN), r"the answer for A billing\S+ contradicts itself"),
        (
            lambda query: reply(query, authority=["test. 0 IN NS ns.test."]),
            r"the server knows nothing of A billing\S+ and names other servers",
        ),
        (lambda query: reply(query, f"{HOST} 0 IN CNAME {HOST}"), r"contradicts itself: .*chain"),
        (lambda query: reply(query, code=Rcode.YXDOMAIN), r"answers YXDOMAIN for billing\.services\.test"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_no_empty_set(
    stand_in: StandIn, answer: Callable[[Query], bytes], reason: str
) -> None:
    server = stand_in(lambda query, _way: [answer(query)])
    with pytest.raises(InvalidAnswer, match=reason):
        await places(server)


async def test_a_chain_of_aliases_over_many_answers_ends(stand_in: StandIn) -> None:
    def next_alias(query: Query, _way: str) -> Sequence[bytes]:
        asked = query.question[0].name.to_text()
        return [reply(query, f"{asked} 0 IN CNAME x{asked}")]

    with pytest.raises(InvalidAnswer, match="a chain of aliases without an end"):
        await places(stand_in(next_alias))


async def test_a_server_that_fails_is_not_believed(stand_in: StandIn) -> None:
    server = stand_in(lambda query, _way: [reply(query, code=Rcode.SERVFAIL)])
    with pytest.raises(BackendUnavailable, match=r"could not find out about billing\.services\.test \(SERVFAIL\)"):
        await places(server)


async def test_a_failure_for_one_host_is_one_for_all(stand_in: StandIn) -> None:
    """Half of the instances are not all of them."""

    def answers(query: Query, _way: str) -> Sequence[bytes]:
        asked = query.question[0].name.to_text()
        if asked == HOST:
            records = [f"{HOST} 0 IN SRV 0 1 80 {host}.test." for host in ("a", "b", "c")]
            return [reply(query, *records)]
        return [reply(query, code=Rcode.SERVFAIL) if asked == "b.test." else reply(query, f"{asked} 0 IN A 10.0.0.1")]

    with pytest.raises(BackendUnavailable, match=r"about b\.test "):
        await places(stand_in(answers), record="srv")


async def test_a_lost_packet_is_sent_again(stand_in: StandIn) -> None:
    server = stand_in(lambda query, _way: [reply(query, A_RECORD)] if len(server.asked) > 1 else [])
    assert await places(server, timeout=9) == ["10.0.0.1:80"]
    assert len(server.asked) >= 2


async def test_what_is_cut_off_is_asked_for_by_tcp(stand_in: StandIn) -> None:
    def answers(query: Query, way: str) -> Sequence[bytes]:
        if way == "tcp":
            return [reply(query, A_RECORD, f"{HOST} 0 IN A 10.0.0.2")]
        return [reply(query, A_RECORD, flags=dns.flags.TC)]

    server = stand_in(answers)
    assert await places(server) == ["10.0.0.1:80", "10.0.0.2:80"]
    assert [way for way, _, _ in server.asked] == ["udp", "tcp"]
    server.asked.clear()
    assert await places(server, tcp="true") == ["10.0.0.1:80", "10.0.0.2:80"]
    assert [way for way, _, _ in server.asked] == ["tcp"]


@pytest.mark.parametrize(("count", "ways"), [(65, ["udp"]), (72, ["udp", "tcp"])])
async def test_what_fills_a_packet_by_udp_is_asked_for_by_tcp(stand_in: StandIn, count: int, ways: list[str]) -> None:
    """Some servers leave out what does not fit, and do not say so. Each record has 16 bytes; 1232 are room for 74."""
    everything = [f"{HOST} 0 IN A 10.0.0.{number}" for number in range(1, 101)]
    server = stand_in(lambda query, way: [reply(query, *everything[: count if way == "udp" else None])])
    assert len(await places(server)) == (count if ways == ["udp"] else 100)
    assert [way for way, _, _ in server.asked] == ways


async def test_without_edns_there_is_less_room(stand_in: StandIn) -> None:
    everything = [f"{HOST} 0 IN A 10.0.0.{number}" for number in range(1, 101)]

    def answers(query: Query, way: str) -> Sequence[bytes]:
        if query.edns >= 0:
            return [reply(query, code=Rcode.NOTIMP)]
        return [reply(query, *everything[: 28 if way == "udp" else None])]

    server = stand_in(answers)
    assert len(await places(server)) == 100
    assert [way for way, _, _ in server.asked] == ["udp", "udp", "tcp"]


@pytest.mark.parametrize(("count", "whole"), [(4081, True), (4091, False)])
async def test_what_fills_even_tcp_is_not_taken_for_the_whole(stand_in: StandIn, count: int, whole: bool) -> None:
    message = dns.message.make_response(dns.message.make_query(HOST, "A", use_edns=0))
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(count)]
    message.answer.append(dns.rrset.from_text_list(HOST, 0, "IN", "A", addresses))
    packet = message.to_wire(max_size=65_535)
    server = stand_in(lambda query, _way: [query.id.to_bytes(2, "big") + packet[2:]])
    if whole:
        assert len(await places(server, tcp="true")) == count
    else:
        with pytest.raises(InvalidAnswer, match="is cut off even by TCP"):
            await places(server, tcp="true")


@pytest.mark.parametrize(
    ("by_tcp", "error", "reason"),
    [
        (lambda query: [reply(query, flags=dns.flags.TC)], InvalidAnswer, "is cut off even by TCP"),
        (lambda _query: [b"garbage"], InvalidAnswer, "answers, but not with proper DNS"),
        (lambda query: [bytes(2) + reply(query)[2:]], InvalidAnswer, "answers, but not with proper DNS"),
        (lambda _query: [], BackendUnavailable, r"\(the connection was closed\)"),
    ],
)
async def test_tcp_that_does_not_help(
    stand_in: StandIn, by_tcp: Callable[[Query], Sequence[bytes]], error: type[Exception], reason: str
) -> None:
    server = stand_in(lambda query, way: by_tcp(query) if way == "tcp" else [reply(query, flags=dns.flags.TC)])
    with pytest.raises(error, match=reason):
        await places(server)


async def test_a_server_that_does_not_know_edns_is_asked_without(stand_in: StandIn) -> None:
    server = stand_in(
        lambda query, _way: [reply(query, A_RECORD) if query.edns < 0 else reply(query, code=Rcode.FORMERR)]
    )
    assert await places(server) == ["10.0.0.1:80"]
    assert len(server.asked) == 2


async def test_many_services_at_once(stand_in: StandIn) -> None:
    """More than may be asked for at the same time."""
    server = stand_in(lambda query, _way: [reply(query, f"{query.question[0].name} 0 IN A 10.0.0.1")])
    backend = open_dns(url(server.address, **OPTIONS), {})
    found = await asyncio.gather(*(backend.fetch(f"s{number}") for number in range(200)))
    assert all(len(one.instances) == 1 for one in found)
    assert len(server.asked) == 200
