"""Leaving in order when the process is told to end.

Handlers are installed in the main thread only and only over the defaults, so that a framework's own stay. The first
SIGTERM or SIGINT restores the defaults, lets everybody leave for a bounded time, and is then raised again: the
process ends by the signal, as its parent expects. A second one ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)

Leave = Callable[[], Awaitable[None]]


class ExitSignals:
    """One party's share in the handlers of this process."""

    def __init__(self, leave: Leave, *, leave_timeout: float) -> None:
        self._leave = leave
        self._leave_timeout = leave_timeout
        self._handler: _Handler | None = None

    def install(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Have ``leave`` awaited before this process ends by a signal, in ``loop`` or else in the running one.

        May be called again.
        """
        if self._handler is not None or threading.current_thread() is not threading.main_thread():
            return
        installed = next(
            (handler for number in _SIGNALS if isinstance(handler := signal.getsignal(number), _Handler)), None
        )
        handler = installed or _Handler()
        handler.join(self, loop or asyncio.get_running_loop(), self._leave, self._leave_timeout)
        self._handler = handler if handler.take_signals() else None

    def uninstall(self) -> None:
        """Give up the share; the last one restores the defaults."""
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.part(self)


class _Handler:
    """The handler itself, shared by all parties of the process."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._parties: dict[ExitSignals, tuple[asyncio.AbstractEventLoop, Leave, float]] = {}
        self._before: dict[int, Any] = {}
        self._left = threading.Semaphore(0)

    def join(self, party: ExitSignals, loop: asyncio.AbstractEventLoop, leave: Leave, leave_timeout: float) -> None:
        self._parties[party] = (loop, leave, leave_timeout)

    def part(self, party: ExitSignals) -> None:
        self._parties.pop(party, None)
        if not self._parties and threading.current_thread() is threading.main_thread():
            self._restore()

    def take_signals(self) -> bool:
        """Install over the defaults; True if any signal is ours."""
        for number in _SIGNALS:
            if signal.getsignal(number) in _DEFAULTS:
                self._before[number] = signal.signal(number, self)
        return any(signal.getsignal(number) is self for number in _SIGNALS)

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self._restore()
        parties, self._parties = dict(self._parties), {}
        if os.getpid() != self._pid or not parties:  # a fork: these registrations are the parent's
            signal.raise_signal(number)
            return
        for loop, leave, _ in parties.values():
            try:
                loop.call_soon_threadsafe(_begin, loop, leave, self._left.release)
            except RuntimeError:  # the loop is closed, so there is nobody to leave
                self._left.release()
        loops = [loop for loop, _, _ in parties.values()]
        longest = max(leave_timeout for _, _, leave_timeout in parties.values())
        threading.Thread(
            target=self._raise_again, args=(number, loops, longest), name="homeport exit", daemon=True
        ).start()

    def _raise_again(self, number: int, loops: list[asyncio.AbstractEventLoop], longest: float) -> None:
        """End the process by the signal when all have left, or it takes too long, also if a loop is blocked."""
        deadline = time.monotonic() + longest
        for _ in loops:
            self._left.acquire(timeout=max(0.0, deadline - time.monotonic()))
        os.kill(os.getpid(), number)
        # A loop that goes to sleep in this very moment would notice a KeyboardInterrupt only at its next timer.
        for loop in loops:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_nothing)

    def _restore(self) -> None:
        for number, before in self._before.items():
            if signal.getsignal(number) is self:
                signal.signal(number, before)
        self._before.clear()


def _nothing() -> None:
    """Wake the loop."""


def _begin(loop: asyncio.AbstractEventLoop, leave: Leave, left: Callable[[], None]) -> None:
    async def go() -> None:
        with contextlib.suppress(Exception):
            await leave()

    task = loop.create_task(go(), name="homeport leave")
    task.add_done_callback(lambda _task: left())
