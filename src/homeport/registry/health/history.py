"""The longer history of checks, beside the store, which neither needs it nor can be held up by it.

A disk that is full or broken ends the recording with one line of log; it goes on by itself when it can, and what
happened meanwhile is kept as far as it fits into a bounded buffer.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from homeport.registry.own_thread import OwnThread

from .agenda import Agenda
from .history_file import HistoryFile, PastTransition

_log = logging.getLogger(__name__)
_MOST_BUFFERED = 10_000
_MOST_AT_A_TIME = 25  # transitions in one transaction, which must fit into a small file
_RETRY = 30.0  # seconds after which a disk that failed is tried again
_SWEEP = 600.0  # seconds between two removals of what is too old


class History:
    """Transitions of checks in the file ``path`` (None: in memory), written and read on a thread of its own.

    Kept are ``retention`` seconds, at most ``most_per_check`` transitions of a check, at most ``max_bytes`` in all.
    ``clock`` gives Unix seconds. No method raises for what a disk does.
    """

    def __init__(
        self, path: Path | None, agenda: Agenda, *, retention: float, most_per_check: int, max_bytes: int,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._file = HistoryFile(path, most_per_check=most_per_check, max_bytes=max_bytes)
        self._agenda = agenda
        self._retention = retention
        self._clock = clock
        self._thread = OwnThread("homeport-history")
        self._buffer: deque[PastTransition] = deque(maxlen=_MOST_BUFFERED)
        self._writing: tuple[PastTransition, ...] = ()
        self._flushing: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._failed = self._paused = False
        self._closed = False

    def start(self) -> None:
        """Remove what is too old, from now on and now and then."""
        self._agenda.at(self._agenda.now(), self._sweep)

    def note(self, transitions: Iterable[PastTransition]) -> None:
        """Have these written; `since` finds them from now on. A disk that fails for long loses the oldest."""
        self._buffer.extend(transitions)
        if self._buffer and self._flushing is None and not self._paused and not self._closed:
            self._flushing = asyncio.create_task(self._flush(), name="homeport check history")

    async def since(self, at: float, *, service: str = "") -> list[PastTransition]:
        """The transitions since a Unix time, of one service or of all, oldest first, as far as the disk gives them."""
        if self._flushing is not None:
            await asyncio.wait((self._flushing,))
        wanted = service.lower()
        unwritten = [
            past for past in (*self._writing, *self._buffer)
            if past.at >= at and (not wanted or past.service.lower() == wanted)
        ]  # fmt: skip
        written: list[PastTransition] = []
        try:
            written = await self._thread.do(lambda: self._file.read(at, service))
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        # What was being written stands in both by now, or in one of them.
        return sorted(dict.fromkeys((*written, *unwritten)), key=_by_time)

    async def aclose(self) -> None:
        """Write what waits, and close the file."""
        self._closed = True
        for task in (self._flushing, self._sweeping):
            if task is not None:
                await asyncio.wait((task,))
        await self._thread.do(self._file.close)
        self._thread.close()

    async def _flush(self) -> None:
        try:
            while self._buffer:
                most = min(len(self._buffer), _MOST_AT_A_TIME)
                rows = self._writing = tuple(self._buffer.popleft() for _ in range(most))
                await self._thread.do(partial(self._file.write, rows))
                self._writing = ()
                self._recover()
        except (sqlite3.Error, OSError) as error:
            self._buffer = deque((*self._writing, *self._buffer), maxlen=_MOST_BUFFERED)
            self._writing = ()
            self._fail(error)
        finally:
            self._flushing = None

    def _sweep(self) -> None:
        self._agenda.at(self._agenda.now() + _SWEEP, self._sweep)
        if self._sweeping is None and not self._closed:
            self._sweeping = asyncio.create_task(self._remove_old(), name="homeport check history sweep")

    async def _remove_old(self) -> None:
        oldest = self._clock() - self._retention
        try:
            await self._thread.do(lambda: self._file.remove_before(oldest))
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
        finally:
            self._sweeping = None

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            _log.warning("the history of checks is not recorded for now", extra={"error": str(error)})
        if not self._paused:
            self._paused = True
            self._agenda.at(self._agenda.now() + _RETRY, self._try_again)

    def _try_again(self) -> None:
        self._paused = False
        self.note(())

    def _recover(self) -> None:
        if self._failed:
            self._failed = False
            _log.info("the history of checks is recorded again")


def _by_time(past: PastTransition) -> float:
    return past.at
