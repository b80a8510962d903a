"""The registry server as one program: put together, started, announced, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn

from homeport.errors import MissingExtra
from homeport.protocols.consul.api import ConsulAPI
from homeport.protocols.consul.hot import HotReads
from homeport.protocols.native.api import NativeAPI
from homeport.registry.answers import AnswerShelf
from homeport.registry.health import Health
from homeport.registry.health.file_checks.parsing import NO_FILE_CHECKS, FileChecks
from homeport.registry.registry import Registry
from homeport.registry.source_status import Statuses, no_sources
from homeport.registry.store.contract import Store, StoreBusy, StoreDamaged, StoreError
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.sqlite import SqliteStore
from homeport.wire.http import Routes

from . import logs
from .connection_limit import ConnectionLimit
from .event_loop import RegistryLoop
from .fast import Fast
from .front import Front
from .http_date import HTTPDate
from .http_protocol import HomeportProtocol
from .listening import CannotStart, is_loopback, listen, reachable_address, shown, url_nearby
from .settings import ServerSettings
from .signals import Ending, calling_on_hangup
from .sources.settings import SourceSettings
from .sources.sources import Sources
from .standing_checks import ReadFileChecks, StandingChecks
from .zones.settings import ZoneSettings

_log = logging.getLogger(__name__)
_GRACE = 3  # seconds for what is in flight; the whole end takes no more than five
_CUTTING = 0.5  # seconds for handlers to notice that nobody is there any more


def no_file_checks() -> FileChecks:
    """No checks but those that are registered."""
    return NO_FILE_CHECKS


def run(
    settings: ServerSettings, *, file_checks: ReadFileChecks = no_file_checks, sources: Sequence[SourceSettings] = (),
    zones: Sequence[ZoneSettings] = (),
) -> int:  # fmt: skip
    """Serve until SIGTERM or SIGINT; returns 0. A second signal does not wait for what is in flight.

    Prints one line to stdout when it serves; logs go to stderr. ``file_checks`` reads the operator's checks, at the
    start and again on SIGHUP; a file that cannot be used then is logged, and the one before stays in force. The
    services of ``sources`` are mirrored, and ``zones`` are answered for in DNS.

    Raises:
        CannotStart: a port is taken, the data folder cannot be used; the message is for the user.
        SettingsError: the checks of the file, a source, a zone, or other settings, cannot be used.
        MissingExtra: there are zones, and the extra ``dns`` is not installed.
    """
    logs.configure(settings)
    with asyncio.Runner(loop_factory=RegistryLoop) as runner:
        return runner.run(serve(settings, file_checks=file_checks, sources=sources, zones=zones))


async def serve(
    settings: ServerSettings, *, file_checks: ReadFileChecks = no_file_checks, sources: Sequence[SourceSettings] = (),
    zones: Sequence[ZoneSettings] = (),
) -> int:  # fmt: skip
    """`run` inside a running event loop, whose signal handlers it takes while it runs."""
    with Ending() as ending, ending.leaving_early():
        await _serve(settings, file_checks, sources, zones, ending)
    return 0


async def _serve(
    settings: ServerSettings, file_checks: ReadFileChecks, sources: Sequence[SourceSettings],
    zones: Sequence[ZoneSettings], ending: Ending,
) -> None:  # fmt: skip
    checks = file_checks()
    folder = None if settings.dev else data_folder(settings, os.environ)
    with (
        contextlib.closing(listen(settings.http, option="--http")) as listener,
        prepared_zones(zones, settings.dns, own_url=url_nearby(shown(listener))) as answering,
    ):
        async with (
            open_registry(settings, folder, listener) as registry,
            Health(
                registry, settings=settings.health, file_checks=checks,
                history_path=None if folder is None else folder / "history.db",
            ) as health,
            StandingChecks(health, file_checks) as standing,
            Sources(registry, sources, environ=os.environ) as mirrored,
            contextlib.AsyncExitStack() as zones_served,
        ):  # fmt: skip
            # What was loaded stays: keeping it out of every later full collection keeps those short.
            await asyncio.sleep(0)
            gc.freeze()
            server = http_server(settings, registry, health, sources=mirrored.statuses)
            with calling_on_hangup(standing.read_again):
                serving = asyncio.create_task(server.serve(sockets=[listener]), name="homeport http")
                await started(server, serving)
                warn_if_open(listener)
                dns = await zones_served.enter_async_context(answering)
                server.end_before(zones_served.aclose)  # they may follow services of this registry
                sys.stdout.write(f"homeport ready http={shown(listener)}{f' dns={dns}' if dns else ''}\n")
                sys.stdout.flush()
                ending.begin_with(server.end)
                await serving


@contextlib.contextmanager
def prepared_zones(
    zones: Sequence[ZoneSettings], address: str, *, own_url: str
) -> Iterator[contextlib.AbstractAsyncContextManager[str]]:
    """What answers for ``zones`` at ``address`` while it is entered, and gives HOST:PORT; "" without any zone.

    Raises:
        CannotStart, SettingsError, MissingExtra: see `run`.
    """
    if not zones:
        yield contextlib.nullcontext("")
        return
    try:  # it takes a tenth of a second to load, which who has no zone need not wait for
        from .zones.listening import Sockets
        from .zones.zones import Zones
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "dns":
            raise
        raise MissingExtra("a DNS zone", "dns") from error
    with contextlib.closing(Sockets(address, option="--dns")) as sockets:
        yield Zones(zones, sockets, own_url=own_url)


def data_folder(settings: ServerSettings, environ: Mapping[str, str]) -> Path:
    """Where the registry keeps its data: ``data_dir``, else the user's data folder (XDG Base Directory 0.8).

    Raises:
        CannotStart: the user has no home folder.
    """
    try:
        if settings.data_dir:
            return Path(settings.data_dir).expanduser()
        base = environ.get("XDG_DATA_HOME", "")
        return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "homeport"
    except RuntimeError as error:
        raise CannotStart("there is no home folder to keep the data in; name a folder with --data-dir") from error


@contextlib.asynccontextmanager
async def open_registry(
    settings: ServerSettings, folder: Path | None, listener: socket.socket
) -> AsyncIterator[Registry]:
    """The registry over its store, in memory without a folder; closed with the block.

    Raises:
        CannotStart: the data folder cannot be used.
    """
    store: Store = MemoryStore() if folder is None else SqliteStore(folder, max_bytes=settings.store_max_bytes)
    address = settings.advertise or reachable_address(listener)
    registry = Registry(store, node=settings.node, datacenter=settings.datacenter, address=address)
    try:
        await registry.open()
    except StoreError as error:
        raise CannotStart(_why_not(error, in_memory=folder is None)) from error
    try:
        yield registry
    finally:
        await registry.aclose()


def _why_not(error: StoreError, *, in_memory: bool) -> str:
    if in_memory or type(error) is StoreError:
        return str(error)
    if isinstance(error, StoreBusy):
        return f"{error}; stop it, or choose another folder with --data-dir"
    if isinstance(error, StoreDamaged):
        return f"{error}; nothing was changed. Put a copy in its place, or choose another folder with --data-dir"
    return f"{error}; choose another folder with --data-dir, or --dev to keep everything in memory"


def http_server(
    settings: ServerSettings, registry: Registry, health: Health, *, sources: Statuses = no_sources
) -> HTTPServer:
    """The HTTP server over a registry that is open; its ``serve(sockets=[…])`` runs until `HTTPServer.end`."""
    common = (
        (b"X-Consul-Default-Acl-Policy", b"allow"),
        (b"X-Homeport-Store", registry.identity.id.encode()),
        (b"Vary", b"Accept-Encoding"),
    )
    limits = settings.limits
    date = HTTPDate()
    routes = Routes()
    routes.include(ConsulAPI(registry, health).routes())
    routes.include(NativeAPI(registry, health, sources=sources).routes())
    front = Front(routes, common_headers=common, limits=limits, date=date, allowed_origins=settings.allowed_origins)
    fast = Fast(HotReads(registry), AnswerShelf(settings.answers_bytes), common, date, limits)
    protocol = partial(HomeportProtocol, fast=fast, clients=ConnectionLimit(limits.connections_per_client))
    config = uvicorn.Config(
        front, interface="asgi3", http=cast("type[asyncio.Protocol]", protocol), lifespan="off", ws="none",
        log_config=None, server_header=False, date_header=False, proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip
    return HTTPServer(config, on_shutdown=registry.drain)


class HTTPServer(uvicorn.Server):
    """uvicorn, with its signals left to us and our waiters told when it ends."""

    def __init__(self, config: uvicorn.Config, *, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown
        self._first: Callable[[], Awaitable[None]] | None = None

    def end_before(self, first: Callable[[], Awaitable[None]]) -> None:
        """Have that ended when this is to end, before anything else."""
        self._first = first

    def end(self) -> None:
        """Answer who waits and what is in flight, then end; called again, do not wait for that."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the whole program in order, not this server alone; see `Ending`."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer who waits, then what is in flight; cut what is left when the time for that is over."""
        if self._first is not None:
            await self._first()
        self._on_shutdown()
        await super().shutdown(sockets)
        tasks = tuple(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=_CUTTING)


async def started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Return when the server serves, which is the work of the task ``serving``.

    Raises:
        CannotStart: it ended instead.
    """
    while not server.started:
        if serving.done():
            await serving
            raise CannotStart("the HTTP server ended before it began; the log has its reason")
        await asyncio.sleep(0.001)


def warn_if_open(listener: socket.socket) -> None:
    """Log a warning if others than this host reach the listener."""
    if not is_loopback(listener):
        _log.warning(
            "listening beyond this host without access control: anyone who reaches it can read and write",
            extra={"http": shown(listener)},
        )
