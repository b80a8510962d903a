"""Registrations: an EndpointSlice each, and a Lease that says that its program lives.

Both have the same name, which comes from the id of the instance. Every write is on the condition that nobody else wrote
since. What programs leave behind that were killed is removed by those that live, a while after the lease ran out, and
by Kubernetes itself when the program's own pod is deleted.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from homeport.errors import BackendError, BackendUnavailable, Conflict, LeaseLost, PermissionDenied, Refused
from homeport.model import Service
from homeport.spi import Lease

from . import facts, mapping, shapes
from .api import KubernetesAPI
from .kinds import LEASES, PODS, SERVICES, SLICES
from .lease_clock import LeaseClock
from .scope import Scopes

Written = TypeVar("Written", shapes.EndpointSlice, shapes.Lease)

_log = logging.getLogger(__name__)

_TRIES = 5
_FEW_LEASES = 20


class Registrations:
    """What is registered in the home namespace."""

    def __init__(
        self, api: KubernetesAPI, scopes: Scopes, clock: LeaseClock, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._settings = api.settings
        self._scopes = scopes
        self._clock = clock
        self._now = now
        self._held: dict[str, shapes.Lease] = {}
        self._sweep_at = 0.0
        self._owners: tuple[shapes.OwnerReference, ...] | None = None

    async def register(self, service: Service, *, ttl: float | None, incarnation: str) -> Lease:
        """Create or replace the slice, with its lease before it: who sees the one may look for the other."""
        namespace = await self._home()
        wanted = mapping.registered_slice(
            service,
            namespace=namespace,
            incarnation=incarnation,
            ttl=ttl,
            owners=await self._owner_references(namespace),
            labels=self._settings.labels,
        )
        name = wanted.metadata.name
        if self._settings.create_service:
            await self._create_service(namespace, service)
        if ttl is not None:
            await self._hold(namespace, name, service.name, incarnation, ttl, wanted.metadata.owner_references)
        await self._put(namespace, wanted)
        if ttl is None:
            await self._drop_lease(namespace, name, None)
        return Lease(service=service.name, id=service.id, incarnation=incarnation, ttl=ttl)

    async def renew(self, lease: Lease) -> None:
        """Renew the lease, if the slice is still of this incarnation."""
        namespace, name = await self._home(), mapping.slice_name(lease.id)
        found = await self._api.get(SLICES, namespace, name)
        registration = _registration(found)
        if registration is None:
            raise LeaseLost(f'the registration "{lease.id}" is not in Kubernetes any more ({name})', backend=self._url)
        if registration.incarnation != lease.incarnation:
            raise Conflict(
                f'"{lease.id}" was registered anew by another program; this registration is over', backend=self._url
            )
        if lease.ttl is not None:
            await self._renew(namespace, name, lease, lease.ttl)
        await self._sweep_when_due(namespace)

    async def deregister(self, service_id: str, *, incarnation: str | None) -> bool:
        """Remove the slice and its lease, if they are of that incarnation."""
        namespace, name = await self._home(), mapping.slice_name(service_id)
        for _ in range(_TRIES):
            found = await self._api.get(SLICES, namespace, name)
            registration = _registration(found)
            if found is None or registration is None:
                return False
            if incarnation not in (None, registration.incarnation):
                return False
            try:
                removed = await self._api.delete(SLICES, namespace, found)
            except Conflict:
                continue
            if removed:
                await self._drop_lease(namespace, name, registration.incarnation)
            return removed
        raise self._contended(service_id)

    async def _hold(
        self,
        namespace: str,
        name: str,
        service: str,
        incarnation: str,
        ttl: float,
        owners: tuple[shapes.OwnerReference, ...] | None,
    ) -> None:
        metadata = shapes.Metadata(
            name=name,
            namespace=namespace,
            labels={facts.LEASE_MANAGER_LABEL: facts.MANAGER, facts.SERVICE_LABEL: service},
            owner_references=owners,
        )
        for _ in range(_TRIES):
            wanted = _lease(metadata, incarnation, ttl)
            held = await self._api.create(LEASES, namespace, wanted)
            if held is None and (found := await self._api.get(LEASES, namespace, name)) is not None:
                with contextlib.suppress(Conflict):
                    held = await self._api.replace(LEASES, namespace, name, _over(wanted, found))
            if held is not None:
                self._held[name] = held
                return
        raise self._contended(name)

    async def _put(self, namespace: str, wanted: shapes.EndpointSlice) -> None:
        name = wanted.metadata.name
        for _ in range(_TRIES):
            if await self._api.create(SLICES, namespace, wanted) is not None:
                return
            found = await self._api.get(SLICES, namespace, name)
            if found is None:
                continue
            with contextlib.suppress(Conflict):
                if found.address_type != wanted.address_type:  # which cannot be changed
                    await self._api.delete(SLICES, namespace, found)
                elif await self._api.replace(SLICES, namespace, name, _over(wanted, found)) is not None:
                    return
        raise self._contended(name)

    async def _renew(self, namespace: str, name: str, lease: Lease, ttl: float) -> None:
        held = self._held.get(name)
        for _ in range(_TRIES):
            if held is None:
                held = await self._api.get(LEASES, namespace, name)
                if held is None:
                    raise LeaseLost(
                        f'the lease of the registration "{lease.id}" is not in Kubernetes any more ({name})',
                        backend=self._url,
                    )
            if held.spec.holder_identity != lease.incarnation:
                raise Conflict(
                    f'the lease of "{lease.id}" is held by another program; this registration is over',
                    backend=self._url,
                )
            wanted = _lease(held.metadata, lease.incarnation, ttl)
            held = None
            with contextlib.suppress(Conflict):
                held = await self._api.replace(LEASES, namespace, name, wanted)
            if held is not None:
                self._held[name] = held
                return
            self._held.pop(name, None)
        raise self._contended(lease.id)

    async def _drop_lease(self, namespace: str, name: str, incarnation: str | None) -> None:
        """Remove the lease, unless a successor holds it by now; one that cannot be removed is swept some time."""
        self._held.pop(name, None)
        with contextlib.suppress(BackendError):
            found = await self._api.get(LEASES, namespace, name)
            if found is not None and incarnation in (None, found.spec.holder_identity):
                await self._api.delete(LEASES, namespace, found)

    async def _sweep_when_due(self, namespace: str) -> None:
        """Look, now and then, for leases that nobody renews; the more there are, the more look, each more rarely."""
        if self._now() < self._sweep_at:
            return
        leases = 0
        try:
            leases = await self._sweep(namespace)
        except BackendError as error:
            _log.debug("old registrations cannot be swept", extra={"backend": self._url, "reason": str(error)})
        interval = self._settings.sweep_after / 3 * max(1.0, leases / _FEW_LEASES)
        self._sweep_at = self._now() + interval * random.uniform(0.75, 1.25)

    async def _sweep(self, namespace: str) -> int:
        """Remove what is left of registrations whose lease ran out long enough ago; the number of leases there are."""
        listed = await self._api.list(LEASES, namespace, selector=facts.LEASE_SELECTOR)
        for found in listed.items:
            lease = facts.lease_facts(found)
            self._clock.saw(lease)
            left = self._clock.left(lease.key)
            if left is not None and left < -self._settings.sweep_after:
                with contextlib.suppress(Conflict):  # somebody lives, or sweeps, too
                    await self._remove_remains(namespace, found, lease)
        return len(listed.items)

    async def _remove_remains(self, namespace: str, lease: shapes.Lease, seen: facts.LeaseFacts) -> None:
        registered = await self._api.get(SLICES, namespace, lease.metadata.name)
        registration = _registration(registered)
        if registered is not None and registration is not None:
            if registration.incarnation != seen.holder:
                return
            await self._api.delete(SLICES, namespace, registered)
            _log.info(
                "a registration was removed whose program did not renew it",
                extra={"service": registration.name, "instance": registration.id, "backend": self._url},
            )
        await self._api.delete(LEASES, namespace, lease)

    async def _create_service(self, namespace: str, service: Service) -> None:
        """A Service without a selector, for the names and proxies of the cluster; one that is there stays as it is."""
        spec: dict[str, object] = {"clusterIP": "None"}
        if service.port:
            spec = {"ports": [{"port": service.port, "protocol": "TCP"}]}
        wanted = _NewService(
            metadata=shapes.Metadata(
                name=service.name, namespace=namespace, labels={facts.LEASE_MANAGER_LABEL: facts.MANAGER}
            ),
            spec=spec,
        )
        await self._api.create(SERVICES, namespace, wanted)

    async def _owner_references(self, namespace: str) -> tuple[shapes.OwnerReference, ...]:
        """The own pod, as far as it is known and in the same namespace: nothing else can own an object there."""
        if self._owners is None:
            self._owners = ()
            name, uid = self._settings.pod_name, self._settings.pod_uid
            if name and (await self._api.connection.config()).namespace == namespace:
                if not uid:
                    uid = await self._uid_of_pod(namespace, name)
                if uid:
                    self._owners = (shapes.OwnerReference(api_version="v1", kind="Pod", name=name, uid=uid),)
        return self._owners

    async def _uid_of_pod(self, namespace: str, name: str) -> str:
        try:
            pod = await self._api.get(PODS, namespace, name)
        except (PermissionDenied, Refused):
            return ""
        return pod.metadata.uid if pod is not None else ""

    async def _home(self) -> str:
        return (await self._scopes.scope()).home

    @property
    def _url(self) -> str:
        return self._api.url

    def _contended(self, what: str) -> BackendUnavailable:
        return BackendUnavailable(f'others write "{what}" in Kubernetes all the time; try again.', backend=self._url)


class _NewService(shapes.KubernetesObject, frozen=True, rename="camel", kw_only=True):
    api_version: str = "v1"
    kind: str = "Service"
    spec: dict[str, object]


def _registration(found: shapes.EndpointSlice | None) -> mapping.Registration | None:
    """What is registered by a slice, if it is one of ours."""
    if found is None or (found.metadata.labels or {}).get(facts.MANAGER_LABEL) != facts.MANAGER:
        return None
    return mapping.registration_of((found.metadata.annotations or {}).get(facts.REGISTRATION, ""))


def _lease(metadata: shapes.Metadata, incarnation: str, ttl: float) -> shapes.Lease:
    """Leases are of whole seconds; the time in it is for people, and nobody reckons with it."""
    return shapes.Lease(
        api_version="coordination.k8s.io/v1",
        kind="Lease",
        metadata=metadata,
        spec=shapes.LeaseSpec(
            holder_identity=incarnation,
            lease_duration_seconds=max(1, math.ceil(ttl)),
            renew_time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        ),
    )


def _over(wanted: Written, found: Written) -> Written:
    """The object to put in the place of the one that was found, and of no other."""
    metadata = msgspec.structs.replace(wanted.metadata, resource_version=found.metadata.resource_version)
    return msgspec.structs.replace(wanted, metadata=metadata)
