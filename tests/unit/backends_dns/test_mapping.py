"""From DNS answers to instances, and how long they hold."""

from collections.abc import Sequence

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from homeport.backends.dns import answers, mapping
from homeport.backends.dns.answers import Addresses
from homeport.backends.dns.settings import DNSSettings
from homeport.errors import InvalidAnswer


def records(*srv: str) -> dns.rrset.RRset:
    return dns.rrset.from_text_list("billing.test.", 1, "IN", "SRV", srv)


def message(
    *answer: str, authority: Sequence[str] = (), kind: str = "A", code: dns.rcode.Rcode = dns.rcode.NOERROR
) -> dns.message.Message:
    made = dns.message.make_response(dns.message.make_query("billing.test.", kind))
    made.set_rcode(code)
    for section, lines in ((made.answer, answer), (made.authority, authority)):
        for line in lines:
            name, ttl, kind, data = line.split(" ", 3)
            section.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return dns.message.from_wire(made.to_wire())


def test_groups_by_priority_without_those_that_are_decidedly_not_there() -> None:
    groups = mapping.by_priority(records("20 0 1 c.test.", "3 0 1 a.test.", "20 0 2 b.test.", "1 0 0 ."))
    assert [[one.target.to_text() for one in group] for group in groups] == [["a.test."], ["c.test.", "b.test."]]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((0, 0, 0), (1, 1, 1)), ((0, 10, 30), (1, 10, 30)), ((1, 1, 1), (1, 1, 1)), ((65535, 0, 1), (65535, 1, 1))],
)
def test_weights(weights: tuple[int, ...], expected: tuple[int, ...]) -> None:
    (group,) = mapping.by_priority(records(*(f"0 {weight} {port} h.test." for port, weight in enumerate(weights))))
    hosts = {dns.name.from_text("h.test."): Addresses(("10.0.0.1",), 1.0)}
    found = mapping.from_srv("billing", group, hosts, datacenter="")
    assert {one.port: one.weight for one in found} == dict(enumerate(expected))


def test_one_place_under_two_names_is_one_instance_whatever_the_order() -> None:
    lines = "0 5 80 b.test.", "0 5 80 a.test.", "0 3 80 c.test."
    hosts = {dns.name.from_text(f"{host}.test."): Addresses(("fd00::1",), 1.0) for host in "abc"}
    for order in (lines, lines[::-1]):
        (group,) = mapping.by_priority(records(*order))
        (one,) = mapping.from_srv("billing", group, hosts, datacenter="dc1")
        assert (one.id, one.address, one.weight, one.node) == ("[fd00::1]:80", "fd00::1", 5, "b.test")
        assert (one.service, one.datacenter) == ("billing", "dc1")


@pytest.mark.parametrize(
    ("ttl", "empty", "pause"),
    [
        (0.0, False, 5.0), (7.0, False, 7.0), (3600.0, False, 30.0), (float("inf"), False, 30.0),
        (0.0, True, 8.0), (7.0, True, 8.0), (9.0, True, 9.0), (3600.0, True, 30.0),
    ],
)  # fmt: skip
def test_the_ttl_is_kept_within_bounds(ttl: float, empty: bool, pause: float) -> None:
    settings = DNSSettings(floor=5.0, negative_floor=8.0, refresh=30.0)
    assert mapping.pause(ttl, settings, empty=empty) == pause


SOA = "test. 600 SOA ns.test. admin.test. 1 2 3 4 90"


@pytest.mark.parametrize(
    ("answer", "authority", "code", "ttl"),
    [
        (["billing.test. 40 A 10.0.0.1"], [], dns.rcode.NOERROR, 40.0),
        (["billing.test. 9 CNAME a.test.", "a.test. 40 A 10.0.0.1"], [], dns.rcode.NOERROR, 9.0),
        ([], [SOA], dns.rcode.NOERROR, 90.0),
        ([], [SOA.replace("600", "60")], dns.rcode.NXDOMAIN, 60.0),
        (["billing.test. 9 CNAME a.test."], [SOA], dns.rcode.NXDOMAIN, 9.0),
        ([], [], dns.rcode.NXDOMAIN, 0.0),
        ([], [], dns.rcode.NOERROR, 0.0),
    ],
)
def test_the_lowest_ttl_counts(answer: list[str], authority: list[str], code: dns.rcode.Rcode, ttl: float) -> None:
    read = answers.read(message(*answer, authority=authority, code=code), backend="")
    assert (read.ttl, read.alias) == (ttl, None)
    assert (read.records is not None) == any(" A " in line for line in answer)


def test_an_alias_that_was_not_followed_is_no_absence() -> None:
    for authority in ([], ["a.test. 1 NS ns.test."]):
        read = answers.read(message("billing.test. 9 CNAME a.test.", authority=authority), backend="")
        assert (read.records, read.ttl) == (None, 9.0)
        assert read.alias == dns.name.from_text("a.test.")


def test_a_referral_is_no_absence() -> None:
    with pytest.raises(InvalidAnswer, match=r"the server knows nothing of SRV billing\.test and names other servers"):
        answers.read(message(authority=["test. 1 NS ns.test."], kind="SRV"), backend="")
