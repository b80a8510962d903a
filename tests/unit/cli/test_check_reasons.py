"""Why a check is as it is, from what Consul's agent and our registry print."""

import pytest

from homeport.cli.check_reasons import reason_of, target_of
from homeport.model import CheckState, Status

URL = "http://10.0.0.1:80/health"


def check(output: str, kind: str = "http", status: Status = "critical") -> CheckState:
    return CheckState(id="c", status=status, output=output, kind=kind)


@pytest.mark.parametrize(
    ("output", "target"),
    [
        (f"HTTP GET {URL}: 200 OK Output: fine", URL),
        (f"HTTP HEAD {URL}: connection refused", URL),
        (f'Get "{URL}": dial tcp 10.0.0.1:80: connect: connection refused', URL),
        (f"Get {URL}: dial tcp 10.0.0.1:80: connect: connection refused", URL),
        ("TCP connect 10.0.0.1:80: Success", "10.0.0.1:80"),
        ("TCP connect [::1]:80: connection refused", "[::1]:80"),
        ("dial tcp 10.0.0.1:80: connect: connection refused", "10.0.0.1:80"),
        ("gRPC check 10.0.0.1:80/shop: success", "10.0.0.1:80/shop"),
        ("whatever a script prints: http", ""),
        ("", ""),
    ],
)
def test_what_it_asks(output: str, target: str) -> None:
    assert target_of(check(output)) == target


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (f'Get "{URL}": dial tcp 10.0.0.1:80: connect: connection refused', f"nothing listens at {URL}"),
        ("gRPC check h:1: UNAVAILABLE: last error: Connection refused", "nothing listens at h:1"),
        ("TCP connect db:1: the name cannot be looked up: unknown", "cannot resolve the name in db:1"),
        ("dial tcp: lookup db: no such host", "cannot resolve the name in its target"),
        ("dial tcp 10.0.0.1:80: connect: no route to host", "has no route to 10.0.0.1:80"),
        (f"HTTP GET {URL}: timed out after 5s", f"{URL} does not answer in time"),
        (f'Get "{URL}": context deadline exceeded (Client.Timeout exceeded)', "does not answer in time"),
        (f'Get "{URL}": x509: certificate signed by unknown authority', "does not accept the certificate"),
        (f"HTTP GET {URL}: TLS failed: wrong version number", "does it speak TLS?"),
        (f"HTTP GET {URL}: connection reset by peer", "closes the connection without an answer"),
        (f"HTTP GET {URL}: 404 Not Found Output: connection refused", "has no such path"),
        (f"HTTP GET {URL}: 401 Unauthorized Output: ", "wants credentials"),
        (f"HTTP GET {URL}: 503 Service Unavailable Output: ", "it cannot work now"),
        (f"HTTP GET {URL}: 500 Internal Server Error Output: timed out", f"{URL} fails (500)"),
        (f"HTTP GET {URL}: 302 Found Output: ", "sends elsewhere (302)"),
        (f"HTTP GET {URL}: 418 I'm a teapot Output: ", "answers 418"),
        (f"HTTP GET {URL}: 200 OK (the body does not contain 'ok') Output: no", "does not contain the text"),
        ("gRPC check h:1/shop: NOT_SERVING", "says of itself that it does not serve"),
        ("gRPC check h:1/shop: NOT_FOUND: unknown service", "knows no health of that service"),
        ("TCP connect 10.0.0.1:80: checks may not connect to 10.0.0.1: health.deny_targets has", "do not let it"),
        ("something else", "its output says why"),
        ("", "no output is known"),
    ],
)
def test_why(output: str, words: str) -> None:
    assert words in reason_of(check(output))


def test_checks_that_are_reported() -> None:
    assert reason_of(check("TTL expired", "ttl")).startswith("nobody reported within its TTL")
    assert reason_of(check("queue full", "ttl", "warning")) == "the program reported warning itself"
    assert reason_of(check("", "ttl")).startswith("nobody has reported yet")
    assert reason_of(check("anything", "", "passing")) == "it passes"
    assert "other than 0" in reason_of(check("anything", "script"))
    maintenance = CheckState(id="m", status="maintenance", notes="new disks")
    assert reason_of(maintenance) == "it was put into maintenance: new disks"
