"""A way to an API server without TLS, so that a proxy before it can answer in the server's place."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from tests.servers.kubernetes import ApiServer

_CHUNK_BYTES = 64 * 1024


class PlainWay:
    """`with PlainWay(server) as way`: what is sent to `way.address` in plain arrives at the server over TLS."""

    def __init__(self, server: ApiServer) -> None:
        self._port = server.port
        self._tls = ssl.create_default_context(cafile=str(server.authority.certificate))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="plain way", daemon=True)
        self._relays: set[asyncio.Task[None]] = set()
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        host, port = self._listener.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20.0)

    async def _end(self) -> None:
        self._listener.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
            ways = [
                asyncio.ensure_future(_relay(reader, server_writer)),
                asyncio.ensure_future(_relay(server_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                server_writer.transport.abort()
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._relays.discard(task)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_CHUNK_BYTES):
            writer.write(piece)
            await writer.drain()
