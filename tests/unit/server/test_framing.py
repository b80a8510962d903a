"""What is a request and what is not (RFC 9112), and that nothing behind what is not is ever executed."""

import pytest

from tests.unit.client import virtual_time
from tests.unit.server.line import request, settled, switchboard

LEADER = b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n"
BEHIND = request("PUT", "/v1/test/echo?name=smuggled", b"body")

REFUSED = {
    "length and chunks": (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "two equal lengths": (b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a list of lengths": (b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "a signed length": (b"Content-Length: +3\r\n\r\nabc", 400),
    "a negative length": (b"Content-Length: -3\r\n\r\nabc", 400),
    "an empty length": (b"Content-Length:\r\n\r\n", 400),
    "a length beyond all bounds": (b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "a length in hexadecimal": (b"Content-Length: 0x3\r\n\r\nabc", 400),
    "an unknown coding": (b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "a coding that only looks like chunked": (b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked not last": (b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "chunked, then identity": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    "a folded header": (b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n", 400),
    "a folded header by tab": (b"X: a\r\n\tb\r\n\r\n", 400),
    "space before a colon": (b"Content-Length : 3\r\n\r\nabc", 400),
    "space before a name": (b" Content-Length: 3\r\n\r\nabc", 400),
    "a line without CR": (b"X: a\nY: b\r\n\r\n", 400),
    "a CR in a value": (b"X: a\rb\r\n\r\n", 400),
    "a NUL in a value": (b"X: a\0b\r\n\r\n", 400),
    "a control character in a value": (b"X: a\x01b\r\n\r\n", 400),
    "a name beyond ASCII": (b"X\xe4: a\r\n\r\n", 400),
    "no name": (b": a\r\n\r\n", 400),
    "another host": (b"Host: b\r\n\r\n", 400),
    "an unknown expectation": (b"Expect: miracles\r\n\r\n", 417),
    "a chunk without size": (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "a chunk size without CR": (b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400),
    "a negative chunk size": (b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk longer than its size": (b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400),
    "a size beyond all bounds": (b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
}

REFUSED_AS_A_WHOLE = {
    "no host": (b"GET /v1/status/leader HTTP/1.1\r\n\r\n", 400),
    "no host, hot": (b"GET /v1/catalog/nodes HTTP/1.1\r\nX: y\r\n\r\n", 400),
    "two hosts, hot": (b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "a host that is none": (b"GET /v1/status/leader HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a host that is none, hot": (b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "lines without CR": (b"GET /v1/status/leader HTTP/1.1\nHost: a\n\n", 400),
    "lines without CR, hot": (b"GET /v1/catalog/nodes HTTP/1.1\nHost: a\n\n", 400),
    "no version": (b"GET /v1/status/leader\r\n\r\n", 400),
    "version 0.9": (b"GET /v1/status/leader HTTP/0.9\r\n\r\n", 400),
    "version 2.0": (b"GET /v1/status/leader HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "version 3.0": (b"GET /v1/status/leader HTTP/3.0\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "an unknown method": (b"BREW /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method in lower case": (b"get /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space in the target": (b"GET /v1/status leader HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bytes beyond ASCII in the target": (b"GET /v1/catalog/service/\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a NUL in the target": (b"GET /v1/catalog/nodes\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an escape that is none": (b"GET /v1/catalog/service/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "half an escape": (b"GET /v1/catalog/service/a%2 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target without a path": (b"GET status HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an asterisk": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "chunks in HTTP/1.0": (
        b"PUT /v1/test/echo?name=x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 400,
    ),
}  # fmt: skip


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(
    ("data", "status"),
    [(LEADER + data, status) for data, status in REFUSED.values()] + list(REFUSED_AS_A_WHOLE.values()),
    ids=[*REFUSED, *REFUSED_AS_A_WHOLE],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_ends_the_connection(data: bytes, status: int, whole: bool) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            for piece in [data + BEHIND] if whole else [data[at : at + 1] for at in range(len(data))] + [BEHIND]:
                line.send(piece)
            answer = await line.answer()
            assert answer.status == status
            assert answer.header("Connection") == "close"
            assert answer.body
            await line.ended()
            line.send(BEHIND)
            await line.closed()
            assert board.done == []

    virtual_time.run(scenario())


def test_the_answers_before_a_broken_request_go_out_first() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(
                request("GET", "/v1/test/held?name=a") + request("GET", "/v1/test/held?name=b") + b"broken\r\n\r\n"
            )
            line.send(BEHIND)
            await settled()
            assert line.silent()
            board.release.set()
            assert (await line.answer()).text == "held a"
            assert (await line.answer()).text == "held b"
            assert (await line.answer()).status == 400
            await line.ended()
            assert board.done == ["held", "held"]

    virtual_time.run(scenario())


def test_they_do_too_when_the_client_has_closed_its_side() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(request("GET", "/v1/test/held") + b"broken\r\n\r\n")
            line.end_input()
            board.release.set()
            assert (await line.answer()).text == "held "
            assert (await line.answer()).status == 400
            await line.closed()

    virtual_time.run(scenario())


def test_a_body_that_looks_like_a_request_is_a_body() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            inner = request("GET", "/v1/catalog/nodes")
            put = request("PUT", "/v1/test/echo", inner)
            line.send(put[: -len(inner)])
            line.send(inner)
            assert (await line.answer()).text.endswith(inner.decode())
            assert line.silent()

    virtual_time.run(scenario())


def test_a_request_whose_body_breaks_is_not_executed() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(request("PUT", "/v1/test/echo?name=broken", Transfer_Encoding="chunked") + b"3\r\nabc\r\n")
            await settled()
            line.send(b"nonsense\r\n")
            assert (await line.answer()).status == 400
            await line.closed()
            assert board.done == []

    virtual_time.run(scenario())


def test_a_request_in_the_queue_whose_body_breaks_is_taken_back() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            broken = request("PUT", "/v1/test/echo?name=broken", Transfer_Encoding="chunked") + b"nonsense\r\n"
            line.send(request("GET", "/v1/test/held") + broken)
            await settled()
            board.release.set()
            assert (await line.answer()).status == 200
            assert (await line.answer()).status == 400
            await line.closed()
            assert board.done == ["held"]

    virtual_time.run(scenario())


def test_a_trailer_is_not_a_header() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(
                request("PUT", "/v1/test/echo", Transfer_Encoding="chunked", X_Before="1")
                + b"1\r\na\r\n0\r\nX-Consul-Token: secret\r\nOrigin: http://evil.example\r\n\r\n"
            )
            answer = await line.answer()
            assert answer.status == 200
            assert "x-before: 1" in answer.text
            assert "x-consul-token" not in answer.text

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (b"http://elsewhere.example/v1/status/leader", '"127.0.0.1:8300"'),
        (b"/v1/status/leader#fragment", '"127.0.0.1:8300"'),
        (b"/v1/status%2Fleader", '"127.0.0.1:8300"'),
        (b"/v1/%73tatus/leader?", '"127.0.0.1:8300"'),
    ],
)
def test_targets_that_mean_the_same(target: bytes, text: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await line.answer()).text == text

    virtual_time.run(scenario())


def test_the_server_itself_may_be_asked_for_its_options() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await line.answer()
            assert (answer.status, answer.body) == (200, b"")

    virtual_time.run(scenario())


@pytest.mark.parametrize("size", [1, 40, 10_000])
def test_an_upgrade_is_ignored(size: int) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            upgrade = request("PUT", "/v1/test/echo?name=1", b"abc", Connection="Upgrade", Upgrade="websocket")
            bodiless = request("GET", "/v1/status/leader", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c")
            chunked = request(
                "PUT", "/v1/test/echo", Connection="Upgrade", Upgrade="h2c", Transfer_Encoding="chunked"
            ) + (b"3\r\nabc\r\n0\r\n\r\n")
            stream = upgrade + upgrade + bodiless + chunked + upgrade
            for start in range(0, len(stream), size):
                line.send(stream[start : start + size])
            for _ in range(2):
                assert (await line.answer()).text.endswith("\nabc")
            assert (await line.answer()).json == "127.0.0.1:8300"
            for _ in range(2):
                assert (await line.answer()).text.endswith("\nabc")
            assert line.silent()

    virtual_time.run(scenario())


def test_a_body_that_waits_for_consent_gets_it() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(b"PUT /v1/test/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert (await line.answer()).status == 100
            line.send(b"abc")
            assert (await line.answer()).text.endswith("abc")

    virtual_time.run(scenario())


def test_a_head_request_is_answered_without_a_body() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(request("HEAD", "/v1/status/leader") + request("GET", "/v1/status/leader"))
            answer = await line.answer(to_head=True)
            assert (answer.status, answer.header("Content-Length")) == (405, "23")
            assert (await line.answer()).status == 200

    virtual_time.run(scenario())


@pytest.mark.parametrize("target", ["/v1/status/leader", "/v1/catalog/nodes"])
@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "Keep-Alive", True),
        ("1.1", "close", False),
        ("1.1", "Close, x", False),
        ("1.1", "keep-alive, close", False),
        ("1.0", "", False),
        ("1.0", "keep-alive", True),
        ("1.0", "close", False),
    ],
)
def test_how_long_a_connection_is_kept(target: str, version: str, connection: str, kept: bool) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            header = f"Connection: {connection}\r\n" if connection else ""
            data = f"GET {target} HTTP/{version}\r\nHost: a\r\n{header}\r\n".encode()
            line.send(data + data)
            answer = await line.answer()
            assert answer.status == 200
            expected = "close" if not kept else "keep-alive" if version == "1.0" else None
            assert answer.header("Connection") == expected
            if kept:
                assert (await line.answer()).body == answer.body
            else:
                await line.ended()

    virtual_time.run(scenario())


def test_the_spelling_of_header_names_is_that_of_consul() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            for target in ("/v1/catalog/nodes", "/v1/health/state/any"):
                names = {name for name, _ in (await line.ask(target)).headers}
                assert {"X-Consul-Index", "X-Consul-Knownleader", "X-Consul-Lastcontact", "Content-Type"} <= names

    virtual_time.run(scenario())
