"""Routing, methods, errors and the forms of an answer, whichever protocol gives it."""

import asyncio
import gzip
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import pytest

from homeport.registry.store.contract import OutcomeUnknown, ReadOnly, StoreBusy, StoreError, StoreFull
from homeport.registry.store.transaction import Refusal
from homeport.server.compression import SMALLEST_COMPRESSED
from homeport.server.front import Front
from homeport.server.http_date import HTTPDate
from homeport.server.settings import Limits
from homeport.wire.consul_decode import DecodeError
from homeport.wire.http import EMPTY, HTTPError, Request, Response, Routes, text
from tests.unit.server.answered import Answered

COMMON = ((b"X-Common", b"yes"),)
SECRET = "s3cr3t-t0ken"


class Asked:
    """A front over some routes, and what its handlers were given."""

    def __init__(self, *, origins: Sequence[str] = ()) -> None:
        self.requests: list[Request] = []
        self.answer: Response | Exception = text("ok")
        routes = Routes()
        routes.add(["GET"], "/v1/exact", self._handle)
        routes.add(["GET", "PUT", "DELETE"], "/v1/below/", self._handle)
        routes.add(["PUT"], "/v1/below/deeper/", self._handle)
        self._front = Front(
            routes, common_headers=COMMON, limits=Limits(), date=HTTPDate(lambda: 0.0), allowed_origins=origins
        )

    async def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __call__(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> Answered:
        """One request; `_` in the name of a header stands for `-`."""
        return asyncio.run(self.ask(method, target, body, **headers))

    async def ask(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> Answered:
        path, _, query = target.partition("?")
        sent = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        if body:
            sent.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http", "method": method, "path": unquote(path), "query_string": query.encode(), "headers": sent,
            "client": ("192.0.2.1", 1),
        }  # fmt: skip
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            messages.append(message)

        await self._front(scope, receive, send)
        start, rest = messages
        given = tuple((name.decode(), value.decode()) for name, value in start["headers"])
        return Answered(start["status"], given, rest["body"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/", "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"),
        ("/ui/", "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"),
        ("/v1", "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"),
        ("/v1/", "Invalid URL path: not a recognized HTTP API endpoint"),
        ("/v1/nothing", "Invalid URL path: not a recognized HTTP API endpoint"),
        ("/v1/exact/", "Invalid URL path: not a recognized HTTP API endpoint"),
        ("/v1/exact/deeper", "Invalid URL path: not a recognized HTTP API endpoint"),
        ("/v1/below", "Invalid URL path: not a recognized HTTP API endpoint"),
        ("/x/v1/exact", "Invalid URL path: not a recognized HTTP API endpoint"),
        ("/V1/exact", "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"),
    ],
)
def test_unknown_paths(path: str, message: str) -> None:
    asked = Asked()
    for method in ("GET", "PUT", "OPTIONS"):
        answer = asked(method, path)
        assert (answer.status, answer.text) == (404, message)
        assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert asked.requests == []


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("/v1/below/", ""), ("/v1/below/a", "a"), ("/v1/below/a/b", "a/b"), ("/v1/below/a%2Fb", "a/b"),
        ("/v1/below/%C3%A4%20b", "ä b"), ("/v1/below/a%3Fb", "a?b"), ("/v1/below/a%23b", "a#b"),
        ("/v1/below/a%25b", "a%b"), ("/v1/below/%ff", "\ufffd"), ("/v1/below/...", "..."),
    ],
)  # fmt: skip
def test_what_follows_a_prefix_is_decoded(target: str, rest: str) -> None:
    asked = Asked()
    assert asked("GET", target).status == 200
    assert [(request.rest, request.client) for request in asked.requests] == [(rest, "192.0.2.1")]


@pytest.mark.parametrize(
    ("method", "target", "allowed", "status"),
    [
        ("PUT", "/v1/exact", "OPTIONS,GET", 405), ("HEAD", "/v1/exact", "OPTIONS,GET", 405),
        ("POST", "/v1/below/x", "OPTIONS,GET,PUT,DELETE", 405), ("GET", "/v1/below/deeper/x", "OPTIONS,PUT", 405),
        ("OPTIONS", "/v1/exact", "OPTIONS,GET", 200), ("OPTIONS", "/v1/below/x", "OPTIONS,GET,PUT,DELETE", 200),
    ],
)  # fmt: skip
def test_methods(method: str, target: str, allowed: str, status: int) -> None:
    asked = Asked()
    answer = asked(method, target)
    assert (answer.status, answer.header("Allow")) == (status, allowed)
    expected = "" if method in ("OPTIONS", "HEAD") else f"method {method} not allowed"
    assert answer.text == expected
    assert asked.requests == []


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//v1/exact", "/v1/exact"), ("/v1//exact", "/v1/exact"), ("/v1/./exact", "/v1/exact"),
        ("/v1/x/../exact", "/v1/exact"), ("/../../v1/exact", "/v1/exact"), ("/v1/exact?a=b&c", None),
        ("//v1/exact?a=b&c=%20", "/v1/exact?a=b&c=%20"), ("/v1/below//", "/v1/below/"), ("/v1/below/a/..", "/v1/below"),
        ("/v1/below/a/../", "/v1/below/"), ("/v1/below/a%2F%2Fb", "/v1/below/a/b"),
        ("/v1/below/a%2F..%2Fb", "/v1/below/b"), ("/v1/below//%C3%A4 b?", "/v1/below/%C3%A4%20b"),
        ("/v1/below//!'()*$&+,:;=@~%3F%23", "/v1/below/%21%27%28%29%2A$&+,:;=@~%3F%23"), ("///", "/"), ("/..", "/"),
        ("//evil.example/x", "/evil.example/x"), ("//%22%3E%3Cscript%3E", "/%22%3E%3Cscript%3E"),
    ],
)  # fmt: skip
def test_paths_that_are_not_clean_are_redirected(target: str, location: str | None) -> None:
    asked = Asked()
    answer = asked("GET", target)
    assert answer.header("Location") == location
    if location is None:
        return
    shown = location.replace("&", "&amp;")
    assert (answer.status, answer.text) == (301, f'<a href="{shown}">Moved Permanently</a>.\n\n')
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    for method in ("PUT", "OPTIONS", "DELETE"):
        answer = asked(method, target, b"body")
        assert (answer.status, answer.text, answer.header("Location")) == (301, "", location)
    assert asked.requests == []


@pytest.mark.parametrize(
    "character", ["%00", "%0a", "%0d", "%09", "%1f", "%7f", "%C2%85", "%C2%A0", "%C2%AD", "%E2%80%A8", "%EF%BB%BF"]
)
def test_what_cannot_be_printed_is_no_path(character: str) -> None:
    asked = Asked()
    for method, target in (("GET", f"/v1/below/a{character}b"), ("PUT", f"//v1/{character}"), ("GET", f"/{character}")):
        answer = asked(method, target)
        assert (answer.status, answer.text, answer.header("Content-Type")) == (400, "", None)
    assert asked.requests == []


def test_parameters_and_headers_as_handlers_see_them() -> None:
    asked = Asked()
    asked("GET", "/v1/exact?tag=a&tag=b&stale&empty=&sp+ace=%26%C3%A4", X_Consul_Token="t", Accept="x")
    request = asked.requests[0]
    assert request.query == {"tag": ["a", "b"], "stale": [""], "empty": [""], "sp ace": ["&ä"]}
    assert request.headers == {"x-consul-token": "t", "accept": "x"}


def test_a_body_is_given_to_the_handler() -> None:
    asked = Asked()
    asked("PUT", "/v1/below/x", b"\x00\xffbody")
    assert asked.requests[0].body == b"\x00\xffbody"


@pytest.mark.parametrize("pretty", ["?pretty", "?pretty=", "?pretty=false", "?a=b&pretty=1"])
def test_pretty_is_four_spaces_and_a_line_end(pretty: str) -> None:
    asked = Asked()
    asked.answer = Response(body=b'{"A":[1,{"B":"\\u003c"}],"C":[],"D":{}}')
    assert asked("GET", "/v1/exact").body == asked.answer.body
    assert asked("GET", f"/v1/exact{pretty}").text == (
        '{\n    "A": [\n        1,\n        {\n            "B": "\\u003c"\n        }\n    ],\n'
        '    "C": [],\n    "D": {}\n}\n'
    )


def test_only_json_is_made_pretty() -> None:
    asked = Asked()
    for answer in (text('{"A":1}'), EMPTY, HTTPError(400, '{"A":1}')):
        asked.answer = answer
        expected = answer.message if isinstance(answer, HTTPError) else answer.body.decode()
        assert asked("GET", "/v1/exact?pretty").text == expected


@pytest.mark.parametrize("size", [SMALLEST_COMPRESSED - 1, SMALLEST_COMPRESSED, 1_000_000])
@pytest.mark.parametrize("accepts", ["gzip", "gzip;q=0", ""])
def test_what_is_large_enough_is_compressed_when_asked_for(size: int, accepts: str) -> None:
    asked = Asked()
    asked.answer = text("x" * size)
    answer = asked("GET", "/v1/exact", **({"Accept_Encoding": accepts} if accepts else {}))
    compressed = accepts == "gzip" and size >= SMALLEST_COMPRESSED
    assert answer.header("Content-Encoding") == ("gzip" if compressed else None)
    assert answer.header("Content-Length") == str(len(answer.body))
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert body == b"x" * size


@pytest.mark.parametrize("status", [200, 404, 500])
def test_every_answer_carries_the_common_headers(status: int) -> None:
    asked = Asked()
    asked.answer = Response(status=status, headers=(("X-Own", "1"),))
    answer = asked("GET", "/v1/exact")
    assert (answer.header("X-Common"), answer.header("X-Own")) == ("yes", "1")
    assert answer.header("Date") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert asked("GET", "/nothing").header("X-Common") == "yes"


def test_a_header_stays_one_line_whatever_is_in_it() -> None:
    asked = Asked()
    asked.answer = Response(headers=(("X-Reason", "a\r\nX-Injected: ä"),))
    answer = asked("GET", "/v1/exact")
    assert answer.header("X-Reason") == "a  X-Injected: ä"
    assert answer.header("X-Injected") is None


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (HTTPError(418, "short and stout"), 418, "short and stout"),
        (HTTPError(404, ""), 404, ""),
        (Refusal("no such session", status=500), 500, "no such session"),
        (Refusal("no"), 400, "no"),
        (DecodeError("Request decode failed: EOF"), 400, "Request decode failed: EOF"),
        (StoreFull("no space left"), 507, "nothing was written: no space left"),
        (ReadOnly("read-only"), 503, "nothing was written: read-only"),
        (OutcomeUnknown("fsync failed"), 500, "the outcome of this write is unknown: fsync failed"),
        (StoreBusy("held"), 500, "nothing was written: held"),
        (StoreError("closed"), 500, "nothing was written: closed"),
    ],
)
def test_what_each_error_becomes(error: Exception, status: int, message: str, caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    asked.answer = error
    answer = asked("PUT", "/v1/below/x")
    assert (answer.status, answer.text) == (status, message)
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert not caplog.records


def test_the_headers_of_an_error_go_out() -> None:
    asked = Asked()
    asked.answer = HTTPError(500, "No path to datacenter", headers=(("X-Consul-Index", "1"),))
    assert asked("GET", "/v1/exact").index == 1


@pytest.mark.parametrize("error", [RuntimeError("wires crossed"), KeyError("x"), TimeoutError(), AssertionError()])
def test_an_unexpected_error_is_logged_whole_once_and_told_in_one_sentence(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked()
    asked.answer = error
    with caplog.at_level(logging.DEBUG):
        answer = asked(
            "PUT", f"/v1/below/x?token={SECRET}", f"body {SECRET}".encode(),
            X_Consul_Token=SECRET, Authorization=f"Bearer {SECRET}",
        )  # fmt: skip
    assert (answer.status, answer.text) == (500, "an internal error happened; the server's log has its cause")
    records = [record for record in caplog.records if record.name.startswith("homeport")]
    assert len(records) == 1
    assert records[0].exc_info is not None
    assert records[0].exc_info[1] is error
    assert (records[0].method, records[0].path) == ("PUT", "/v1/below/x")  # type: ignore[attr-defined]  # extra fields
    assert SECRET not in caplog.text


def test_what_goes_wrong_before_the_handler_is_answered_too(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Routes):
        def find(self, path: str) -> Any:
            raise RuntimeError("no routes today")

    front = Front(Broken(), common_headers=(), limits=Limits(), date=HTTPDate())
    messages: list[Any] = []

    async def ask() -> None:
        async def send(message: Any) -> None:
            messages.append(message)

        async def receive() -> dict[str, Any]:
            raise AssertionError("there is no body")

        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        await front(scope, receive, send)

    asyncio.run(ask())
    assert messages[0]["status"] == 500
    assert len(caplog.records) == 1


ORIGINS = [
    ({}, 200),
    ({"Origin": "http://127.0.0.1:8500"}, 200),
    ({"Origin": "http://127.0.0.1:8501"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "http://127.0.0.1:8500.evil.example"}, 403),
    ({"Origin": "http://127.0.0.1:8500@evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "http://["}, 403),
    ({"Origin": "https://allowed.example"}, 200),
    ({"Origin": "https://Allowed.example"}, 200),
    ({"Origin": "http://allowed.example"}, 403),
    ({"Origin": "https://allowed.example:444"}, 403),
    ({"Origin": "http://localhost:8500", "Host": "localhost:8500"}, 200),
    ({"Origin": "http://LOCALHOST:8500", "Host": "localhost:8500"}, 200),
    ({"Origin": "http://[::1]:8500", "Host": "[::1]:8500"}, 200),
    ({"Origin": "http://10.1.2.3:8500", "Host": "10.1.2.3:8500"}, 200),
    ({"Origin": "http://10.1.2.3:8500", "Host": "10.1.2.4:8500"}, 403),
    # A name can be made to lead here by whoever owns it.
    ({"Origin": "http://evil.example:8500", "Host": "evil.example:8500"}, 403),
]


@pytest.mark.parametrize(("headers", "status"), ORIGINS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_pages_of_other_origins_do_not_write(headers: dict[str, str], status: int, method: str) -> None:
    asked = Asked(origins=["https://allowed.example/"])
    answer = asked(method, "/v1/below/x", b"", **{"Host": "127.0.0.1:8500", **headers})
    assert answer.status == status
    assert len(asked.requests) == (status == 200)
    if status == 403:
        assert "server.allowed_origins" in answer.text


def test_pages_of_other_origins_may_ask() -> None:
    asked = Asked()
    assert asked("GET", "/v1/exact", Host="127.0.0.1", Origin="http://evil.example").status == 200
    assert asked("OPTIONS", "/v1/exact", Host="127.0.0.1", Origin="http://evil.example").status == 200


def test_other_things_than_http_are_left_alone() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("nothing is received or sent")

    front = Front(Routes(), common_headers=(), limits=Limits(), date=HTTPDate())
    asyncio.run(front({"type": "websocket"}, never, never))
