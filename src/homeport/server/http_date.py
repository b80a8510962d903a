"""The ``Date`` header (RFC 9110, 6.6.1), formatted once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate


class HTTPDate:
    """The current date in HTTP's form; ``clock`` gives Unix seconds."""

    __slots__ = ("_clock", "_line", "_second")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._line = b""

    def line(self) -> bytes:
        """The whole header line, with its end."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._line = b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._line

    def value(self) -> bytes:
        """The header's value alone."""
        return self.line()[6:-2]
