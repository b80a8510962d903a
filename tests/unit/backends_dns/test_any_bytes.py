"""Whatever bytes come: an answer, an error of Homeport, or nothing at all."""

import asyncio
from contextlib import suppress

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.dns import answers, mapping
from homeport.backends.dns.exchange import Answering
from homeport.errors import InvalidAnswer

QUERY = dns.message.make_query("billing.test", "SRV", id=7, use_edns=0)


def sound() -> bytes:
    """A proper answer with everything that is read of one."""
    message = dns.message.make_response(QUERY)
    for section, name, kind, data in [
        (message.answer, "billing.test.", "CNAME", "b.test."),
        (message.answer, "b.test.", "SRV", "0 1 80 h.test."),
        (message.authority, "test.", "SOA", "ns.test. admin.test. 1 2 3 4 5"),
        (message.additional, "h.test.", "A", "10.0.0.1"),
        (message.additional, "h.test.", "AAAA", "fd00::1"),
    ]:
        section.append(dns.rrset.from_text(name, 1, "IN", kind, data))
    return message.to_wire()


def take(data: bytes) -> list[int] | None:
    """The ports in an answer, None when it was passed over or has to be asked for by TCP."""

    async def taken() -> dns.message.Message | None:
        answering = Answering(QUERY)
        answering.datagram_received(data, None)
        return await answering.answer if answering.answer.done() else None

    message = asyncio.run(taken())
    if message is None:
        return None
    answer = answers.read(message, backend="")
    answers.additional_addresses(message)
    return [record.port for group in mapping.by_priority(answer.records or ()) for record in group]


def test_the_sound_answer_is_taken() -> None:
    assert take(sound()) == [80]


@given(st.lists(st.tuples(st.integers(0, len(sound()) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 20))
def test_what_was_changed_on_the_way(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(sound())
    for place, value in changes:
        data[place] = value
    with suppress(InvalidAnswer):  # nothing else
        take(bytes(data[: len(data) - cut]))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x07" + b"\xff" * 30])
def test_noise_is_passed_over(data: bytes) -> None:
    assert take(data) is None
