"""Which requests go to a service, and how each is called."""

import pytest

from homeport.errors import InvalidValue
from homeport.integrations.http.routing import Routing


class Request:
    def __init__(self, method: str = "GET", **headers: str | bytes) -> None:
        self.method = method
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("host", "port", "service"),
    [
        ("users", None, "users"),
        ("user-service", None, "user-service"),
        ("user_service", None, "user_service"),
        ("users", 80, None),
        ("users.example", None, None),
        ("users.", None, None),
        ("localhost", None, None),
        ("127.0.0.1", None, None),
        ("2130706433", None, None),  # 127.0.0.1
        ("::1", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_host_without_a_dot_and_a_port_is_a_service(host: str | None, port: int | None, service: str | None) -> None:
    assert Routing().service(host, port) == service


@pytest.mark.parametrize(
    ("host", "port", "service"),
    [
        ("users.service", None, "users"),
        ("users.eu.service", None, "users.eu"),
        ("users", None, None),
        (".service", None, None),
        ("users.service", 8080, None),
    ],
)
def test_a_suffix_names_services_instead(host: str, port: int | None, service: str | None) -> None:
    assert Routing(suffix=".service").service(host, port) == service


def test_a_function_names_services_instead() -> None:
    routing = Routing(service_of={"users.internal": "users", "other": ""}.get)
    assert routing.service("users.internal", None) == "users"
    assert routing.service("users.internal", 80) is None
    assert routing.service("other", None) is None
    assert routing.service("users", None) is None


def test_the_two_ways_to_name_services_exclude_each_other() -> None:
    with pytest.raises(InvalidValue, match="either suffix or service_of"):
        Routing(suffix=".x", service_of=lambda host: host)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_what_is_idempotent_by_its_method(method: str) -> None:
    assert Routing().is_idempotent(Request(method))


@pytest.mark.parametrize("method", ["POST", "PATCH", "CONNECT", "PURGE"])
def test_what_is_not(method: str) -> None:
    assert not Routing().is_idempotent(Request(method))
    assert Routing().is_idempotent(Request(method, Idempotency_Key="7"))
    assert Routing(idempotent=True).is_idempotent(Request(method))
    assert not Routing(idempotent=False).is_idempotent(Request(method, Idempotency_Key="7"))


def test_the_key_is_a_text_a_function_or_a_header() -> None:
    assert Routing().key_of(Request(X_User="7")) is None
    assert Routing(key="one").key_of(Request()) == "one"
    assert Routing(key_header="X-User").key_of(Request(X_User="7")) == "7"
    assert Routing(key_header="X-User").key_of(Request(X_User=b"7")) == "7"
    assert Routing(key_header="X-User").key_of(Request()) is None
    by_method = Routing(key=lambda request: request.method if request.method != "GET" else None, key_header="X-User")
    assert by_method.key_of(Request("PUT", X_User="7")) == "PUT"
    assert by_method.key_of(Request("GET", X_User="7")) == "7"


def test_a_request_may_ask_for_something_else() -> None:
    routing = Routing(key_header="X-User", deadline=1.0)
    changed = routing.replaced({"key": "8", "idempotent": True, "deadline": 2})
    assert (changed.key, changed.idempotent, changed.deadline, changed.key_header) == ("8", True, 2, "X-User")
    assert routing.replaced({"deadline": None}).deadline is None


@pytest.mark.parametrize("changes", [{"suffix": ".x"}, {"key": 8}, {"idempotent": "yes"}, {"deadline": "1s"}])
def test_a_request_may_not_ask_for_anything(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        Routing().replaced(changes)


@pytest.mark.parametrize("deadline", [0, -1.0])
def test_a_deadline_is_above_0(deadline: float) -> None:
    with pytest.raises(InvalidValue, match="must be above 0"):
        Routing(deadline=deadline)
    with pytest.raises(InvalidValue, match="must be above 0"):
        Routing().replaced({"deadline": deadline})
