"""Services: all of them with the number of their instances, and a removal that spares a successor."""

from __future__ import annotations

import random
from collections.abc import Callable

from homeport.registry.registry import Registry
from homeport.registry.services import deregister_incarnation
from homeport.registry.waiting import wait_for_news, with_jitter
from homeport.wire.http import HTTPError, Request, Response, Routes

from .summaries import Summaries
from .waiting import patience


class Services:
    """``/v1/homeport/service…``. ``jitter`` draws a number in [0, 1) for what is added to a waiting time."""

    def __init__(self, registry: Registry, *, jitter: Callable[[], float] = random.random) -> None:
        self._registry = registry
        self._summaries = Summaries(registry.catalog)
        self._jitter = jitter

    def routes(self) -> Routes:
        """All endpoints."""
        routes = Routes()
        routes.add(["GET"], "/v1/homeport/services", self.listing)
        routes.add(["PUT"], "/v1/homeport/service/deregister/", self.deregister)
        return routes

    async def listing(self, request: Request) -> Response:
        """``GET /v1/homeport/services?index&wait``: a summary of every service, by name."""
        summaries, registry = self._summaries, self._registry
        waiting = patience(request)
        if waiting.after:
            await wait_for_news(
                lambda: summaries.index() > waiting.after,
                lambda: summaries.topics,
                timeout=with_jitter(waiting.timeout, self._jitter()),
                ending=registry.draining,
            )
        index, body = await summaries.answer()
        return Response(body=body, headers=(("X-Consul-Index", str(index)),))

    async def deregister(self, request: Request) -> Response:
        """``PUT /v1/homeport/service/deregister/:id?incarnation=``: true if that incarnation was there, and is no more.

        Looking and removing is one step: a successor that registers the same id meanwhile stays.
        """
        service_id, incarnation = request.rest, request.first("incarnation")
        if not service_id or not incarnation:
            raise HTTPError(400, "give the id of the service in the path and its incarnation as ?incarnation=")
        node = self._registry.node
        outcome = await self._registry.transact(
            lambda transaction: deregister_incarnation(transaction, node, service_id, incarnation)
        )
        return Response(body=b"true" if outcome.value else b"false")
