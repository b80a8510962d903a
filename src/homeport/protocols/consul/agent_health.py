"""The health of the agent's services as a status code, for load balancers and scripts.

Source: https://developer.hashicorp.com/consul/api-docs/agent/service#get-local-service-health.
"""

from __future__ import annotations

from homeport.model import worst_status
from homeport.registry.health import Health
from homeport.registry.health.summary import check_status
from homeport.registry.records import CheckRecord, Entry, ServiceRecord
from homeport.registry.registry import SERF_HEALTH, Registry
from homeport.wire import consul, golang
from homeport.wire.http import HTTPError, Request, Response

from .agent_rows import agent_health_check, agent_service
from .community_routes import CommunityRoutes

_CODES = {"passing": 200, "warning": 429, "critical": 503, "maintenance": 503}


class AgentHealth:
    """``/v1/agent/health/service/…``."""

    def __init__(self, registry: Registry, health: Health) -> None:
        self._registry = registry
        self._health = health

    def routes(self) -> CommunityRoutes:
        """Both endpoints."""
        routes = CommunityRoutes()
        routes.add(["GET"], "/v1/agent/health/service/id/", self.by_id)
        routes.add(["GET"], "/v1/agent/health/service/name/", self.by_name)
        return routes

    async def by_id(self, request: Request) -> Response:
        """``GET /v1/agent/health/service/id/:id``."""
        if not request.rest:
            raise HTTPError(400, "Missing serviceID")
        entry = self._registry.catalog.service(self._registry.node, request.rest)
        if entry is None:
            reason = f"ServiceId {request.rest} not found"
            nothing = consul.AgentServiceHealth(aggregated_status="critical", service=None, checks=None)
            return _answer(request, 404, reason, golang.encode(nothing))
        health = self._health_of(entry.value)
        return _answer(request, _CODES[health.aggregated_status], health.aggregated_status, golang.encode(health))

    async def by_name(self, request: Request) -> Response:
        """``GET /v1/agent/health/service/name/:name``: all instances; the code is that of the worst."""
        if not request.rest:
            raise HTTPError(400, "Missing service Name")
        own = self._registry.node.lower()
        found = [
            self._health_of(entry.value)
            for entry in self._registry.catalog.instances(request.rest)
            if entry.value.node.lower() == own
        ]
        if not found:
            return _answer(request, 404, f"ServiceName {request.rest} Not Found", b"[]")
        worst = worst_status(health.aggregated_status for health in found)
        return _answer(request, _CODES[worst], worst, golang.encode(found))

    def _health_of(self, service: ServiceRecord) -> consul.AgentServiceHealth:
        catalog, node = self._registry.catalog, self._registry.node
        own = catalog.service_checks(node, service.id)
        checks = [*own, *(entry for entry in catalog.node_checks(node) if entry.value.id != SERF_HEALTH)]
        return consul.AgentServiceHealth(
            aggregated_status=worst_status(check_status(entry.value) for entry in checks),
            service=agent_service(service, self._registry.identity.datacenter),
            checks=[self._row(entry, service) for entry in checks],
        )

    def _row(self, entry: Entry, service: ServiceRecord) -> consul.AgentHealthCheck:
        check: CheckRecord = entry.value
        live = self._health.live(check.id)
        output = check.output if live is None else live.output
        return agent_health_check(check, service.tags if check.service_id else (), output=output)


def _answer(request: Request, status: int, reason: str, body: bytes) -> Response:
    headers = (("X-Consul-Reason", reason),)
    if _wants_text(request):
        return Response(status=status, body=reason.encode(), content_type="text/plain", headers=headers)
    return Response(status=status, body=body, headers=headers)


def _wants_text(request: Request) -> bool:
    if request.headers.get("accept", "").startswith("text/plain"):
        return True
    return request.first("format") == "text"
