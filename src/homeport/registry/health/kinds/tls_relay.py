"""TLS for a client that can only speak plainly: a socket of this host whose bytes go through a TLS connection."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from .connecting import connect


class TLSRelay:
    """Opens TLS connections, each reachable once by a Unix socket in a folder that only this user can enter."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._making = asyncio.Lock()
        self._numbers = itertools.count()

    @asynccontextmanager
    async def open(
        self, addresses: Sequence[str], port: int, *, tls: ssl.SSLContext, server_name: str
    ) -> AsyncIterator[str]:
        """Connect, and give the ``unix:`` address that leads there for one connection.

        Raises:
            OSError: the connection or its TLS failed.
        """
        loop = asyncio.get_running_loop()
        async with self._making:
            if self._folder is None:
                self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="homeport-"))
        path = self._folder / str(next(self._numbers))
        near = _Side()
        transport = await connect(lambda: _Side(near), addresses, port, tls=tls, server_name=server_name)
        near.other = cast("_Side", transport.get_protocol())
        once = iter((near,))
        try:
            server = await loop.create_unix_server(lambda: next(once, None) or _Refused(), str(path))
            try:
                yield f"unix:{path}"
            finally:
                server.close()
                path.unlink(missing_ok=True)
        finally:
            transport.abort()
            near.abort()

    async def aclose(self) -> None:
        """Remove the folder."""
        folder, self._folder = self._folder, None
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


class _Side(asyncio.Protocol):
    """One of two connections whose bytes go to the other. What comes before the other is there is kept for it."""

    def __init__(self, other: _Side | None = None) -> None:
        self.other = other
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.writelines(self._early)
        self._early.clear()
        if self._ended:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.send(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the other side only sees an end
        # A connection that lost the race of `connect` has no part in this.
        if self.other is not None and self.other.other is self:
            self.other.abort()

    def pause_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.resume_reading()

    def send(self, data: bytes) -> None:
        """Send to the peer of this side."""
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.write(data)

    def abort(self) -> None:
        """End this side, or when it is not there yet, as soon as it is."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
