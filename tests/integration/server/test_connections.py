"""Connections of real clients on a real event loop: the slow, the greedy, the vanished; nothing of them is left."""

import os
import socket
import struct
import subprocess
import sys
import time

import pytest

from tests.integration.server.running import PATIENCE, open_sockets, program, resident_kib
from tests.integration.server.talking import Talk
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.process import clean_environment, wait_until

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


@pytest.fixture
def start(homeport_factory: HomeportFactory, tmp_path: os.PathLike[str]) -> "Start":
    return Start(homeport_factory, str(tmp_path))


class Start:
    """Starts a registry in memory, with limits, on one of the two event loops."""

    def __init__(self, factory: HomeportFactory, folder: str) -> None:
        self._factory = factory
        self._folder = folder

    def __call__(self, loop: str, **limits: float) -> HomeportServer:
        environment = {f"HOMEPORT_SERVER_LIMITS_{name.upper()}": str(value) for name, value in limits.items()}
        if loop == "asyncio":
            blocked = f"{self._folder}/without/uvloop"
            os.makedirs(blocked, exist_ok=True)  # noqa: PTH103  # a text is enough here
            with open(f"{blocked}/__init__.py", "w", encoding="utf-8") as file:  # noqa: PTH123  # as above
                file.write("raise ImportError('there is no uvloop')\n")
            environment["PYTHONPATH"] = f"{self._folder}/without"
        return self._factory(dev=True, environment=environment)


def register(server: HomeportServer, instances: int = 1) -> int:
    """Register instances of web, some 600 bytes each; the index of their list."""
    for number in range(instances):
        server.request(
            "PUT", "/v1/agent/service/register", {"Name": "web", "ID": f"web-{number}", "Meta": {"m": "x" * 300}}
        )
    with Talk(server.address) as talk:
        return talk.ask("/v1/health/service/web").index


@LOOPS
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("target", ["/v1/health/service/web?index=", "/v1/health/service/web?near=x&index="])
def test_watchers_that_go_away_are_gone(start: Start, loop: str, how: str, target: str) -> None:
    server = start(loop)
    before = open_sockets(server.pid)
    index = register(server)
    watchers = [Talk(server.address) for _ in range(100)]
    try:
        for watcher in watchers:
            watcher.get(f"{target}{index}")
        wait_until(lambda: open_sockets(server.pid) == before + 100, timeout=PATIENCE, what="100 connections")
        for watcher in watchers:
            if how == "half-close":
                watcher.socket.shutdown(socket.SHUT_WR)
                assert watcher.answer().index == index
                assert watcher.ended()
                continue
            if how == "reset":
                watcher.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            watcher.close()
        wait_until(lambda: open_sockets(server.pid) == before, timeout=PATIENCE, what="the end of the connections")
    finally:
        for watcher in watchers:
            watcher.close()
    with Talk(server.address) as talk:
        assert talk.ask("/v1/status/leader").status == 200


@LOOPS
def test_a_client_that_does_not_read_costs_little_and_is_cut(start: Start, loop: str) -> None:
    server = start(loop, idle_timeout=5.0)
    sockets = open_sockets(server.pid)
    register(server, 300)  # about 200 KiB an answer
    before = resident_kib(server.pid)
    deaf = [Talk(server.address, receive_bytes=4096) for _ in range(20)]
    try:
        for talk in deaf:
            talk.socket.settimeout(0)
            request = b"GET /v1/health/service/web HTTP/1.1\r\nHost: a\r\n\r\n" * 100
            try:
                while True:
                    talk.socket.send(request)
            except (BlockingIOError, ConnectionError):  # on a busy machine it may be cut already
                continue
        with Talk(server.address) as talk:
            assert len(talk.ask("/v1/health/service/web").json) == 300
        assert resident_kib(server.pid) - before < 60_000, "not all that was asked for is kept in memory"
        wait_until(lambda: open_sockets(server.pid) == sockets, timeout=PATIENCE, what="the end of the deaf ones")
    finally:
        for talk in deaf:
            talk.close()


@LOOPS
def test_a_slow_reader_gets_all(start: Start, loop: str) -> None:
    server = start(loop)
    register(server, 300)
    with Talk(server.address, receive_bytes=4096) as talk:
        for _ in range(5):
            talk.get("/v1/health/service/web")
        for _ in range(5):
            received = b""
            for _ in range(8):
                time.sleep(0.02)
                received += talk.socket.recv(4096)
            talk._received += received  # the rest is read at once
            assert len(talk.answer().json) == 300


@LOOPS
def test_refusals_reach_clients_that_go_on_sending(start: Start, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.homeport.PROGRAM", program("homeport.server.http_protocol", _LINGER=PATIENCE))
    server = start(loop, body_bytes=1000, header_bytes=1000)
    flood = b"x" * 200_000
    for data, status in (
        (b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n", 413),
        (b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\nX: ", 431),
        (b"nonsense\r\n\r\n", 400),
    ):
        for _ in range(10):
            with Talk(server.address) as talk:
                talk.send(data)
                try:
                    for _ in range(3):
                        talk.send(flood)
                except (BrokenPipeError, ConnectionResetError):
                    pytest.fail("the connection was cut before the refusal could be read")
                answer = talk.answer()
                assert (answer.status, answer.header("Connection")) == (status, "close")


@LOOPS
@pytest.mark.parametrize(
    ("limit", "seconds", "data", "status"),
    [
        ("header_timeout", 0.2, b"GET /v1/status/lea", 408),
        ("body_timeout", 0.2, b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{", 408),
        ("idle_timeout", 0.2, b"", None),
        ("idle_timeout", 5.0, b"GET /v1/catalog/nodes HTTP/1.1\r\nHost: a\r\n\r\n", 200),  # asked before it is over
    ],
)
def test_who_takes_too_long_is_let_go(
    start: Start, loop: str, limit: str, seconds: float, data: bytes, status: int | None
) -> None:
    server = start(loop, **{limit: seconds})
    before = open_sockets(server.pid)
    with Talk(server.address) as talk:
        if data:
            talk.send(data)
            assert talk.answer().status == status
        assert talk.ended()
        wait_until(lambda: open_sockets(server.pid) == before, timeout=PATIENCE, what="the end of the connection")


@LOOPS
def test_requests_sent_ahead_are_answered_in_order(start: Start, loop: str) -> None:
    server = start(loop)
    register(server)
    targets = ["/v1/health/service/web", "/v1/status/leader", "/v1/nothing", "/v1/catalog/nodes?near=x"] * 50
    with Talk(server.address) as talk:
        one_by_one = [talk.ask(target) for target in targets]
        talk.send(b"".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for target in targets))
        ahead = [talk.answer() for _ in targets]
    assert [(answer.status, answer.body) for answer in ahead] == [(one.status, one.body) for one in one_by_one]


def test_connections_per_client() -> None:
    """Beyond loopback, in a network namespace of its own."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.integration.server.in_namespace"]
    try:
        probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this needs a network namespace, and there is no unshare")
    if probe.returncode:
        pytest.skip(f"this needs a network namespace: {probe.stderr.strip()}")
    environment = clean_environment({"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "homeport ready http=10.77.0.1:8500",
        "10.77.0.2 has 3 of 5",
        "10.77.0.3 has 3 of 5",
        "127.0.0.1 has 5 of 5",
        "a refused one is told: 429 10.77.0.2 has more than 3 connections open; close some",
        "one that is closed makes place: 200",
    ]
