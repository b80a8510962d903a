"""Durations as Go writes and reads them; the expected texts were printed by Go itself."""

import contextlib
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from homeport.wire.durations import (
    DurationError,
    format_duration,
    format_nanoseconds,
    parse_duration,
    parse_nanoseconds,
    to_nanoseconds,
    to_seconds,
)

INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("1h2m3.5s", 3723.5),
        ("250ms", 0.25),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("+2m", 120.0),
        ("-3s", -3.0),
        ("0", 0.0),
        ("-0", 0.0),
        ("1.5h", 5400.0),
        ("1us2ms", 0.002001),
        ("1h1h", 7200.0),
    ],
)
def test_a_text_stands_for_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1\u00b5s", 1_000),
        ("1\u03bcs", 1_000),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
        ("0.000000000001h", 3),
        ("0.3ns", 0),
        ("00000000000000000000001s", 10**9),
        ("0.100000000000000000000h", 360_000_000_000),
    ],
)
def test_nothing_is_lost_between_text_and_nanoseconds(text: str, nanoseconds: int) -> None:
    assert parse_nanoseconds(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", 'time: missing unit in duration "10"'),
        ("1.", 'time: missing unit in duration "1."'),
        ("x", 'time: invalid duration "x"'),
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1h-2m", 'time: unknown unit "h-" in duration "1h-2m"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ('1"s', 'time: unknown unit "\\"s" in duration "1\\"s"'),
        ("\n", 'time: invalid duration "\\x0a"'),
        ("\u0661s", 'time: invalid duration "\\xd9\\xa1s"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("-9223372036854775809ns", 'time: invalid duration "-9223372036854775809ns"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("99999999999999999999x", 'time: invalid duration "99999999999999999999x"'),
    ],
)
def test_what_go_refuses_is_refused_in_its_words(text: str, message: str) -> None:
    with pytest.raises(DurationError) as refused:
        parse_nanoseconds(text)
    assert str(refused.value) == message


def test_a_very_long_number_is_refused_and_not_computed() -> None:
    with pytest.raises(DurationError, match="invalid duration"):
        parse_nanoseconds("9" * 1_000_000 + "s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (10.0, "10s"),
        (60.0, "1m0s"),
        (3600.0, "1h0m0s"),
        (1.5, "1.5s"),
        (0.25, "250ms"),
        (0.0000015, "1.5\u00b5s"),
        (0.000000007, "7ns"),
        (-90.0, "-1m30s"),
        (3723.5, "1h2m3.5s"),
        (0.1 + 0.2, "300ms"),
        (86_400.0 * 365, "8760h0m0s"),
    ],
)
def test_seconds_have_the_text_that_go_gives_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(INT64)
@example(-(2**63))
@example(2**63 - 1)
def test_every_duration_survives_its_text(nanoseconds: int) -> None:
    assert parse_nanoseconds(format_nanoseconds(nanoseconds)) == nanoseconds


@given(INT64)
def test_a_text_has_one_form_only(nanoseconds: int) -> None:
    text = format_nanoseconds(nanoseconds)
    assert format_nanoseconds(parse_nanoseconds(text)) == text
    assert text.endswith("s")


@given(st.floats(min_value=-1e9, max_value=1e9, allow_nan=False))
def test_seconds_survive_to_the_nanosecond(seconds: float) -> None:
    assert math.isclose(to_seconds(to_nanoseconds(seconds)), seconds, rel_tol=0, abs_tol=0.6e-9 + abs(seconds) * 3e-16)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_duration_error(text: str) -> None:
    with contextlib.suppress(DurationError):
        assert -(2**63) <= parse_nanoseconds(text) < 2**63
