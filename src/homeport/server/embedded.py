"""The registry inside a program: in its event loop (`EmbeddedRegistry`), or as the backend ``embedded://``.

It is the same registry that ``homeport serve`` runs, HTTP included, so that it obeys the same rules and others can
reach it. It touches nothing of its host: no signal handler, no logging configuration, no garbage collector.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from homeport.backends.consul import ConsulBackend, ConsulSettings
from homeport.connections.backend_url import HostPort, parse_backend_url
from homeport.errors import BackendUnavailable, HomeportError, InvalidValue, MissingExtra, NotReady, SettingsError
from homeport.model import CheckState, Service, Status
from homeport.processes import inhabit
from homeport.spi import CheckTransition, Cursor, Lease, Observed, ServiceSummary

from .listening import url_nearby

_log = logging.getLogger(__name__)

ON_LOOPBACK = "127.0.0.1:0"
_NEEDED = ("uvicorn", "httptools", "structlog")
_PATIENCE = 60.0
_LAST_PATIENCE = 5.0
"""Seconds for a registry to end in order when the process ends; as much as ``homeport serve`` takes."""


class EmbeddedRegistry:
    """A registry in the running event loop, for a program that wants to be one, as in the lifespan of an application.

    >>> async def main() -> None:
    ...     async with EmbeddedRegistry() as registry:
    ...         async with Discovery(registry.url) as discovery:
    ...             await discovery.register("api", port=8080)

    ``data_dir`` is the folder of its data; without one everything is in memory. ``http`` is where it listens,
    HOST:PORT; port 0 takes a free one. ``node`` and ``datacenter`` are as for ``homeport serve``. Entering it raises
    `CannotStart` when the port is taken or the folder cannot be used. Its end answers who waits, then closes the store.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        http: str = ON_LOOPBACK,
        node: str | None = None,
        datacenter: str | None = None,
    ) -> None:
        _need_extra()
        self._folder = None if data_dir is None else Path(data_dir)
        self._http = http
        self._node = node
        self._datacenter = datacenter
        self._address = ""
        self._advertised = ""
        self._running: contextlib.AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise InvalidValue("this registry is running already; make another EmbeddedRegistry for a second one")
        # What follows needs the extra `server`.
        from homeport.registry.health import Health
        from homeport.registry.store.contract import StoreError

        from .app import http_server, open_registry, started, warn_if_open
        from .listening import CannotStart, listen, reachable_address, shown
        from .settings import ServerSettings

        settings = ServerSettings(http=self._http, node=self._node, datacenter=self._datacenter)
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(contextlib.closing(listen(self._http, option="http=")))
            try:
                registry = await stack.enter_async_context(open_registry(settings, self._folder, listener))
            except CannotStart as error:
                if not isinstance(error.__cause__, StoreError):
                    raise
                raise CannotStart(f"{error.__cause__}; choose another data_dir") from error.__cause__
            history = None if self._folder is None else self._folder / "history.db"
            health = await stack.enter_async_context(Health(registry, settings=settings.health, history_path=history))
            server = http_server(settings, registry, health)
            self._address, self._advertised = shown(listener), reachable_address(listener)
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="homeport embedded http")

            async def end() -> None:
                server.end()
                await serving

            stack.push_async_callback(end)
            await started(server, serving)
            warn_if_open(listener)
            self._running = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()

    @property
    def address(self) -> str:
        """HOST:PORT where it listens, or last did.

        Raises:
            NotReady: it has not begun.
        """
        if not self._address:
            raise NotReady("the registry has not begun: write `async with EmbeddedRegistry(…) as registry`")
        return self._address

    @property
    def url(self) -> str:
        """The backend URL for programs on this host; they reach it at loopback if it listens everywhere.

        Raises:
            NotReady: it has not begun.
        """
        return url_nearby(self.address)

    @property
    def advertised_address(self) -> str:
        """The address of this host for those who find services through this registry."""
        return self._advertised


class Place(msgspec.Struct, frozen=True):
    """Which registry of this process is meant, and how it is made."""

    folder: str = ""
    http: str = ON_LOOPBACK
    name: str = ""

    def __str__(self) -> str:
        given = {"http": self.http if self.http != ON_LOOPBACK else "", "name": self.name}
        parameters = "&".join(f"{name}={value}" for name, value in given.items() if value)
        return f"embedded://{self.folder}{'?' if parameters else ''}{parameters}"


def open_embedded(url: str, environ: Mapping[str, str]) -> EmbeddedBackend:  # noqa: ARG001 - as every BackendFactory
    """The backend of ``embedded://`` (in memory) or ``embedded:///path/of/a/folder``; see `EmbeddedBackend`.

    ``?http=HOST:PORT`` says where others reach it, ``&name=…`` keeps several registries of a process apart.

    Raises:
        SettingsError: the URL cannot be right.
        MissingExtra: the extra ``server`` is not installed.
    """
    place = url.partition("://")[2].partition("?")[0]
    parsed = parse_backend_url(url, default_port=0)
    parsed.only(("http", "name"))
    if place and not place.startswith("/"):
        raise SettingsError(
            f"{parsed.scheme}://{place}: an embedded registry has no host; write embedded:// for one in memory, "
            "or embedded:///path/of/a/folder"
        )
    _need_extra()
    http = parsed.parameters.get("http") or ON_LOOPBACK
    return EmbeddedBackend(Place(folder=parsed.path.rstrip("/"), http=http, name=parsed.parameters.get("name", "")))


class EmbeddedBackend:
    """A registry inside this process: a `Discoverer`, `Registrar` and `HealthReporter`.

    It is started on a thread of its own when it is first used, shared by all backends of the process for the same
    place, and closed with the last of them. It serves HTTP on a free port of loopback, or where ``place`` says.
    A process that is forked has registries of its own; fork before the first use, since threads do not survive it.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._host: _Host | None = None
        self._consul: ConsulBackend | None = None

    def __repr__(self) -> str:
        return f"EmbeddedBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL, as it was given."""
        return str(self._place)

    @property
    def watch_limit(self) -> int | None:
        """As for a registry over the network: any number once it was asked."""
        return 100 if self._consul is None else self._consul.watch_limit

    def start(self) -> str:
        """Start it now and return where it listens, as HOST:PORT; blocks until it serves.

        Raises:
            BackendUnavailable: it cannot start.
        """
        host = self._acquired()
        return self._begun(host).address

    def stop(self) -> None:
        """Let it go, for who used `start` and nothing else; blocks until it has ended if this was the last user."""
        host, self._host = self._host, None
        if host is not None:
            ended = host.release()
            if ended is not None:
                ended.result(_PATIENCE)
                host.join()

    async def ping(self) -> Mapping[str, str]:
        """Facts about the registry, and where it listens (``http``)."""
        running = await self._running()
        assert self._host is not None
        return {**await running.ping(), "http": self._host.address}

    async def aclose(self) -> None:
        """Let the registry go; the last one closes it, and waits until its data are closed."""
        consul, self._consul = self._consul, None
        host, self._host = self._host, None
        try:
            if consul is not None:
                await consul.aclose()
        finally:
            if host is not None:
                ended = host.release()
                if ended is not None:
                    await asyncio.wrap_future(ended)
                    host.join()  # nothing is left for it to do

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now, healthy or not."""
        return await (await self._running()).fetch(service, datacenter=datacenter)

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service``."""
        running = await self._running()
        async with contextlib.aclosing(running.watch(service, datacenter=datacenter, after=after)) as stream:
            async for observed in stream:
                yield observed

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, with counts."""
        return await (await self._running()).services(datacenter=datacenter)

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Register, with a TTL check as the lease if ``ttl`` is given."""
        return await (await self._running()).register(service, ttl=ttl, incarnation=incarnation)

    async def renew(self, lease: Lease) -> None:
        """Keep a registration alive."""
        await (await self._running()).renew(lease)

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove a registration."""
        return await (await self._running()).deregister(service_id, incarnation=incarnation)

    async def advertised_address(self) -> str:
        """Loopback, unless the registry can be reached from elsewhere: then the address of this host."""
        await self._running()
        assert self._host is not None
        return self._host.advertised

    # HealthReporter

    async def report(self, instance_id: str, check: str, status: Status, *, output: str = "") -> None:
        """Set the status of a TTL check."""
        await (await self._running()).report(instance_id, check, status, output=output)

    async def run_check(self, instance_id: str, check: str) -> CheckState:
        """Run one check now."""
        return await (await self._running()).run_check(instance_id, check)

    async def history(self, service: str, *, since: float) -> Sequence[CheckTransition]:
        """The changes of status of all checks of a service."""
        return await (await self._running()).history(service, since=since)

    async def checks(self, *, status: Status | None = None) -> Sequence[tuple[str, str, CheckState]]:
        """Every check, or only those of one status."""
        return await (await self._running()).checks(status=status)

    # inner

    async def _running(self) -> ConsulBackend:
        """The backend of the running registry, started if it is not."""
        if self._consul is not None:
            return self._consul
        host = self._acquired()
        if not host.ready.done():
            with contextlib.suppress(Exception):  # told below
                await asyncio.wrap_future(host.ready)
        self._begun(host)
        if self._host is not host:
            raise BackendUnavailable(f"{self.url} was closed meanwhile", backend=self.url)
        if self._consul is None:
            name, _, port = host.connect.rpartition(":")
            self._consul = ConsulBackend(
                ConsulSettings(scheme="homeport", addresses=(HostPort(name.strip("[]"), int(port)),))
            )
        return self._consul

    def _acquired(self) -> _Host:
        if self._host is None:
            self._host = _Host.acquire(self._place)
        return self._host

    def _begun(self, host: _Host) -> _Host:
        """The host when it serves; one that could not start is let go, so that the next use tries again."""
        try:
            host.ready.result(_PATIENCE)
        except Exception as error:
            if self._host is host:
                self._host = None
                host.release()
            if isinstance(error, InvalidValue | MissingExtra):
                raise
            reason = str(error) if isinstance(error, HomeportError) else repr(error)
            raise BackendUnavailable(f"the registry of {self.url} cannot start: {reason}", backend=self.url) from error
        return host


class _Host(threading.Thread):
    """A registry of this process on a thread and event loop of its own, counted by its users.

    A program that ends without closing it ends it all the same, and in order (see `_Hosts.close`); the thread is
    daemonic so that the program can. Nothing acknowledged is lost either way.
    """

    def __init__(self, place: Place, *, after: _Host | None) -> None:
        super().__init__(name="homeport embedded registry", daemon=True)
        self.place = place
        self.address = self.connect = self.advertised = ""
        self.ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._after = after
        self._users = 0
        self._pid = os.getpid()
        self._end: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        for future in (self.ready, self._end, self._ended):
            future.set_running_or_notify_cancel()  # so that none of several who wait cancels it for the others

    @classmethod
    def acquire(cls, place: Place) -> _Host:
        """The host of a place, started if there is none; `release` it."""
        with _hosts.lock:
            host = _hosts.running.get(place)
            if host is None:
                host = cls(place, after=_hosts.ending.get(place))
                try:
                    host.start()
                except RuntimeError as error:
                    raise BackendUnavailable(
                        f"the registry of {place} cannot start: no thread can be started any more, because the "
                        "program is ending", backend=str(place),
                    ) from error  # fmt: skip
                _hosts.running[place] = host
            host._users += 1
            return host

    def release(self) -> concurrent.futures.Future[None] | None:
        """Let it go; the last user gets what to wait for, which never fails."""
        if self._pid != os.getpid():  # it belongs to the process that this one was forked from
            return None
        with _hosts.lock:
            self._users -= 1
            if self._users:
                return None
            self._begin_to_end()
        return self._ended

    def end(self, timeout: float) -> None:
        """End it, whoever uses it, and wait for that as long as ``timeout`` says."""
        with _hosts.lock:
            self._begin_to_end()
        self.join(timeout)
        if self.is_alive():
            _log.warning("an embedded registry did not end in time", extra={"registry": str(self.place)})

    def run(self) -> None:
        """Serve until nobody uses it any more."""
        if self._after is not None:
            self._after.join()
            self._after = None
        try:
            from .event_loop import RegistryLoop

            with asyncio.Runner(loop_factory=RegistryLoop) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001 - told to who waits for the start, or logged
            if self.ready.done():
                _log.exception("an embedded registry ended", extra={"registry": str(self.place)})
            else:
                self._forget()
                self.ready.set_exception(error)
        finally:
            self._forget()
            self._ended.set_result(None)

    async def _serve(self) -> None:
        folder = self.place.folder or None
        async with EmbeddedRegistry(folder, http=self.place.http) as registry:
            self.address = registry.address
            self.connect = registry.url.removeprefix("homeport://")
            self.advertised = registry.advertised_address
            self.ready.set_result(None)
            await asyncio.wrap_future(self._end)

    def _begin_to_end(self) -> None:
        if _hosts.running.get(self.place) is self:
            del _hosts.running[self.place]
            _hosts.ending[self.place] = self
        if not self._end.done():
            self._end.set_result(None)

    def _forget(self) -> None:
        with _hosts.lock:
            for hosts in (_hosts.running, _hosts.ending):
                if hosts.get(self.place) is self:
                    del hosts[self.place]


class _Hosts:
    """The registries of this process: those in use, and those that are ending."""

    def __init__(self) -> None:
        self.forked()

    def forked(self) -> None:
        """Begin anew: after a fork, threads and locks are the parent's."""
        self.lock = threading.Lock()
        self.running: dict[Place, _Host] = {}
        self.ending: dict[Place, _Host] = {}

    def close(self) -> None:
        """End them all: the process ends, and a thread in the C code of an event loop does not survive that."""
        deadline = time.monotonic() + _LAST_PATIENCE
        with self.lock:
            hosts = (*self.running.values(), *self.ending.values())
        for host in hosts:
            host.end(max(0.0, deadline - time.monotonic()))


_hosts = _Hosts()  # what is shared by a process can only be known to the process
inhabit(_hosts, serves_others=True)


def _need_extra() -> None:
    for module in _NEEDED:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra("an embedded registry", "server")
