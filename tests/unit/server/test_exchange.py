"""Answers of any ASGI application: streams, chunks, what is wrong with them; and the older protocol."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.client import virtual_time
from tests.unit.server.line import Switchboard, request, settled, switchboard

Header = tuple[bytes, bytes]


def streaming(board: Switchboard, parts: Sequence[bytes], *headers: Header, status: int = 200) -> None:
    """Let every request be answered by these parts, a second apart."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(1)
        await send({"type": "http.response.body", "body": parts[-1]})

    board.application = application


def raw(answers: bytes) -> tuple[bytes, bytes]:
    head, _, body = answers.partition(b"\r\n\r\n")
    return head, body


def test_a_body_of_unknown_length_comes_in_chunks_as_it_is_made() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            streaming(board, [b"a" * 17, b"", b"b"])
            line = board.connect()
            line.get("/")
            await settled()
            head, body = raw(bytes(line.transport.sent))
            assert b"\r\nTransfer-Encoding: chunked" in head
            assert body == b"11\r\n" + b"a" * 17 + b"\r\n"
            await asyncio.sleep(5)
            assert raw(bytes(line.transport.sent))[1] == body + b"1\r\nb\r\n0\r\n\r\n"
            assert not line.transport.closed

    virtual_time.run(scenario())


def test_an_older_client_gets_it_until_the_end_of_the_connection() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            streaming(board, [b"a", b"b"])
            line = board.connect()
            line.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            await line.closed()
            head, body = raw(bytes(line.transport.sent))
            assert b"chunked" not in head
            assert head.endswith(b"Connection: close")
            assert body == b"ab"

    virtual_time.run(scenario())


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(status: int) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            streaming(board, [b""], status=status)
            line = board.connect()
            line.send(request("GET", "/") * 2)
            await settled()
            sent = bytes(line.transport.sent)
            assert sent.count(b"HTTP/1.1 %d" % status) == 2
            assert b"chunked" not in sent
            assert sent.endswith(b"\r\n\r\n")

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("parts", "header"),
    [
        ([b"abc"], (b"Content-Length", b"2")),
        ([b"abc"], (b"Content-Length", b"4")),
        ([b"ab", b"c"], (b"Content-Length", b"2")),
        ([b"abc"], (b"X", b"a\r\nY: b")),
        ([b"abc"], (b"X\n", b"a")),
        ([b"abc"], (b"X", b"a\0")),
    ],
)
def test_an_answer_that_contradicts_itself_never_goes_out_whole(
    parts: list[bytes], header: Header, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            streaming(board, parts, header)
            line = board.connect()
            line.get("/")
            await line.closed()
            assert b"abc" not in bytes(line.transport.sent)
            assert b"\nY: b" not in bytes(line.transport.sent)

    with caplog.at_level(logging.ERROR):
        virtual_time.run(scenario())
    assert len(caplog.records) == 1


def test_an_answer_before_the_end_of_the_body_ends_the_connection() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            streaming(board, [b"early"], (b"Content-Length", b"5"))
            line = board.connect()
            line.send(request("PUT", "/", b"x" * 100)[:-50])
            answer = await line.answer()
            assert (answer.text, answer.header("Connection")) == ("early", "close")
            line.send(b"x" * 50 + request("GET", "/"))
            await line.ended()
            await line.closed()

    virtual_time.run(scenario())


def test_a_defect_before_the_application_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.protocol.app_state = None  # type: ignore[assignment]  # anything that breaks the parser's callbacks
            line.get("/")
            answer = await line.answer()
            assert (answer.status, answer.header("Connection")) == (500, "close")
            await line.ended()

    with caplog.at_level(logging.ERROR):
        virtual_time.run(scenario())
    assert [record.getMessage() for record in caplog.records] == ["a request could not be begun"]
