"""What signals do to the server: SIGTERM and SIGINT end it in order, SIGHUP lets it read its checks again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

_ENDING = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Takes SIGTERM and SIGINT while it is entered, in the running event loop.

    Until `begin_with` says how to end in order, they end what runs inside `leaving_early` at once.
    """

    def __init__(self) -> None:
        self._end: Callable[[], None] | None = None
        self._early: asyncio.Task[object] | None = None
        self._left_early = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.remove_signal_handler(number)

    def begin_with(self, end: Callable[[], None]) -> None:
        """From here on, call ``end`` for each signal."""
        self._end = end

    @contextlib.contextmanager
    def leaving_early(self) -> Iterator[None]:
        """What may be left, by cancelling it, before there is anything to end in order."""
        self._early = asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError:
            if not self._left_early:
                raise
            if self._early is not None:
                self._early.uncancel()
        finally:
            self._early = None

    def _signalled(self) -> None:
        if self._end is not None:
            self._end()
        elif self._early is not None and not self._left_early:
            self._left_early = True
            self._early.cancel()


@contextlib.contextmanager
def calling_on_hangup(function: Callable[[], None]) -> Iterator[None]:
    """Call ``function`` for each SIGHUP, in the running event loop."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, function)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
