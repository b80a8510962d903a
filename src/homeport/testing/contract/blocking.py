"""The blocking twin in the shape of the asynchronous API, so that one scenario proves both.

What is a coroutine function there is called here on a thread; names and parameters are the same in both, and so all of
it is passed on unseen.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Self, TypeVar, cast

from homeport import blocking
from homeport.client import discovery, registration, watch
from homeport.client.settings import ClientSettings
from homeport.model import Snapshot
from homeport.spi import Backend

T = TypeVar("T")

_SHAPES: dict[type, type] = {
    blocking.Discovery: discovery.Discovery,
    blocking.Watch: watch.Watch,
    blocking.Registration: registration.Registration,
}
_BEGINNINGS = ("watch", "register")
"""What is not awaited but begun: by ``await``, or as a block."""


@asynccontextmanager
async def in_shape_of_asynchronous(backend: Backend, *, settings: ClientSettings) -> AsyncIterator[discovery.Discovery]:
    """A blocking `Discovery` over a backend, in the shape of the other one; both are closed with the block."""
    twin = blocking.Discovery(backend, settings=settings, handle_signals=False, environ={})
    errors: list[BaseException] = []
    closing = _closing(backend, errors)

    async def begin() -> None:
        await anext(closing)

    try:
        await on_a_thread(partial(twin.loop_thread.run, begin))
        await on_a_thread(twin.__enter__)
        yield cast("discovery.Discovery", _Shaped(twin))  # what it looks like to all who use it
    finally:
        await on_a_thread(twin.close)
    if errors:
        raise errors[0]


async def on_a_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, on a thread of its own: any number may wait at once.

    When the caller is cancelled, the thread ends whenever its work does.
    """
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()
    threading.Thread(target=_serve, args=(work, outcome), name="contract call", daemon=True).start()
    return await asyncio.wrap_future(outcome)


class _Shaped:
    """A `Discovery`, `Watch` or `Registration` of the twin."""

    def __init__(self, twin: object) -> None:
        self._twin = twin
        self._shape = _SHAPES[type(twin)]

    def __getattr__(self, name: str) -> object:
        value = getattr(self._twin, name)
        if name in _BEGINNINGS:
            return lambda *args, **given: _Beginning(partial(value, *args, **given))
        if inspect.iscoroutinefunction(getattr(self._shape, name)):
            return lambda *args, **given: _performed(partial(value, *map(_twin_of, args), **given))
        return value

    def __aiter__(self) -> _Snapshots:
        return _Snapshots(iter(cast("blocking.Watch", self._twin)))


class _Beginning:
    """A watch or a registration that begins when it is awaited or entered, and not before."""

    def __init__(self, begin: Callable[[], object]) -> None:
        self._begin = begin
        self._begun: object = None

    def __await__(self) -> Generator[None, None, object]:
        return _performed(self._begin).__await__()

    async def __aenter__(self) -> object:
        self._begun = await on_a_thread(lambda: cast("blocking.Watch", self._begin()).__enter__())
        return _in_shape(self._begun)

    async def __aexit__(self, *exception: object) -> None:
        await on_a_thread(lambda: cast("blocking.Watch", self._begun).__exit__(*exception))


class _Snapshots:
    """One iteration over a watch."""

    def __init__(self, snapshots: Iterator[Snapshot]) -> None:
        self._snapshots = snapshots

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Snapshot:
        snapshot = await on_a_thread(lambda: next(self._snapshots, None))
        if snapshot is None:
            raise StopAsyncIteration
        return snapshot


async def _performed(work: Callable[[], object]) -> object:
    return _in_shape(await on_a_thread(work))


def _in_shape(value: object) -> object:
    return _Shaped(value) if type(value) in _SHAPES else value


def _twin_of(value: object) -> object:
    return value._twin if isinstance(value, _Shaped) else value


def _serve(work: Callable[[], T], outcome: Future[T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is handed on
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


async def _closing(backend: Backend, errors: list[BaseException]) -> AsyncGenerator[None, None]:
    """Closes the backend in the loop of the twin, which ends what was not finished as the last thing it does."""
    try:
        yield
    finally:
        try:
            await backend.aclose()
        except BaseException as error:  # noqa: BLE001 - the loop would log it
            errors.append(error)
