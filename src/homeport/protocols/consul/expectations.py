"""What an HTTP check expects beyond a good status: two fields that only this registry knows. Pure.

A check of a registration may carry ``ExpectedStatus`` (the one status that passes) and ``ExpectedBody`` (a text that
the answer's body must contain). Consul refuses unknown fields, so they are taken out of a body before it is read as
Consul reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from homeport.registry.records import CheckDefinition, CheckRecord
from homeport.wire.http import HTTPError

_STATUS, _BODY = "expectedstatus", "expectedbody"
_MARK = b"expected"


class Expectation(msgspec.Struct, frozen=True):
    """The status and the part of the body that are expected; 0 and "" expect nothing in particular."""

    status: int = 0
    body: str = ""


class Expectations(msgspec.Struct, frozen=True):
    """The expectations of a registration: of the check that stands alone, and of each in its list."""

    alone: Expectation = Expectation()
    listed: tuple[Expectation, ...] = ()


def taken_out_of_service(body: bytes) -> tuple[bytes, Expectations]:
    """A body of ``agent/service/register`` without the two fields in its checks, and what they said.

    A body without them, or one that is no JSON, is returned as it is. Raises `HTTPError` with 400 for a value that
    cannot be expected.
    """
    value = _decoded(body)
    outer = _member(value, "service")
    inner = outer if isinstance(outer, dict) else value
    listed = _member(inner, "checks")
    found = Expectations(
        _taken(_member(inner, "check")),
        tuple(_taken(check) for check in listed) if isinstance(listed, list) else (),
    )
    return _encoded(value, body), found


def taken_out_of_check(body: bytes) -> tuple[bytes, Expectations]:
    """As `taken_out_of_service`, for a body of ``agent/check/register``, which is one check."""
    value = _decoded(body)
    found = Expectations(_taken(value))
    return _encoded(value, body), found


def expecting(checks: Sequence[CheckRecord], expectations: Expectations) -> list[CheckRecord]:
    """The checks of a service, in the order of the rules (the one that stands alone first), with what they expect."""
    listed = expectations.listed
    if not listed and expectations.alone == Expectation():
        return list(checks)
    # An empty check that stands alone is none, so the list is counted from its end.
    first = len(checks) - len(listed)
    given = (*(expectations.alone,) * first, *listed)
    return [_with(check, expectation) for check, expectation in zip(checks, given, strict=True)]


def _decoded(body: bytes) -> Any:
    """The body, if it may hold one of the fields and is JSON; else None: its reader has the words for what is wrong."""
    if _MARK not in body.lower():
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _encoded(value: Any, body: bytes) -> bytes:
    return body if value is None else msgspec.json.encode(value)


def _taken(check: Any) -> Expectation:
    """Take the two fields out of one check."""
    status, body = 0, ""
    for name in [name for name in check if name.casefold() in (_STATUS, _BODY)] if isinstance(check, dict) else ():
        value = check.pop(name)
        if value is None:
            continue
        if name.casefold() == _STATUS:
            status = _status(value)
        elif isinstance(value, str):
            body = value
        else:
            raise HTTPError(400, "ExpectedBody must be a text")
    return Expectation(status, body)


def _status(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and (value == 0 or 100 <= value <= 599):
        return value
    raise HTTPError(400, "ExpectedStatus must be a number from 100 to 599")


def _with(check: CheckRecord, expectation: Expectation) -> CheckRecord:
    if expectation == Expectation():
        return check
    definition = check.definition or CheckDefinition()
    if definition.kind != "http":
        raise HTTPError(
            400, f'the check "{check.id}" is no HTTP check: only these have ExpectedStatus and ExpectedBody'
        )
    definition = msgspec.structs.replace(definition, expected_status=expectation.status, expected_body=expectation.body)
    return msgspec.structs.replace(check, definition=definition)


def _member(value: Any, wanted: str) -> Any:
    """A member of an object by its name in any case; None when there is none."""
    if not isinstance(value, dict):
        return None
    return next((member for name, member in value.items() if name.casefold() == wanted), None)
