"""`register NAME -- COMMAND`."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.command_line import PATIENCE, CommandLine
from tests.e2e.cli.conftest import Registry
from tests.servers.api import call
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until

# Listens after it was told to on stdin-free terms (a file), says which signals it gets, and ends on TERM and INT by 3.
SERVER = """
import pathlib, signal, socket, sys, time
def got(number, frame):
    print("got", signal.Signals(number).name, flush=True)
    if number in (signal.SIGTERM, signal.SIGINT):
        sys.exit(3)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, got)
print("started", flush=True)
while len(sys.argv) > 2 and not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.02)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        listener.accept()[0].close()
"""


def entries(registry: Registry, name: str, query: str = "") -> list[Any]:
    found: list[Any] = call(registry.url, "GET", f"/v1/health/service/{name}{query}")
    return found


def server(port: int, *more: str) -> tuple[str, ...]:
    return ("--port", str(port), "--", sys.executable, "-c", SERVER, str(port), *more)


def test_registered_from_when_it_listens_until_it_is_told_to_end(
    both: CommandLine, registry: Registry, name: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, go = free_port(), tmp_path / "go"
    running = both.start("register", name, "--tags", "a", *server(port, str(go)))
    assert running.out.next() == "started"
    assert entries(registry, name) == []
    go.touch()
    line = running.err.next()
    assert line.startswith(f"homeport: registered {name}-")
    assert line.endswith(f" at 127.0.0.1:{port} on {registry.backend_url}")
    (entry,) = entries(registry, name, "?passing")
    assert (entry["Service"]["Port"], entry["Service"]["Tags"]) == (port, ["a"])
    running.send(signal.SIGTERM)
    outcome = running.finish()
    assert outcome.code == 3
    assert outcome.out == "started\ngot SIGTERM\n"
    assert entries(registry, name) == []


def test_it_is_deregistered_before_the_program_hears_of_the_end(
    ours: CommandLine, homeport: HomeportServer, name: str, free_port: Callable[[], int]
) -> None:
    """Nobody shall be sent to a program that is about to end: it sees itself gone when the signal comes."""
    look = (
        "import signal, socket, sys, urllib.request\n"
        "def end(*_):\n"
        f"    print(urllib.request.urlopen('{homeport.url}/v1/health/service/{name}').read().decode(), flush=True)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as listener:\n"
        "    while True: listener.accept()[0].close()\n"
    )
    port = free_port()
    running = ours.start("register", name, "--port", str(port), "--", sys.executable, "-c", look, str(port))
    running.err.until("registered")
    running.send(signal.SIGTERM)
    assert running.finish().out == "[]\n"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_are_forwarded_and_change_nothing(
    ours: CommandLine, homeport: HomeportServer, name: str, free_port: Callable[[], int], number: signal.Signals
) -> None:
    running = ours.start("register", name, *server(free_port()))
    running.err.until("registered")
    running.send(number)
    assert running.out.until("got") == f"got {number.name}"
    assert len(entries(homeport, name)) == 1
    running.send(signal.SIGINT)
    assert running.finish().code == 3


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_its_end_is_the_end(ours: CommandLine, homeport: HomeportServer, name: str, script: str, code: int) -> None:
    outcome = ours("register", name, "--port", "0", "--", "sh", "-c", script)
    assert outcome.code == code
    assert outcome.out == ""
    assert entries(homeport, name) == []


def test_its_own_end_deregisters(ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path) -> None:
    """Without a port there is nothing to wait for."""
    stop = tmp_path / "stop"
    script = f"until [ -e {stop} ]; do sleep 0.02; done; exit 5"
    running = ours.start("register", name, "--port", "0", "--", "sh", "-c", script)
    running.err.until("registered")
    assert len(entries(homeport, name)) == 1
    stop.touch()
    outcome = running.finish()
    assert outcome.code == 5
    assert "nothing was registered" not in outcome.err
    assert entries(homeport, name) == []


def test_its_options_are_its_own(ours: CommandLine, name: str) -> None:
    outcome = ours("register", name, "--port", "0", "--", "printf", "%s.", "--port", "--", "--keep", "-h")
    assert (outcome.code, outcome.out) == (0, "--port.--.--keep.-h.")


def test_a_program_that_is_not_there(ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path) -> None:
    outcome = ours("register", name, "--port", "0", "--", "/no/such/program")
    assert (outcome.code, outcome.err) == (
        127, 'homeport: there is no program "/no/such/program"; nothing was registered.\n',
    )  # fmt: skip
    folder = ours("register", name, "--port", "0", "--", str(tmp_path))
    assert (folder.code, folder.err) == (
        126, f'homeport: "{tmp_path}" cannot be executed (Permission denied); nothing was registered.\n',
    )  # fmt: skip
    assert entries(homeport, name) == []


def test_a_port_that_never_answers_ends_it(
    ours: CommandLine, homeport: HomeportServer, name: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, go = free_port(), tmp_path / "never"
    outcome = ours("register", name, "--start-timeout", "5s", *server(port, str(go)))
    assert outcome.code == 1
    assert outcome.out == "started\ngot SIGTERM\n"
    assert outcome.err == (
        f"homeport: nothing answered at 127.0.0.1:{port} within 5 s, so the program was ended; "
        "give it longer with --start-timeout, or 0 to register at once.\n"
    )
    assert entries(homeport, name) == []


def test_it_may_be_registered_at_once(
    ours: CommandLine, homeport: HomeportServer, name: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    running = ours.start("register", name, "--start-timeout", "0", *server(free_port(), str(tmp_path / "never")))
    running.err.until("registered")
    assert len(entries(homeport, name)) == 1


def test_without_a_registry_nothing_is_started(
    cli: CommandLine, name: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    backend = f"homeport://127.0.0.1:{free_port()}"
    outcome = cli("register", name, "--port", "0", "--backend", backend, "--", "touch", str(tmp_path / "started"))
    assert outcome.code == 3
    assert "no registry answers" in outcome.err
    assert not (tmp_path / "started").exists()


def test_a_registration_that_is_refused_ends_it(ours: CommandLine, name: str) -> None:
    outcome = ours(
        "register", name, "--port", "0", "--meta", f"{'k' * 200}=v",
        "--", sys.executable, "-c", "import time; time.sleep(99)",
    )  # fmt: skip
    assert outcome.code == 2
    assert outcome.err.startswith("homeport: ")
    assert outcome.err.count("\n") == 1


def test_a_killed_wrapper_leaves_a_lease_that_runs_out(
    ours: CommandLine, homeport: HomeportServer, name: str, free_port: Callable[[], int]
) -> None:
    running = ours.start("register", name, "--ttl", "1s", *server(free_port()))
    running.err.until("registered")
    running.send(signal.SIGKILL)
    wait_until(lambda: entries(homeport, name, "?passing") == [], timeout=PATIENCE, what="the lease running out")


def test_a_program_that_has_the_port_already_is_not_taken_for_the_command(
    ours: CommandLine, homeport: HomeportServer, name: str
) -> None:
    port = str(homeport.http_port)  # somebody answers there
    done = ours("register", name, "--address", "127.0.0.1", "--port", port, "--", "true")
    assert done.code == 1
    assert done.err.startswith(
        f"homeport: another program answers at 127.0.0.1:{port} already, so nothing was started;"
    )
    assert homeport.request("GET", f"/v1/health/service/{name}") == []


def test_a_program_that_ends_before_its_port_answers_is_told(
    ours: CommandLine, name: str, free_port: Callable[[], int]
) -> None:
    done = ours("register", name, "--address", "127.0.0.1", "--port", str(free_port()), "--", "false")
    assert done.code == 1
    assert "the program ended before its port answered (exit 1); nothing was registered." in done.err
