"""One HTTP/1.1 request and its answer on a connection of its own (RFC 9112)."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools

MOST_HEAD_BYTES = 64 << 10


class BadAnswer(Exception):
    """What came back is no HTTP answer, or not a whole one; the message says in what way."""


class Sink(Protocol):
    """Where a body goes."""

    def add(self, data: bytes) -> bool:
        """Take the next part of the body; False when no more of it is wanted."""
        ...


class Exchange(asyncio.Protocol):
    """Asks once and reads the answer; the body goes into ``sink`` until that has enough."""

    def __init__(self, sink: Sink) -> None:
        self.status = 0
        self.words = ""
        self.location = ""
        self._sink = sink
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._has_body = True
        self._began = False
        self._head_bytes = 0
        self._in_body = False
        self._ends_with_connection = True

    async def ask(self, request: bytes, *, has_body: bool) -> None:
        """Send ``request`` and return when the answer is here.

        ``has_body`` is False for a method whose answers have no body.

        Raises:
            BadAnswer, OSError: it did not come, or not whole.
        """
        assert self._transport is not None, "connect first"
        self._has_body = has_body
        self._transport.write(request)
        await self._done

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._done.done():
            return
        self._began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(None)
        except httptools.HttpParserError:
            self._end(BadAnswer("the answer is not HTTP/1.1"))
        if not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._end(BadAnswer(f"the head of the answer is longer than {MOST_HEAD_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        if exc is not None:
            self._end(exc)
        elif self._in_body and self._ends_with_connection:
            self._end(None)
        elif self._began:
            self._end(BadAnswer("the connection was closed before the end of the answer"))
        else:
            self._end(BadAnswer("the connection was closed without an answer"))

    # What the parser calls

    def on_status(self, status: bytes) -> None:
        """The reason phrase."""
        self.words = status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        match name.lower():
            case b"location":
                self.location = value.decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        """The end of the head."""
        self.status = self._parser.get_status_code()
        if self.status >= 200 or self.status == 101:
            self._in_body = True
            if not self._has_body:
                self._end(None)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if not self._done.done() and not self._sink.add(data):
            self._end(None)

    def on_message_complete(self) -> None:
        """The end of an answer; an interim one (1xx) is followed by the real one."""
        if self._in_body:
            self._end(None)
        else:
            self.words = self.location = ""
            self._ends_with_connection = True

    def _end(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)
