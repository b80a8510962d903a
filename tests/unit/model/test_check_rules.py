"""Health checks that could never be asked, refused where they are made."""

from typing import Any

import msgspec
import pytest

from homeport.errors import InvalidValue
from homeport.model import AliasCheck, GRPCCheck, HTTPCheck, ScriptCheck, TCPCheck, TTLCheck

HTTP = {"url": "http://h/health"}


def refusal(kind: Any, **values: Any) -> str:
    with pytest.raises(InvalidValue) as caught:
        kind(**values)
    return str(caught.value)


@pytest.mark.parametrize("field", ["interval", "timeout"])
@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (0, "is 0 s; it must be above 0"),
        (-1.5, "is -1.5 s; it must be above 0"),
        (float("nan"), "must be a finite number of seconds, 292 years at most"),
        (float("inf"), "must be a finite number of seconds, 292 years at most"),
        (10**400, "must be a finite number of seconds, 292 years at most"),
        (True, "is True; give a number of seconds"),
        (None, "is None; give a number of seconds"),
        ("10s", 'is "10s"; give a number of seconds, in a file or a dictionary also a text such as "10s"'),
    ],
)
def test_a_pace_that_cannot_be_kept(field: str, value: Any, wrong: str) -> None:
    for kind, subject, said in (
        (HTTPCheck, HTTP, 'HTTP check "http://h/health"'),
        (TCPCheck, {"target": "h:1"}, 'TCP check "h:1"'),
        (GRPCCheck, {"target": "h:1/s"}, 'gRPC check "h:1/s"'),
        (ScriptCheck, {"command": ("/bin/check", "--token=x")}, 'script check "/bin/check"'),
    ):
        assert refusal(kind, **subject, **{field: value}) == f"the {field} of the {said} {wrong}"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("localhost/health", 'is "localhost/health"; write http://HOST:PORT/PATH'),
        ("http:///health", 'is "http:///health"; write http://HOST:PORT/PATH'),
        ("http://:8080/", 'is "http://:8080/"; write http://HOST:PORT/PATH'),
        ("ftp://h/", 'is "ftp://h/"; write http://HOST:PORT/PATH'),
        ("http://h/a b", 'is "http://h/a b"; write http://HOST:PORT/PATH'),
        ("http://h/\n", 'is "http://h/ "; write http://HOST:PORT/PATH'),
        ("http://h:0/", 'is "http://h:0/"; the port must lie between 1 and 65535'),
        ("http://h:70000", 'is "http://h:70000"; the port must lie between 1 and 65535'),
        ("http://me:secret@h:0/?token=x", 'is "http://***@h:0/"; the port must lie between 1 and 65535'),
        ("me:secret@h", 'is "***@h"; write http://HOST:PORT/PATH'),
        (7, "is of the type int; give a text"),
    ],
)
def test_a_url_that_leads_nowhere(url: Any, wrong: str) -> None:
    assert refusal(HTTPCheck, url=url) == f"the url of the HTTP check {wrong}"


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("db", 'is "db"; write HOST:PORT'),
        ("db:x", 'is "db:x"; write HOST:PORT'),
        (":80", 'is ":80"; write HOST:PORT'),
        ("db:80/x", 'is "db:80/x"; write HOST:PORT'),
        ("db:0", 'is "db:0"; the port must lie between 1 and 65535'),
        ("db:70000", 'is "db:70000"; the port must lie between 1 and 65535'),
        ("::1:80", 'is "::1:80"; write an IPv6 address in brackets, as in [::1]:80'),
        (None, "is of the type NoneType; give a text"),
    ],
)
def test_a_target_that_nobody_can_be(target: Any, wrong: str) -> None:
    assert refusal(TCPCheck, target=target) == f"the target of the TCP check {wrong}"


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        (GRPCCheck, {"target": "db/users"}, 'the target of the gRPC check is "db/users"; write HOST:PORT/SERVICE or'),
        (GRPCCheck, {"target": "h:1", "tls": 1}, 'the tls of the gRPC check "h:1" is 1; give True or False'),
        (ScriptCheck, {"command": ()}, "the command of the script check is empty; give a command line"),
        (ScriptCheck, {"command": ("",)}, "the command of the script check is empty; give a command line"),
        (ScriptCheck, {"command": "ls -l"}, "the command of the script check must be a list of texts"),
        (ScriptCheck, {"command": ("a", "b\0")}, "the command of the script check has a zero byte in it"),
        (TTLCheck, {"ttl": 0}, "the ttl of the TTL check is 0 s; it must be above 0"),
        (TTLCheck, {"ttl": -1, "name": "beat"}, 'the ttl of the TTL check "beat" is -1 s; it must be above 0'),
        (AliasCheck, {"service": ""}, 'the service of the alias check is ""; give the name of a service'),
        (HTTPCheck, {**HTTP, "id": "up", "method": "GE T"}, "the method of the HTTP check \"up\" is 'GE T'; give a"),
        (HTTPCheck, {**HTTP, "method": ""}, "is ''; give a method such as GET"),
        (HTTPCheck, {**HTTP, "headers": {"A": ("1\r\nB: secret",)}}, 'have a line break in the value of "A"'),
        (HTTPCheck, {**HTTP, "headers": {"A: b": ("1",)}}, "have the name 'A: b', which a header cannot have"),
        (HTTPCheck, {**HTTP, "headers": {"A": "1"}}, 'must give "A" a tuple of texts, as in {"A": ("…",)}'),
        (HTTPCheck, {**HTTP, "headers": "A: 1"}, "must be a mapping of names to texts"),
        (HTTPCheck, {**HTTP, "body": b"x"}, "the body of the HTTP check"),
        (HTTPCheck, {**HTTP, "expected_body": 1}, "is of the type int; give a text"),
        (HTTPCheck, {**HTTP, "expected_status": 99}, "is 99; it must lie between 100 and 599"),
        (HTTPCheck, {**HTTP, "expected_status": "200"}, "is '200'; give a whole number"),
        (HTTPCheck, {**HTTP, "status": "fine"}, "is 'fine'; give passing, warning or critical"),
        (HTTPCheck, {**HTTP, "failures_before_critical": -1}, "is -1; it must not be below 0"),
        (HTTPCheck, {**HTTP, "success_before_passing": 1.5}, "is 1.5; give a whole number"),
        (HTTPCheck, {**HTTP, "deregister_after": -1}, "is -1 s; it must not be below 0"),
        (HTTPCheck, {**HTTP, "deregister_after": float("nan")}, "must be a finite number of seconds"),
    ],
)
def test_a_value_that_cannot_be_right(kind: Any, values: dict[str, Any], text: str) -> None:
    said = refusal(kind, **values)
    assert text in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (HTTPCheck, {"url": "https://[::1]:8443/health?deep=1"}),
        (HTTPCheck, {"url": "http://me:secret@h"}),
        (HTTPCheck, {**HTTP, "interval": 1, "timeout": 5.0, "method": "PROPFIND", "headers": {"A": ("", "b c")}}),
        (TCPCheck, {"target": "[::1]:80", "deregister_after": 0}),
        (GRPCCheck, {"target": "h:1"}),
        (TTLCheck, {"ttl": 0.5}),
    ],
)
def test_what_can_be_asked_is_kept_as_it_is(kind: Any, values: dict[str, Any]) -> None:
    check = kind(**values)
    assert {name: getattr(check, name) for name in values} == values


def test_a_change_is_looked_at_too() -> None:
    with pytest.raises(InvalidValue, match="it must be above 0"):
        msgspec.structs.replace(TTLCheck(), ttl=0.0)
