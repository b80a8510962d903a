"""How the server ends: who waits is answered, status 0, soon; whatever its clients do."""

import re
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.integration.server.running import PATIENCE, program
from tests.integration.server.talking import Talk
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK
from tests.servers.process import wait_until

WATCHERS = 1000
GRACE_IS_OVER = "timeout graceful shutdown exceeded"  # in the words of uvicorn's log
LONG = program("homeport.server.app", _GRACE=600)
"""A server that gives what is in flight ten minutes to end."""


def end(server: HomeportServer, number: signal.Signals) -> int:
    """Send a signal; the exit status."""
    process = server._process  # a signal of the test's choice
    process.send(number)
    return process.wait(timeout=PATIENCE)


def refuses(server: HomeportServer) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection((LOOPBACK, server.http_port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("target", ["/v1/health/service/web?index=", "/v1/health/state/any?index="])
def test_a_thousand_watchers_are_answered(
    homeport_factory: HomeportFactory, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, target: str
) -> None:
    monkeypatch.setattr("tests.servers.homeport.PROGRAM", LONG)
    server = homeport_factory()
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 1})
    with Talk(server.address) as first:
        index = first.ask(target.removesuffix("?index=")).index
    watchers = [Talk(server.address) for _ in range(WATCHERS)]
    try:
        for watcher in watchers:
            watcher.get(f"{target}{index}")
        with Talk(server.address) as last:  # behind all of them
            assert last.ask("/v1/status/leader").status == 200
        assert end(server, number) == 0
        for watcher in watchers:
            answer = watcher.answer()
            assert (answer.status, answer.index, answer.header("Connection")) == (200, index, "close")
            assert watcher.ended()
    finally:
        for watcher in watchers:
            watcher.close()


def test_clients_that_hang_do_not_keep_it(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    server = homeport_factory()
    for number in range(300):
        server.request(
            "PUT", "/v1/agent/service/register", {"Name": "web", "ID": f"web-{number}", "Meta": {"m": "x" * 400}}
        )
    with (
        Talk(server.address) as head, Talk(server.address) as body, Talk(server.address, receive_bytes=4096) as deaf,
        Talk(server.address),
    ):  # fmt: skip
        head.send(b"GET /v1/status/lea")
        body.send(b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        for _ in range(60):
            deaf.get("/v1/health/service/web")
        assert end(server, signal.SIGTERM) == 0
        assert body.answer().status == 503
    assert GRACE_IS_OVER in server.log_path.read_text()


def test_a_script_check_that_runs_does_not_keep_it(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    server = homeport_factory(config="server:\n  health:\n    enable_script_checks: true\n")
    started = tmp_path / "started"
    check = {"Args": ["/bin/sh", "-c", f"touch {started}; sleep 600"], "Interval": "1s", "Timeout": "600s"}
    server.request("PUT", "/v1/agent/service/register", {"Name": "slow", "Check": check})
    wait_until(started.exists, timeout=PATIENCE, what="the first run of the script")
    assert end(server, signal.SIGTERM) == 0


def test_a_second_signal_does_not_wait(homeport_factory: HomeportFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.homeport.PROGRAM", LONG)
    server = homeport_factory()
    for number in range(300):
        server.request(
            "PUT", "/v1/agent/service/register", {"Name": "web", "ID": f"web-{number}", "Meta": {"m": "x" * 400}}
        )
    with Talk(server.address, receive_bytes=4096) as deaf:
        for _ in range(60):
            deaf.get("/v1/health/service/web")
        process = server._process  # as above
        process.send(signal.SIGINT)
        wait_until(lambda: refuses(server), timeout=PATIENCE, what="the end of listening")
        assert end(server, signal.SIGINT) == 0
    assert GRACE_IS_OVER not in server.log_path.read_text()


def test_writes_in_flight_are_answered_or_not_made(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory()
    answered: list[str] = []
    failed = threading.Event()

    def write(writer: int) -> None:
        number = 0
        try:
            with Talk(server.address) as talk:
                while True:
                    name = f"w{writer}-{number}"
                    assert talk.put("/v1/agent/service/register", f'{{"Name":"{name}"}}'.encode()).status == 200
                    answered.append(name)
                    number += 1
        except (EOFError, OSError):
            return
        except BaseException:
            failed.set()
            raise

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in writers:
        thread.start()
    wait_until(lambda: len(answered) > 200, timeout=PATIENCE, what="200 writes")
    assert end(server, signal.SIGTERM) == 0
    for thread in writers:
        thread.join()
    assert not failed.is_set()
    server.start()
    found = set(server.request("GET", "/v1/agent/services"))
    assert set(answered) <= found
    assert len(found - set(answered)) <= len(writers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_serves_ends_it_too(homeport_factory: HomeportFactory, number: signal.Signals) -> None:
    server = homeport_factory()
    for _ in range(3):
        server.request("PUT", "/v1/catalog/register", {"Node": "n", "Address": "10.0.0.1"})
    server.stop()
    process = server._process  # as above
    process.spawn(server._command())  # without waiting for its ready line
    listening = re.compile(rf":{server.http_port:04X} 00000000:0000 0A ")

    def listens() -> bool:
        return listening.search(Path("/proc/net/tcp").read_text(encoding="ascii").upper()) is not None

    wait_until(listens, timeout=PATIENCE, what="the listener")
    assert end(server, number) == 0


def test_hanging_up_reads_the_checks_again(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    server = homeport_factory(config="health_checks: {}\n")
    server.request("PUT", "/v1/agent/service/register", {"Name": "web", "Address": "127.0.0.1", "Port": 9})
    assert server.request("GET", "/v1/agent/checks") == {}
    process, file = server._process, server.folder / "homeport.yaml"  # as above
    good = "health_checks:\n  web:\n    checks:\n      - {name: port, type: tcp, address: '127.0.0.1:9'}\n"
    for text, checks, word in (
        (good, 1, "were read again"),
        ("health_checks: nonsense\n", 1, "were not read again"),
        ("health_checks: {}\n", 0, "were read again"),
    ):
        told = server.log_path.read_text(encoding="utf-8").count(word)
        file.write_text(text, encoding="utf-8")
        process.send(signal.SIGHUP)
        wait_until(
            lambda word=word, told=told: server.log_path.read_text(encoding="utf-8").count(word) > told,  # type: ignore[misc]  # the defaults bind the loop's values
            timeout=PATIENCE, what="the reading of the file",
        )  # fmt: skip
        assert len(server.request("GET", "/v1/agent/checks")) == checks
    assert end(server, signal.SIGTERM) == 0
