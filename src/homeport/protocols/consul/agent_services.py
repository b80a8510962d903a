"""The agent's services: registering, removing, listing them, and waiting for one to change.

Source: https://developer.hashicorp.com/consul/api-docs/agent/service. All replicas are one agent, so ids are unique in
the whole store. A reply comes after the change can be seen in every answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import msgspec

from homeport.registry import services
from homeport.registry.health import Health
from homeport.registry.records import SERVICES, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.transaction import Transaction
from homeport.registry.topics import wait_for_any
from homeport.registry.waiting import with_jitter
from homeport.wire import consul, golang
from homeport.wire.consul_decode import decode
from homeport.wire.consul_rules import checked_service
from homeport.wire.http import EMPTY, HTTPError, Request, Response

from .agent_lists import AgentServiceList
from .agent_rows import agent_service
from .community_routes import CommunityRoutes
from .expectations import expecting, taken_out_of_service
from .large_answers import LargeAnswers
from .mapping import checked, service_checks, service_record, with_address_of
from .parameters import query_options
from .service_hash import content_hash

_log = logging.getLogger(__name__)


class AgentServices:
    """``/v1/agent/service…``. ``jitter`` draws a number in [0, 1) for what is added to a waiting time."""

    def __init__(self, registry: Registry, health: Health, *, jitter: Callable[[], float] = random.random) -> None:
        self._registry = registry
        self._health = health
        self._jitter = jitter
        self._large = LargeAnswers()

    def routes(self) -> CommunityRoutes:
        """All endpoints."""
        routes = CommunityRoutes()
        routes.add(["PUT"], "/v1/agent/service/register", self.register)
        # Consul knows PUT only; DELETE says what it does and is accepted as well.
        routes.add(["PUT", "DELETE"], "/v1/agent/service/deregister/", self.deregister)
        routes.add(["GET"], "/v1/agent/services", self.listing)
        routes.add(["GET"], "/v1/agent/service/", self.one)
        return routes

    async def register(self, request: Request) -> Response:
        """``PUT /v1/agent/service/register?replace-existing-checks``.

        A check that is known keeps its status; the time of every TTL check of the body begins anew, also when nothing
        changed. Checks that the body does not name stay, unless they are to be replaced.
        """
        plain, expectations = taken_out_of_service(request.body)
        body = with_address_of(decode(plain, consul.ServiceRegistration), request.client)
        body = checked(body, checked_service)
        node, now = self._registry.node, self._registry.clock()
        service = service_record(body, node=node)
        scripts = self._health.settings.runs_scripts(from_file=False)
        checks = expecting(service_checks(body, node=node, allows_scripts=scripts), expectations)
        replaces = request.has("replace-existing-checks") and request.first("replace-existing-checks") in ("", "true")

        def execute(transaction: Transaction) -> str | None:
            moved_from = _moved_from(transaction, service)
            services.register(transaction, service, checks, replaces_checks=replaces, now=now)
            return moved_from

        moved_from = (await self._registry.transact(execute)).value
        self._health.restart_ttl([check.id for check in checks])
        if moved_from is not None:
            moved = {
                "service": service.name,
                "service_id": service.id,
                "before": moved_from,
                "after": _endpoint(service),
            }
            _log.warning("a passing service was registered at another address", extra=moved)
        return EMPTY

    async def deregister(self, request: Request) -> Response:
        """``PUT`` or ``DELETE /v1/agent/service/deregister/:id``: the service and its checks go."""
        node, service_id = self._registry.node, request.rest

        def execute(transaction: Transaction) -> None:
            services.must_know(transaction, node, service_id)
            services.deregister(transaction, node, service_id)

        await self._registry.transact(execute)
        return EMPTY

    async def listing(self, request: Request) -> Response:
        """``GET /v1/agent/services?filter``: an object by id."""
        found = AgentServiceList(self._registry, request)
        return Response(body=(await self._large.make(found))[1] if found.large else found.render())

    async def one(self, request: Request) -> Response:
        """``GET /v1/agent/service/:id?hash&wait``: one service; given the hash that it has, as soon as it has another.

        When the time is over, or the server ends, it is the service as it is. One that goes meanwhile is a 404.
        """
        seen, options = request.first("hash"), query_options(request)
        deadline = asyncio.get_running_loop().time() + with_jitter(options.wait, self._jitter())
        while True:
            service = self._shown(request.rest)
            if service.content_hash != seen or self._registry.draining.revision:
                break
            left = deadline - asyncio.get_running_loop().time()
            # Held while waiting: it keeps the topic of a name alive.
            index = self._registry.catalog.service_index(service.service)
            if left <= 0 or not await wait_for_any((index.rows, self._registry.draining), left):
                break
        headers = (("X-Consul-Contenthash", service.content_hash),)
        return Response(body=golang.encode(service), headers=headers)

    def _shown(self, service_id: str) -> consul.AgentService:
        entry = self._registry.catalog.service(self._registry.node, service_id)
        if entry is None:
            raise HTTPError(404, f"unknown service ID: {service_id}")
        shown = agent_service(entry.value, self._registry.identity.datacenter)
        return msgspec.structs.replace(shown, content_hash=content_hash(shown))


def _moved_from(transaction: Transaction, service: ServiceRecord) -> str | None:
    """Where the instance is so far, if that is elsewhere and all of its checks pass there."""
    before = transaction.get(SERVICES, service.node, service.id)
    if before is None or _endpoint(before) == _endpoint(service):
        return None
    checks = transaction.scan(("chk", service.node.lower(), service.id.lower()))
    return _endpoint(before) if all(check.value.status == "passing" for check in checks) else None


def _endpoint(service: ServiceRecord) -> str:
    return f"{service.address}:{service.port}"
