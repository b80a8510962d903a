"""Consul's HTTP API over the registry, as one table of routes."""

from __future__ import annotations

from homeport.registry.health import Health
from homeport.registry.registry import Registry
from homeport.wire.http import Routes

from .agent_checks import AgentChecks
from .agent_health import AgentHealth
from .agent_info import AgentInfo
from .agent_services import AgentServices
from .catalog_routes import CatalogReads
from .catalog_writes import CatalogWrites
from .connect_index import ConnectIndex
from .health_routes import HealthReads
from .maintenance import Maintenance
from .mirrored import GuardedRoutes
from .questions import Questions
from .status_routes import StatusReads


class ConsulAPI:
    """All of the API that there is; belongs to the event loop in which ``registry`` was opened."""

    def __init__(self, registry: Registry, health: Health) -> None:
        self._registry = registry
        self._health = health

    def routes(self) -> Routes:
        """The routes; to be made once."""
        registry, health = self._registry, self._health
        questions, connect = Questions(registry), ConnectIndex(registry)
        routes = Routes()
        for reads in (CatalogReads(registry, questions, connect), HealthReads(registry, questions, connect)):
            routes.include(reads.routes())
        routes.include(StatusReads(registry).routes())
        agent = GuardedRoutes(registry)
        for own in (AgentServices(registry, health), AgentChecks(registry, health), Maintenance(registry)):
            agent.include(own.routes())
        routes.include(agent)
        for other in (AgentHealth(registry, health), AgentInfo(registry), CatalogWrites(registry)):
            routes.include(other.routes())
        return routes
