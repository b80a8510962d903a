"""Maintenance mode of the node and of single services: a critical check that takes them out of the passing answers.

Source: https://developer.hashicorp.com/consul/api-docs/agent#enable-maintenance-mode.
"""

from __future__ import annotations

from homeport.registry.checks import set_maintenance
from homeport.registry.registry import Registry
from homeport.wire import golang
from homeport.wire.http import EMPTY, HTTPError, Request, Response

from .community_routes import CommunityRoutes

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Maintenance:
    """``/v1/agent/maintenance`` and ``/v1/agent/service/maintenance/:id``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> CommunityRoutes:
        """Both endpoints."""
        routes = CommunityRoutes()
        routes.add(["PUT"], "/v1/agent/maintenance", self.of_node)
        routes.add(["PUT"], "/v1/agent/service/maintenance/", self.of_service)
        return routes

    async def of_node(self, request: Request) -> Response:
        """``PUT /v1/agent/maintenance?enable=&reason=``."""
        await self._set(None, enable=_enable(request), reason=request.first("reason"))
        return EMPTY

    async def of_service(self, request: Request) -> Response:
        """``PUT /v1/agent/service/maintenance/:id?enable=&reason=``."""
        if not request.rest:
            raise HTTPError(400, "Missing service ID")
        await self._set(request.rest, enable=_enable(request), reason=request.first("reason"))
        return EMPTY

    async def _set(self, service_id: str | None, *, enable: bool, reason: str) -> None:
        node, now = self._registry.node, self._registry.clock()
        await self._registry.transact(
            lambda transaction: set_maintenance(transaction, node, service_id, enable=enable, reason=reason, now=now)
        )


def _enable(request: Request) -> bool:
    """``enable`` as Go's ``strconv.ParseBool`` reads it (https://pkg.go.dev/strconv#ParseBool)."""
    if not request.has("enable"):
        raise HTTPError(400, "Missing value for enable")
    value = request.first("enable")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise HTTPError(400, f"Invalid value for enable: {golang.quote(value)}")
