"""An instance of a service: a real HTTP server on loopback whose answers, and the lack of them, a test decides."""

import gzip
import socket
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from homeport.model import Instance
from tests.servers.ports import LOOPBACK

PATIENCE = 60.0
LARGE = b"x" * 2_000_000


class Seen(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class InstanceServer:
    """Serves in threads until `stop`, which also cuts every connection.

    ``status``, ``drops`` and ``hangs`` decide about every request: another status than 200, no answer at all, or none
    before ``go_on``. What waits for the test anyway (``/hang``, the second half of ``/stream`` and ``/cut``) waits for
    that too.
    """

    def __init__(self, name: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.status = 200
        self.drops = False
        self.hangs = False
        self.seen: list[Seen] = []
        self.server_names: list[str | None] = []
        self.arrived = threading.Event()
        self.go_on = threading.Event()
        self._server = _Server(self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name=f"instance {name}")
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def accepted(self) -> int:
        """How many connections were made to it."""
        return self._server.accepted

    @property
    def still_connected(self) -> int:
        """How many connections to it the clients have not closed."""
        return self._server.still_connected()

    def instance(self, service: str = "users", **meta: str) -> Instance:
        """What a registry knows about it."""
        return Instance(id=self.name, service=service, address=LOOPBACK, port=self.port, meta=meta)

    def cut(self) -> None:
        """Lose every connection."""
        self._server.cut()

    def stop(self) -> None:
        """As if it was killed."""
        self.go_on.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.cut()
            self._server.server_close()
            self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, owner: InstanceServer, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self.accepted = 0
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, 0), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.accepted += 1
        if self._tls is not None:
            # The handshake is made by the thread of the connection, when it first reads.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def still_connected(self) -> int:
        with self._lock:
            return sum(not _is_closed_by_peer(connection) for connection in self._open)

    def cut(self) -> None:
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are none of a test's business."""


def _is_closed_by_peer(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:  # nothing to read, and more may come
        return False
    except OSError:
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, _Server)
        self.owner = self.server.owner

    def log_request(self, code: object = "-", size: object = "-") -> None:
        return

    def do_GET(self) -> None:
        body = self._body()
        self.owner.seen.append(Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.owner.arrived.set()
        if self.owner.drops:
            self.close_connection = True
            return
        if self.owner.hangs:
            self.owner.go_on.wait(PATIENCE)
        path = urlsplit(self.path).path.strip("/").replace("/", "_") or "who"
        answer = getattr(self, f"_{path}", None)
        if path != "large" and (self.owner.status != 200 or answer is None):
            self._answer(self.owner.name.encode(), status=self.owner.status)
        else:
            assert answer is not None
            answer(body)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the names that http.server calls

    def _echo(self, body: bytes) -> None:
        self._answer(body)

    def _large(self, _body: bytes) -> None:
        self._answer(LARGE, status=self.owner.status)

    def _packed(self, _body: bytes) -> None:
        self._answer(gzip.compress(LARGE), headers={"Content-Encoding": "gzip"})

    def _cookie(self, _body: bytes) -> None:
        self._answer(b"", headers={"Set-Cookie": "taste=sweet; Path=/"})

    def _relative(self, _body: bytes) -> None:
        self._answer(b"moved", status=307, headers={"Location": "/who"})

    def _absolute(self, _body: bytes) -> None:
        self._answer(b"moved", status=302, headers={"Location": f"http://{self.headers['Host']}/who"})

    def _own(self, _body: bytes) -> None:
        self._answer(b"moved", status=302, headers={"Location": f"http://{self.owner.endpoint}/who"})

    def _hang(self, _body: bytes) -> None:
        self.owner.go_on.wait(PATIENCE)
        self._answer(b"at last")

    def _stream(self, _body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"first")
        self.owner.go_on.wait(PATIENCE)
        self._chunk(b"second")
        self._chunk(b"")

    def _trickle(self, _body: bytes) -> None:
        """A body that is always on its way."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.owner.go_on.wait(0.02):
            self._chunk(b"a little")

    def _cut(self, _body: bytes) -> None:
        """The connection ends in the middle of the body."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"first")
        self.owner.go_on.wait(PATIENCE)
        self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _answer(self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Served-By", self.owner.name)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole
