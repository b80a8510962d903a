"""Plain questions: read without the parser exactly as the parser reads them."""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
from hypothesis import example, given
from hypothesis import strategies as st

from homeport.protocols.dns.plain import plain, question_of, readdressed
from homeport.protocols.dns.question import Question

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=5).filter(lambda labels: sum(map(len, labels)) < 240)


def question(
    labels: list[bytes], kind: int, number: int, *, recurse: bool, unchecked: bool, payload: int | None, signed: bool
) -> dns.message.QueryMessage:
    name = dns.name.Name([*labels, b""])
    query = dns.message.make_query(
        name, dns.rdatatype.RdataType.make(kind), use_edns=-1 if payload is None else 0, payload=payload or 0,
        want_dnssec=signed and payload is not None,
    )  # fmt: skip
    query.id = number
    query.flags = (dns.flags.RD if recurse else 0) | (dns.flags.CD if unchecked else 0)
    return query


QUESTIONS = st.builds(
    question, LABELS, st.sampled_from([1, 28, 33, 6, 2, 16, 255]), st.integers(0, 65_535), recurse=st.booleans(),
    unchecked=st.booleans(), payload=st.one_of(st.none(), st.integers(0, 65_535)), signed=st.booleans(),
)  # fmt: skip


@given(query=QUESTIONS, number=st.integers(0, 65_535), tcp=st.booleans(), recurse=st.booleans(), upper=st.booleans())
def test_the_answer_to_one_is_the_answer_to_all_that_are_alike(
    query: dns.message.QueryMessage, number: int, tcp: bool, recurse: bool, upper: bool
) -> None:
    wire = query.to_wire()
    read = plain(wire, tcp=tcp)
    assert read is not None
    assert question_of(wire, read, tcp=tcp) == Question.of(query, tcp=tcp)
    other = dns.message.from_wire(wire)
    other.id = number
    other.flags ^= dns.flags.RD if recurse else 0
    name = dns.name.Name([label.upper() if upper else label.lower() for label in query.question[0].name.labels])
    other.question = [type(query.question[0])(name, query.question[0].rdclass, query.question[0].rdtype)]
    alike = plain(other.to_wire(), tcp=tcp)
    assert alike is not None
    assert alike.key == read.key
    response = dns.message.make_response(query, our_payload=1232, pad=0)
    made = dns.message.from_wire(readdressed(response.to_wire(), other.to_wire(), alike.end))
    assert isinstance(other, dns.message.QueryMessage)
    assert other.is_response(made)
    assert made.question[0].name.labels == name.labels  # letter for letter
    assert made.flags & (dns.flags.RD | dns.flags.CD) == other.flags & (dns.flags.RD | dns.flags.CD)


@given(one=QUESTIONS, two=QUESTIONS)
def test_what_differs_in_name_kind_or_room_is_not_alike(
    one: dns.message.QueryMessage, two: dns.message.QueryMessage
) -> None:
    first, second = plain(one.to_wire(), tcp=False), plain(two.to_wire(), tcp=False)
    assert first is not None
    assert second is not None
    room = [max(512, min(query.payload, 1232)) if query.edns >= 0 else None for query in (one, two)]
    same = (
        one.question[0].name == two.question[0].name
        and one.question[0].rdtype == two.question[0].rdtype
        and room[0] == room[1]
        and one.ednsflags == two.ednsflags
    )
    assert (first.key == second.key) is same
    by_tcp = plain(one.to_wire(), tcp=True)
    assert by_tcp is not None
    assert by_tcp.key != first.key


@given(
    query=QUESTIONS,
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 3),
    more=st.binary(max_size=3),
)
@example(
    query=question([b"a"], 1, 1, recurse=True, unchecked=False, payload=None, signed=False),
    changes=[(5, 2)],
    cut=0,
    more=b"",
)
def test_what_the_parser_would_not_take_for_a_plain_question_is_none(
    query: dns.message.QueryMessage, changes: list[tuple[int, int]], cut: int, more: bytes
) -> None:
    data = bytearray(query.to_wire())
    for place, value in changes:
        data[place % len(data)] = value
    wire = bytes(data[: len(data) - cut]) + more
    read = plain(wire, tcp=False)
    if read is None:
        return
    message = dns.message.from_wire(wire)
    assert not message.flags & (dns.flags.QR | dns.flags.AA | dns.flags.TC | dns.flags.RA)
    assert (message.opcode(), message.rcode(), len(message.question)) == (0, 0, 1)
    assert not message.answer
    assert not message.authority
    assert not message.additional
    assert message.edns in (-1, 0)
    assert message.tsig is None
    assert question_of(wire, read, tcp=False) == Question.of(message, tcp=False)


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes(data: bytes, tcp: bool) -> None:
    read = plain(data, tcp=tcp)
    assert read is None or 17 <= read.end <= len(data)
