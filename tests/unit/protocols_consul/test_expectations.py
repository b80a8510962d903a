"""The two fields of a check that only this registry knows."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul.expectations import (
    Expectation,
    Expectations,
    expecting,
    taken_out_of_check,
    taken_out_of_service,
)
from homeport.registry.records import CheckDefinition, CheckRecord
from homeport.wire.http import HTTPError

HTTP = CheckRecord(node="n", id="http", definition=CheckDefinition(kind="http"))
TTL = CheckRecord(node="n", id="ttl", definition=CheckDefinition(kind="ttl"))
STATUS, BODY = Expectation(status=204), Expectation(body="ok")

BODIES: dict[str, tuple[Any, Any, Expectations]] = {
    "alone": ({"Check": {"ExpectedBody": "ok"}}, {"Check": {}}, Expectations(BODY)),
    "listed": (
        {"Checks": [{"TTL": "1s"}, {"ExpectedStatus": 204}]},
        {"Checks": [{"TTL": "1s"}, {}]},
        Expectations(Expectation(), (Expectation(), STATUS)),
    ),
    "both": (
        {"Check": {"ExpectedStatus": 204}, "Checks": [{"ExpectedBody": "ok"}]},
        {"Check": {}, "Checks": [{}]},
        Expectations(STATUS, (BODY,)),
    ),
    "any case": ({"check": {"expectedSTATUS": 204}}, {"check": {}}, Expectations(STATUS)),
    "wrapped": (
        {"service": {"checks": [{"ExpectedBody": "ok"}]}},
        {"service": {"checks": [{}]}},
        Expectations(Expectation(), (BODY,)),
    ),
    "of the service": ({"ExpectedStatus": 204}, {"ExpectedStatus": 204}, Expectations()),
    "null": ({"Check": {"ExpectedStatus": None}}, {"Check": {}}, Expectations()),
}


@pytest.mark.parametrize(("body", "plain", "found"), BODIES.values(), ids=BODIES.keys())
def test_they_are_taken_out(body: Any, plain: Any, found: Expectations) -> None:
    rest, expectations = taken_out_of_service(msgspec.json.encode(body))
    assert (msgspec.json.decode(rest), expectations) == (plain, found)


def test_they_are_taken_out_of_a_check() -> None:
    rest, expectations = taken_out_of_check(b'{"HTTP":"x","ExpectedStatus":204}')
    assert (msgspec.json.decode(rest), expectations) == ({"HTTP": "x"}, Expectations(STATUS))


@pytest.mark.parametrize("body", [b"", b"{", b"expected", b'{"Name":"x"}', b'{"Checks":5}', b"[]"])
def test_any_other_body_stays_as_it_is(body: bytes) -> None:
    assert taken_out_of_service(body) == taken_out_of_check(body) == (body, Expectations())


@given(st.binary())
def test_no_body_is_too_odd(body: bytes) -> None:
    body += b"expected"
    assert taken_out_of_service(body) == taken_out_of_check(body) == (body, Expectations())


REFUSED = {
    "text": ({"ExpectedStatus": "204"}, "ExpectedStatus must be a number from 100 to 599"),
    "switch": ({"ExpectedStatus": True}, "ExpectedStatus must be a number from 100 to 599"),
    "small": ({"ExpectedStatus": 99}, "ExpectedStatus must be a number from 100 to 599"),
    "large": ({"ExpectedStatus": 600}, "ExpectedStatus must be a number from 100 to 599"),
    "number": ({"ExpectedBody": 5}, "ExpectedBody must be a text"),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_expected_is_refused(body: Any, message: str) -> None:
    with pytest.raises(HTTPError) as refused:
        taken_out_of_check(msgspec.json.encode(body))
    assert (refused.value.status, refused.value.message) == (400, message)


def expected(checks: list[CheckRecord]) -> list[tuple[int, str]]:
    return [(check.definition.expected_status, check.definition.expected_body) for check in checks if check.definition]


def test_each_check_gets_its_own() -> None:
    assert expected(expecting([HTTP, TTL, HTTP], Expectations(STATUS, (Expectation(), BODY)))) == [
        (204, ""),
        (0, ""),
        (0, "ok"),
    ]
    # An empty check that stands alone is none.
    assert expected(expecting([TTL, HTTP], Expectations(Expectation(), (Expectation(), BODY)))) == [(0, ""), (0, "ok")]
    assert expected(expecting([HTTP], Expectations(BODY))) == [(0, "ok")]
    assert expecting([TTL, HTTP], Expectations()) == [TTL, HTTP]


def test_only_http_checks_have_them() -> None:
    with pytest.raises(HTTPError, match='the check "ttl" is no HTTP check'):
        expecting([TTL], Expectations(STATUS))
