"""A port that a test answers itself, and of which nothing is left at its end."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from tests.servers.ports import LOOPBACK

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handle, host: str = LOOPBACK, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port whose connections `handle` answers; each is closed when that returns, and at the end all are cut.

    `asyncio.Server` ends nothing that it accepted, and forgets what it is about to accept when it is closed.
    """
    loop = asyncio.get_running_loop()
    connections: set[asyncio.Task[None]] = set()

    async def answer(accepted: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with suppress(OSError, EOFError):  # the other side may go as it likes
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=tls)
            try:
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                await handle(reader, writer)
                writer.close()
                await writer.wait_closed()
            finally:
                transport.abort()

    def ended(accepted: socket.socket, connection: asyncio.Task[None]) -> None:
        connections.discard(connection)
        accepted.close()  # also if the task was cancelled before it began

    def accept(listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):  # it went away before
            accepted, _ = listener.accept()
            accepted.settimeout(0.0)
            connection = loop.create_task(answer(accepted))
            connections.add(connection)
            connection.add_done_callback(partial(ended, accepted))

    with socket.create_server((host, 0)) as listener:
        listener.settimeout(0.0)
        loop.add_reader(listener, accept, listener)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
            for connection in connections:
                connection.cancel()
            if connections:
                await asyncio.wait(connections)
            await asyncio.sleep(0)  # the loop closes what was aborted
