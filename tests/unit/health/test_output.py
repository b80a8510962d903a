"""Bounds of outputs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.health.output import Tail, head


def test_a_long_text_keeps_its_beginning_and_says_so() -> None:
    assert head("x" * 5000, 4096) == "x" * 4096 + " ... (captured 4096 of 5000 bytes)"


def test_a_short_text_stays() -> None:
    assert head("x" * 4096, 4096) == "x" * 4096


def test_a_letter_is_not_cut_in_half() -> None:
    assert head("ä" * 5, 3) == "ä ... (captured 3 of 10 bytes)"


@given(st.text(), st.integers(1, 50))
def test_what_is_kept_of_a_text_is_its_beginning(text: str, most: int) -> None:
    kept, _, note = head(text, most).partition(" ... (captured ")
    assert text.startswith(kept) or not note
    assert len(kept.encode("utf-8", "replace")) <= most or not note


@given(st.lists(st.binary(max_size=40)), st.integers(1, 30))
def test_a_tail_is_the_end_of_all_parts(parts: list[bytes], most: int) -> None:
    tail = Tail(most)
    for part in parts:
        tail.add(part)
    whole = b"".join(parts)
    assert tail.total_bytes == len(whole)
    assert tail.text() == whole[-most:].decode("utf-8", "replace")
    if len(whole) > most:
        assert tail.captured() == f"Captured {most} of {len(whole)} bytes\n...\n{tail.text()}"
    else:
        assert tail.captured() == tail.text()
