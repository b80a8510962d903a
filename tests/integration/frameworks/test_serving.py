"""When a process serves, and on which port."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from homeport import BackendUnavailable, InvalidValue, PermissionDenied, Service
from homeport.integrations.serving.advertisement import Advertisement, worth_repeating
from homeport.integrations.serving.departure import Departure
from homeport.integrations.serving.listening import listening_ports
from tests.servers.process import wait_until

TIMEOUT = 60.0


def test_listening_ports_are_those_of_this_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port, other = server.getsockname()[1], bound.getsockname()[1]
        ports = listening_ports()
        assert ports is not None
        assert port in ports
        assert other not in ports  # bound, but nobody listens
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert client.getsockname()[1] not in (listening_ports() or ())
        listens = "from homeport.integrations.serving.listening import listening_ports; print(listening_ports())"
        child = subprocess.run([sys.executable, "-c", listens], capture_output=True, text=True, check=True)
        assert child.stdout == "frozenset()\n"
    assert port not in (listening_ports() or ())


def test_a_unix_socket_is_listened_on_without_a_port(tmp_path: Path) -> None:
    program = """
import socket, sys
from homeport.integrations.serving.listening import listening_ports
with socket.socket(socket.AF_UNIX) as server:
    server.bind(sys.argv[1])
    print(*listening_ports())
    server.listen()
    print(*listening_ports())
"""
    child = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "socket")], capture_output=True, text=True, check=True
    )
    assert child.stdout == "\n0\n"


def test_an_inherited_socket_counts() -> None:
    listens = "from homeport.integrations.serving.listening import listening_ports; print(*listening_ports())"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        child = subprocess.run(
            [sys.executable, "-c", listens], capture_output=True, text=True, check=True, pass_fds=[server.fileno()]
        )
        assert child.stdout == f"{server.getsockname()[1]}\n"


@pytest.mark.parametrize(
    ("argument", "service", "environ", "listening", "port"),
    [
        (1, Service(name="s", port=2), {"PORT": "3"}, {4}, 1),
        (None, Service(name="s", port=2), {"PORT": "3"}, {4}, 2),
        (None, Service(name="s"), {"PORT": "3"}, {4}, 3),
        (None, "s", {"PORT": " "}, {4}, 4),
        (None, "s", {}, {0, 4}, 4),
        (None, "s", {}, set(), None),
        (1, "s", {}, set(), None),
        (1, "s", {}, {0}, 1),
        (1, "s", {}, {4, 5}, 1),
        (1, "s", {}, None, 1),
    ],
)
def test_the_port_to_register(
    argument: int | None, service: Service | str, environ: Mapping[str, str], listening: set[int] | None, port: int
) -> None:
    advertisement = Advertisement(service, port=argument, environ=environ)
    assert advertisement.port(None if listening is None else frozenset(listening)) == port


@pytest.mark.parametrize(
    ("listening", "sentence"),
    [
        ({4, 5}, '"s" listens on the ports 4, 5; give the one to use'),
        ({0}, '"s" listens on a Unix socket; give the port of the server before it'),
        (None, 'this system does not tell on which port "s" listens; give a port'),
    ],
)
def test_a_port_that_cannot_be_known_is_asked_for(listening: set[int] | None, sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Advertisement("s", port=None, environ={}).port(None if listening is None else frozenset(listening))
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "８０"])
def test_a_wrong_variable_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match=f'the variable PORT is "{text}"'):
        Advertisement("s", port=None, environ={"PORT": text})


def test_only_what_may_succeed_later_is_tried_again() -> None:
    assert worth_repeating(BackendUnavailable("away"))
    assert not worth_repeating(PermissionDenied("no"))
    assert not worth_repeating(InvalidValue("wrong"))


class Handled:
    """A server's handler of signals. It takes no lock, which the thread that it interrupts may hold."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def __call__(self, number: int, _frame: object) -> None:
        self.signals.append(number)


@pytest.fixture
def handled() -> Handled:
    return Handled()


def with_handler(handled: Handled, departure: Departure, *, signals: int) -> None:
    """Let SIGTERM come so many times."""
    before = signal.signal(signal.SIGTERM, handled)
    try:
        departure.install()
        for _ in range(signals):
            signal.raise_signal(signal.SIGTERM)
        wait_until(lambda: bool(handled.signals), timeout=TIMEOUT, what="the signal to the server")
        departure.uninstall()
        assert signal.getsignal(signal.SIGTERM) is handled
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_server_is_told_after_leaving(handled: Handled) -> None:
    seen: list[list[int]] = []
    with_handler(handled, Departure(lambda: seen.append(list(handled.signals)), leave_timeout=TIMEOUT), signals=1)
    assert seen == [[]]
    assert handled.signals == [signal.SIGTERM]


def test_a_leaving_that_fails_or_hangs_keeps_no_server_alive(
    handled: Handled, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    with_handler(handled, Departure(fail, leave_timeout=TIMEOUT), signals=1)
    assert handled.signals == [signal.SIGTERM]
    assert "leaving before the end of the server failed" in caplog.text
    for_ever = threading.Event()
    second = Handled()

    def hang() -> None:
        for_ever.wait(TIMEOUT)

    with_handler(second, Departure(hang, leave_timeout=0.05), signals=1)
    assert second.signals == [signal.SIGTERM]
    for_ever.set()


def test_a_second_signal_is_handed_on_at_once_and_the_first_no_more(handled: Handled) -> None:
    goes_on = threading.Event()
    done = threading.Event()

    def leave() -> None:
        goes_on.wait(TIMEOUT)
        done.set()

    with_handler(handled, Departure(leave, leave_timeout=TIMEOUT), signals=2)
    assert handled.signals == [signal.SIGTERM]
    goes_on.set()
    assert done.wait(TIMEOUT)
    for thread in threading.enumerate():
        if thread.name == "homeport departure":
            thread.join(TIMEOUT)
    assert handled.signals == [signal.SIGTERM]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_signals_of_an_event_loop_are_left_to_it(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def handled_by_the_loop() -> None:
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, came.set)
        handler = signal.getsignal(signal.SIGTERM)
        try:
            departure.install()
            assert signal.getsignal(signal.SIGTERM) == handler
            signal.raise_signal(signal.SIGTERM)
            await asyncio.wait_for(came.wait(), TIMEOUT)
        finally:
            departure.uninstall()  # it stands before the handler that asyncio has for Ctrl-C
            loop.remove_signal_handler(signal.SIGTERM)

    departure = Departure(lambda: None, leave_timeout=TIMEOUT)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(handled_by_the_loop())
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_others_want_of_signals_is_left_alone() -> None:
    departure = Departure(lambda: None, leave_timeout=TIMEOUT)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        departure.install()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
