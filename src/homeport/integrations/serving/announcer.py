"""Registers an application of threads and processes once it serves."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from homeport.blocking import Discovery, Registration
from homeport.errors import HomeportError

from .advertisement import (
    LISTENING_INTERVAL,
    Advertisement,
    pauses,
    worth_repeating,
)
from .departure import Departure
from .listening import listening_ports
from .preloading import in_each_worker

_log = logging.getLogger(__name__)


class Announcer:
    """Waits on a thread until this process serves, and registers the application then.

    It serves when it listens, nothing else speaks against it (``serves``), and it is none of those that listen for
    others: a master that has loaded the application before its workers (gunicorn's ``--preload``, uWSGI; there, each
    worker begins anew), and the watcher of a reloader.

    On SIGTERM and SIGINT it deregisters first, and the server gets the signal ``drain_time`` seconds later; with None
    signals are left alone. Otherwise the registration ends with the `Discovery`, which the end of the process closes.
    """

    def __init__(
        self,
        discovery: Discovery,
        advertisement: Advertisement,
        *,
        drain_time: float | None,
        serves: Callable[[], bool],
    ) -> None:
        self._discovery = discovery
        self._advertisement = advertisement
        self._drain_time = drain_time
        self._serves = serves
        self._registration: Registration | None = None
        self._begun = False
        self._ended = threading.Event()
        self._registering = threading.Lock()

    def start(self) -> None:
        """Begin to wait, here or in each worker to come."""
        in_each_worker(self._start_here)

    def stop(self) -> None:
        """Wait no more."""
        self._ended.set()

    def _start_here(self) -> None:
        if self._begun:  # a worker has forked in its turn
            return
        self._begun = True
        if self._drain_time is not None:
            leave_timeout = self._discovery.settings.deregister_timeout + self._drain_time
            Departure(self._leave, leave_timeout=leave_timeout).install()
        threading.Thread(target=self._announce, name="homeport announcer", daemon=True).start()

    def _leave(self) -> None:
        """Deregister; the application goes on answering for the drain time."""
        self._ended.set()
        with self._registering:  # what is under way would otherwise stay behind
            registration = self._registration
        if registration is None:
            return
        try:
            registration.close()
        except HomeportError as error:
            _log.warning(
                "a registration could not be removed; its lease runs out",
                extra={"id": registration.id, "reason": str(error)},
            )
        time.sleep(self._drain_time or 0.0)

    def _announce(self) -> None:
        try:
            port = self._listening()
            if port is not None:
                self._register(port)
        except HomeportError as error:
            if not self._ended.is_set():
                _log.error("the application is not registered: %s", error, extra={"service": self._advertisement.name})

    def _listening(self) -> int | None:
        """The port to register when this process serves, None if it was closed before."""
        seen: int | None = None
        while not self._ended.wait(LISTENING_INTERVAL):
            if not self._serves() or _watches_for_changes():
                continue
            port = self._advertisement.port(listening_ports())
            if port is not None and port == seen:
                return port
            seen = port
        return None

    def _register(self, port: int) -> None:
        advertisement = self._advertisement
        backoff = pauses(self._discovery.settings)
        failed = False
        while True:
            try:
                with self._registering:
                    if self._ended.is_set():
                        return
                    self._registration = self._discovery.register(
                        advertisement.service, port=port, **advertisement.options
                    )
            except HomeportError as error:
                if not worth_repeating(error):
                    raise
                if not failed:
                    _log.warning(
                        "the application is not registered yet; it is tried again",
                        extra={"service": advertisement.name, "reason": str(error)},
                    )
                failed = True
            else:
                return
            self._ended.wait(backoff.next_pause())


def _watches_for_changes() -> bool:
    """Whether this process only restarts another one when a file changes: Werkzeug's reloader, which listens for it."""
    return "werkzeug._reloader" in sys.modules and os.environ.get("WERKZEUG_RUN_MAIN") != "true"
