"""The command line as a person or a script uses it: a process of its own, its output, its exit code."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from tests.servers.process import clean_environment, guardian

PATIENCE = 60.0
COMMAND = (sys.executable, "-m", "homeport")


class Outcome:
    """What a command line printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"<exit {self.code}, stdout {self.out!r}, stderr {self.err!r}>"

    @property
    def json(self) -> Any:
        """Stdout as one JSON document."""
        return json.loads(self.out)

    @property
    def ndjson(self) -> list[Any]:
        """Stdout as one JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs `homeport`, in a home of its own, against one registry unless arguments name another."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.environment = clean_environment({"HOME": str(home), "XDG_CONFIG_HOME": "", **(environment or {})})
        self.environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._running: list[Running] = []

    def __call__(self, *arguments: str, **environment: str) -> Outcome:
        """Run to the end."""
        with self.start(*arguments, **environment) as running:
            return running.finish()

    def start(self, *arguments: str, **environment: str) -> "Running":
        """Run in the background, until the test ends at the latest."""
        running = Running([*COMMAND, *arguments], environment={**self.environment, **environment}, folder=self.home)
        self._running.append(running)
        return running

    def close(self) -> None:
        """End what still runs."""
        for running in self._running:
            running.close()


class Running:
    """A command line that runs, in a process group of its own."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=dict(environment), cwd=folder, start_new_session=True,
        )  # fmt: skip
        guardian.protect(self._process.pid)
        self._closed = False
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out = _Lines(self._process.stdout)
        self.err = _Lines(self._process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def finish(self) -> Outcome:
        """Wait for the end, and return everything that was printed."""
        code = self._process.wait(PATIENCE)
        return Outcome(code, self.out.rest(), self.err.rest())

    def close(self) -> None:
        """End the whole group."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        guardian.forget(self._process.pid)
        self.out.rest()
        self.err.rest()


class _Lines:
    """The lines of a stream as they come; all of them are kept."""

    def __init__(self, stream: IO[str]) -> None:
        self._all: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def next(self) -> str:
        """The next line; `EOFError` if there is none any more."""
        line = self._new.get(timeout=PATIENCE)
        if line is None:
            self._new.put(None)
            raise EOFError(f"there is no more line after {self._all}")
        return line

    def until(self, word: str) -> str:
        """The next line that contains `word`."""
        while word not in (line := self.next()):
            pass
        return line

    def rest(self) -> str:
        """Everything, once the stream has ended."""
        self._thread.join(PATIENCE)
        return "".join(self._all)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._all.append(line)
                self._new.put(line.rstrip("\n"))
        self._new.put(None)
