"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import InvalidValue
from homeport.settings import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10s", 10.0), ("1m30s", 90.0), ("500ms", 0.5), ("24h", 86400.0), ("7d", 604800.0),
        ("1.5h", 5400.0), ("15", 15.0), ("0", 0.0), ("0.25", 0.25), (" 3s ", 3.0),
    ],
)  # fmt: skip
def test_durations_are_read(text: str, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "s", "ten", "-1s", "10 s", "1s5", "10x", "1e3", "nan", "inf", "\u0661s", "1,5s"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        seconds(text)
    assert str(caught.value) == (
        f'"{text}" is not a duration; write for example 10s, 1m30s, 24h, or a number of seconds'
    )


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_units_add_up(hours: int, minutes: int, whole: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{whole}s{milliseconds}ms"
    assert seconds(text) == pytest.approx(hours * 3600 + minutes * 60 + whole + milliseconds / 1000)
