"""``/v1/status``: who leads. Here the one logical agent always does.

Source: https://developer.hashicorp.com/consul/api-docs/status. Programs use it to find out whether somebody answers.
"""

from __future__ import annotations

from homeport.registry.registry import Registry
from homeport.wire import golang
from homeport.wire.http import Request, Response, Routes

from .parameters import check_datacenter, query_options

SERVER_PORT = 8300
"""Consul's default port for its servers among themselves. Nothing of ours listens there: clients expect the form."""


class StatusReads:
    """``GET /v1/status/…``; these answers have no index."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> Routes:
        """Both endpoints."""
        routes = Routes()
        routes.add(["GET"], "/v1/status/leader", self.leader)
        routes.add(["GET"], "/v1/status/peers", self.peers)
        return routes

    async def leader(self, request: Request) -> Response:
        """``GET /v1/status/leader``: a text, HOST:PORT."""
        return Response(body=golang.encode(self._address(request)))

    async def peers(self, request: Request) -> Response:
        """``GET /v1/status/peers``: all servers, which is the leader."""
        return Response(body=golang.encode([self._address(request)]))

    def _address(self, request: Request) -> str:
        query_options(request)
        check_datacenter(request, self._registry.identity.datacenter, indexed=False)
        host = self._registry.address
        return f"[{host}]:{SERVER_PORT}" if ":" in host else f"{host}:{SERVER_PORT}"
