"""The harness of a backend that reaches its system over TCP: its troubles are those of a `FaultProxy`."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from homeport.spi import Backend
from homeport.testing.fault_proxy import FaultProxy

from .harness import CUT, GARBAGE, HALF_OPEN, OUTAGE, SLOW, Harness

HTTP_GARBAGE: Mapping[str, bytes] = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "not JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
    "other JSON": b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"hello":1}',
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n[{"Node":',
    "an error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
    "a gateway": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "somebody else": b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
    "elsewhere": b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
}
"""Answers that no client of an HTTP API may believe."""


class ProxiedHarness(Harness):
    """A system at ``address`` (HOST:PORT) with a `FaultProxy` in front of it; a subclass gives `connect`.

    ``garbage`` are the answers for the trouble of that name; ``slow_by`` is how late answers come when it is slow.
    """

    writes_in_trouble = True
    garbage: Mapping[str, bytes] = HTTP_GARBAGE
    slow_by = 0.3

    def __init__(self, address: str, proxy: FaultProxy) -> None:
        self.address = address
        self.proxy = proxy
        self.troubles = (OUTAGE, CUT, HALF_OPEN, SLOW, *(f"{GARBAGE}: {name}" for name in self.garbage))

    @abstractmethod
    def connect(self, address: str) -> Backend:
        """A new backend for a system at that address."""

    def backend(self) -> Backend:
        """A backend behind the proxy."""
        return self.connect(self.proxy.address)

    def aside(self) -> Backend:
        """A backend past the proxy."""
        return self.connect(self.address)

    @asynccontextmanager
    async def trouble(self, kind: str) -> AsyncIterator[None]:
        """Cause it in the proxy."""
        proxy = self.proxy
        if kind == OUTAGE:
            begin, end = proxy.stop, proxy.start
        elif kind == CUT:
            begin, end = proxy.cut, _nothing
        elif kind == HALF_OPEN:
            begin, end = proxy.stall, proxy.resume
        elif kind == SLOW:
            begin, end = (lambda: proxy.delay(self.slow_by)), (lambda: proxy.delay(0.0))
        else:
            answer = self.garbage[kind.removeprefix(f"{GARBAGE}: ")]
            begin, end = (lambda: proxy.garble(answer)), (lambda: proxy.garble(None))
        await asyncio.to_thread(begin)
        try:
            yield
        finally:
            await asyncio.to_thread(end)


def _nothing() -> None:
    """It is over already."""
