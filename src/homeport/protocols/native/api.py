"""The protocol as one table of routes, and what it says about itself."""

from __future__ import annotations

import importlib.metadata

from homeport.registry.health import Health
from homeport.registry.registry import Registry
from homeport.registry.source_status import Statuses, no_sources
from homeport.wire import golang
from homeport.wire.http import Request, Response, Routes

from .changes import Changes
from .checks import Checks
from .services import Services
from .sources import Sources

FEATURES = ("incarnation", "check-run", "check-history", "check-expectations", "summary", "service-changes", "sources")
"""What a client may rely on: endpoints of this protocol, and what registrations may carry."""


class NativeAPI:
    """All of ``/v1/homeport/``; belongs to the event loop in which ``registry`` was opened."""

    def __init__(self, registry: Registry, health: Health, *, sources: Statuses = no_sources) -> None:
        self._registry = registry
        self._health = health
        self._sources = sources
        self._version = importlib.metadata.version("homeport")

    def routes(self) -> Routes:
        """The routes; to be made once."""
        routes = Routes()
        routes.add(["GET"], "/v1/homeport/capabilities", self.capabilities)
        routes.include(Services(self._registry).routes())
        routes.include(Changes(self._registry).routes())
        routes.include(Checks(self._registry, self._health).routes())
        routes.include(Sources(self._sources).routes())
        return routes

    async def capabilities(self, _: Request) -> Response:
        """``GET /v1/homeport/capabilities``: a real Consul answers 404, and so tells that it is one."""
        identity = self._registry.identity
        answer = {
            "Product": "homeport",
            "Version": self._version,
            "Store": identity.id,
            "Node": identity.node,
            "Datacenter": identity.datacenter,
            "Features": FEATURES,
        }
        return Response(body=golang.encode(answer))
