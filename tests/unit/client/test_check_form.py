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
        ({"http": "x", "interval": "10"}, 'the interval of a health check is "10"; write for example "10s"'),
        ({"http": "x", "interval": True}, "the interval of a health check is True; give a number of seconds"),
        ({"http": 7}, "the http of a health check must be a text"),
        ({"http": "localhost/health"}, 'the http of a health check is "localhost/health"; write http://HOST:PORT/PATH'),
        ({"http": "http:///health"}, 'the http of a health check is "http:///health"; write http://HOST:PORT/PATH'),
        ({"tcp": "db"}, 'the tcp of a health check is "db"; write HOST:PORT'),
        ({"tcp": "db:x"}, 'the tcp of a health check is "db:x"; write HOST:PORT'),
        ({"tcp": ":80"}, 'the tcp of a health check is ":80"; write HOST:PORT'),
        ({"grpc": "db/users"}, 'the grpc of a health check is "db/users"; write HOST:PORT/SERVICE or HOST:PORT'),
        ({"script": " "}, "the script of a health check is empty; give a command line"),
        ({"script": "echo 'a"}, "is no command line: no closing quotation"),
        ({"http": "http://x", "interval": 0}, "the interval of a health check is 0 s; it must be above 0"),
        ({"tcp": "h:1", "timeout": "0s"}, "the timeout of a health check is 0 s; it must be above 0"),
        ({"ttl": 0}, "the ttl of a health check is 0 s; it must be above 0"),
        ({"script": [1]}, "must be a command line or a list of texts"),
        (
            {"http": "x", "expected_status": "200"},
            "the expected_status of a health check is '200': Expected `int | null`",
        ),
        ({"http": "x", "status": "fine"}, "the status of a health check is 'fine': Invalid enum value"),
        (Check(), "is no health check; give an HTTPCheck"),
        ({"http": "x", "headers": "A: 1"}, "the headers of a health check must be a mapping"),
    ],
)
def test_a_form_that_cannot_be_right_is_refused(form: Any, text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        health_check(form)
    assert text in str(caught.value)
