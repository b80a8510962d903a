"""Follows all services that somebody watches with the same few requests.

Each namespace is followed as a whole: one watch for its EndpointSlices, Services, Pods and for the Leases of Homeport's
registrations, however many services are watched. A watch for each service instead would have to name its slices, its
Service, and the Pods that it selects; a gateway with fifty services would hold a hundred and fifty connections, and
each API server allows only so many requests at once. Prometheus and kube-proxy do the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from homeport.errors import BackendUnavailable, HomeportError, InvalidAnswer, PermissionDenied
from homeport.model import Instance
from homeport.spi import Cursor, ServiceList

from . import facts
from .api import KubernetesAPI
from .kinds import LEASES, PODS, SERVICES, SLICES, Kind
from .lease_clock import LeaseClock
from .mirror import Facts, Mirror, within
from .reflector import Reflector
from .scope import Scopes
from .settings import AnnotationKeys
from .shapes import KubernetesObject
from .together import first_of, together

T = TypeVar("T", bound=KubernetesObject)

_log = logging.getLogger(__name__)

_FAR = 1e9
"""Later than any lease runs out."""

EVERYTHING = ""
"""What is followed by somebody who follows all services."""


class Follower:
    """One service that somebody watches, or `EVERYTHING`."""

    __slots__ = ("_changed", "_confirmed", "_failure", "_run", "_told", "service")

    def __init__(self, service: str, run: _Run) -> None:
        self.service = service
        self._run = run
        self._told = asyncio.Event()
        self._confirmed = False
        self._changed: set[str] | None = None
        self._failure: HomeportError | None = None

    def services(self) -> ServiceList:
        """The names of all services now, and what changed since the last time; at first, all of them did."""
        assert self._run.mirror is not None, "nobody follows before there is something"
        names = frozenset(self._run.mirror.names())
        changed, self._changed = self._changed, set()
        return ServiceList(names=names, changed=names if changed is None else frozenset(changed))

    def names_within(self, datacenter: str) -> frozenset[str]:
        """The names of the services that have an instance in a datacenter."""
        assert self._run.mirror is not None, "nobody follows before there is something"
        mirror = self._run.mirror
        return frozenset(name for name in mirror.names() if within(mirror.instances(name), datacenter))

    def instances(self) -> tuple[Instance, ...]:
        """All instances now; the same tuple as before if nothing changed."""
        assert self._run.mirror is not None, "nobody follows before there is something"
        return self._run.mirror.instances(self.service)

    def cursor(self) -> Cursor:
        """Where that stands."""
        return Cursor(position=self._run.position, store=self._run.identity)

    async def next(self) -> bool:
        """Wait until the service may have changed, or everything is confirmed (True).

        Raises:
            HomeportError: the cluster cannot be followed any more.
        """
        await self._told.wait()
        self._told.clear()
        if self._failure is not None:
            raise self._failure
        confirmed, self._confirmed = self._confirmed, False
        return confirmed

    def touched(self, services: set[str]) -> None:
        """These may have changed."""
        if self._changed is not None:
            self._changed |= services
        self._told.set()

    def confirmed(self) -> None:
        """Nothing is missing."""
        self._confirmed = True
        self._told.set()

    def fail(self, error: HomeportError) -> None:
        """It is over."""
        self._failure = error.copied()
        self._told.set()


class Following:
    """Follows while there is anybody to follow for. A failure ends it for all of them; whoever goes on begins anew."""

    def __init__(self, api: KubernetesAPI, scopes: Scopes, clock: LeaseClock) -> None:
        self._api = api
        self._scopes = scopes
        self._clock = clock
        self._followers: dict[str, set[Follower]] = {}
        self._run: _Run | None = None

    async def join(self, service: str) -> Follower:
        """Follow a service until `leave`; it is complete then.

        Raises:
            HomeportError: the cluster cannot be read.
        """
        if self._run is None:
            self._run = _Run(self._api, self._scopes, self._clock, self)
        run = self._run
        follower = Follower(service, run)
        self._followers.setdefault(service, set()).add(follower)
        try:
            await run.ready()
        except BaseException:
            await self.leave(follower)
            raise
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow it no more; when nobody is left, nothing is followed any more."""
        same = self._followers.get(follower.service, set())
        same.discard(follower)
        if not same:
            self._followers.pop(follower.service, None)
        if not self._followers:
            await self.aclose()

    async def aclose(self) -> None:
        """Follow no more; who still does learns so."""
        run = self._run
        if run is not None:
            self.failed(run, BackendUnavailable(f"the connection to {self._api.url} was closed", backend=self._api.url))
            await run.aclose()

    def touched(self, services: set[str]) -> None:
        """These services may have changed."""
        for service in self._followers.keys() & {*services, EVERYTHING}:
            for follower in self._followers[service]:
                follower.touched(services)

    def confirmed(self) -> None:
        """Nothing is missing."""
        for followers in self._followers.values():
            for follower in followers:
                follower.confirmed()

    def failed(self, run: _Run, error: HomeportError) -> None:
        """It cannot go on."""
        if self._run is run:
            self._run = None
            followers, self._followers = self._followers, {}
            for same in followers.values():
                for follower in same:
                    follower.fail(error)


class _Run:
    """From a first list to a failure."""

    def __init__(self, api: KubernetesAPI, scopes: Scopes, clock: LeaseClock, owner: Following) -> None:
        self._api = api
        self._scopes = scopes
        self._clock = clock
        self._owner = owner
        self._reflectors: list[Reflector[Any]] = []
        self._rounds = 0
        self._due_changed = asyncio.Event()
        self._listed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listed.add_done_callback(_retrieved)
        self.mirror: Mirror | None = None
        self.identity = ""
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="homeport kubernetes")

    @property
    def position(self) -> int:
        return max((reflector.version for reflector in self._reflectors), default=0)

    async def ready(self) -> None:
        """Wait until everything was read."""
        await asyncio.shield(self._listed)

    async def aclose(self) -> None:
        """End all requests."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _follow(self) -> None:
        try:
            self.mirror = mirror = await self._list()
            self._listed.set_result(None)
            async with asyncio.TaskGroup() as group:
                for reflector in self._reflectors:
                    group.create_task(reflector.follow())
                group.create_task(self._let_run_out(mirror))
        except asyncio.CancelledError:
            self._failed(BackendUnavailable(f"the connection to {self._api.url} was closed", backend=self._api.url))
            raise
        except BaseExceptionGroup as errors:
            self._failed(first_of(errors))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            self._failed(error)

    async def _list(self) -> Mirror:
        scope = await self._scopes.scope()
        mirror = Mirror(self._api.settings, self._clock, home=scope.home)
        lists: list[Coroutine[Any, Any, object]] = [self._identify()]
        for namespace in scope.namespaces:
            for reflector in self._of_namespace(mirror, namespace):
                self._reflectors.append(reflector)
                lists.append(reflector.list())
            if self._api.settings.endpoints.enabled:
                lists.append(self._list_leases(mirror, namespace))
        await together(*lists)
        mirror.expire()
        return mirror

    async def _identify(self) -> None:
        self.identity = await self._scopes.identity(await self._scopes.scope())

    def _of_namespace(self, mirror: Mirror, namespace: str) -> list[Reflector[Any]]:
        keys, selector = self._api.settings.annotations, self._api.settings.label_selector

        def reflect(
            kind: Kind[T], shape: type[Facts], facts_of: Callable[[T, AnnotationKeys], Facts], selector: str = ""
        ) -> Reflector[T]:
            return self._reflector(mirror, kind, namespace, shape, lambda found: facts_of(found, keys), selector)

        pods = reflect(PODS, facts.PodFacts, facts.pod_facts, selector)
        if not self._api.settings.endpoints.enabled:
            return [pods]
        services = reflect(SERVICES, facts.ServiceFacts, facts.service_facts, selector)
        return [pods, services, reflect(SLICES, facts.SliceFacts, facts.slice_facts)]

    def _reflector(
        self,
        mirror: Mirror,
        kind: Kind[T],
        namespace: str,
        shape: type[Facts],
        facts_of: Callable[[T], Facts],
        selector: str,
    ) -> Reflector[T]:
        return Reflector(
            self._api, mirror, kind, namespace,
            facts=shape, facts_of=facts_of, told=self._touched, confirmed=self._confirmed, selector=selector,
        )  # fmt: skip

    async def _list_leases(self, mirror: Mirror, namespace: str) -> None:
        """Leases are followed if they may be; without them registrations of the dead stay until they are swept."""
        reflector = self._reflector(
            mirror, LEASES, namespace, facts.LeaseFacts, facts.lease_facts, facts.LEASE_SELECTOR
        )
        try:
            await reflector.list()
        except PermissionDenied as error:
            mirror.sees_leases = False
            _log.info("leases are not followed", extra={"backend": self._api.url, "reason": str(error)})
        else:
            self._reflectors.append(reflector)

    async def _let_run_out(self, mirror: Mirror) -> None:
        """Tell of leases that nobody renewed; no event says so."""
        while True:
            touched, left = mirror.expire()
            if touched:
                self._owner.touched(touched)
            self._due_changed.clear()
            try:
                async with asyncio.timeout(left if left < _FAR else None):
                    await self._due_changed.wait()
            except TimeoutError:
                continue

    def _touched(self, services: set[str]) -> None:
        self._owner.touched(services)
        self._due_changed.set()

    def _confirmed(self) -> None:
        rounds = min(reflector.rounds for reflector in self._reflectors)
        if rounds > self._rounds:
            self._rounds = rounds
            self._owner.confirmed()

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, HomeportError):
            defect = InvalidAnswer(f"following services failed: {error!r}", backend=self._api.url)
            defect.__cause__ = error
            error = defect
        if not self._listed.done():
            self._listed.set_exception(error.copied())
        self._owner.failed(self, error)


def _retrieved(listed: asyncio.Future[None]) -> None:
    """A failure that nobody waited for is told to the followers another way."""
    if not listed.cancelled():
        listed.exception()
