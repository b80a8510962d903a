"""Small real servers on loopback that answer what a test wants, byte for byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.integration.client.certificates import Authority
from tests.servers.listening import listening


class Served:
    """A server that runs: its port, and the requests (head and body) that have come."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[str] = []
        self.open = 0
        self.connections = 0

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def plain(body: str = "ok", status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body.encode())}", "", body)
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def serving(
    answers: dict[str, bytes] | bytes,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    stays_open: bool = False,
) -> AsyncIterator[Served]:
    """Serve these bytes, for each path or for all; with ``stays_open`` the connection is left to the other side."""
    served = Served()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.open += 1
        served.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            body = await reader.readexactly(length)
            served.requests.append((head + body).decode())
            path = head.split(b" ")[1].decode()
            writer.write(answers if isinstance(answers, bytes) else answers[path])
            await writer.drain()
            if stays_open:
                await reader.read()
        finally:
            served.open -= 1

    async with listening(handle, host, tls=tls) as served.port:
        yield served


def server_context(authority: Authority, name: str, *, asks_for_client: bool = False, alpn: str = "") -> ssl.SSLContext:
    """A TLS server's context with a certificate for ``name`` and loopback."""
    certificate, key = authority.issue(name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if asks_for_client:
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        context.set_alpn_protocols([alpn])
    return context
