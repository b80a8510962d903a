"""``/v1/health``: instances with their health, and checks.

Source: https://developer.hashicorp.com/consul/api-docs/health.
"""

from __future__ import annotations

from homeport.registry.registry import Registry
from homeport.wire import consul
from homeport.wire.http import Routes

from .connect_index import ConnectIndex
from .questions import Question, Questions
from .reads import HealthChecks, HealthConnect, HealthNode, HealthService, HealthState, Keep, Rows, Selection


class HealthReads:
    """``GET /v1/health/…``."""

    def __init__(self, registry: Registry, questions: Questions, connect: ConnectIndex) -> None:
        self._agent = registry.node
        self._catalog = registry.catalog
        self._datacenter = registry.identity.datacenter
        self._questions = questions
        self._connect = connect

    def routes(self) -> Routes:
        """All endpoints."""
        routes = Routes()
        for question in (
            Question(
                path="/v1/health/service/", make=self._service, row=consul.ServiceEntry, name="service name",
                takes_tags=True, takes_node_meta=True, takes_passing=True, takes_cached=True,
            ),
            Question(
                path="/v1/health/connect/", make=self._connect_service, row=consul.ServiceEntry, name="service name",
                takes_tags=True, takes_node_meta=True, takes_passing=True, takes_cached=True,
            ),
            Question(
                path="/v1/health/checks/", make=self._checks, row=consul.HealthCheck, name="service name",
                takes_node_meta=True,
            ),
            Question(path="/v1/health/node/", make=self._node, row=consul.HealthCheck, name="node name"),
            Question(
                path="/v1/health/state/", make=self._state, row=consul.HealthCheck, name="check state",
                takes_node_meta=True,
            ),
        ):  # fmt: skip
            self._questions.add_to(routes, question)
        return routes

    def _service(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return HealthService(self._catalog, self._datacenter, name, selection, keep)

    def _connect_service(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return HealthConnect(self._connect, self._catalog, self._datacenter, name, selection, keep)

    def _checks(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return HealthChecks(self._catalog, self._datacenter, name, selection, keep, agent=self._agent)

    def _node(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return HealthNode(self._catalog, self._datacenter, name, selection, keep)

    def _state(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return HealthState(self._catalog, self._datacenter, name, selection, keep)
