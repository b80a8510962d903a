"""A thread for work that blocks and must not overlap."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class OwnThread:
    """Does one piece of work after the other on a daemon thread, which is started by the first of them.

    It works until it is closed. The executors of the standard library take nothing more once the main thread has
    ended, when the registry of a program that is ending must still write who has gone, and close its files. Where the
    system or an interpreter that is ending starts no thread, the caller's does the work.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._works: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def do(self, work: Callable[[], T]) -> T:
        """What ``work()`` returns or raises, after all that was asked for before. Called in one event loop alone.

        Raises:
            RuntimeError: it was closed.
        """
        if self._closed:
            raise RuntimeError(f"the thread {self._name} was closed")
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return work()
            self._thread = thread
        done: Future[T] = Future()
        self._works.put((work, done))
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """End the thread, and wait until it has done what was asked for."""
        self._closed = True
        if self._thread is not None:
            self._works.put(None)
            self._thread.join()

    def _serve(self) -> None:
        while (asked := self._works.get()) is not None:
            work, done = asked
            if done.set_running_or_notify_cancel():
                _do(work, done)
            del work, done, asked  # what they refer to must not live until the next one comes


def _do(work: Callable[[], T], done: Future[T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is handed on
        done.set_exception(error)
    else:
        done.set_result(result)
