"""Where a backend looks: its namespaces, its home among them, and the identity of the cluster."""

from __future__ import annotations

import msgspec

from homeport.errors import PermissionDenied

from .api import KubernetesAPI
from .kinds import NAMESPACES
from .settings import ALL_NAMESPACES

SYSTEM_NAMESPACE = "kube-system"
"""Its uid is what stands for the identity of a cluster everywhere."""


class Scope(msgspec.Struct, frozen=True):
    """The namespaces that are looked into (``*`` is all), and the one in which is registered."""

    namespaces: tuple[str, ...]
    home: str
    context: str


class Scopes:
    """Finds the scope, which may stand in the kubeconfig, and the identity, as far as it may be read."""

    def __init__(self, api: KubernetesAPI) -> None:
        self._api = api
        self._hidden: set[str] = set()

    async def scope(self) -> Scope:
        """The scope.

        Raises:
            SettingsError: the kubeconfig cannot be read.
        """
        config = await self._api.connection.config()
        given = self._api.settings.namespaces
        home = given[0] if given and given[0] != ALL_NAMESPACES else config.namespace
        return Scope(given or (home,), home, config.name)

    async def identity(self, scope: Scope) -> str:
        """The identity of the cluster's data, "" where no namespace may be read. A wiped cluster has another one."""
        for namespace in (SYSTEM_NAMESPACE, scope.home):
            if namespace in self._hidden:
                continue
            try:
                found = await self._api.get(NAMESPACES, "", namespace)
            except PermissionDenied:
                self._hidden.add(namespace)  # it costs a request each time, and rights change rarely
                continue
            if found is not None:
                return found.metadata.uid
        return ""
