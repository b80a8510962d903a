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

from homeport.connections import shared_task
from homeport.connections.shared_task import Followers, SharedTask
from homeport.errors import PermissionDenied
from homeport.model import Instance
from homeport.spi import Cursor, ServiceList

from . import facts
from .api import KubernetesAPI
from .kinds import LEASES, PODS, SERVICES, SLICES, Kind
from .lease_clock import LeaseClock
from .mirror import Facts, Mirror, within
from .reflector import Reflector
from .running_out import let_run_out
from .scope import Scope, Scopes
from .settings import AnnotationKeys
from .shapes import KubernetesObject
from .together import together

T = TypeVar("T", bound=KubernetesObject)

_log = logging.getLogger(__name__)

EVERYTHING = ""
"""What is followed by somebody who follows all services."""


class Follower(shared_task.Follower):
    """One service that somebody watches, or `EVERYTHING`; what it sees is that of ``run``."""

    __slots__ = ("_changed", "_confirmed", "run")

    run: _Run

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self._confirmed = False
        self._changed: set[str] | None = None

    def services(self) -> ServiceList:
        """The names of all services now, and what changed since the last time; at first, all of them did."""
        names = frozenset(self.run.mirror.names())
        changed, self._changed = self._changed, set()
        return ServiceList(names=names, changed=names if changed is None else frozenset(changed))

    def names_within(self, datacenter: str) -> frozenset[str]:
        """The names of the services that have an instance in a datacenter."""
        mirror = self.run.mirror
        return frozenset(name for name in mirror.names() if within(mirror.instances(name), datacenter))

    def instances(self) -> tuple[Instance, ...]:
        """All instances now; the same tuple as before if nothing changed."""
        return self.run.mirror.instances(self.service)

    def cursor(self) -> Cursor:
        """Where that stands."""
        return Cursor(position=self.run.position, store=self.run.identity)

    async def next(self) -> bool:
        """Wait until the service may have changed, or everything is confirmed (True).

        Raises:
            HomeportError: the cluster cannot be followed any more.
        """
        await self.told()
        confirmed, self._confirmed = self._confirmed, False
        return confirmed

    def touched(self, services: set[str]) -> None:
        """These may have changed."""
        if self._changed is not None:
            self._changed |= services
        self.tell()

    def confirmed(self) -> None:
        """Nothing is missing."""
        self._confirmed = True
        self.tell()


class Following:
    """Follows while there is anybody to follow for. A failure ends it for all of them; whoever goes on begins anew."""

    def __init__(self, api: KubernetesAPI, scopes: Scopes, clock: LeaseClock) -> None:
        self._api = api
        self._scopes = scopes
        self._clock = clock
        self._following = SharedTask[Follower, _Run](self._follow, name="homeport kubernetes", backend=api.url)

    async def join(self, service: str) -> Follower:
        """Follow a service until `leave`; it is complete then.

        Raises:
            HomeportError: the cluster cannot be read.
        """
        follower = Follower(service)
        follower.run = await self._following.join(follower)
        return follower

    async def leave(self, follower: Follower) -> None:
        """Follow it no more; when nobody is left, nothing is followed any more."""
        await self._following.leave(follower)

    async def aclose(self) -> None:
        """Follow no more; who still does learns so."""
        await self._following.aclose()

    async def _follow(self, followers: Followers[Follower, _Run]) -> None:
        run = _Run(self._api, await self._scopes.scope(), self._clock, followers)
        await run.read(self._scopes)
        followers.begun(run)
        await run.follow()


class _Run:
    """What is followed, from a first list to a failure."""

    def __init__(
        self, api: KubernetesAPI, scope: Scope, clock: LeaseClock, followers: Followers[Follower, _Run]
    ) -> None:
        self._api = api
        self._scope = scope
        self._clock = clock
        self._followers = followers
        self._reflectors: list[Reflector[Any]] = []
        self._rounds = 0
        self._due_changed = asyncio.Event()
        self.mirror = Mirror(api.settings, clock, home=scope.home)
        self.identity = ""

    @property
    def position(self) -> int:
        return max((reflector.version for reflector in self._reflectors), default=0)

    async def read(self, scopes: Scopes) -> None:
        """Read everything."""
        lists: list[Coroutine[Any, Any, object]] = [self._identify(scopes)]
        for namespace in self._scope.namespaces:
            for reflector in self._of_namespace(namespace):
                self._reflectors.append(reflector)
                lists.append(reflector.list())
            if self._api.settings.endpoints.enabled:
                lists.append(self._list_leases(namespace))
        await together(*lists)
        self.mirror.expire()

    async def follow(self) -> None:
        """Follow the changes since, and tell of them; it never returns."""
        running_out = let_run_out(self.mirror, self._clock, tell=self._touched, changed=self._due_changed)
        await together(*(reflector.follow() for reflector in self._reflectors), running_out)

    async def _identify(self, scopes: Scopes) -> None:
        self.identity = await scopes.identity(self._scope)

    def _of_namespace(self, namespace: str) -> list[Reflector[Any]]:
        keys, selector = self._api.settings.annotations, self._api.settings.label_selector

        def reflect(
            kind: Kind[T], shape: type[Facts], facts_of: Callable[[T, AnnotationKeys], Facts], selector: str = ""
        ) -> Reflector[T]:
            return self._reflector(kind, namespace, shape, lambda found: facts_of(found, keys), selector)

        pods = reflect(PODS, facts.PodFacts, facts.pod_facts, selector)
        if not self._api.settings.endpoints.enabled:
            return [pods]
        services = reflect(SERVICES, facts.ServiceFacts, facts.service_facts, selector)
        return [pods, services, reflect(SLICES, facts.SliceFacts, facts.slice_facts)]

    def _reflector(
        self,
        kind: Kind[T],
        namespace: str,
        shape: type[Facts],
        facts_of: Callable[[T], Facts],
        selector: str,
    ) -> Reflector[T]:
        return Reflector(
            self._api, self.mirror, kind, namespace,
            facts=shape, facts_of=facts_of, told=self._touched, confirmed=self._confirmed, selector=selector,
        )  # fmt: skip

    async def _list_leases(self, namespace: str) -> None:
        """Leases are followed if they may be; without them registrations of the dead stay until they are swept."""
        reflector = self._reflector(LEASES, namespace, facts.LeaseFacts, facts.lease_facts, facts.LEASE_SELECTOR)
        try:
            await reflector.list()
        except PermissionDenied as error:
            self.mirror.sees_leases = False
            _log.info("leases are not followed", extra={"backend": self._api.url, "reason": str(error)})
        else:
            self._reflectors.append(reflector)

    def _touched(self, services: set[str]) -> None:
        for service in {*services, EVERYTHING}:
            for follower in self._followers.of(service):
                follower.touched(services)
        self._due_changed.set()

    def _confirmed(self) -> None:
        rounds = min(reflector.rounds for reflector in self._reflectors)
        if rounds > self._rounds:
            self._rounds = rounds
            for follower in self._followers:
                follower.confirmed()
