"""The lifespan of an application that is registered while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from homeport.client.discovery import Discovery
from homeport.errors import InvalidValue
from homeport.integrations.serving.advertisement import Advertisement, RegistrationOptions
from homeport.integrations.serving.departure import Departure
from homeport.model import Service
from homeport.spi import Backend

from .presence import Presence

if TYPE_CHECKING:
    from starlette.applications import Starlette

State: TypeAlias = Mapping[str, Any]
Lifespan: TypeAlias = "Callable[[Any], AbstractAsyncContextManager[State | None]]"


def discovering(
    *,
    backend: str | Backend | None = None,
    discovery: Callable[[], Discovery] | None = None,
    lifespan: Lifespan | None = None,
) -> Callable[[Starlette], AbstractAsyncContextManager[State]]:
    """A lifespan with a `Discovery` in ``app.state.discovery`` and ``request.state.discovery``.

    It belongs to ``backend``, or is made by ``discovery`` where more is to be said about it (without signal handlers:
    ``Discovery(…, handle_signals=False)``). ``lifespan`` is the application's own; it begins after this one and ends
    before it, and its state is added.

    Raises:
        InvalidValue: both a backend and a maker are given.
    """
    make = _maker(backend, discovery)

    @asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[State]:
        async with make() as found:
            app.state.discovery = found
            async with _own(lifespan, app) as state:
                yield {**state, "discovery": found}

    return run


def registered(
    service: Service | str,
    *,
    port: int | None = None,
    backend: str | Backend | None = None,
    discovery: Callable[[], Discovery] | None = None,
    lifespan: Lifespan | None = None,
    drain_time: float | None = 0.0,
    environ: Mapping[str, str] | None = None,
    **options: Unpack[RegistrationOptions],
) -> Callable[[Starlette], AbstractAsyncContextManager[State]]:
    """A lifespan as that of `discovering`, with the application registered as ``service`` while it serves.

    ``port`` is the one to call; without it, that of the `Service`, else the variable ``PORT`` of ``environ``, else the
    one on which the process listens. The ``options`` are those of `homeport.Discovery.register`.

    - It is registered as soon as the process listens, not before. A registry that cannot be reached does not
      keep the application from serving: the registration is tried until it succeeds. A refusal is logged.
    - On SIGTERM and SIGINT it is deregistered first; ``drain_time`` seconds later the server gets the signal and stops
      answering. With None signals are left alone, and it is deregistered when the server ends the lifespan, which
      uvicorn does after it has closed its sockets. A second signal is handed on at once.
    - Each worker process registers an instance of its own, with the same address and port and a unique id.

    Raises:
        InvalidValue: a value cannot be right.
    """
    if drain_time is not None and not drain_time >= 0:
        raise InvalidValue(f"drain_time is {drain_time}; it must not be below 0")
    make = _maker(backend, discovery)
    advertisement = Advertisement(service, port=port, environ=os.environ if environ is None else environ, **options)

    @asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[State]:
        async with make() as found:
            app.state.discovery = found
            presence = Presence(found, advertisement, drain_time=drain_time or 0.0)
            async with _own(lifespan, app) as state, presence:
                if drain_time is None:
                    yield {**state, "discovery": found}
                else:
                    with _leaving_first(presence, leave_timeout=found.settings.deregister_timeout + drain_time):
                        yield {**state, "discovery": found}

    return run


@contextmanager
def _leaving_first(presence: Presence, *, leave_timeout: float) -> Iterator[None]:
    """A block in which the application leaves before the server gets a signal to end."""
    loop = asyncio.get_running_loop()

    def leave() -> None:
        with contextlib.suppress(CancelledError):  # the loop has ended before the drain time
            asyncio.run_coroutine_threadsafe(presence.leave(), loop).result()

    departure = Departure(leave, leave_timeout=leave_timeout)
    departure.install()
    try:
        yield
    finally:
        departure.uninstall()


def _maker(backend: str | Backend | None, discovery: Callable[[], Discovery] | None) -> Callable[[], Discovery]:
    if discovery is None:
        return lambda: Discovery(backend, handle_signals=False)
    if backend is not None:
        raise InvalidValue("both a backend and what makes a Discovery are given; give one")
    return discovery


@asynccontextmanager
async def _own(lifespan: Lifespan | None, app: Starlette) -> AsyncIterator[State]:
    """The application's own lifespan, and its state."""
    async with contextlib.AsyncExitStack() as stack:
        state = None if lifespan is None else await stack.enter_async_context(lifespan(app))
        yield state or {}
