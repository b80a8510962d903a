"""Signals as values to wait for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Self


class Signals:
    """Takes signals away from the interpreter while in use; ``next`` waits for one."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._came: asyncio.Queue[signal.Signals] = asyncio.Queue()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.add_signal_handler(number, self._came.put_nowait, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.remove_signal_handler(number)

    async def next(self) -> signal.Signals:
        """The next signal that came."""
        return await self._came.get()


def terminal_sends_to_all() -> bool:
    """Whether Ctrl-C at the terminal reaches what this process started by itself: both are in its foreground."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
