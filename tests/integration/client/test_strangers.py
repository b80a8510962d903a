"""Servers that answer 200 to everything, but are no registry."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from homeport import Discovery, InvalidAnswer, open_backend


class _Stranger(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<html>welcome</html>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        return


@pytest.fixture
def stranger() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"homeport://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_nothing_is_registered_there(stranger: str) -> None:
    async with Discovery(stranger) as discovery:
        with pytest.raises(InvalidAnswer, match="is neither Consul nor Homeport"):
            async with discovery.register("web", address="127.0.0.1", port=8080):
                pass


async def test_nobody_is_reached_there(stranger: str) -> None:
    backend = open_backend(stranger, {})
    try:
        with pytest.raises(InvalidAnswer, match="is neither Consul nor Homeport"):
            await backend.ping()
    finally:
        await backend.aclose()
