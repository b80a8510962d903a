"""Reads what there is now of one service, or of all, with as few and as narrow lists as that takes."""

from __future__ import annotations

from homeport.errors import PermissionDenied

from . import facts
from .api import KubernetesAPI, Listed
from .kinds import LEASES, PODS, SERVICES, SLICES
from .lease_clock import LeaseClock
from .mapping import check_name
from .mirror import Mirror
from .scope import Scope
from .settings import KubernetesSettings
from .together import together


class Reading:
    """One look at the cluster: `mirror` is what was seen, ``position`` the newest version of it."""

    def __init__(self, api: KubernetesAPI, scope: Scope, clock: LeaseClock) -> None:
        self._api = api
        self._scope = scope
        self._settings: KubernetesSettings = api.settings
        self.mirror = Mirror(api.settings, clock, home=scope.home)
        self.position = 0

    async def service(self, name: str) -> None:
        """Read what belongs to one service.

        Raises:
            InvalidValue: the name cannot be one.
            BackendError: something cannot be read.
        """
        check_name(name)
        await together(*(self._service_in(namespace, name) for namespace in self._scope.namespaces))
        self.mirror.expire()

    async def everything(self) -> None:
        """Read all services."""
        await together(*(self._all_in(namespace) for namespace in self._scope.namespaces))
        self.mirror.expire()

    async def _all_in(self, namespace: str) -> None:
        if self._settings.endpoints.enabled:
            await together(
                self._services(namespace),
                self._slices(namespace, ""),
                self._pods(namespace, ""),
            )
            await self._leases(namespace, facts.LEASE_SELECTOR)
        else:
            await self._pods(namespace, "")

    async def _service_in(self, namespace: str, name: str) -> None:
        by_label = f"{self._settings.labels.service_name}={name}"
        if not self._settings.endpoints.enabled:
            await self._pods(namespace, by_label)
            return
        await together(self._services(namespace), self._slices(namespace, f"{facts.SERVICE_LABEL}={name}"))
        names = self.mirror.aliases(name)
        if len(names) > 1:
            await self._slices(namespace, f"{facts.SERVICE_LABEL} in ({','.join(names)})")
        wanted = {by_label} if self.mirror.counts_pods(namespace, name) else set()
        wanted |= self.mirror.pod_selectors(namespace, name)
        for selector in sorted(wanted) if "" not in wanted else [""]:
            await self._pods(namespace, selector)
        await self._leases(namespace, f"{facts.LEASE_SELECTOR},{facts.SERVICE_LABEL}={name}")

    async def _services(self, namespace: str) -> None:
        listed = await self._api.list(SERVICES, namespace, selector=self._settings.label_selector)
        keys = self._settings.annotations
        self._took(listed)
        for one in listed.items:
            self.mirror.put(facts.service_facts(one, keys))

    async def _slices(self, namespace: str, selector: str) -> None:
        listed = await self._api.list(SLICES, namespace, selector=selector)
        self._took(listed)
        for one in listed.items:
            self.mirror.put(facts.slice_facts(one, self._settings.annotations))

    async def _pods(self, namespace: str, selector: str) -> None:
        both = ",".join(filter(None, (self._settings.label_selector, selector)))
        listed = await self._api.list(PODS, namespace, selector=both)
        self._took(listed)
        for one in listed.items:
            self.mirror.put(facts.pod_facts(one, self._settings.annotations))

    async def _leases(self, namespace: str, selector: str) -> None:
        if not self.mirror.registered():
            return
        try:
            listed = await self._api.list(LEASES, namespace, selector=selector)
        except PermissionDenied:
            self.mirror.sees_leases = False
            return
        self._took(listed)
        for one in listed.items:
            self.mirror.put(facts.lease_facts(one))

    def _took(self, listed: Listed) -> None:
        self.position = max(self.position, listed.resource_version)
