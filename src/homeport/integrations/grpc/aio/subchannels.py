"""One connection for each instance that was called, in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import grpc
import grpc.aio
from grpc import ChannelConnectivity

from homeport.integrations.grpc.address import Connection, connection_of
from homeport.model import Instance

_LAST_NEWS_TIMEOUT = 0.1


class Subchannel:
    """The connection to one instance. It is open for as long as somebody calls through it, at least."""

    def __init__(self, channel: grpc.aio.Channel, *, on_state: Callable[[], None]) -> None:
        self.channel = channel
        self.calls = 0
        self.state = channel.get_state()
        self._on_state = on_state
        self._moved = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        # The only one who asks gRPC to be told: a request to be told cannot be taken back.
        self._following = self.loop.create_task(self._follow(), name="homeport grpc connection")

    async def connect(self) -> bool:
        """Wait until the connection stands; False when that failed. gRPC bounds the time of an attempt."""
        while True:
            state = self.channel.get_state(try_to_connect=True)
            if state is ChannelConnectivity.READY:
                return True
            if state in (ChannelConnectivity.TRANSIENT_FAILURE, ChannelConnectivity.SHUTDOWN):
                return False
            if state is self.state:
                await self._moved.wait()
            else:
                self._take(state)

    async def close(self) -> None:
        """Close it; calls that are under way are cancelled."""
        await self.channel.close()
        # gRPC tells those who wait for news that there will be no more, but now and then only with its next event.
        await asyncio.wait((self._following,), timeout=_LAST_NEWS_TIMEOUT)
        self._following.cancel()
        await asyncio.wait((self._following,))
        self._take(ChannelConnectivity.SHUTDOWN)

    async def _follow(self) -> None:
        while self.state is not ChannelConnectivity.SHUTDOWN:
            try:
                await self.channel.wait_for_state_change(self.state)
            except grpc.aio.UsageError:
                self._take(ChannelConnectivity.SHUTDOWN)  # it was closed before this task came to wait
            else:
                self._take(self.channel.get_state())

    def _take(self, state: ChannelConnectivity) -> None:
        self.state = state
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        self._on_state()


class Subchannels:
    """The connections of one channel: made when first needed, closed when the instance is gone and its calls ended."""

    def __init__(self, open_channel: Callable[[Instance], grpc.aio.Channel], *, on_state: Callable[[], None]) -> None:
        self._open_channel = open_channel
        self._on_state = on_state
        self._open: dict[Connection, Subchannel] = {}
        self._wanted: frozenset[Connection] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def states(self) -> tuple[ChannelConnectivity, ...]:
        """The states of all connections."""
        return tuple(subchannel.state for subchannel in self._open.values())

    @contextmanager
    def use(self, instance: Instance) -> Iterator[Subchannel]:
        """The connection to ``instance``, kept open within the block."""
        connection = connection_of(instance)
        subchannel = self._open.get(connection)
        if subchannel is None:
            subchannel = self._open[connection] = Subchannel(self._open_channel(instance), on_state=self._on_state)
        subchannel.calls += 1
        try:
            yield subchannel
        finally:
            subchannel.calls -= 1
            self._close_if_unwanted(connection)

    def retain(self, instances: Collection[Instance]) -> None:
        """These instances are left: connections to others are closed when their calls have ended."""
        self._wanted = frozenset(map(connection_of, instances))
        for connection in tuple(self._open):
            self._close_if_unwanted(connection)

    async def aclose(self) -> None:
        """Close all of them."""
        for connection in tuple(self._open):
            self._close(connection)
        if self._closing:
            await asyncio.wait(tuple(self._closing))

    def _close_if_unwanted(self, connection: Connection) -> None:
        if self._wanted is None or connection in self._wanted:
            return
        subchannel = self._open.get(connection)
        if subchannel is not None and not subchannel.calls:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        subchannel = self._open.pop(connection)
        task = subchannel.loop.create_task(subchannel.close(), name="homeport grpc closing")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
