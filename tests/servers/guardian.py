"""Ends the servers of a test process that died without saying so (killed, crashed, `os._exit`).

Run as a program, it reads lines `+PID` and `-PID` from stdin: process groups to end when stdin closes, and those that
have ended already.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable


def watch_over(lines: Iterable[str]) -> None:
    """Follow the lines to their end, then kill what is still registered."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


class Guardian:
    """The connection to this process's guardian, which is started with the first server."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def protect(self, group: int) -> None:
        """From now on the process group ends when this process does."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The process group has ended."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guardian, and with it whatever is still registered."""
        with self._lock:
            process, self._process = self._process, None
            if process is None or self._owner != os.getpid():
                return
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process is None or self._owner != os.getpid():
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True
                )
                self._owner = os.getpid()
                atexit.register(self.close)
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


if __name__ == "__main__":
    watch_over(sys.stdin)
