"""Tells those who want to know how the connections of a channel stand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import choice

from grpc import ChannelConnectivity

from homeport.errors import HomeportError
from homeport.integrations.grpc.connectivity import combined
from homeport.integrations.grpc.obstacles import LONGEST_PAUSE
from homeport.model import Instance

from .subchannels import Subchannels

_log = logging.getLogger(__name__)

_INTERVAL = 0.2
"""Seconds after which the thread looks again; gRPC's own channel does the same."""

Callback = Callable[[ChannelConnectivity], None]


class Connectivity:
    """The subscribers to the state of a channel. A thread serves them for as long as there are any.

    ``news`` is notified when there are others, ``instances`` are those that may be connected to.
    """

    def __init__(
        self, subchannels: Subchannels, *, instances: Callable[[], Sequence[Instance]], news: threading.Condition
    ) -> None:
        self._subchannels = subchannels
        self._instances = instances
        self._news = news
        self._told: dict[Callback, ChannelConnectivity | None] = {}
        self._thread: threading.Thread | None = None
        self._connecting = False
        self._closed = False

    def subscribe(self, callback: Callback, *, try_to_connect: bool) -> None:
        """Call ``callback`` with the state, now and whenever it changes; an exception of it is logged."""
        with self._news:
            self._told[callback] = None
            self._connecting |= try_to_connect
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="homeport grpc connectivity", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def unsubscribe(self, callback: Callback) -> None:
        """Call it no more."""
        with self._news:
            self._told.pop(callback, None)
            self._news.notify_all()

    def close(self) -> None:
        """Forget all subscribers, and wait for the callback that is running."""
        with self._news:
            self._closed = True
            self._told.clear()
            self._news.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _serve(self) -> None:
        tried: set[str] = set()
        while True:
            state = combined(self._subchannels.states)
            for callback in self._to_be_told(state):
                try:
                    callback(state)
                except Exception:  # noqa: BLE001 - a callback's defect is its owner's
                    _log.exception("a callback of a channel failed")
            connecting = self._connecting and state is not ChannelConnectivity.READY
            if connecting and self._connect(tried):
                continue
            with self._news:
                if not self._told:
                    self._thread = None
                    self._connecting = False
                    return
                if None not in self._told.values():
                    self._news.wait(_INTERVAL)

    def _to_be_told(self, state: ChannelConnectivity) -> list[Callback]:
        with self._news:
            behind = [callback for callback, told in self._told.items() if told is not state]
            self._told.update(dict.fromkeys(behind, state))
            if state is ChannelConnectivity.READY:
                self._connecting = False
            return behind

    def _connect(self, tried: set[str]) -> bool:
        """Connect to an instance that was not tried yet; False if there is none, for now."""
        try:
            untried = [instance for instance in self._instances() if instance.endpoint not in tried]
        except (HomeportError, ValueError):
            return False  # tried again in a while, or the channel was closed
        if not untried:
            tried.clear()
            return False
        instance = choice(untried)  # all programs that start together are not to meet at the first
        tried.add(instance.endpoint)
        with self._subchannels.use(instance) as subchannel, suppress(TimeoutError):
            subchannel.connect(LONGEST_PAUSE)
        return True
