"""Leaving the registry before the server stops answering."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_EVENT_LOOPS = ("asyncio.unix_events", "uvloop.loop")


class Departure:
    """Has ``leave`` called when a signal comes that ends the server, and hands the signal on to the server then.

    A server closes its sockets on SIGTERM before it tells the application, if it does at all. Between the two a
    caller would still be sent to an address where nobody answers. ``leave`` runs on a thread of its own, and no longer
    than ``leave_timeout`` seconds are waited for it. A second signal is handed on at once.

    Left alone are Ctrl-C where it raises KeyboardInterrupt, signals that are ignored, those that an event loop
    handles itself (``loop.add_signal_handler``), which cannot be delayed, and all of them under gevent, which calls
    handlers where nothing may wait, not even for a thread to start.
    """

    def __init__(self, leave: Callable[[], None], *, leave_timeout: float) -> None:
        self._leave = leave
        self._leave_timeout = leave_timeout
        self._before: dict[int, Any] = {}
        self._pid = os.getpid()
        self._leaving = False
        self._handed_on = False

    def install(self) -> None:
        """Stand before whoever handles the signals now; nothing happens outside the main thread, or on Windows."""
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_kill"):
            return
        if _has_greenlets_for_threads():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is signal.SIG_DFL or (callable(handler) and not _is_left_alone(handler)):
                self._before[number] = signal.signal(number, self)

    def uninstall(self) -> None:
        """Put the handlers back, unless somebody else has put others there since; in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                if signal.getsignal(number) is self:
                    signal.signal(number, handler)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self._leaving or os.getpid() != self._pid:  # a fork: the registration is the parent's
            self._hand_on(number, frame)
        else:
            self._leaving = True
            threading.Thread(target=self._go, args=(number,), name="homeport departure", daemon=True).start()

    def _go(self, number: int) -> None:
        leaving = threading.Thread(target=self._leave_or_log, name="homeport leave", daemon=True)
        leaving.start()
        leaving.join(self._leave_timeout)
        if self._handed_on:
            return
        # To the main thread, since only there a call that waits is interrupted; it comes back here, to be handed on.
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    def _leave_or_log(self) -> None:
        try:
            self._leave()
        except Exception:  # noqa: BLE001 - whatever went wrong, the server has to stop
            _log.exception("leaving before the end of the server failed")

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        self._handed_on = True
        before = self._before.get(number, signal.SIG_DFL)
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before)
            signal.raise_signal(number)


def _is_left_alone(handler: Callable[..., object]) -> bool:
    return handler is signal.default_int_handler or getattr(handler, "__module__", "") in _EVENT_LOOPS


def _has_greenlets_for_threads() -> bool:
    """Whether gevent has put its own threads in the place of those of Python."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
