"""Texts of options."""

import pytest

from homeport.cli.check_texts import health_check
from homeport.cli.exits import Misuse
from homeport.cli.options import as_help, duration, examples, pairs, separated
from homeport.model import GRPCCheck, HTTPCheck, TCPCheck

COMMON = {"name": "", "interval": 7.0, "timeout": 2.0, "deregister_after": None}


def test_pairs() -> None:
    assert pairs(["a=1", "b=x=y", "c="], option="--meta") == {"a": "1", "b": "x=y", "c": ""}
    assert pairs(None, option="--meta") == {}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a"], '--meta is "a"; write KEY=VALUE'),
        (["=1"], '--meta is "=1"; write KEY=VALUE'),
        (["a=1", "a=2"], "--meta gives a twice"),
    ],
)
def test_pairs_that_cannot_be_right(texts: list[str], message: str) -> None:
    with pytest.raises(Misuse) as caught:
        pairs(texts, option="--meta")
    assert str(caught.value) == message


def test_tags_come_from_a_list_and_from_repetition_none_twice() -> None:
    assert separated("a, b,,a", ["c", "b"]) == ("a", "b", "c")
    assert separated(None) == ()


def test_a_duration_that_cannot_be_read_names_its_option() -> None:
    assert duration("1m", option="--ttl") == 60.0
    with pytest.raises(Misuse, match=r'^--ttl: "soon" is not a duration; write for example 10s'):
        duration("soon", option="--ttl")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h:1/x", HTTPCheck(url="http://h:1/x", interval=7.0, timeout=2.0)),
        ("https://h/x", HTTPCheck(url="https://h/x", interval=7.0, timeout=2.0)),
        ("/health", HTTPCheck(url="http://10.0.0.1:80/health", interval=7.0, timeout=2.0)),
        ("tcp", TCPCheck(target="10.0.0.1:80", interval=7.0, timeout=2.0)),
        ("tcp://h:1", TCPCheck(target="h:1", interval=7.0, timeout=2.0)),
        ("grpc://h:1/s", GRPCCheck(target="h:1/s", interval=7.0, timeout=2.0)),
    ],
)
def test_checks_in_one_word(text: str, expected: object) -> None:
    assert health_check(text, host="10.0.0.1", port=80, common=COMMON) == expected


def test_an_ipv6_address_gets_its_brackets() -> None:
    assert health_check("/x", host="::1", port=80, common=COMMON) == HTTPCheck(
        url="http://[::1]:80/x", interval=7.0, timeout=2.0
    )


@pytest.mark.parametrize("text", ["", "ftp://h", "http://", "health", "tcp://", "h:80"])
def test_other_words_are_no_check(text: str) -> None:
    with pytest.raises(Misuse, match=r"; give http://"):
        health_check(text, host="h", port=80, common=COMMON)


@pytest.mark.parametrize("text", ["/x", "tcp"])
def test_a_check_of_the_own_port_needs_one(text: str) -> None:
    with pytest.raises(Misuse, match="give --port too"):
        health_check(text, host="h", port=0, common=COMMON)


def test_help_texts() -> None:
    assert examples("list", "find x") == "$ homeport list\n\n$ homeport find x"
    assert as_help("a[/B]") == "a\\[/B]"
