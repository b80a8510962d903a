"""A way to an API server without TLS, so that a proxy before it can answer in the server's place."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from tests.servers.kubernetes import ApiServer
from tests.servers.listening import listening
from tests.servers.ports import LOOPBACK

_CHUNK_BYTES = 64 * 1024


class PlainWay:
    """`with PlainWay(server) as way`: what is sent to `way.address` in plain arrives at the server over TLS."""

    def __init__(self, server: ApiServer) -> None:
        self._port = server.port
        self._tls = ssl.create_default_context(cafile=str(server.authority.certificate))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="plain way", daemon=True)
        self._listening = listening(self._relay)
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.address = f"{LOOPBACK}:{self._run(self._listening.__aenter__())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._listening.__aexit__(kind, error, trace))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60.0)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._port, ssl=self._tls)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_copy(reader, server_writer))
                ways.create_task(_copy(server_reader, writer))
        except* _Ended:
            pass
        finally:
            server_writer.transport.abort()


class _Ended(Exception):
    """One side is over, and so is the way."""


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_CHUNK_BYTES):
            writer.write(piece)
            await writer.drain()
    raise _Ended
