"""SRV records and addresses are answers of their own: what is believed when they do not fit together."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from homeport.backends.dns import DNSBackend, DNSSettings
from homeport.backends.dns.exchange import Exchange, Exchanged
from homeport.connections.backend_url import HostPort
from homeport.errors import InvalidAnswer
from homeport.model import Instance
from tests.unit.client import virtual_time


class Round(NamedTuple):
    """What one round of questions is answered: SRV records as ``PRIORITY HOST``, and the hosts that have an address."""

    records: str
    hosts: str


class Script:
    """Answers in the place of the network, round by round; the last one again and again. A round begins with SRV."""

    def __init__(self, *rounds: Round) -> None:
        self._rounds = rounds
        self.begun = 0
        self.asked: list[str] = []

    async def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Exchanged:
        asked = str(name).removesuffix(".test.")
        self.asked.append(asked)
        made = dns.message.make_response(dns.message.make_query(name, kind))
        if kind == dns.rdatatype.SRV:
            self.begun += 1
            targets = [one.split() for one in self._round.records.split(",")]
            records = [f"{priority} 1 80 {host}.test." for priority, host in targets]
            made.answer.append(dns.rrset.from_text_list(name, 0, "IN", "SRV", records))
        elif asked in self._round.hosts.split():
            made.answer.append(dns.rrset.from_text(name, 0, "IN", "A", f"10.0.0.{ord(asked)}"))
        return Exchanged(dns.message.from_wire(made.to_wire()), HostPort("127.0.0.1", 53), 0.001)

    @property
    def _round(self) -> Round:
        return self._rounds[min(self.begun, len(self._rounds)) - 1]


def hosts(instances: Sequence[Instance]) -> str:
    """The first letters of their hosts."""
    return " ".join(sorted(one.node[0] for one in instances))


def polled(script: Script, monkeypatch: pytest.MonkeyPatch, *, times: int = 1) -> Sequence[str]:
    """The hosts of the instances after each of the first polls of a watch."""

    async def scenario() -> list[str]:
        backend = DNSBackend(DNSSettings(domains=("test",), record="srv", family="ipv4"))
        async with aclosing(backend.watch("billing")) as stream:
            return [hosts((await anext(stream)).instances) for _ in range(times)]

    monkeypatch.setattr(Exchange, "ask", lambda _self, name, kind: script.ask(name, kind))
    return virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(Round("0 a, 0 b", "c d"), Round("0 c, 0 d", "c d"), id="all hosts are others"),
        pytest.param(Round("0 a, 0 c", "c d"), Round("0 c, 0 d", "c d"), id="one host is another"),
        pytest.param(Round("0 c, 0 d", "c"), Round("0 c, 0 d", "c d"), id="an address came later"),
        pytest.param(Round("0 a, 9 z", "c z"), Round("0 c, 0 d, 9 z", "c d z"), id="not those of the next priority"),
    ],
)
def test_a_zone_that_changes_between_the_questions_is_read_again(
    first: Round, second: Round, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(first, second)
    assert polled(script, monkeypatch) == ["c d"]
    assert script.begun == 2
    assert caplog.messages == []


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(
            [*(Round(f"0 {old}, 0 x", "x") for old in "abcd"), Round("0 e, 0 x", "e x")], id="other hosts each time"
        ),
        pytest.param(
            [Round("0 c, 0 e, 0 x", "c"), Round("0 c, 0 e, 0 x", "c x"), Round("0 e, 0 x", "e x")],
            id="the same hosts, others without an address",
        ),
        pytest.param(
            [Round("0 a, 0 e", "a x"), Round("0 x, 0 e", "a x"), Round("0 x, 0 e", "e x")],
            id="other hosts, the same without an address",
        ),
    ],
)
def test_it_is_read_until_two_rounds_are_alike(rounds: Sequence[Round], monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(*rounds)
    assert polled(script, monkeypatch) == ["e x"]
    assert script.begun == len(rounds)


def test_what_fits_together_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(Round("0 a, 0 b, 9 z", "a b"))
    assert polled(script, monkeypatch) == ["a b"]
    assert sorted(script.asked) == ["a", "b", "billing"]


def test_a_host_without_an_address_is_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice in a row it is the truth; the poll before counts."""
    script = Script(Round("0 a, 0 b", "a"))
    assert polled(script, monkeypatch, times=4) == ["a"] * 4
    assert script.begun == 5
    assert caplog.messages == ['the SRV records of "billing" name b.test without an address in DNS; left out']


def test_it_is_told_whenever_these_hosts_are_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, many, all_well = Round("0 a, 0 b", "a"), Round("0 a, 0 b, 0 c, 0 d, 0 e", "a"), Round("0 a, 0 b", "a b")
    script = Script(one, one, one, many, many, all_well, many, many)
    assert polled(script, monkeypatch, times=5) == ["a", "a", "a", "a b", "a"]
    texts = [
        message.removeprefix('the SRV records of "billing" name ').split(" without ")[0] for message in caplog.messages
    ]
    assert texts == ["b.test", "b.test, c.test, d.test and 1 more", "b.test, c.test, d.test and 1 more"]


def test_the_next_priority_is_used_when_the_first_is_really_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(Round("0 a, 9 z", "z"))
    assert polled(script, monkeypatch) == ["z"]
    assert script.begun == 2


def test_when_no_host_has_an_address_that_is_an_error_and_no_empty_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(Round("0 a, 0 b, 9 z", "c"))
    with pytest.raises(InvalidAnswer) as caught:
        polled(script, monkeypatch)
    assert str(caught.value) == (
        'the SRV records of "billing" name a.test, b.test, z.test: none of them has an address in DNS'
    )
    assert script.begun == 2
    assert caplog.messages == []


def test_what_never_fits_together_is_an_error_after_some_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(*(Round(f"0 {host}, 0 x", "x") for host in "abcdefgh"))
    with pytest.raises(
        InvalidAnswer, match=r'of "billing" and the addresses of their hosts did not fit together 5 times'
    ):
        polled(script, monkeypatch)
    assert script.begun == 5


def test_each_domain_is_read_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one domain said is not taken for what the other one said before."""
    asked: list[str] = []

    async def ask(_self: Exchange, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Exchanged:
        made = dns.message.make_response(dns.message.make_query(name, kind))
        if kind == dns.rdatatype.SRV:
            asked.append(str(name))
            if name == dns.name.from_text("billing.two"):
                records = ["0 1 80 gone.test.", "9 1 80 z.test."]
                made.answer.append(dns.rrset.from_text_list(name, 0, "IN", "SRV", records))
        elif name == dns.name.from_text("z.test"):
            made.answer.append(dns.rrset.from_text(name, 0, "IN", "A", "10.0.0.1"))
        return Exchanged(dns.message.from_wire(made.to_wire()), HostPort("127.0.0.1", 53), 0.001)

    async def scenario() -> None:
        backend = DNSBackend(DNSSettings(domains=("one", "two"), record="srv", family="ipv4"))
        async with aclosing(backend.watch("billing")) as stream:
            for _ in range(2):
                assert len((await anext(stream)).instances) == 1

    monkeypatch.setattr(Exchange, "ask", ask)
    virtual_time.run(scenario())
    assert asked == ["billing.one.", "billing.two.", "billing.two.", "billing.one.", "billing.two."]


class TestNothing:
    """Neither SRV records nor addresses: several answers, between which a service may have gone from one to another."""

    @staticmethod
    def polled(
        monkeypatch: pytest.MonkeyPatch, *rounds: str, times: int = 1, **settings: object
    ) -> tuple[list[list[str]], int]:
        """The addresses after each poll, and how often a round was begun; a round names what the zone has in it.

        The first question of a round is answered by what its first word says, the others by the second.
        """
        begun: list[dns.rdatatype.RdataType] = []
        first = dns.rdatatype.SRV if settings.get("record") != "a" else dns.rdatatype.A

        async def ask(_self: Exchange, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Exchanged:
            made = dns.message.make_response(dns.message.make_query(name, kind))
            if kind == first:
                begun.append(kind)
            before, after = rounds[min(len(begun), len(rounds)) - 1].split()
            there = before if kind == first else after
            if there == dns.rdatatype.to_text(kind):
                data = {"SRV": "0 1 80 host.test.", "A": "10.0.0.1", "AAAA": "2001:db8::1"}[there]
                made.answer.append(dns.rrset.from_text(name, 0, "IN", kind, data))
                if there == "SRV":
                    made.additional.append(dns.rrset.from_text("host.test.", 0, "IN", "A", "10.0.0.9"))
            return Exchanged(dns.message.from_wire(made.to_wire()), HostPort("127.0.0.1", 53), 0.001)

        async def scenario() -> list[list[str]]:
            backend = DNSBackend(DNSSettings(domains=("test",), port=1, **settings))  # type: ignore[arg-type]
            async with aclosing(backend.watch("billing")) as stream:
                return [[one.address for one in (await anext(stream)).instances] for _ in range(times)]

        monkeypatch.setattr(Exchange, "ask", ask)
        return virtual_time.run(scenario()), len(begun)

    def test_from_addresses_to_servers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.polled(monkeypatch, "- -", "SRV -") == ([["10.0.0.9"]], 2)

    def test_from_servers_to_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.polled(monkeypatch, "SRV -", "- -", "- A", times=2) == ([["10.0.0.9"], ["10.0.0.1"]], 3)

    def test_from_one_family_to_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.polled(monkeypatch, "- -", "A -", record="a") == ([["10.0.0.1"]], 2)

    def test_twice_is_the_truth_and_the_poll_before_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.polled(monkeypatch, "SRV -", "- -", times=4) == ([["10.0.0.9"], [], [], []], 5)

    @pytest.mark.parametrize("settings", [{"record": "srv"}, {"record": "a", "family": "ipv4"}])
    def test_what_one_answer_states_is_believed(
        self, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.polled(monkeypatch, "- -", **settings) == ([[]], 1)
