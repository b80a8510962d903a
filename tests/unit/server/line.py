"""The server's HTTP side without sockets: a registry in memory, and clients that speak to its protocol in bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from homeport.protocols.consul.catalog_routes import CatalogReads
from homeport.protocols.consul.connect_index import ConnectIndex
from homeport.protocols.consul.health_routes import HealthReads
from homeport.protocols.consul.hot import HotReads
from homeport.protocols.consul.questions import Questions
from homeport.protocols.consul.status_routes import StatusReads
from homeport.registry.answers import AnswerShelf
from homeport.registry.registry import Registry
from homeport.registry.store.memory import MemoryStore
from homeport.server.connection_limit import ConnectionLimit
from homeport.server.fast import Fast
from homeport.server.front import Front
from homeport.server.http_date import HTTPDate
from homeport.server.http_protocol import HomeportProtocol
from homeport.server.settings import Limits
from homeport.wire.http import Request, Response, Routes, text
from tests.unit.server.answered import Answered, parse_answer

HIGH_WATER = 64 << 10
COMMON = ((b"X-Consul-Default-Acl-Policy", b"allow"), (b"Vary", b"Accept-Encoding"))


class FakeTransport(asyncio.Transport):
    """A connection whose other end is the test. `stuck` says that the client takes nothing."""

    def __init__(self, peer: tuple[str, int]) -> None:
        super().__init__()
        self.protocol: HomeportProtocol | None = None
        self.sent = bytearray()
        self.unsent = bytearray()
        self.most_unsent = 0
        self.stuck = False
        self.paused = False
        self.ended = False  # our side says that nothing follows
        self.closed = False
        self.progress = asyncio.Event()
        self._arriving: list[bytes] = []
        self._closing = False
        self._peer = peer

    def arrive(self, data: bytes) -> None:
        """Bytes come from the client; while reading is paused they stay in the kernel."""
        assert self.protocol is not None
        if self.paused or self._closing or self._arriving:
            self._arriving.append(data)
        else:
            self.protocol.data_received(data)

    def take(self, size: int | None = None) -> None:
        """The client takes what waits for it, or so many bytes of it."""
        assert self.protocol is not None
        taken = self.unsent[:size] if size is not None else self.unsent[:]
        del self.unsent[: len(taken)]
        self.sent += taken
        if len(self.unsent) <= HIGH_WATER // 4:
            self.protocol.resume_writing()
        if self._closing and not self.unsent:
            self._end(None)
        self.progress.set()

    @property
    def waiting_bytes(self) -> int:
        """What the client has sent and nobody has read."""
        return sum(map(len, self._arriving))

    def write(self, data: Any) -> None:
        assert not self.ended, "nothing may follow the end"
        if self.closed:
            return
        if not self.stuck:
            self.sent += data
        else:
            before = len(self.unsent)
            self.unsent += data
            self.most_unsent = max(self.most_unsent, len(self.unsent))
            if before <= HIGH_WATER < len(self.unsent) and self.protocol is not None:
                self.protocol.pause_writing()
        self.progress.set()

    def write_eof(self) -> None:
        self.ended = True
        self.progress.set()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._arriving and not self.paused and not self._closing:
            assert self.protocol is not None
            self.protocol.data_received(self._arriving.pop(0))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self.unsent:
                self._end(None)

    def abort(self) -> None:
        self._closing = True
        self.unsent.clear()
        self._end(None)

    def lose(self) -> None:
        """The connection breaks."""
        self._closing = True
        self._end(ConnectionResetError())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self._peer, "sockname": ("127.0.0.1", 8500)}.get(name, default)

    def _end(self, error: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._tell, error)

    def _tell(self, error: Exception | None) -> None:
        assert self.protocol is not None
        self.protocol.connection_lost(error)
        self.progress.set()


class Line:
    """A client's end of a connection."""

    def __init__(self, protocol: HomeportProtocol, transport: FakeTransport) -> None:
        self.protocol = protocol
        self.transport = transport
        self._read = 0

    def send(self, data: bytes) -> None:
        """Send bytes, as one chunk."""
        self.transport.arrive(data)

    def get(self, target: str, **headers: str) -> None:
        """Send a GET; `_` in the name of a header stands for `-`."""
        self.send(request("GET", target, b"", **headers))

    async def ask(self, target: str, **headers: str) -> Answered:
        """Send a GET, and its answer."""
        self.get(target, **headers)
        return await self.answer()

    async def answer(self, *, to_head: bool = False) -> Answered:
        """The next answer; `AssertionError` when the connection ends without one."""
        while True:
            found = parse_answer(bytes(self.transport.sent[self._read :]), to_head=to_head)
            if found is not None:
                self._read += found[1]
                return found[0]
            assert not self.transport.closed, f"closed after {bytes(self.transport.sent[self._read :])!r}"
            await self._progress()

    async def ended(self) -> None:
        """Wait until the server has ended its side; nothing may have come before that."""
        while not (self.transport.closed or self.transport.ended):
            await self._progress()
        left = bytes(self.transport.sent[self._read :])
        assert not left, f"there was another answer: {left!r}"

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        while self.protocol in self.protocol.connections:
            await self._progress()

    @property
    def took_the_ordinary_way(self) -> bool:
        """Whether any request of this connection went through the application."""
        newest: object = self.protocol.cycle
        return newest is not None

    def silent(self) -> bool:
        """Whether nothing has come since the last answer."""
        return len(self.transport.sent) == self._read

    def end_input(self) -> None:
        """Close this side for writing, as `shutdown(SHUT_WR)` does."""
        if not self.protocol.eof_received():
            self.transport.close()
        else:
            self.transport.pause_reading()

    async def _progress(self) -> None:
        self.transport.progress.clear()
        await self.transport.progress.wait()


class Switchboard:
    """A server: its registry, its listener's shared parts, and the clients that connect to it.

    Beside Consul's reads it has routes for tests: `PUT /v1/test/echo` answers body and headers, `GET /v1/test/held`
    when `release` is set, `GET /v1/test/stuck?index=1` never (and without an index at once), `GET /v1/test/large?n=`
    with so many bytes.
    """

    def __init__(self, registry: Registry, limits: Limits, *, connections_per_client: int | None = None) -> None:
        self.registry = registry
        self.state = ServerState()
        self.release = asyncio.Event()
        self.done: list[str] = []
        self.cancelled = 0
        routes = self._routes()
        date = HTTPDate(lambda: 1_700_000_000.0)
        self.shelf = AnswerShelf()
        self.fast = Fast(HotReads(registry), self.shelf, COMMON, date, limits, random=lambda: 0.5)
        self.application: Any = Front(routes, common_headers=COMMON, limits=limits, date=date)
        protocol = partial(HomeportProtocol, fast=self.fast, clients=ConnectionLimit(limits.connections_per_client))
        self.config = uvicorn.Config(
            self._serve, http=cast("type[asyncio.Protocol]", protocol), interface="asgi3", lifespan="off", ws="none",
            log_config=None, access_log=False,
        )  # fmt: skip
        self.config.load()
        self._make: Callable[..., HomeportProtocol] = protocol
        self._port = 40_000

    def connect(self, host: str = "127.0.0.1") -> Line:
        """A new connection from an address."""
        self._port += 1
        transport = FakeTransport((host, self._port))
        protocol = self._make(config=self.config, server_state=self.state, app_state={})
        transport.protocol = protocol
        protocol.connection_made(transport)
        return Line(protocol, transport)

    def shut_down(self) -> None:
        """As uvicorn does it at the end."""
        self.registry.drain()
        for connection in list(self.state.connections):
            connection.shutdown()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.application(scope, receive, send)

    def _routes(self) -> Routes:
        registry, routes = self.registry, Routes()
        questions, connect = Questions(registry, jitter=lambda: 0.5), ConnectIndex(registry)
        routes.include(CatalogReads(registry, questions, connect).routes())
        routes.include(HealthReads(registry, questions, connect).routes())
        routes.include(StatusReads(registry).routes())
        routes.add(["PUT"], "/v1/test/echo", self._echo)
        routes.add(["GET"], "/v1/test/held", self._held)
        routes.add(["GET"], "/v1/test/stuck", self._stuck)
        routes.add(["GET"], "/v1/test/large", self._large)
        return routes

    async def _echo(self, request: Request) -> Response:
        self.done.append(request.first("name"))
        shown = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
        return text(f"{shown}\n{request.body.decode('latin-1')}")

    async def _held(self, request: Request) -> Response:
        await self.release.wait()
        self.done.append("held")
        return text(f"held {request.first('name')}")

    async def _stuck(self, request: Request) -> Response:
        if not request.has("index"):
            return text("not stuck")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return text("never")

    async def _large(self, request: Request) -> Response:
        return text("x" * int(request.first("n")))


@contextlib.asynccontextmanager
async def switchboard(limits: Limits | None = None) -> AsyncIterator[Switchboard]:
    """A server with nothing but its own node in it; at the end nothing of its connections may be left."""
    async with Registry(MemoryStore(), node="agent") as registry:
        board = Switchboard(registry, limits or Limits())
        yield board
        for connection in list(board.state.connections):
            transport = cast("FakeTransport", connection.transport)
            transport.lose()
        await settled()
        assert not board.state.connections
        assert not board.state.tasks


def request(method: str, target: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A request as a client sends it; `_` in the name of a header stands for `-`."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1:8500"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def settled() -> None:
    """Let everything happen that is about to, and no timer."""
    for _ in range(20):
        await asyncio.sleep(0)
