"""Programs that use the blocking API, as processes of their own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.servers.process import clean_environment, wait_until

TIMEOUT = 60.0

HEADER = """
import atexit, multiprocessing, os, signal, sys, threading, time
from homeport.blocking import *

backend, name = sys.argv[1:]
# What these programs are about happens however slow the machine is.
patient = ClientSettings(deregister_timeout=60, settle_timeout=60)

def say(*words):
    print(*words, flush=True)

def sleep_on():
    while True:  # in short turns: a signal that comes just before a sleep begins does not end it
        time.sleep(0.05)
"""


class Program:
    """A running program."""

    def __init__(self, code: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            # From 3.12 on Python warns of each fork beside threads; that it does no harm here is what is tested.
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", HEADER + code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(environment),
            start_new_session=True,
        )

    def line(self) -> str:
        """The next line that it says, and not a byte more: `communicate` does not see what was read ahead."""
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                assert self.process.stderr is not None
                pytest.fail(self.process.stderr.read())
            line += byte
        return line.decode().strip()

    def go_on(self) -> None:
        """Let it go on behind a `sys.stdin.readline()`."""
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def wait_asleep(self) -> None:
        """Return when its main thread waits for something."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(") ")[2][0] == "S", timeout=TIMEOUT, what="its sleep")

    def end(self, number: signal.Signals | None = None) -> tuple[int, list[str], str]:
        """Its exit status, the lines that it still says, and what it complains about; with a signal if given."""
        if number is not None:
            self.process.send_signal(number)
        said, complained = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, said.splitlines(), complained

    def kill(self) -> None:
        """End it, with every process that it has forked."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


Start = Callable[..., Program]


@pytest.fixture
def start(name: str) -> Iterator[Start]:
    """Starts a program with a backend and the name as its arguments."""
    started: list[Program] = []

    def start(code: str, backend: str, **environment: str) -> Program:
        started.append(Program(code, backend, name, environment=environment))
        return started[-1]

    yield start
    for program in started:
        program.kill()
