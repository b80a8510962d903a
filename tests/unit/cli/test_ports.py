"""Lists of ports."""

import pytest

from homeport.cli.exits import Misuse
from homeport.cli.ports import MOST_PORTS, ports_of, usually


def test_single_ones_and_ranges_in_their_order() -> None:
    assert ports_of("8302, 8300-8301,8300,1", option="--test-ports") == (8302, 8300, 8301, 1)
    assert len(ports_of(f"1-{MOST_PORTS}", option="--test-ports")) == MOST_PORTS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no port"), (",", "has no port"), ("x", 'has "x"; write ports between'), ("0", 'has "0"'),
        ("65536", 'has "65536"'), ("5-1", "write the smaller port first"), ("1-", 'has "1-"'), ("-1", 'has "-1"'),
        ("1-2-3", 'has "1-2-3"'), (f"1-{MOST_PORTS + 1}", f"more than {MOST_PORTS} ports"), ("1-60000,1", "more than"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "write ports between"),
    ],
)  # fmt: skip
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        ports_of(text, option="--test-ports")


def test_what_usually_lives_there() -> None:
    assert usually(8761) == "Eureka"
    assert usually(1) == ""
