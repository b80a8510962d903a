"""What becomes of the objects of a process when it forks, and when it ends.

Both are told to the process as a whole, so that this is the one place that knows all objects of a process.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol, TypeVar, TypeVarTuple
from weakref import WeakSet

_log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Inhabitant(Protocol):
    """An object with threads and connections."""

    def forked(self) -> None:
        """This is a child in which nothing of them exists; called before anything else runs in it."""
        ...

    def close(self) -> None:
        """The process ends; takes a bounded time."""
        ...


_inhabitants: WeakSet[Inhabitant] = WeakSet()
_servants: WeakSet[Inhabitant] = WeakSet()
_uncollected: list[object] = []


def inhabit(inhabitant: Inhabitant, *, serves_others: bool = False) -> None:
    """Tell ``inhabitant`` about forks and about the end; one who serves others is closed after the others."""
    (_servants if serves_others else _inhabitants).add(inhabitant)


def keep_uncollected(left_behind: object) -> None:
    """Keep what a fork has left behind, with all that hangs on it, until the end.

    What is collected complains that nobody closed it, or closes it; both are the parent's business.
    """
    _uncollected.append(left_behind)


class LastingLoop(asyncio.AbstractEventLoop):
    """Mixed into an event loop: lets it work while the interpreter is ending, on a thread that has yet to end."""

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """As everywhere, but an interpreter that is ending, whose executors take nothing more, runs it here."""
        try:
            return super().run_in_executor(executor, func, *args)
        except RuntimeError:
            if executor is not None or self.is_closed():
                raise
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is handed on
            done.set_exception(error)
        return done


def _forked() -> None:
    for inhabitant in (*_inhabitants, *_servants):
        inhabitant.forked()


def _ends() -> None:
    for inhabitant in (*_inhabitants, *_servants):
        try:
            inhabitant.close()
        except Exception:  # noqa: BLE001 - the others have an end as well
            _log.exception("an object could not be closed at the end of the process")


# Registered with the import, and so called after what a program registers for its own end. It is the last moment for
# a thread to end in order: the interpreter takes away its frames next, under whatever C code it is in.
atexit.register(_ends)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
