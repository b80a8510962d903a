"""A TCP proxy in front of a server that does what networks and broken servers do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024
_PATIENCE = 60.0


class _Enough(Exception):
    """Ends a connection that is to be cut amid an answer."""


class FaultProxy:
    """Forwards a port of its own to a server at ``target`` (HOST:PORT), until told otherwise.

    - `stop` and `start`: nobody listens (connections are refused); those that exist are cut.
    - `cut`: every connection ends at once, new ones work.
    - `truncate`: every connection is cut after so many bytes of answers: amid one.
    - `stall` and `resume`: connections stay open and are accepted, but nothing passes any more (a half-open network).
    - `delay`: every piece of an answer arrives that much later.
    - `garble`: every request is answered with other bytes.
    - `rewrite`: every piece of an answer passes through a function.

    Use as ``with FaultProxy("127.0.0.1:8500") as proxy:``. The port stays the same for its whole life, and nobody
    else gets it while nobody listens. It runs on a thread of its own, and may be used from any thread. All methods
    block until they took effect, which takes no longer than a turn of its event loop.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host.strip("[]"), int(port))
        self._loop = asyncio.SelectorEventLoop()  # the one that tells on every system when a socket is ready
        self._thread = threading.Thread(target=self._loop.run_forever, name="homeport fault proxy", daemon=True)
        # Bound, never listening: keeps the number ours, also from clients' own ends of connections (bind(2)).
        self._reservation = _bound(0)
        self._address = f"{LOOPBACK}:{self._reservation.getsockname()[1]}"
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._answer: bytes | None = None
        self._most_bytes: int | None = None
        self._change: Callable[[bytes], bytes] | None = None
        self._accepted = 0

    @property
    def address(self) -> str:
        """HOST:PORT of this side."""
        return self._address

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        return self._accepted

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reservation.close()

    def start(self) -> None:
        """Listen."""
        self._run(self._start())

    def stop(self) -> None:
        """Listen no more, and cut every connection."""
        self._run(self._stop())

    def cut(self) -> None:
        """Cut every connection."""
        self._run(self._cut())

    def stall(self) -> None:
        """Let nothing pass any more; connections stay."""
        self._set(self._flowing.clear)

    def resume(self) -> None:
        """Let everything pass again, also what was held back."""
        self._set(self._flowing.set)

    def delay(self, seconds: float) -> None:
        """Hold every piece of an answer back for so long."""
        self._delay = seconds

    def garble(self, answer: bytes | None) -> None:
        """Answer every request with these bytes and close; None forwards again. Cuts the connections there are."""
        self._answer = answer
        self.cut()

    def truncate(self, after_bytes: int | None) -> None:
        """Cut each connection after so many bytes of answers; None never does. Cuts the connections there are."""
        self._most_bytes = after_bytes
        self.cut()

    def rewrite(self, change: Callable[[bytes], bytes] | None) -> None:
        """Pass every piece of an answer through ``change``; None forwards again. Cuts the connections there are."""
        self._change = change
        self.cut()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def _set(self, change: Callable[[], None]) -> None:
        async def apply() -> None:
            change()

        self._run(apply())

    async def _start(self) -> None:
        if self._listener is None:
            self._listener = _bound(self._reservation.getsockname()[1])
            self._listener.settimeout(0.0)
            self._listener.listen()
            self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _stop(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._loop.remove_reader(listener)
            listener.close()
        await self._cut()

    async def _cut(self) -> None:
        connections = set(self._connections)
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)
        await asyncio.sleep(0)  # the loop closes what was aborted

    def _accept(self, listener: socket.socket) -> None:
        # asyncio.Server and sock_accept, when they end amid it, may forget what they just accepted: it stays open.
        with contextlib.suppress(BlockingIOError, ConnectionError):  # it went away before
            accepted, _ = listener.accept()
            accepted.settimeout(0.0)
            self._accepted += 1
            connection = self._loop.create_task(self._serve(accepted))
            self._connections.add(connection)
            connection.add_done_callback(partial(self._ended, accepted))

    def _ended(self, accepted: socket.socket, connection: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        accepted.close()  # also if the task was cancelled before it began
        error = None if connection.cancelled() else connection.exception()
        if error is not None:  # raised by what `rewrite` was given
            self._loop.call_exception_handler({"message": "a connection of the fault proxy failed", "exception": error})

    async def _serve(self, accepted: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        try:
            await self._pass(reader, writer)
            writer.close()
            await writer.wait_closed()  # until what was written is away
        except OSError:
            pass
        finally:
            # A reset, as of a host that went away, where it is not over in order.
            transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answer is not None:
            await reader.read(_CHUNK_BYTES)
            writer.write(self._answer)
            await writer.drain()
            return
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, server_writer))
                both.create_task(self._return(server_reader, writer))
        except* OSError:
            writer.transport.abort()
        except* _Enough:
            pass  # what was let through is to arrive: an orderly end, amid the answer
        finally:
            server_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bring what the client sends to the server."""
        while piece := await reader.read(_CHUNK_BYTES):
            await self._flowing.wait()
            writer.write(piece)
            await writer.drain()
        await self._flowing.wait()
        _say_end(writer)

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bring what the server answers to the client."""
        rest = self._most_bytes
        while True:
            piece = await reader.read(_CHUNK_BYTES)
            await self._flowing.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            if self._change is not None:
                piece = self._change(piece)
            if not piece:
                _say_end(writer)
                return
            if rest is not None:
                piece, rest = piece[:rest], rest - len(piece)
            writer.write(piece)
            await writer.drain()
            if rest is not None and rest <= 0:
                raise _Enough


def _say_end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write_eof()


def _bound(port: int) -> socket.socket:
    """A socket bound to that port of loopback, beside others that are bound and do not listen (socket(7))."""
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except BaseException:
        bound.close()
        raise
    return bound
