"""Addresses of listeners, and why one cannot be opened."""

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from homeport.server import listening
from homeport.server.listening import CannotStart, is_loopback, listen, parse_address, reachable_address, shown
from tests.plugins.following import PATIENCE


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8500", ("127.0.0.1", 8500)), (":8500", ("0.0.0.0", 8500)), ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)), ("[::]:80", ("::", 80)),
    ],
)  # fmt: skip
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, option="--http") == address


@pytest.mark.parametrize(
    "text", ["", "8500", "127.0.0.1", "::1:8500", "h:", "h:x", "h:-1", "h:65536", "h:８０", "[::1]"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(CannotStart, match=r"^--http is \".*\"; write HOST:PORT, for example 127\.0\.0\.1:8500$"):
        parse_address(text, option="--http")


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_port_0_is_a_free_one_and_is_shown(address: str) -> None:
    with contextlib.closing(listen(address, option="--http")) as listener:
        host, _, port = shown(listener).rpartition(":")
        assert host in ("127.0.0.1", "[::1]")
        assert int(port) > 0
        assert is_loopback(listener)
        assert reachable_address(listener) == host.strip("[]")
        listener.settimeout(PATIENCE)  # on a busy machine a connection is there for its client first
        with socket.create_connection(listener.getsockname()[:2]):
            accepted = listener.accept()[0]
            with accepted:
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_everywhere_is_beyond_this_host_and_is_told_by_an_address_of_ours() -> None:
    with contextlib.closing(listen("0.0.0.0:0", option="--http")) as listener:
        assert not is_loopback(listener)
        address = reachable_address(listener)
        with contextlib.closing(listen(f"{address}:0", option="--http")):
            assert address != "0.0.0.0"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a" * 70])
def test_a_host_that_is_not_here(host: str) -> None:
    with pytest.raises(CannotStart, match=rf'^"{host}" is not an address of this host; choose another with --http$'):
        listen(f"{host}:0", option="--http")


@contextlib.contextmanager
def program(status: int, body: bytes, headers: dict[str, str]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as in the base class
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "headers", "whose"),
    [
        (
            200, b'"127.0.0.1:8300"', {"X-Homeport-Store": "x", "X-Consul-Default-ACL-Policy": "allow"},
            " (a Homeport registry answers there). Use it with --backend homeport://127.0.0.1:{port}, or",
        ),
        (
            200, b'"127.0.0.1:8300"', {"Content-Type": "application/json"},
            " (a Consul agent answers there). Use it with --backend consul://127.0.0.1:{port}, or",
        ),
        (
            403, b"ACL not found", {"X-Consul-Default-ACL-Policy": "deny"},
            " (a Consul agent answers there). Use it with --backend consul://127.0.0.1:{port}, or",
        ),
        (404, b"nothing here", {}, " by another HTTP server; stop it, or"),
        (200, b"<html>", {}, " by another HTTP server; stop it, or"),
    ],
)  # fmt: skip
def test_a_taken_port_is_told_with_who_has_it(
    status: int, body: bytes, headers: dict[str, str], whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_PROBE_TIMEOUT", PATIENCE)
    with program(status, body, headers) as port, pytest.raises(CannotStart) as caught:
        listen(f"127.0.0.1:{port}", option="--http")
    assert str(caught.value) == f"port {port} is taken{whose.format(port=port)} choose another port with --http."


@pytest.mark.parametrize("speaks", [False, True])
def test_a_program_that_does_not_speak_http(speaks: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        speaker = threading.Thread(target=speak, args=(silent,))
        if speaks:
            speaker.start()
        with pytest.raises(CannotStart) as caught:
            listen(f"127.0.0.1:{port}", option="--http")
        if speaks:
            speaker.join()
    expected = f"port {port} is taken by another program; stop it, or choose another port with --http."
    assert str(caught.value) == expected


def speak(listener: socket.socket) -> None:
    """Send what is no HTTP."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"220 mail.example ESMTP\r\n")
        connection.recv(1000)
