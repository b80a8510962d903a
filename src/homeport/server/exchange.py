"""One request that takes the ordinary way, through the ASGI application, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_WITHOUT_BODY = (204, 304)


class Exchange(RequestResponseCycle):
    """uvicorn's exchange, with an answer that is written as a whole.

    Header names keep their spelling, which clients of Consul that are shell scripts rely on. An answer that is given
    before the request's body has arrived ends the connection, through ``on_close``, which may listen for a moment
    longer. HTTP/1.0 clients get neither chunks nor, unless they ask for it, a connection that stays open.
    """

    input_ended = False
    """The client has closed its side: who waits for it to go away is told, and an answer still goes out."""

    def __init__(self, *, on_close: Callable[[], None], **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._on_close = on_close
        self._delivered = False  # the whole body was received
        self._head = b""
        self._left: int | None = None  # bytes of the body that are still to come; None: as many as there are

    async def receive(self) -> Any:
        """The next ASGI event."""
        if self.input_ended and (self.more_body or self._delivered):
            return {"type": "http.disconnect"}
        event = await super().receive()
        if event["type"] == "http.request":
            if self._delivered or (self.input_ended and event["more_body"]):
                return {"type": "http.disconnect"}
            self._delivered = not event["more_body"]
        return event

    async def send(self, message: Any) -> None:
        """Take an ASGI event of the answer."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started and kind == "http.response.start":
            self.response_started = True
            self.waiting_for_100_continue = False
            self._begin(message["status"], message.get("headers", ()))
        elif self.response_started and not self.response_complete and kind == "http.response.body":
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"the ASGI event {kind!r} came when another was due")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        lengths: list[bytes] = []
        says_close = False
        for name, value in headers:
            lines.append(name + b": " + value + b"\r\n")
            lowered = name.lower()
            if lowered == b"content-length":
                lengths.append(value)
            elif lowered == b"connection" and value.lower() == b"close":
                says_close = True
        bodiless = self.scope["method"] == "HEAD" or status in _WITHOUT_BODY
        is_1_0 = self.scope["http_version"] == "1.0"
        self.chunked_encoding = False
        self._left = 0 if bodiless else int(lengths[0]) if lengths else None
        if self._left is None and is_1_0:
            self.keep_alive = False  # the end of the connection is the end of the body
        elif self._left is None:
            self.chunked_encoding = True
            lines.append(b"Transfer-Encoding: chunked\r\n")
        if says_close or self.more_body:
            self.keep_alive = False
        if not self.keep_alive and not says_close:
            lines.append(b"Connection: close\r\n")
        elif self.keep_alive and is_1_0:
            lines.append(b"Connection: keep-alive\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise RuntimeError("a header of the answer holds a line break or a NUL")
        self._head = head

    def _go_on(self, body: bytes, *, more: bool) -> None:
        parts: Sequence[bytes] = (body,)
        if self.scope["method"] == "HEAD":
            parts = ()
        elif self.chunked_encoding:
            framed = (b"%x\r\n" % len(body), body, b"\r\n") if body else ()
            parts = framed if more else (*framed, b"0\r\n\r\n")
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body is not as long as its Content-Length says")
        head, self._head = self._head, b""
        self.transport.write(b"".join((head, *parts)))
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self._on_close()
        self.on_response()
