"""One connection for each instance that was called, from any thread."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from grpc import ChannelConnectivity

from homeport.integrations.grpc.address import Connection, connection_of
from homeport.model import Instance

_STATES = {state.value[0]: state for state in ChannelConnectivity}
_LONGEST_WAIT = 0.2
"""Seconds after which a wait looks up; closing a connection waits for it."""


class Subchannel:
    """The connection to one instance. It is open for as long as somebody calls through it, at least."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.calls = 0
        # What gRPC publishes to learn the state, `subscribe`, is a thread for each connection that looks five times a
        # second, and that fails when the channel is closed at the wrong moment. This is what that thread asks.
        self._core: Any = channel._channel  # type: ignore[attr-defined]

    def state(self, *, try_to_connect: bool = False) -> ChannelConnectivity:
        """How the connection stands."""
        try:
            return _STATES[self._core.check_connectivity_state(try_to_connect)]
        except ValueError:
            return ChannelConnectivity.SHUTDOWN

    def connect(self, timeout: float | None) -> bool:
        """Wait until the connection stands; False when that failed. gRPC bounds the time of an attempt.

        Raises:
            TimeoutError: neither happened within ``timeout`` seconds.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            state = self.state(try_to_connect=True)
            if state is ChannelConnectivity.READY:
                return True
            if state in (ChannelConnectivity.TRANSIENT_FAILURE, ChannelConnectivity.SHUTDOWN):
                return False
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            with suppress(ValueError):  # it was closed: the state says so
                self._core.watch_connectivity_state(state.value[0], time.time() + min(left, _LONGEST_WAIT))


def closed_channel() -> ValueError:
    """What gRPC's own channel raises when it is used after its end."""
    return ValueError("Cannot invoke RPC on closed channel!")


class Subchannels:
    """The connections of one channel: made when first needed, closed when the instance is gone and its calls ended."""

    def __init__(self, open_channel: Callable[[Instance], grpc.Channel]) -> None:
        self._open_channel = open_channel
        self._lock = threading.Lock()
        self._open: dict[Connection, Subchannel] = {}
        self._wanted: frozenset[Connection] | None = None
        self._closing: set[threading.Thread] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def states(self) -> tuple[ChannelConnectivity, ...]:
        """The states of all connections."""
        with self._lock:
            return tuple(subchannel.state() for subchannel in self._open.values())

    @contextmanager
    def use(self, instance: Instance) -> Iterator[Subchannel]:
        """The connection to ``instance``, kept open within the block.

        Raises:
            ValueError: all were closed.
        """
        connection = connection_of(instance)
        with self._lock:
            if self._closed:
                raise closed_channel()
            subchannel = self._open.get(connection)
            if subchannel is None:
                subchannel = self._open[connection] = Subchannel(self._open_channel(instance))
            subchannel.calls += 1
        try:
            yield subchannel
        finally:
            with self._lock:
                subchannel.calls -= 1
                self._close_if_unwanted(connection)

    def retain(self, instances: Collection[Instance]) -> None:
        """These instances are left: connections to others are closed when their calls have ended."""
        with self._lock:
            self._wanted = frozenset(map(connection_of, instances))
            for connection in tuple(self._open):
                self._close_if_unwanted(connection)

    def close(self) -> None:
        """Close all of them, and wait until that is done."""
        with self._lock:
            self._closed = True
            for connection in tuple(self._open):
                self._close(connection)
            closing = tuple(self._closing)
        for thread in closing:
            thread.join()

    def _close_if_unwanted(self, connection: Connection) -> None:
        if self._wanted is None or connection in self._wanted:
            return
        subchannel = self._open.get(connection)
        if subchannel is not None and not subchannel.calls:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        subchannel = self._open.pop(connection)

        def close() -> None:
            subchannel.channel.close()
            with self._lock:
                self._closing.discard(thread)

        # It may wait for gRPC's own threads, of which the caller may be one.
        thread = threading.Thread(target=close, name="homeport grpc closing", daemon=True)
        self._closing.add(thread)
        thread.start()
