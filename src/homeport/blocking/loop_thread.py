"""An event loop on a thread of its own, for callers who wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, cast

from homeport.errors import NotReady
from homeport.processes import LastingLoop

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_ENDING_TIMEOUT = 2.0
"""How long what was cancelled may take to end, in seconds; a thread that takes longer ends with the process."""

_TURN = 1.0
"""How long the main thread sleeps at a time, in seconds. Python runs the handlers of signals there, between two steps:
that of a signal which comes in the moment before a sleep runs when the sleep is over."""


class _Asked(Generic[T]):
    """Work that a loop was asked for, and what comes of it, for one who waits.

    As a `concurrent.futures.Future`, without a lock: a signal handler may run in the thread that waits, at any moment,
    and wait for the loop itself. If that thread held a lock in this moment which the loop needs to tell the outcome,
    both would wait for ever. The coroutine is made in the loop's thread, too; a handler that raises would leave one
    behind that nobody awaits. And whoever begins it has it in hand before, to cancel it in that case.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._first = threading.Lock()  # taken by whoever tells the outcome, and never given back
        self._told = threading.Lock()  # free when the outcome is told
        self._told.acquire()
        self._result: T | None = None
        self._error: BaseException | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop do it; called once."""
        self._loop = loop
        loop.call_soon_threadsafe(self._begin, loop)

    def wait(self, timeout: float | None = None) -> T:
        """What came of it.

        Raises:
            CancelledError: it was cancelled.
            TimeoutError: nothing, within so many seconds.
            Exception: what it raised.
        """
        if timeout is None:
            turn = _TURN if threading.current_thread() is threading.main_thread() else -1
            while not self._told.acquire(timeout=turn):
                pass
        elif not self._told.acquire(timeout=timeout):
            raise TimeoutError
        self._told.release()
        try:
            if self._error is not None:
                raise self._error
            return cast("T", self._result)
        finally:
            del self  # or the error would hold itself, by its traceback

    def cancel(self) -> None:
        """Nobody needs it any more: who waits is told, and it is cancelled if it has begun."""
        if self._tell(None, CancelledError()) and self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the task with it
                self._loop.call_soon_threadsafe(self._task.cancel)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._first.locked():
            return
        try:
            self._task = loop.create_task(self._work())
        except Exception as error:  # noqa: BLE001 - it is handed on
            self._tell(None, error)
            return
        self._task.add_done_callback(self._ended)
        if self._first.locked():  # it was cancelled meanwhile, by who did not see the task yet
            self._task.cancel()

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._tell(None, CancelledError())
        elif (error := task.exception()) is not None:
            self._tell(None, error)
        else:
            self._tell(task.result(), None)

    def _tell(self, result: T | None, error: BaseException | None) -> bool:
        """Whether this is the outcome: the first one is."""
        if not self._first.acquire(blocking=False):
            return False
        self._result, self._error = result, error
        self._told.release()
        return True


class LoopThread:
    """Runs coroutines on a daemon thread that is started by the first of them.

    Several threads may wait at once. One that stops waiting, by Ctrl-C for instance, cancels what it waits for.
    """

    def __init__(self, *, name: str) -> None:
        self._name = name
        # Reentrant: a signal handler may close what its own thread is just using.
        self._lock = threading.RLock()
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None
        self._waited_for: set[_Asked[Any]] = set()
        self._closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, None before the first use."""
        return self._loop

    @property
    def closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._closed

    def refuse_own(self) -> None:
        """Refuse to wait in the thread of the loop.

        Raises:
            NotReady: this is that thread.
        """
        if threading.current_thread() is self._thread:
            raise NotReady(
                "a blocking Discovery was used in the thread of its own event loop (by a backend, a balancer or an "
                "observer), which would wait for itself; use it in another thread"
            )

    def run(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work(*args, **kwargs)`` returns or raises.

        Raises:
            NotReady: it is closed, or was closed meanwhile, or this is the thread of the loop, which would wait for
                itself.
        """
        self.refuse_own()
        asked = _Asked(partial(work, *args, **kwargs))
        try:
            with self._lock:
                self._waited_for.add(asked)
                self._submit(asked)
            return asked.wait()
        except CancelledError:
            raise _closed() from None
        except BaseException:
            asked.cancel()
            raise
        finally:
            self._waited_for.discard(asked)

    def launch(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run ``work`` without waiting for it; nothing happens if there is no loop to run it."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._submit(_Asked(work))

    def close(self, last: Callable[[], Coroutine[Any, Any, None]], *, timeout: float) -> None:
        """Run ``last``, for ``timeout`` seconds at most, cancel everything else, and end the thread.

        Who waits gets NotReady. Calling it twice is harmless.
        """
        with self._lock:
            if self._closed:
                return
            loop, thread = self._loop, self._thread
            if loop is None or thread is None:
                self._closed = True
                return
            ending = _Asked(last)
            self._submit(ending)
            self._closed = True
        try:
            ending.wait(timeout)
        except TimeoutError:
            _log.warning("closing took too long and was given up", extra={"thread": self._name})
        finally:
            self._stop(loop)
            thread.join(_ENDING_TIMEOUT)

    def end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """As `close`, without waiting for anything."""
        with self._lock:
            loop = self._loop
            if self._closed or loop is None:
                self._closed = True
                return

            async def last_of_all() -> None:
                try:
                    await last()
                finally:
                    self._stop(loop)

            self._submit(_Asked(last_of_all))
            self._closed = True

    def leave_behind(self) -> None:
        """In a forked child, where the thread does not exist: let go of what belongs to the parent, in silence.

        The child would otherwise keep the parent's connections open after the parent has closed them, and what is
        collected here could disturb the parent's loop.
        """
        self._closed = True
        if self._loop is not None:
            self._loop.leave_behind()

    def _submit(self, asked: _Asked[Any]) -> None:
        """Have the loop do what is asked; called under the lock."""
        if self._closed:
            raise _closed()
        if self._loop is None:
            try:
                self._start()
            except RuntimeError as error:
                raise NotReady("no thread can be started any more: the program is ending") from error
        assert self._loop is not None
        asked.begin(self._loop)

    def _start(self) -> None:
        loop = _Loop()
        self._thread = threading.Thread(target=_serve, args=(loop,), name=self._name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            loop.close()
            raise
        self._loop = loop

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed already
            loop.call_soon_threadsafe(loop.stop)
        # Also those whose work ignores its cancellation.
        for asked in tuple(self._waited_for):
            asked.cancel()


class _Loop(LastingLoop, asyncio.SelectorEventLoop):
    """An event loop that can be left behind by a fork, and works while the interpreter is ending."""

    def __init__(self) -> None:
        self._watched = selectors.DefaultSelector()
        super().__init__(self._watched)

    def leave_behind(self) -> None:
        """See `LoopThread.leave_behind`."""
        self.set_exception_handler(lambda _loop, _context: None)
        nothing = os.open(os.devnull, os.O_RDWR)
        # Their owners still close these numbers some day, so that they must not become free before.
        numbers = [key.fd for key in self._watched.get_map().values()]
        if hasattr(self._watched, "fileno"):
            numbers.append(self._watched.fileno())
        for number in numbers:
            os.dup2(nothing, number, inheritable=False)
        os.close(nothing)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: run the loop until it is stopped, and leave nothing in it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _cancel_all() -> None:
    """Cancel every other task, and wait a while for them to end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENDING_TIMEOUT):
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in others:
                    task.cancel()
                await asyncio.wait(others)


def _closed() -> NotReady:
    return NotReady("this Discovery was closed; make a new one")
