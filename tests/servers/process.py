"""One server process: started, watched, ended, with its log kept."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO
from weakref import WeakSet

from tests.servers.guardian import Guardian

# A machine that is busy with other tests may need ten times as long as an idle one.
START_TIMEOUT = 90.0
STOP_TIMEOUT = 60.0
POLL_INTERVAL = 0.02
# A developer's own settings must not decide the outcome of a test.
FOREIGN_PREFIXES = ("CONSUL_", "DISCOVERY_", "DNS_", "ETCD_", "EUREKA_", "HOMEPORT_", "K8S_", "SPRING_")

guardian = Guardian()
_started: WeakSet["ServerProcess"] = WeakSet()


class ServerFailedError(Exception):
    """A server did not start, or did not stop; the text ends with the last lines of its log."""


def clean_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a server: ours without the variables that configure discovery, and with the changes."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN_PREFIXES)}
    return inherited | dict(changes or {})


def wait_until(condition: Callable[[], bool], *, timeout: float, what: str) -> None:
    """Wait for a condition that only polling can see; `TimeoutError` says what did not happen."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout:g} s")
        time.sleep(POLL_INTERVAL)


class ServerProcess:
    """A process with its log file `<folder>/<name>.log`, to which stdout and stderr go.

    All methods block; a test that has work on its event loop calls them by `asyncio.to_thread`. The process leads a
    group of its own, which ends as a whole, at the latest when this process does.
    """

    def __init__(self, name: str, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.folder = folder
        self.log_path = folder / f"{name}.log"
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None
        self._first_line: deque[str] = deque(maxlen=1)
        self._spoke = threading.Event()
        _started.add(self)

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; False also after it ended by itself."""
        return self._process is not None and self._process.poll() is None

    def spawn(self, command: Sequence[str], *, stdout_apart: bool = False) -> None:
        """Start the process; with `stdout_apart` the first line of stdout is kept for `first_line()`."""
        if self._process is not None:
            raise RuntimeError(f"{self.name} was started already")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._first_line.clear()
        self._spoke.clear()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout_apart else log,
                stderr=log,
                env=clean_environment(self._environment),
                cwd=self.folder,
                start_new_session=True,
                text=True,
            )
        try:
            guardian.protect(self._process.pid)
        except BaseException:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise
        if stdout_apart:
            self._drain = threading.Thread(
                target=self._read_stdout, args=(self._process.stdout,), name=f"{self.name}-stdout", daemon=True
            )
            self._drain.start()

    def first_line(self, *, timeout: float = START_TIMEOUT) -> str:
        """The first line of stdout; `ServerFailedError` if the process ends, or says nothing in time."""
        if not self._spoke.wait(timeout):
            raise self.failure(f"said nothing on stdout for {timeout:g} s")
        if not self._first_line:
            # Stdout was closed: the process is about to end.
            assert self._process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
            raise self.failure(f"ended with {self._exit_text()}")
        return self._first_line[0]

    def wait_ready(self, condition: Callable[[], bool], *, timeout: float = START_TIMEOUT) -> None:
        """Wait until the condition holds; `ServerFailedError` if the process ends first, or time runs out."""

        def ready_or_dead() -> bool:
            return not self.running or condition()

        try:
            wait_until(ready_or_dead, timeout=timeout, what=f"{self.name} becoming ready")
        except TimeoutError as error:
            raise self.failure(str(error)) from None
        if not self.running:
            raise self.failure(f"ended with {self._exit_text()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    def wait(self, *, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for the end of the process; its exit status, negative for a signal."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end within {timeout:g} s") from None
        self._ended()
        return status

    def stop(self) -> int:
        """End the process in an orderly way (SIGTERM) and wait for it; its exit status, 0 if it did not run."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the process at once (SIGKILL), with everything that it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def failure(self, what: str) -> ServerFailedError:
        """An error about this server, with the end of its log."""
        return ServerFailedError(f"{self.name} {what}; its log ends:\n{self.log_tail()}")

    def log_size(self) -> int:
        """How long the log is now, in bytes; a mark for `log_tail`."""
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def log_tail(self, *, since: int = 0, lines: int = 40) -> str:
        """The last lines of the log, from a mark on."""
        if not self.log_path.exists():
            return "(no log)"
        with self.log_path.open("rb") as log:
            log.seek(since)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _read_stdout(self, stdout: IO[str]) -> None:
        with stdout, self.log_path.open("a", encoding="utf-8") as log:
            for line in stdout:
                if not self._spoke.is_set():
                    self._first_line.append(line.rstrip("\n"))
                    self._spoke.set()
                log.write(line)
                log.flush()
        self._spoke.set()

    def _exit_text(self) -> str:
        status = self._process.poll() if self._process is not None else None
        if status is not None and status < 0:
            return signal.Signals(-status).name
        return f"exit status {status}"

    def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # What the server itself started ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            guardian.forget(process.pid)
        drain, self._drain = self._drain, None
        if drain is not None:
            drain.join()


def started_servers() -> Iterator[ServerProcess]:
    """Every server object of this process that is still in use."""
    yield from _started
