"""What a zone answers."""

from itertools import islice

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.dns.answers import refusal
from homeport.protocols.dns.question import Question
from tests.unit.protocols_dns.asking import a_zone, asked, instance, texts

ONE, TWO, SIX = instance("10.0.0.1:81"), instance("10.0.0.2:82", weight=5), instance("2001:db8::6:86", weight=0)
SOA = "SOA ns.addr.company.local. hostmaster.company.local. 7 3600 600 86400 10"


def negative(message: dns.message.Message) -> str:
    """The code of an answer that says that there is nothing, and for how long."""
    assert message.answer == []
    (soa,) = message.authority
    assert (soa.name.to_text(), soa.ttl) == ("company.local.", 10)
    assert f"SOA {soa[0].to_text()}" == SOA
    return dns.rcode.to_text(message.rcode())


def test_addresses() -> None:
    assert sorted(texts(asked("api.company.local", "A", ONE, TWO, SIX))) == ["30 A 10.0.0.1", "30 A 10.0.0.2"]
    assert texts(asked("API.Company.LOCAL", "AAAA", ONE, TWO, SIX)) == ["30 AAAA 2001:db8::6"]
    # Two on one host are one address.
    assert texts(asked("api.company.local", "A", ONE, instance("10.0.0.1:91"))) == ["30 A 10.0.0.1"]


@pytest.mark.parametrize("name", ["api.company.local", "_api._tcp.company.local"])
def test_servers(name: str) -> None:
    message = asked(name, "SRV", ONE, TWO, SIX)
    six = "20010db8000000000000000000000006"
    assert sorted(texts(message)) == [
        f"30 SRV 1 0 86 {six}.addr.company.local.",
        "30 SRV 1 1 81 0a000001.addr.company.local.",
        "30 SRV 1 5 82 0a000002.addr.company.local.",
    ]
    assert sorted(rrset.to_text() for rrset in message.additional) == [
        "0a000001.addr.company.local. 30 IN A 10.0.0.1",
        "0a000002.addr.company.local. 30 IN A 10.0.0.2",
        f"{six}.addr.company.local. 30 IN AAAA 2001:db8::6",
    ]


def test_one_server_that_is_registered_twice_has_the_greater_weight() -> None:
    twice = (instance("10.0.0.1:81", weight=w) for w in (2, 9, 4))
    assert texts(asked("api.company.local", "SRV", *twice)) == ["30 SRV 1 9 81 0a000001.addr.company.local."]


def test_what_has_no_port_is_no_server_but_has_an_address() -> None:
    assert negative(asked("api.company.local", "SRV", instance("10.0.0.1:0"))) == "NOERROR"
    assert texts(asked("api.company.local", "A", instance("10.0.0.1:0"))) == ["30 A 10.0.0.1"]


def test_hosts_are_named_as_they_are_registered() -> None:
    host = instance("db.example.org:5432")
    assert texts(asked("api.company.local", "SRV", host)) == ["30 SRV 1 1 5432 db.example.org."]
    assert texts(asked("api.company.local", "A", host)) == ["30 CNAME db.example.org."]
    assert texts(asked("api.company.local", "AAAA", host)) == ["30 CNAME db.example.org."]
    # A name beside addresses would be against RFC 1034, 3.6.2.
    assert texts(asked("api.company.local", "A", host, ONE)) == ["30 A 10.0.0.1"]
    assert negative(asked("api.company.local", "AAAA", host, ONE)) == "NOERROR"
    assert negative(asked("api.company.local", "SRV", instance("no..name:1"), instance(f"{'a' * 64}:1"))) == "NOERROR"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("api.company.local", "AAAA"),  # there are others
        ("api.company.local", "TXT"),
        ("_api._tcp.company.local", "A"),
        ("company.local", "A"),
        ("addr.company.local", "A"),  # there are names below
        ("_tcp.company.local", "SRV"),
        ("0a000001.addr.company.local", "AAAA"),
        ("ns.addr.company.local", "SRV"),
    ],
)
def test_a_name_without_such_records_exists_all_the_same(name: str, kind: str) -> None:
    assert negative(asked(name, kind, ONE)) == "NOERROR"


def test_nor_is_a_service_absent_whose_instances_all_fail() -> None:
    assert negative(asked("api.company.local", "A")) == "NOERROR"


@pytest.mark.parametrize(
    "name",
    [
        "api.company.local",
        "_api._tcp.company.local",
        "0a0001.addr.company.local",
        "zz000001.addr.company.local",
        "a.0a000001.addr.company.local",
        r"\255.company.local",
    ],
)
def test_what_does_not_exist_is_told_so_for_every_kind(name: str) -> None:
    for kind in ("A", "SRV", "TXT", "ANY"):
        assert negative(asked(name, kind, absent=True)) == "NXDOMAIN"


def test_the_zone_itself() -> None:
    assert texts(asked("company.local", "SOA")) == [f"30 {SOA}"]
    message = asked("company.local", "NS")
    assert texts(message) == ["30 NS ns.addr.company.local."]
    assert [rrset.to_text() for rrset in message.additional] == ["ns.addr.company.local. 30 IN A 192.0.2.53"]
    assert texts(asked("ns.addr.company.local", "A")) == ["30 A 192.0.2.53"]
    assert texts(asked("0a000001.addr.company.local", "A")) == ["30 A 10.0.0.1"]


def test_who_asks_for_everything_gets_little() -> None:
    assert texts(asked("api.company.local", "ANY", ONE, TWO)) == ['30 HINFO "RFC8482" ""']


class TestHealth:
    ILL = instance("10.0.0.9:89", weight=50, status="critical")

    def test_an_unhealthy_one_has_the_weight_for_those(self) -> None:
        zone = a_zone(unhealthy_weight=3)
        assert sorted(texts(asked("api.company.local", "SRV", TWO, self.ILL, zone=zone))) == [
            "30 SRV 1 3 89 0a000009.addr.company.local.",
            "30 SRV 1 5 82 0a000002.addr.company.local.",
        ]

    def test_addresses_have_no_weight_so_that_the_unhealthy_are_left_out_until_there_are_no_others(self) -> None:
        zone = a_zone(unhealthy_weight=3)
        assert texts(asked("api.company.local", "A", TWO, self.ILL, zone=zone)) == ["30 A 10.0.0.2"]
        assert texts(asked("api.company.local", "A", self.ILL, zone=zone)) == ["30 A 10.0.0.9"]

    def test_where_health_does_not_matter_all_are_alike(self) -> None:
        zone = a_zone(unhealthy_weight=3, health_aware=False)
        assert sorted(texts(asked("api.company.local", "SRV", TWO, self.ILL, zone=zone))) == [
            "30 SRV 1 5 82 0a000002.addr.company.local.",
            "30 SRV 1 50 89 0a000009.addr.company.local.",
        ]
        assert len(texts(asked("api.company.local", "A", TWO, self.ILL, zone=zone))) == 2


class TestRoom:
    MANY = tuple(instance(f"10.1.{n // 250}.{n % 250 + 1}:80", weight=n) for n in range(5000))

    @pytest.mark.parametrize(("kind", "at_least"), [("A", 70), ("SRV", 20)])
    def test_what_does_not_fit_is_a_part_and_says_so(self, kind: str, at_least: int) -> None:
        message = asked("api.company.local", kind, *self.MANY)
        assert message.flags & dns.flags.TC
        assert at_least <= len(texts(message)) <= 100
        assert len(set(texts(message))) == len(texts(message))

    def test_without_extensions_there_is_room_for_512_bytes(self) -> None:
        assert len(texts(asked("api.company.local", "A", *self.MANY, edns=False))) == 29
        assert len(texts(asked("api.company.local", "A", *self.MANY, payload=100))) == 29

    def test_what_just_fits_is_whole(self) -> None:
        for count in range(1, 100):
            message = asked("api.company.local", "A", *self.MANY[:count], edns=False)
            whole = len(texts(message)) == count
            assert bool(message.flags & dns.flags.TC) is not whole
            assert whole is (12 + 19 + 4 + 16 * count <= 512)

    def test_by_tcp_it_is_as_much_as_dns_allows(self) -> None:
        message = asked("api.company.local", "A", *self.MANY, tcp=True)
        assert not message.flags & dns.flags.TC
        assert 4080 <= len(texts(message)) <= 4096
        assert len(texts(asked("api.company.local", "A", *self.MANY[:4000], tcp=True))) == 4000

    def test_addresses_of_servers_are_left_out_first_and_that_is_no_cut(self) -> None:
        message = asked("api.company.local", "SRV", *self.MANY[:20])
        assert not message.flags & dns.flags.TC
        assert len(texts(message)) == 20
        assert 0 < len(message.additional) < 20

    def test_of_many_servers_those_that_a_pointer_reaches_have_their_addresses(self) -> None:
        message = asked("api.company.local", "SRV", *self.MANY[:700], tcp=True)
        (servers,) = message.answer
        places = {f"0a01{n // 250:02x}{n % 250 + 1:02x}": f"10.1.{n // 250}.{n % 250 + 1}" for n in range(700)}
        assert {one.target.labels[0].decode() for one in servers} == set(places)
        assert 300 < len(message.additional) < 400
        for rrset in message.additional:
            assert rrset[0].to_text() == places[rrset.name.labels[0].decode()]

    def test_addresses_of_the_other_kind_take_no_room(self) -> None:
        others = [instance(f"2001:db8::{n:x}:80") for n in range(1, 5000)]
        assert len(texts(asked("api.company.local", "A", *others, *self.MANY[:30], edns=False))) == 29


def test_the_order_is_by_chance() -> None:
    first = {texts(asked("api.company.local", "A", *order))[0] for order in ([ONE, TWO], [TWO, ONE])}
    assert first == {"30 A 10.0.0.1", "30 A 10.0.0.2"}


def test_what_is_not_confirmed_says_so_to_who_understands_it() -> None:
    stale = asked("api.company.local", "A", ONE, stale=True)
    assert texts(stale) == ["30 A 10.0.0.1"]
    assert [option.code for option in stale.options] == [dns.edns.EDECode.STALE_ANSWER]
    assert asked("api.company.local", "A", ONE).options == ()
    assert asked("api.company.local", "A", ONE, stale=True, edns=False).opt is None


def test_flags_are_copied_as_they_must_be() -> None:
    query = dns.message.make_query("api.company.local", "A", want_dnssec=True)
    query.flags |= dns.flags.CD
    refused = dns.message.from_wire(
        refusal(Question.of(query, tcp=False), dns.rcode.REFUSED, why=dns.edns.EDECode.PROHIBITED)
    )
    assert refused.rcode() == dns.rcode.REFUSED
    assert refused.flags & (dns.flags.CD | dns.flags.RD | dns.flags.QR) == dns.flags.CD | dns.flags.RD | dns.flags.QR
    assert refused.ednsflags & dns.flags.DO
    assert [option.code for option in refused.options] == [dns.edns.EDECode.PROHIBITED]


@given(
    places=st.lists(
        st.tuples(
            st.one_of(st.ip_addresses().map(str), st.text(max_size=70), st.just("db.example.org")),
            st.integers(0, 65_535), st.integers(0, 65_535), st.sampled_from(["passing", "critical", "warning"]),
        ),
        max_size=200,
    ),
    kind=st.sampled_from(["A", "AAAA", "SRV", "ANY", "TXT", "SOA", "NS"]),
    labels=st.lists(st.binary(min_size=1, max_size=63), max_size=3),
    payload=st.integers(0, 65_535), edns=st.booleans(), tcp=st.booleans(), weight=st.integers(0, 3),
)  # fmt: skip
def test_every_answer_is_one(
    places: list[tuple[str, int, int, str]], kind: str, labels: list[bytes], payload: int, edns: bool, tcp: bool,
    weight: int,
) -> None:  # fmt: skip
    """Whatever is registered, and whatever is asked: it can be read, it fits, and it is about the question."""
    name = dns.name.Name([*labels, b"company", b"local", b""])
    instances = [instance(f"{a}:{port}", weight=w, status=status) for a, port, w, status in islice(places, 200)]  # type: ignore[arg-type]
    message = asked(
        name.to_text(), kind, *instances, zone=a_zone(unhealthy_weight=weight), edns=edns, payload=payload, tcp=tcp
    )
    for rrset in message.answer:
        assert rrset.name == name
        assert rrset.rdtype in {dns.rdatatype.from_text(kind), dns.rdatatype.CNAME, dns.rdatatype.HINFO}
    assert message.answer or message.authority
