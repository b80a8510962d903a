"""The reading half of ``/v1/catalog``.

Source: https://developer.hashicorp.com/consul/api-docs/catalog. One answer differs from Consul's: there is no service
``consul``, since nothing of ours answers what that one promises (server RPC).
"""

from __future__ import annotations

from homeport.registry.registry import Registry
from homeport.wire import consul, golang
from homeport.wire.http import Request, Response, Routes

from .connect_index import ConnectIndex
from .node_lookup import node_name
from .parameters import freshness
from .questions import Question, Questions
from .reads import (
    CatalogConnect,
    CatalogNode,
    CatalogNodes,
    CatalogNodeServices,
    CatalogService,
    CatalogServices,
    Keep,
    NarrowedCatalogServices,
    Rows,
    Selection,
)


class CatalogReads:
    """``GET /v1/catalog/…``."""

    def __init__(self, registry: Registry, questions: Questions, connect: ConnectIndex) -> None:
        self._catalog = registry.catalog
        self._datacenter = registry.identity.datacenter
        self._questions = questions
        self._connect = connect

    def routes(self) -> Routes:
        """All endpoints."""
        routes = Routes()
        routes.add(["GET"], "/v1/catalog/datacenters", self.datacenters)
        for question in (
            Question(
                path="/v1/catalog/nodes", make=self._nodes, row=consul.Node, takes_node_meta=True, in_namespaces=False
            ),
            Question(
                path="/v1/catalog/services", make=self._services, row=consul.CatalogService, takes_node_meta=True,
                takes_cached=True,
            ),
            Question(
                path="/v1/catalog/service/", make=self._service, row=consul.CatalogService, name="service name",
                takes_tags=True, takes_node_meta=True, takes_cached=True,
            ),
            Question(
                path="/v1/catalog/connect/", make=self._connect_service, row=consul.CatalogService, name="service name",
                takes_tags=True, takes_node_meta=True, takes_cached=True,
            ),
            Question(path="/v1/catalog/node/", make=self._node, row=consul.NodeService, name="node name"),
            Question(
                path="/v1/catalog/node-services/", make=self._node_services, row=consul.NodeService, name="node name"
            ),
        ):  # fmt: skip
            self._questions.add_to(routes, question)
        return routes

    async def datacenters(self, request: Request) -> Response:
        """``GET /v1/catalog/datacenters``: ours. It has no index and takes no wait."""
        _, cached = freshness(request)
        marks = self._questions.marks.headers("datacenters") if cached else ()
        return Response(body=golang.encode([self._datacenter]), headers=marks)

    def _nodes(self, _name: str, selection: Selection, keep: Keep | None) -> Rows:
        return CatalogNodes(
            self._catalog, self._datacenter, selection.node_meta, keep, filter=selection.filter, peer=selection.peer
        )

    def _services(self, _name: str, selection: Selection, keep: Keep | None) -> Rows:
        whole = selection == Selection()
        kind = CatalogServices if whole else NarrowedCatalogServices
        return kind(self._catalog, self._datacenter, selection, keep)

    def _service(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return CatalogService(self._catalog, self._datacenter, name, selection, keep)

    def _connect_service(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return CatalogConnect(self._connect, self._catalog, self._datacenter, name, selection, keep)

    def _node(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return CatalogNode(self._catalog, self._datacenter, node_name(self._catalog, name), selection, keep)

    def _node_services(self, name: str, selection: Selection, keep: Keep | None) -> Rows:
        return CatalogNodeServices(self._catalog, self._datacenter, node_name(self._catalog, name), selection, keep)
