"""What a server's refusals become."""

import pytest

from homeport.backends.eureka import EurekaSettings
from homeport.backends.eureka.api import EurekaAPI
from homeport.connections.http import Answer
from homeport.errors import BackendError, BackendUnavailable, InvalidAnswer, PermissionDenied, Refused

ERROR_PAGE = b'{"timestamp":"2026-11-21T17:45:05.685Z","status":404,"error":"Not Found","path":"/eureka/apps"}'


def refusal(status: int, body: bytes = b"", url: str = "eureka://app:hidden@h") -> BackendError:
    return EurekaAPI(EurekaSettings.from_url(url, {})).refusal(Answer(status, {}, body, "http://h:8761"), "do it")


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (401, b"", PermissionDenied, 'does not accept the user "app" with its password, so it does not do it'),
        (403, b"", PermissionDenied, "does not let this program do it; give a user that may"),
        (404, ERROR_PAGE, InvalidAnswer, "what answers at http://h:8761/eureka/apps is no Eureka server (HTTP 404)"),
        (404, b"<html>", InvalidAnswer, "the path in the backend URL is mostly /eureka, and /eureka/v2 on Netflix'"),
        (405, b"", InvalidAnswer, "is no Eureka server"),
        (302, b"", InvalidAnswer, "is no Eureka server (HTTP 302)"),
        (500, b"<html>oops", BackendUnavailable, "cannot do it now: HTTP 500"),
        (503, b"", BackendUnavailable, "cannot do it now: HTTP 503"),
        (429, b"", BackendUnavailable, "cannot do it now: HTTP 429"),
        (400, b"Missing hostname", Refused, "refuses to do it: Missing hostname"),
        (400, b"<html>", Refused, "refuses to do it: HTTP 400"),
    ],
)
def test_what_a_server_says(status: int, body: bytes, kind: type[BackendError], text: str) -> None:
    error = refusal(status, body)
    assert type(error) is kind
    assert text in str(error)
    assert error.backend == "eureka://h:8761/eureka"
    assert "hidden" not in str(error)


def test_a_user_is_asked_for_where_there_is_none() -> None:
    assert "does not accept anybody without a user" in str(refusal(401, url="eureka://h"))


@pytest.mark.parametrize(("status", "unauthenticated"), [(401, True), (403, False)])
def test_whether_the_user_is_accepted_at_all(status: int, unauthenticated: bool) -> None:
    error = refusal(status)
    assert isinstance(error, PermissionDenied)
    assert error.unauthenticated is unauthenticated
