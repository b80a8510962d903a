"""Numbers and truth values as Go reads them; the expected results were printed by Go itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul.go_numbers import NumberError, parse_bool, parse_int, parse_uint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("80", 80),
        ("-1", -1),
        ("+1", 1),
        ("0", 0),
        ("00", 0),
        ("0x50", 80),
        ("0X5_0", 80),
        ("0b101", 5),
        ("0o17", 15),
        ("017", 15),
        ("0_17", 15),
        ("1_000", 1000),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_an_int_has_many_notations(text: str, value: int) -> None:
    assert parse_int(text) == value


@pytest.mark.parametrize("text", ["", "x", "1.0", "1e3", "08", "1__0", "_1", "1_", "0x", "0b2", " 1", "--1", "\u0661"])
def test_what_is_no_int_is_refused(text: str) -> None:
    with pytest.raises(NumberError, match=r'^strconv\.ParseInt: parsing ".*": invalid syntax$'):
        parse_int(text)


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809", "1" * 100_000])
def test_an_int_has_sixty_four_bits(text: str) -> None:
    with pytest.raises(NumberError, match=r"value out of range$"):
        parse_int(text)


def test_an_unsigned_number_has_no_sign_and_its_own_size() -> None:
    assert parse_uint("255", bits=8) == 255
    with pytest.raises(NumberError, match=r'^strconv\.ParseUint: parsing "256": value out of range$'):
        parse_uint("256", bits=8)
    with pytest.raises(NumberError, match=r'^strconv\.ParseUint: parsing "-1": invalid syntax$'):
        parse_uint("-1", bits=8)


def test_truth_has_six_spellings_each() -> None:
    assert all(parse_bool(text) for text in ("1", "t", "T", "TRUE", "true", "True"))
    assert not any(parse_bool(text) for text in ("0", "f", "F", "FALSE", "false", "False"))
    for text in ("", "yes", "tRUE", "2"):
        with pytest.raises(NumberError) as refused:
            parse_bool(text)
        assert str(refused.value) == f'strconv.ParseBool: parsing "{text}": invalid syntax'


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["d", "#x", "#b", "#o", "_d"]))
def test_every_notation_of_a_number_is_that_number(value: int, notation: str) -> None:
    assert parse_int(format(value, notation)) == value
