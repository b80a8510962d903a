"""A TCP proxy in front of a server that does what networks and broken servers do."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.servers.ports import LOOPBACK, PortLease

T = TypeVar("T")

CHUNK_BYTES = 64 * 1024


class FaultProxy:
    """Forwards a port of its own to a server, until told otherwise.

    - `stop()` and `start()`: nobody listens; connections that exist are cut.
    - `cut()`: every connection ends at once, new ones work.
    - `stall()`: connections stay open and are accepted, but nothing passes any more (a half-open network); `resume()`.
    - `delay(seconds)`: every piece of an answer arrives that much later.
    - `garble(answer)`: every request is answered with these bytes instead; None forwards again.
    - `rewrite(change)`: every piece of an answer passes through this function; None forwards again.

    It runs on a thread of its own. All methods block until they took effect.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._lease = PortLease()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._answer: bytes | None = None
        self._change: Callable[[bytes], bytes] | None = None
        self._accepted = 0

    @property
    def address(self) -> str:
        """HOST:PORT of this side."""
        return f"{LOOPBACK}:{self._lease.ports[0]}"

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
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._lease.release()

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
        """Answer every request with these bytes and close; applies to connections made from now on."""
        self._answer = answer
        self.cut()

    def rewrite(self, change: Callable[[bytes], bytes] | None) -> None:
        """Pass every piece of an answer through ``change``; applies to connections made from now on."""
        self._change = change
        self.cut()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    def _set(self, change: Callable[[], None]) -> None:
        async def apply() -> None:
            change()

        self._run(apply())

    async def _start(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, *self.address.split(":"))

    async def _stop(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        await self._cut()

    async def _cut(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (asyncio.CancelledError, OSError):
            # A reset, as of a host that went away, not an orderly end.
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answer is not None:
            await reader.read(CHUNK_BYTES)
            writer.write(self._answer)
            await writer.drain()
            return
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, server_writer, delayed=False))
                both.create_task(self._forward(server_reader, writer, delayed=True))
        except* OSError:
            writer.transport.abort()
        finally:
            server_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delayed: bool) -> None:
        while True:
            piece = await reader.read(CHUNK_BYTES)
            await self._flowing.wait()
            if delayed:
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._change is not None:
                    piece = self._change(piece)
            if not piece:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()
