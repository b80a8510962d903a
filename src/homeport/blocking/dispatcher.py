"""The thread on which callbacks run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeAlias

_Job: TypeAlias = "tuple[Callable[[], object], Future[None]]"

_ENDING_TIMEOUT = 2.0


class Dispatcher:
    """Runs callbacks one after the other on a daemon thread, which is started by the first of them.

    It is neither the thread of the event loop nor one of the caller's, so that callbacks may call whatever blocks.
    """

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, callback: Callable[[], object]) -> None:
        """Run ``callback`` after those before it; raises what it raises. Called in the event loop alone."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        called: Future[None] = Future()
        self._jobs.put((callback, called))
        await asyncio.wrap_future(called)

    def close(self) -> None:
        """End the thread after the callback that is running, for which it waits a moment."""
        thread = self._thread
        if thread is None:
            return
        self._jobs.put(None)
        if thread is not threading.current_thread():
            thread.join(_ENDING_TIMEOUT)

    def end(self) -> None:
        """As `close`, without waiting."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            callback, called = job
            if called.set_running_or_notify_cancel():
                _call(callback, called)
            del callback, called, job  # what they refer to must not live until the next one comes


def _call(callback: Callable[[], object], called: Future[None]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - it is handed on
        called.set_exception(error)
    except BaseException as error:  # noqa: BLE001 - sys.exit() in a callback must not end the event loop
        called.set_exception(RuntimeError(f"the callback ended with {error!r}"))
    else:
        called.set_result(None)
