"""Kubernetes: who asks for what; what an endpoint means is in `mapping`, and which of them count in `mirror`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from homeport.connections.access import Access
from homeport.model import Instance, Service
from homeport.spi import Cursor, Lease, Observed, ServiceList, ServiceSummary

from .access import access_of
from .api import KubernetesAPI
from .following import EVERYTHING, Following
from .lease_clock import LeaseClock
from .mapping import check_name
from .mirror import within
from .reading import Reading
from .registering import Registrations
from .scope import Scopes
from .settings import KubernetesSettings
from .together import together


class KubernetesBackend:
    """A `Discoverer`, `ServiceLister` and `Registrar` over the API server of a cluster."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._api = KubernetesAPI(settings)
        self._scopes = Scopes(self._api)
        self._clock = LeaseClock()
        self._following = Following(self._api, self._scopes, self._clock)
        self._registrations = Registrations(self._api, self._scopes, self._clock)

    def __repr__(self) -> str:
        return f"KubernetesBackend({self.url!r})"

    @property
    def url(self) -> str:
        """The URL without options."""
        return self._settings.url

    @property
    def access(self) -> Access:
        """How the API server is reached, for diagnosis. Reads its configuration: call it outside the event loop.

        Raises:
            SettingsError: it cannot be used.
        """
        return access_of(self._settings.access)

    @property
    def watch_limit(self) -> int | None:
        """Any number: all watches share the same few requests."""
        return None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._following.aclose()
        await self._api.aclose()

    async def ping(self) -> Mapping[str, str]:
        """Version of the API server, and where is looked."""
        version = await self._api.version()
        scope = await self._scopes.scope()
        return {
            "product": "kubernetes",
            "version": version,
            "context": scope.context,
            "namespaces": ",".join(scope.namespaces),
        }

    # Discoverer

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        """The instances of ``service`` now; with a datacenter those that are in it."""
        scope = await self._scopes.scope()
        reading = Reading(self._api, scope, self._clock)
        identity, _ = await together(self._scopes.identity(scope), reading.service(service))
        return Observed(
            instances=within(reading.mirror.instances(service), datacenter),
            cursor=Cursor(position=reading.position, store=identity or ""),
        )

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        """Observe ``service`` in what is followed of its namespaces, which all watches share."""
        check_name(service)
        follower = await self._following.join(service)
        try:
            known = after
            seen: tuple[Instance, ...] | None = None
            confirmed = True
            while True:
                instances = follower.instances()
                if confirmed or instances != seen:
                    yield (observed := _observed(instances, follower.cursor(), datacenter, known))
                    known, seen = observed.cursor, instances
                confirmed = await follower.next()
        finally:
            await self._following.leave(follower)

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        """All services, by name, with their counts; this reads everything in the namespaces."""
        reading = Reading(self._api, await self._scopes.scope(), self._clock)
        await reading.everything()
        return reading.mirror.summaries(datacenter)

    # ServiceLister

    async def watch_services(self, *, datacenter: str = "") -> AsyncGenerator[ServiceList, None]:
        """The names of all services, by the same requests that follow them.

        With a datacenter those that have an instance in it.
        """
        follower = await self._following.join(EVERYTHING)
        try:
            while True:
                listed = follower.services()
                if datacenter:
                    listed = msgspec.structs.replace(listed, names=follower.names_within(datacenter))
                yield listed
                await follower.next()
        finally:
            await self._following.leave(follower)

    # Registrar

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Write an EndpointSlice into the home namespace, the first of the namespaces, with a lease of its own.

        Leases are of whole seconds there; ``ttl`` is rounded up.
        """
        return await self._registrations.register(service, ttl=ttl, incarnation=incarnation)

    async def renew(self, lease: Lease) -> None:
        """Renew the lease, if the slice is still there and of this incarnation; now and then remove what the dead left.

        Raises:
            LeaseLost: the slice or the lease is gone.
            Conflict: somebody else registered the id.
        """
        await self._registrations.renew(lease)

    async def deregister(self, service_id: str, *, incarnation: str | None = None) -> bool:
        """Remove the slice and its lease, on the condition that they are of that incarnation."""
        return await self._registrations.deregister(service_id, incarnation=incarnation)

    async def advertised_address(self) -> str:
        """The source address of this host towards the API server; in a pod, the pod's."""
        return await self._api.connection.local_address()


def _observed(instances: tuple[Instance, ...], cursor: Cursor, datacenter: str, known: Cursor | None) -> Observed:
    """With another identity, or a version that went back, it is no continuation of what is known."""
    replaced = known is not None and (cursor.position < known.position or ("" != known.store != cursor.store != ""))
    return Observed(instances=within(instances, datacenter), cursor=cursor, reset=replaced)
