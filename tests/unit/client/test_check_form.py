"""Health checks as people write them."""

from typing import Any

import pytest

from homeport.client.check_form import health_check
from homeport.errors import InvalidValue
from homeport.model import AliasCheck, Check, GRPCCheck, HealthCheck, HTTPCheck, ScriptCheck, TCPCheck, TTLCheck


@pytest.mark.parametrize(
    ("form", "check"),
    [
        (
            {"http": "http://10.0.1.100:8080/health", "interval": "10s", "timeout": "5s"},
            HTTPCheck(url="http://10.0.1.100:8080/health", interval=10.0, timeout=5.0),
        ),
        (
            {"http": "http://x", "headers": {"A": "1", "B": ["2", "3"]}, "expected_status": 204, "name": "n"},
            HTTPCheck(url="http://x", headers={"A": ("1",), "B": ("2", "3")}, expected_status=204, name="n"),
        ),
        ({"tcp": "h:1", "interval": 2.5}, TCPCheck(target="h:1", interval=2.5)),
        ({"tcp": "h:1", "deregister_after": "1m30s"}, TCPCheck(target="h:1", deregister_after=90.0)),
        ({"tcp": "h:1", "deregister_after": None}, TCPCheck(target="h:1")),
        ({"tcp": "h:1", "deregister_critical_service_after": "90s"}, TCPCheck(target="h:1", deregister_after=90.0)),
        (
            {"http": "http://x", "headers": {"A": 1, "B": [2]}},
            HTTPCheck(url="http://x", headers={"A": ("1",), "B": ("2",)}),
        ),
        ({"http": "http://x", "header": {"A": ["1"]}}, HTTPCheck(url="http://x", headers={"A": ("1",)})),
        ({"grpc": "h:1/service", "tls": True}, GRPCCheck(target="h:1/service", tls=True)),
        ({"script": "/bin/check --now 'a b'"}, ScriptCheck(command=("/bin/check", "--now", "a b"))),
        ({"script": ["/bin/check", "x"]}, ScriptCheck(command=("/bin/check", "x"))),
        ({"script": "#!/bin/sh\nexit 0\n"}, ScriptCheck(command=("/bin/sh", "-c", "#!/bin/sh\nexit 0\n"))),
        ({"ttl": "30s"}, TTLCheck(ttl=30.0)),
        ({"alias": "other"}, AliasCheck(service="other")),
        (TTLCheck(ttl=1.0), TTLCheck(ttl=1.0)),
    ],
)
def test_a_form_means_a_check(form: Any, check: HealthCheck) -> None:
    assert health_check(form) == check


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({}, "a health check says not what to check; give one of http, tcp, grpc, script, ttl, alias"),
        ({"http": "x", "tcp": "y"}, "a health check has http and tcp; give one of http, tcp"),
        ({"http": "x", "intervall": "1s"}, 'a health check by http has no "intervall"; did you mean interval?'),
        ({"tcp": "x", "method": "GET"}, 'a health check by tcp has no "method"'),
        (
            {"http": "http://x", "name": "web", "interval": "10"},
            'the interval of the HTTP check "web" is "10"; give a number of seconds, in a file or a dictionary also',
        ),
        ({"script": "echo 'a"}, "is no command line: no closing quotation"),
        ({"script": " "}, "the command of the script check is empty; give a command line"),
        ({"http": "http://x", "headers": {"A": None}}, 'must give "A" a tuple of texts'),
        (Check(), "is no health check; give an HTTPCheck"),
    ],
)
def test_a_form_that_cannot_be_right_is_refused(form: Any, text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        health_check(form)
    assert text in str(caught.value)


_NAMES_IN_FORMS = {"url": "http", "target": "tcp", "command": "script", "service": "alias"}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (HTTPCheck, {"url": "localhost/health"}),
        (HTTPCheck, {"url": "http://x", "interval": 0}),
        (HTTPCheck, {"url": "http://x", "method": "GE T"}),
        (HTTPCheck, {"url": "http://x", "headers": {"A": ["1\r\nB: 2"]}}),
        (HTTPCheck, {"url": "http://x", "expected_status": "200"}),
        (TCPCheck, {"target": "db"}),
        (ScriptCheck, {"command": [1]}),
        (TTLCheck, {"ttl": 0}),
        (AliasCheck, {"service": 7}),
    ],
)
def test_what_is_wrong_is_said_alike_of_a_form_and_of_an_object(kind: Any, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as of_object:
        kind(**values)
    with pytest.raises(InvalidValue) as of_form:
        health_check({_NAMES_IN_FORMS.get(field, field): value for field, value in values.items()})
    assert str(of_form.value) == str(of_object.value)
