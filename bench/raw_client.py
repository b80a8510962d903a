"""A bare HTTP/1.1 client for many connections: one request in flight on each, nothing parsed that is not needed."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_INDEX = re.compile(rb"\r\nx-consul-index: (\d+)", re.IGNORECASE)
_CHUNKED_END = b"\r\n0\r\n\r\n"


class Answered:
    """An answer: status, X-Consul-Index (0: none), the bytes, and the time (`perf_counter`) of its last one."""

    __slots__ = ("at", "body", "index", "status")

    def __init__(self, status: int, index: int, body: bytes, at: float) -> None:
        self.status = status
        self.index = index
        self.body = body
        self.at = at


class Connection(asyncio.Protocol):
    """One keep-alive connection. ``on_answer`` is called for every answer."""

    def __init__(self, on_answer: Callable[["Connection", Answered], None]) -> None:
        self._on_answer = on_answer
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(buffer, 0, end)
        if length is not None:
            if len(buffer) < end + 4 + int(length[1]):
                return
        elif not buffer.endswith(_CHUNKED_END):
            return
        self._buffer = b""
        index = _INDEX.search(buffer, 0, end)
        answered = Answered(int(buffer[9:12]), int(index[1]) if index else 0, buffer[end + 4 :], time.perf_counter())
        self._on_answer(self, answered)

    def ask(self, method: str, target: str, body: object = None) -> None:
        """Send a request; a body that is not bytes is sent as JSON."""
        assert self._transport is not None
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n"
        if data:
            head += f"Content-Length: {len(data)}\r\n"
        self._transport.write(head.encode() + b"\r\n" + data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Caller:
    """A connection for one caller who waits for each answer."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Answered] | None = None
        self._connection = Connection(self._answered)

    @classmethod
    async def connect(cls, address: str) -> "Caller":
        caller = cls()
        host, port = address.rsplit(":", 1)
        await asyncio.get_running_loop().create_connection(lambda: caller._connection, host, int(port))
        return caller

    async def call(self, method: str, target: str, body: object = None) -> Answered:
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.ask(method, target, body)
        return await self._answer

    def close(self) -> None:
        self._connection.close()

    def _answered(self, _: Connection, answered: Answered) -> None:
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result(answered)


class RefusedError(Exception):
    """A request of the preparation was refused."""


async def put_all(address: str, requests: list[tuple[str, object]], *, connections: int = 32) -> None:
    """Send many PUTs over some connections; every answer must be 200."""
    waiting = iter(requests)

    async def worker() -> None:
        caller = await Caller.connect(address)
        for target, body in waiting:
            answer = await caller.call("PUT", target, body)
            if answer.status != 200:
                raise RefusedError(f"PUT {target}: {answer.status} {answer.body[:200]!r}")
        caller.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(worker())
