"""Passes connections on, and counts what clients send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.servers.listening import listening


class CountingRelay:
    """`received` counts the bytes that clients have sent to `port`."""

    def __init__(self) -> None:
        self.port = 0
        self.received = 0


@asynccontextmanager
async def counting_relay(port: int) -> AsyncIterator[CountingRelay]:
    """A relay to a port of loopback."""
    relay = CountingRelay()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                relay.received += len(chunk) if counted else 0
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(copy(reader, onward_writer, counted=True))
                tasks.create_task(copy(onward_reader, writer, counted=False))
        finally:
            onward_writer.transport.abort()

    async with listening(serve) as relay.port:
        yield relay
