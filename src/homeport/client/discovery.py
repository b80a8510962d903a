"""The entrance: find services, follow them, call them, and register one's own."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from homeport import abilities
from homeport.backends.opening import open_backends
from homeport.balancing.balancer import Balancer, open_balancer
from homeport.errors import HomeportError, InvalidValue, NotReady, Unsupported
from homeport.model import Check, Instance, Query, Service, Snapshot, frozen_meta
from homeport.spi import Backend, Discoverer, Observer, Registrar, ServiceSummary

from .address import advertised_address
from .cache import CacheCounter, CacheStatistics
from .call import Call
from .check_form import health_check as check_from_form
from .clock import awake_or_not
from .exit_signals import ExitSignals
from .implicit import ImplicitWatches
from .keeper import Keeper, Standing
from .registration import OnStanding, Registration, refuse_no_function, text_tuple
from .reports import Reports
from .settings import ClientSettings
from .sources import Sources
from .subject import Source
from .tasks import Tasks
from .view import View
from .watch import OnChange, Watch

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Discovery:
    """Services through a backend, or through several of which one stands in for another.

    >>> async def main() -> None:
    ...     async with Discovery("homeport://127.0.0.1:8500") as discovery:
    ...         async with discovery.register("api", port=8080, tags=["production"]) as registration:
    ...             print(registration.id)
    ...         instance = await discovery.resolve("billing")

    ``backend`` is a URL, a bare name such as ``"consul"``, or a backend object; None takes ``HOMEPORT_BACKEND``,
    ``DISCOVERY_PROVIDER`` or ``CONSUL_HTTP_ADDR`` from ``environ``, or else the registry on this host. A list of them
    is a fallback chain: the first is meant, the others answer while it cannot; registrations go to the first that takes
    any, and to no other. Nothing is connected before the first use. ``balancer`` is the name of a policy or a
    `Balancer`. ``observer`` is told what happens, for metrics and traces. With ``handle_signals``, SIGTERM and SIGINT
    deregister before they end the process, unless somebody else handles them. ``random`` spreads pauses and first
    choices, ``clock`` counts the age of leases and ejections. An object belongs to one event loop.

    `aclose` (or the end of ``async with``) deregisters what was registered, ends all watches, and closes the backends
    that were not given as objects.
    """

    def __init__(
        self,
        backend: str | Backend | Sequence[str | Backend] | None = None,
        *,
        balancer: str | Balancer = "round_robin",
        settings: ClientSettings | None = None,
        observer: Observer | None = None,
        handle_signals: bool = True,
        environ: Mapping[str, str] | None = None,
        random: Random | None = None,
        clock: Callable[[], float] = awake_or_not,
    ) -> None:
        if observer is not None and not isinstance(observer, Observer):
            raise InvalidValue(f"an observer cannot be of the type {type(observer).__name__}; give an Observer")
        self._environ = os.environ if environ is None else environ
        opened = open_backends(backend, self._environ)
        self._backends = tuple(one.backend for one in opened)
        self._owned = tuple(one.backend for one in opened if one.owned)
        self._balancer = open_balancer(balancer, self._environ)
        self._settings = ClientSettings() if settings is None else settings
        if not isinstance(self._settings, ClientSettings):
            raise InvalidValue(f"settings is a {type(settings).__name__}; give a ClientSettings")
        self._reports = Reports(observer, backend=self.backend.url)
        self._handle_signals = handle_signals
        self._random = random or Random()
        self._clock = clock
        self._tasks = Tasks()
        self._registrations: dict[str, Registration] = {}
        self._openings: set[Registration] = set()
        self._watches: set[Watch] = set()
        self._sources: Sources | None = None
        self._lookups = CacheCounter(self._reports)
        self._implicit = ImplicitWatches(self._settings, tasks=self._tasks)
        self._exit_signals = ExitSignals(self._leave, leave_timeout=self._settings.deregister_timeout)
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<Discovery on {', '.join(one.url for one in self._backends)}>"

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Deregister, end all watches, close the connections. Calling it twice is harmless.

        Takes ``deregister_timeout`` at most for the deregistrations; one that fails is logged and its lease runs out
        by itself.
        """
        if self._closed:
            return
        self._closed = True
        leave_until = asyncio.get_running_loop().time() + self._settings.deregister_timeout
        try:
            await self._leave()
        finally:
            self._exit_signals.uninstall()
            for watch in tuple(self._watches):
                await watch.close()
            await self._implicit.aclose()
            await self._tasks.cleaned_up(until=leave_until)
            await self._tasks.aclose()
            for backend in self._owned:
                await backend.aclose()

    @property
    def backend(self) -> Backend:
        """The backend behind this object, the first of several."""
        return self._backends[0]

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All backends behind this object, in order of preference."""
        return self._backends

    @property
    def settings(self) -> ClientSettings:
        """The settings that it obeys."""
        return self._settings

    def cache_statistics(self) -> CacheStatistics:
        """How often `discover` and `resolve` were answered from memory, and how many services are followed."""
        return self._lookups.statistics(watched=0 if self._sources is None else len(self._sources))

    # finding

    async def discover(
        self,
        service: str,
        *,
        tags: Iterable[str] = (),
        version: str = "",
        environment: str = "",
        meta: Mapping[str, object] | None = None,
        datacenter: str = "",
        healthy: bool = True,
        use_cache: bool = True,
    ) -> Snapshot:
        """The instances of ``service`` that are as asked, and how far to trust them.

        A `Snapshot` is a sequence of instances. The first question begins a watch that answers the next ones from
        memory. What this process wrote itself is in the answer. While the backend is out of reach the last answer is
        given, marked as stale. ``use_cache=False`` asks the backend, or the first of several that answers; so does
        every question while the cache is switched off in the settings.

        Raises:
            BackendUnavailable: the backend is out of reach and nothing is known yet.
            HomeportError: the backend refuses.
        """
        query = _query(service, tags, version, environment, meta, datacenter, healthy)
        self._open()
        if use_cache and self._settings.cache.enabled:
            with self._reports.discovering("discover", service=service):
                return (await self._looked_up(query)).current
        if use_cache:
            self._lookups.missed()
        with self._reports.discovering("fetch", service=service):
            return View(query).of(await self._shared_sources().fetch(service, datacenter=datacenter))

    async def resolve(
        self,
        service: str,
        *,
        key: str | None = None,
        tags: Iterable[str] = (),
        version: str = "",
        environment: str = "",
        meta: Mapping[str, object] | None = None,
        datacenter: str = "",
    ) -> Instance:
        """One healthy instance, chosen by the balancer.

        Raises:
            NoInstances: none is registered, or none of them passes.
            HomeportError: see `discover`.
        """
        query = _query(service, tags, version, environment, meta, datacenter, healthy=True)
        self._open()
        with self._reports.discovering("resolve", service=service):
            return (await self._looked_up(query)).pick(key)

    def pick(self, service: str, *, key: str | None = None) -> Instance:
        """One healthy instance of a service that was resolved or discovered before; memory only, from any thread.

        Raises:
            NoInstances: none is registered, or none of them passes.
            NotReady: it was not, or longer ago than ``idle_timeout`` for the last time.
        """
        return self._implicit.known(service).pick(key)

    def call(self, service: str, *, key: str | None = None) -> Call:
        """A call of an instance of a service that was resolved or discovered before; see `Watch.call`.

        Raises:
            NotReady: see `pick`.
        """
        return self._implicit.known(service).call(key)

    async def perform(
        self,
        service: str,
        work: Callable[[Call], Awaitable[T]],
        *,
        key: str | None = None,
        idempotent: bool = False,
        deadline: float | None = None,
        hedge_after: float | None = None,
    ) -> T:
        """Make a call of ``service`` with ``work``, again elsewhere if that failed; see `Watch.perform`.

        Raises:
            HomeportError: see `resolve` and `Watch.perform`.
            Exception: what ``work`` raised, at the last attempt.
        """
        watch = await self.watching(service)
        return await watch.perform(work, key=key, idempotent=idempotent, deadline=deadline, hedge_after=hedge_after)

    async def watching(self, service: str) -> Watch:
        """The shared watch of the healthy instances of ``service``, the one behind `resolve` and `pick`.

        It is not to be closed: it ends when nobody asked for it for ``idle_timeout``.

        Raises:
            HomeportError: see `discover`.
        """
        self._open()
        kept = self._implicit.kept(service)  # who asks for every request of an HTTP client is answered at once
        if kept is not None:
            return kept
        query = Query(service=service)
        if not self._settings.cache.enabled:
            return await self._looked_up(query)
        return await self._implicit.begun(query, self._watch_of)

    def watch(
        self,
        service: str,
        *,
        tags: Iterable[str] = (),
        version: str = "",
        environment: str = "",
        meta: Mapping[str, object] | None = None,
        datacenter: str = "",
        healthy: bool = True,
        balancer: str | Balancer | None = None,
        on_change: OnChange | None = None,
    ) -> Watch:
        """Follow a service: ``async with discovery.watch("billing") as billing:``, or ``await`` it.

        ``balancer`` chooses among its instances instead of the one of this object. ``on_change`` (a function or a
        coroutine function) is called with the first snapshot and each newer one, one at a time and in order; when it
        raises, that is logged and the watch goes on.
        """
        refuse_no_function(on_change, what="on_change")
        return self._watch_of(
            _query(service, tags, version, environment, meta, datacenter, healthy),
            balancer=None if balancer is None else open_balancer(balancer, self._environ),
            on_change=on_change,
        )

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, asked of the backend; of several, the first that answers.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        with self._reports.discovering("services"):
            return await self._shared_sources().services(datacenter=datacenter)

    # registering

    def register(
        self,
        service: Service | str | None = None,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's word for it
        address: str | None = None,
        port: int | None = None,
        tags: Iterable[str] = (),
        meta: Mapping[str, object] | None = None,
        weight: int | None = None,
        version: str | None = None,
        environment: str | None = None,
        checks: Iterable[Check | Mapping[str, object]] = (),
        health_check: Check | Mapping[str, object] | None = None,
        ttl: float = 15.0,
        on_change: OnStanding | None = None,
    ) -> Registration:
        """Register an instance: ``async with discovery.register("api", port=8080):``, or ``await`` it.

        ``service`` is a name (``name=`` does as well) or a whole `Service`, which the other arguments complete or
        override; without a name it is ``DISCOVERY_SERVICE_NAME``. Without an id a unique one is made; without an
        address, ``HOMEPORT_ADVERTISE`` or the address from which the backend is reached is taken. ``health_check`` is
        one more check; checks may be dictionaries such as ``{"http": URL, "interval": "10s"}``. The registration is
        gone from the healthy answers ``ttl`` seconds after this process stopped renewing it. ``on_change`` is called
        with the registration when it is lost, stands again, or is taken over.

        Raises:
            InvalidValue: a value cannot be right.
        """
        if not isinstance(checks, Iterable):
            raise InvalidValue(f"checks is {checks!r}; give a list of checks")
        all_checks = tuple(map(check_from_form, checks)) + ((check_from_form(health_check),) if health_check else ())
        base = _service(service, name, default=self._environ.get("DISCOVERY_SERVICE_NAME", "").strip())
        given = {
            "id": id,
            "address": address,
            "port": port,
            "weight": weight,
            "version": version,
            "environment": environment,
            "tags": text_tuple(tags, what="tags") or None,
            "meta": {**base.meta, **frozen_meta(meta)} if meta else None,
            "checks": (*base.checks, *all_checks) if all_checks else None,
        }
        return Registration(
            msgspec.structs.replace(base, **{field: value for field, value in given.items() if value is not None}),
            backend=self._registrar(),
            owner=self,
            tasks=self._tasks,
            ttl=ttl,
            on_change=on_change,
        )

    async def deregister(self, registration: Registration | str) -> bool:
        """Remove a registration, or whatever is registered under an id; False when there was nothing to remove.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        own = self._own(registration)
        if own is not None:
            return await own.close()
        if isinstance(registration, Registration):
            return False
        self._open()
        removed = await self._registrar().deregister(registration)
        if self._sources is not None:
            self._sources.written()  # the name of its service is not known here
        return removed

    async def update(
        self,
        registration: Registration | str,
        *,
        address: str | None = None,
        port: int | None = None,
        tags: Iterable[str] | None = None,
        meta: Mapping[str, object] | None = None,
        weight: int | None = None,
        version: str | None = None,
        environment: str | None = None,
        checks: Iterable[Check | Mapping[str, object]] | None = None,
    ) -> None:
        """Change a registration of this object; see `Registration.update`.

        Raises:
            InvalidValue: this object has no registration of that id.
            HomeportError: see `Registration.update`.
        """
        await self._own_or_refuse(registration).update(
            address=address,
            port=port,
            tags=tags,
            meta=meta,
            weight=weight,
            version=version,
            environment=environment,
            checks=checks,
        )

    async def update_meta(self, registration: Registration | str, meta: Mapping[str, object]) -> None:
        """Add metadata to a registration of this object; see `Registration.update_meta`.

        Raises:
            InvalidValue: this object has no registration of that id.
            HomeportError: see `Registration.update`.
        """
        await self._own_or_refuse(registration).update_meta(meta)

    # what registrations need of their owner

    async def completed(self, service: Service) -> Service:
        """The service with an id, an address and a start time."""
        self._open()
        address = await advertised_address(service.address, environ=self._environ, backend=self._registrar())
        started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return msgspec.structs.replace(
            service,
            id=service.id or f"{service.name}-{secrets.token_hex(6)}",
            address=address,
            meta={"started_at": started_at, **service.meta},
        )

    def keeper(self, service: Service, *, ttl: float, on_standing: Callable[[Standing, str], None]) -> Keeper:
        """A keeper for a completed service."""
        return Keeper(
            self._registrar(),
            service,
            ttl=ttl,
            incarnation=secrets.token_hex(6),
            settings=self._settings,
            clock=self._clock,
            random=self._random.random,
            on_standing=on_standing,
            reports=self._reports,
        )

    def opening(self, registration: Registration) -> None:
        """A registration is about to be made: it may arrive before anybody knows."""
        self._openings.add(registration)
        if self._handle_signals:
            self._exit_signals.install()

    def opened(self, registration: Registration) -> None:
        """A registration was made: it is removed with this object."""
        self._openings.discard(registration)
        self._registrations[registration.id] = registration

    def closed(self, registration: Registration) -> None:
        """A registration is over, or was not made."""
        self._openings.discard(registration)
        own = registration.service.id
        if self._registrations.get(own) is registration:
            del self._registrations[own]
        if not self._registrations and not self._openings:
            self._exit_signals.uninstall()

    async def wrote(self, service: str) -> None:
        """This process wrote something about a service: its own watches of that name are to see it."""
        if self._sources is None or self._closed:
            return
        concerned = self._sources.written(service)
        try:
            async with asyncio.timeout(self._settings.settle_timeout):
                for upstream in concerned:
                    await upstream.settle()
        except TimeoutError:
            for upstream in concerned:
                upstream.lag()

    # inner

    async def _looked_up(self, query: Query) -> Watch:
        """The shared watch of a query, no older than the cache settings allow."""
        sources = self._shared_sources()
        if not self._settings.cache.enabled:
            self._lookups.missed()
            belief = await sources.fetch(query.service, datacenter=query.datacenter)
            sources.answers.share(query.service, query.datacenter).take(belief)
            return await self._implicit.begun(query, lambda one: self._watch_of(one, source=sources.answers))
        watch = self._implicit.held(query)
        from_memory = watch is not None and watch.up_to_date
        if not from_memory:
            self._lookups.missed()
        watch = await self._implicit.begun(query, self._watch_of)
        await watch.settle()
        if from_memory:
            self._lookups.hit(negative=watch.known == 0)
        return watch

    def _watch_of(
        self,
        query: Query,
        *,
        source: Source | None = None,
        balancer: Balancer | None = None,
        on_change: OnChange | None = None,
    ) -> Watch:
        return Watch(
            query,
            source=self._shared_sources() if source is None else source,
            balancer=balancer or self._balancer,
            tasks=self._tasks,
            cursor_start=self._random.randrange(1 << 16),
            on_change=on_change,
            on_begin=self._begun,
            on_close=self._watches.discard,
        )

    def _begun(self, watch: Watch) -> None:
        self._open()
        self._watches.add(watch)

    def _shared_sources(self) -> Sources:
        if self._sources is None:
            self._sources = Sources(
                self._discoverers(),
                writer=next((one for one in self._backends if isinstance(one, Registrar)), None),
                settings=self._settings,
                tasks=self._tasks,
                random=self._random.random,
                clock=self._clock,
                reports=self._reports,
            )
        return self._sources

    async def _leave(self) -> None:
        """Deregister everything, within ``deregister_timeout``."""
        registrations = (*self._registrations.values(), *self._openings)
        if not registrations:
            return
        try:
            async with asyncio.timeout(self._settings.deregister_timeout):
                outcomes = await asyncio.gather(*(one.close() for one in registrations), return_exceptions=True)
        except TimeoutError:
            _log.warning("deregistering took too long; the leases run out", extra={"backend": self.backend.url})
            return
        for registration, outcome in zip(registrations, outcomes, strict=True):
            if isinstance(outcome, HomeportError):
                _log.warning(
                    "a registration could not be removed; its lease runs out",
                    extra={"id": registration.id, "reason": str(outcome)},
                )
            elif isinstance(outcome, BaseException):
                raise outcome

    def _own(self, registration: Registration | str) -> Registration | None:
        name = registration.id if isinstance(registration, Registration) else registration
        own = self._registrations.get(name)
        return own if own is registration or isinstance(registration, str) else None

    def _own_or_refuse(self, registration: Registration | str) -> Registration:
        if isinstance(registration, Registration):
            return registration
        own = self._own(registration)
        if own is None:
            raise InvalidValue(
                f'this program has no registration "{registration}"; only what it registered itself can be updated'
            )
        return own

    def _discoverers(self) -> Sequence[Discoverer]:
        able = [one for one in self._backends if isinstance(one, Discoverer)]
        if not able:
            raise Unsupported(
                f"{self.backend.url} knows no instances", backend=self.backend.url, able=abilities.FINDING
            )
        return able

    def _registrar(self) -> Registrar:
        for one in self._backends:
            if isinstance(one, Registrar):
                return one
        raise Unsupported(
            f"{' and '.join(one.url for one in self._backends)} takes no registrations",
            backend=self.backend.url,
            able=abilities.REGISTERING,
        )

    def _open(self) -> None:
        """Whether it may be used, here.

        Raises:
            NotReady: it was closed, or another event loop has its watches: once that has ended, nobody keeps them.
        """
        if self._closed:
            raise NotReady("this Discovery was closed; make a new one")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise NotReady(
                "this Discovery belongs to another event loop; make one in each asyncio.run(), "
                "or take homeport.blocking.Discovery"
            )


def _service(service: Service | str | None, name: str | None, *, default: str) -> Service:
    if isinstance(service, Service):
        return service if name is None else msgspec.structs.replace(service, name=name)
    if service is not None and name is not None:
        raise InvalidValue(f'register got two names, "{service}" and "{name}"; give one')
    return Service(name=service or name or default)


def _query(
    service: str,
    tags: Iterable[str],
    version: str,
    environment: str,
    meta: Mapping[str, object] | None,
    datacenter: str,
    healthy: bool,  # noqa: FBT001 - internal, in the order of the public signature
) -> Query:
    return Query(
        service=service,
        tags=text_tuple(tags, what="tags"),
        version=version,
        environment=environment,
        meta=frozen_meta(meta),
        datacenter=datacenter,
        healthy=healthy,
    )
