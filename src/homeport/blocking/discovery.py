"""The entrance for programs without an event loop: find services, follow them, call them, and register one's own."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from types import TracebackType
from typing import Self, TypeVar
from weakref import WeakSet

from homeport.balancing.balancer import Balancer
from homeport.client.cache import CacheStatistics
from homeport.client.call import Call
from homeport.client.clock import awake_or_not
from homeport.client.discovery import Discovery as AsyncDiscovery
from homeport.client.exit_signals import ExitSignals
from homeport.client.keeper import Standing
from homeport.client.registration import refuse_no_function
from homeport.client.settings import ClientSettings
from homeport.client.watch import Watch as AsyncWatch
from homeport.errors import InvalidValue, NotReady
from homeport.model import Check, Instance, Service, Snapshot
from homeport.processes import inhabit, keep_uncollected
from homeport.spi import Backend, Observer, ServiceSummary

from .dispatcher import Dispatcher
from .loop_thread import LoopThread
from .performing import SpareThreads
from .registration import OnStanding, Registration
from .watch import OnChange, Watch

T = TypeVar("T")

_CLOSING_TIMEOUT = 2.0
"""How long closing may take beside the deregistrations, in seconds."""


class Discovery:
    """Services through a backend, or through several, for programs without an event loop.

    >>> def main() -> None:
    ...     with Discovery("homeport://127.0.0.1:8500") as discovery:
    ...         with discovery.register("api", port=8080, tags=["production"]) as registration:
    ...             print(registration.id)
    ...         instance = discovery.resolve("billing")

    ``backend`` is a URL, a bare name such as ``"consul"``, or a backend object; None takes ``HOMEPORT_BACKEND``,
    ``DISCOVERY_PROVIDER`` or ``CONSUL_HTTP_ADDR`` from ``environ``, or else the registry on this host. A list of them
    is a fallback chain: the first is meant, the others answer while it cannot; registrations go to the first that takes
    any, and to no other. Nothing is connected before the first use. ``balancer`` is the name of a policy or a
    `Balancer`. With ``handle_signals``, SIGTERM and SIGINT deregister before they end the process, unless somebody else
    handles them; that takes a registration made in the main thread. ``random`` spreads pauses and first choices,
    ``clock`` counts the age of leases.

    It is `homeport.Discovery` on a thread of its own, which the first question starts. Any number of threads may use
    one object, also while an event loop runs in them. Callbacks run on one more thread, one at a time, and may use the
    object as well. In a forked process an object begins anew, with connections of its own; see there what becomes of a
    `Registration` and a `Watch`.

    `close` (or the end of ``with``) deregisters what was registered, ends all watches, and closes the backends that
    were not given as objects. The end of the process does so too.
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
        settings = settings or ClientSettings()
        make = partial(
            AsyncDiscovery,
            backend,
            balancer=balancer,
            settings=settings,
            observer=observer,
            handle_signals=False,  # its thread is not the main one
            environ=environ,
            random=random,
            clock=clock,
        )
        self._set_up(make, backend, settings=settings, handle_signals=handle_signals)

    def _set_up(
        self,
        make: Callable[[], AsyncDiscovery],
        backend: str | Backend | Sequence[str | Backend] | None,
        *,
        settings: ClientSettings,
        handle_signals: bool,
    ) -> None:
        """Become the twin of what ``make`` makes, which is made again after a fork unless a backend is an object."""
        self._make = make
        given = backend if isinstance(backend, Sequence) else (backend,)  # a text is a sequence of texts
        self._given_objects = not all(one is None or isinstance(one, str) for one in given)
        self._settings = settings
        self._keeps_answers = settings.cache.enabled
        self._discovery: AsyncDiscovery | None = make()
        self._name = repr(self._discovery).replace("<", "<blocking ")
        self._handle_signals = handle_signals
        self._exit_signals = ExitSignals(self._leave, leave_timeout=settings.deregister_timeout)
        self._registrations: set[Registration] = set()
        self._watches: WeakSet[Watch] = WeakSet()
        self._shared: dict[str, Watch] = {}
        self._in_forked_process = False
        self._begin_threads()
        self._closed = False
        inhabit(self)

    def __repr__(self) -> str:
        return self._name

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Nobody can wait here: this may be any thread.
        if getattr(self, "_closed", True) or self._discovery is None:
            return
        self._closed = True
        self.dispatcher.end()
        self.loop_thread.end(self._discovery.aclose)
        if self.loop_thread.loop is not None:
            warnings.warn(f"unclosed {self!r}; use `with`, or close() it", ResourceWarning, source=self, stacklevel=2)

    def close(self) -> None:
        """Deregister, end all watches, close the connections. Calling it twice is harmless.

        Takes ``deregister_timeout`` at most for the deregistrations; one that fails is logged and its lease runs out
        by itself. Whoever waits for an answer in another thread gets NotReady.
        """
        if self._closed:
            return
        self.loop_thread.refuse_own()
        self._closed = True
        try:
            if self._discovery is not None:
                self.loop_thread.close(
                    self._discovery.aclose, timeout=self._settings.deregister_timeout + _CLOSING_TIMEOUT
                )
        finally:
            self._exit_signals.uninstall()
            self.dispatcher.close()
            self._registrations.clear()

    @property
    def backend(self) -> Backend:
        """The backend behind this object, the first of several; its methods belong to the event loop."""
        return self._asynchronous().backend

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All backends behind this object, in order of preference."""
        return self._asynchronous().backends

    @property
    def settings(self) -> ClientSettings:
        """The settings that it obeys."""
        return self._settings

    def cache_statistics(self) -> CacheStatistics:
        """How often `discover` and `resolve` were answered from memory, and how many services are followed."""
        return self._asynchronous().cache_statistics()

    # finding

    def discover(
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
        return self.loop_thread.run(
            self._asynchronous().discover,
            service,
            tags=tags,
            version=version,
            environment=environment,
            meta=meta,
            datacenter=datacenter,
            healthy=healthy,
            use_cache=use_cache,
        )

    def resolve(
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
        return self.loop_thread.run(
            self._asynchronous().resolve,
            service,
            key=key,
            tags=tags,
            version=version,
            environment=environment,
            meta=meta,
            datacenter=datacenter,
        )

    def pick(self, service: str, *, key: str | None = None) -> Instance:
        """One healthy instance of a service that was resolved or discovered before; memory only, from any thread.

        The first one in a forked process asks the backend.

        Raises:
            NoInstances: none is registered, or none of them passes.
            NotReady: it was not, or longer ago than ``idle_timeout`` for the last time.
        """
        try:
            return (self._discovery or self._asynchronous()).pick(service, key=key)
        except NotReady:
            self._open()
            if not self._in_forked_process:
                raise NotReady(
                    f'"{service}" is not in memory: call `discovery.resolve("{service}")` first, or keep a watch of it'
                ) from None
        return self.watching(service).pick(key)

    def call(self, service: str, *, key: str | None = None) -> Call:
        """A call of an instance of a service that was resolved or discovered before; see `Watch.call`.

        Raises:
            NotReady: see `pick`.
        """
        try:
            return (self._discovery or self._asynchronous()).call(service, key=key)
        except NotReady:
            self._open()
            if not self._in_forked_process:
                raise NotReady(
                    f'"{service}" is not in memory: call `discovery.resolve("{service}")` first, or keep a watch of it'
                ) from None
        return self.watching(service).call(key)

    def perform(
        self,
        service: str,
        work: Callable[[Call], T],
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
        watch = self.watching(service)
        return watch.perform(work, key=key, idempotent=idempotent, deadline=deadline, hedge_after=hedge_after)

    def watching(self, service: str) -> Watch:
        """The shared watch of the healthy instances of ``service``, the one behind `resolve` and `pick`.

        It is not to be closed: it ends when nobody asked for it for ``idle_timeout``. While it lasts, this is answered
        from memory.

        Raises:
            HomeportError: see `discover`.
        """
        known = self._shared.get(service)
        if known is None or not self._keeps_answers or not known.keep_in_use():
            known = self._new_watch(lambda: self.loop_thread.run(self._asynchronous().watching, service))
            self._shared = {name: watch for name, watch in self._shared.items() if not watch.closed}
            self._shared[service] = known
        return known

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
        """Follow a service: ``with discovery.watch("billing") as billing:``, or `Watch.close` it yourself.

        Returns with the first snapshot. ``balancer`` chooses among its instances instead of the one of this object.
        ``on_change`` is called with that and each newer one, one at a time and in
        order, on the thread for callbacks; when it raises, that is logged and the watch goes on.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        refuse_coroutine_function(on_change)
        wanted = tags if isinstance(tags, str) else tuple(tags)  # they may be needed again after a fork

        def make() -> AsyncWatch:
            return self._asynchronous().watch(
                service,
                tags=wanted,
                version=version,
                environment=environment,
                meta=meta,
                datacenter=datacenter,
                healthy=healthy,
                balancer=balancer,
                on_change=None if on_change is None else partial(self._call_back, on_change),
            )

        return self._new_watch(partial(self._begun, make))

    def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, asked of the backend; of several, the first that answers.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        return self.loop_thread.run(self._asynchronous().services, datacenter=datacenter)

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
        """Register an instance: ``with discovery.register("api", port=8080):``, or close it yourself.

        Returns when it is registered. ``service`` is a name (``name=`` does as well) or a whole `Service`, which the
        other arguments complete or override; without a name it is ``DISCOVERY_SERVICE_NAME``. Without an id a unique
        one is made; without an address, ``HOMEPORT_ADVERTISE`` or the address from which the backend is reached is
        taken. ``health_check`` is one more check; checks may be dictionaries such as
        ``{"http": URL, "interval": "10s"}``. The registration is gone from the healthy answers ``ttl`` seconds after
        this process stopped renewing it. ``on_change`` is called with the registration when it is lost, stands again,
        or is taken over, on the thread for callbacks.

        Raises:
            InvalidValue: a value cannot be right.
            HomeportError: the backend cannot be asked, or refuses.
        """
        refuse_coroutine_function(on_change)
        registration = Registration(self, on_change=on_change)
        registration.begin(
            lambda told: self._asynchronous().register(
                service,
                name=name,
                id=id,
                address=address,
                port=port,
                tags=tags,
                meta=meta,
                weight=weight,
                version=version,
                environment=environment,
                checks=checks,
                health_check=health_check,
                ttl=ttl,
                on_change=told,
            )
        )
        self._keep(registration)
        return registration

    def deregister(self, registration: Registration | str) -> bool:
        """Remove a registration, or whatever is registered under an id; False when there was nothing to remove.

        Raises:
            HomeportError: the backend cannot be asked, or refuses.
        """
        if isinstance(registration, Registration):
            return registration in self._registrations and registration.close()
        try:
            return self.loop_thread.run(self._asynchronous().deregister, registration)
        finally:
            self.forget_closed()

    def update(
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
        self._own(registration).update(
            address=address,
            port=port,
            tags=tags,
            meta=meta,
            weight=weight,
            version=version,
            environment=environment,
            checks=checks,
        )

    def update_meta(self, registration: Registration | str, meta: Mapping[str, object]) -> None:
        """Add metadata to a registration of this object; see `Registration.update_meta`.

        Raises:
            InvalidValue: this object has no registration of that id.
            HomeportError: see `Registration.update`.
        """
        self._own(registration).update_meta(meta)

    # what registrations and the process need

    def forget_closed(self) -> None:
        """Registrations that are over need no handling of signals any more."""
        for registration in tuple(self._registrations):
            if registration.standing is Standing.CLOSED:
                self._registrations.discard(registration)
        if not self._registrations:
            self._exit_signals.uninstall()

    def forked(self) -> None:
        """This is a child process: leave alone what is the parent's, and begin anew when there is a use for it."""
        if self._closed:
            return
        parents = self._discovery, self.loop_thread, self.dispatcher, self._shared
        for registration in self._registrations:
            registration.left_behind()
        for watch in tuple(self._watches):
            watch.left_behind()
        self._registrations = set()
        self._shared = {}
        self._discovery = None
        self._in_forked_process = True
        self._begin_threads()
        self._exit_signals.uninstall()
        keep_uncollected(parents)
        parents[1].leave_behind()

    # inner

    def _keep(self, registration: Registration) -> None:
        """Remove a registration with this object."""
        self._registrations.add(registration)
        if self._handle_signals:
            self._exit_signals.install(self.loop_thread.loop)

    def _begin_threads(self) -> None:
        """The threads of this process; each is started when it is needed."""
        self._making = threading.RLock()
        self.loop_thread = LoopThread(name="homeport loop")
        self.dispatcher = Dispatcher(name="homeport callbacks")
        self.spare_threads = SpareThreads(name="homeport hedged call")

    def _asynchronous(self) -> AsyncDiscovery:
        """The asynchronous object of this process.

        Raises:
            NotReady: it cannot be made again in a forked one.
        """
        self._open()
        discovery = self._discovery
        if discovery is not None:
            return discovery
        with self._making:
            if self._discovery is None:
                if self._given_objects:
                    raise NotReady(
                        "this Discovery was given a backend object, which does not work in a forked process; "
                        "give it a URL, or make a Discovery in each process"
                    )
                self._discovery = self._make()
            return self._discovery

    def _begun(self, make: Callable[[], AsyncWatch]) -> AsyncWatch:
        made: list[AsyncWatch] = []

        async def begin() -> AsyncWatch:
            made.append(make())
            return await made[0]

        try:
            return self.loop_thread.run(begin)
        except BaseException:
            # An interrupt may have come after it had begun.
            for watch in made:
                self.loop_thread.launch(watch.close)
            raise

    def _new_watch(self, begin: Callable[[], AsyncWatch]) -> Watch:
        watch = Watch(self, begin(), begin=begin)
        self._watches.add(watch)
        return watch

    async def _call_back(self, on_change: OnChange, snapshot: Snapshot) -> None:
        await self.dispatcher.call(partial(on_change, snapshot))

    async def _leave(self) -> None:
        """Deregister everything."""
        await asyncio.gather(*(one.aclose() for one in tuple(self._registrations)), return_exceptions=True)
        self.forget_closed()

    def _own(self, registration: Registration | str) -> Registration:
        if isinstance(registration, Registration):
            return registration
        for own in tuple(self._registrations):
            if own.id == registration:
                return own
        raise InvalidValue(
            f'this program has no registration "{registration}"; only what it registered itself can be updated'
        )

    def _open(self) -> None:
        if self._closed:
            raise NotReady("this Discovery was closed; make a new one")


def refuse_coroutine_function(callback: Callable[..., object] | None) -> None:
    """Refuse a callback that nobody would await, or could not be called at all.

    Raises:
        InvalidValue: it is a coroutine function, or no function.
    """
    refuse_no_function(callback, what="on_change")
    if inspect.iscoroutinefunction(callback):
        raise InvalidValue(
            f"on_change is the coroutine function {callback.__name__}; a blocking Discovery calls plain functions"
        )
