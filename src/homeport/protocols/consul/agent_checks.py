"""The agent's checks: registering, removing, listing them, and the heartbeats of TTL checks.

Source: https://developer.hashicorp.com/consul/api-docs/agent/check. A heartbeat that changes nothing is kept in memory
and is no write.
"""

from __future__ import annotations

import msgspec

from homeport.model import Status
from homeport.registry.checks import put_check, remove_check
from homeport.registry.health import Health
from homeport.registry.mirroring import refuse_mirrored
from homeport.registry.records import CHECKS, SERVICES, CheckRecord
from homeport.registry.registry import SERF_HEALTH, Registry
from homeport.registry.store.transaction import Refusal, Transaction
from homeport.wire import consul, golang
from homeport.wire.consul_decode import decode
from homeport.wire.consul_rules import checked_check, checked_update
from homeport.wire.http import EMPTY, Handler, Request, Response

from .agent_lists import AgentCheckList
from .community_routes import CommunityRoutes
from .expectations import expecting, taken_out_of_check
from .large_answers import LargeAnswers
from .mapping import check_record, checked


class AgentChecks:
    """``/v1/agent/check…``."""

    def __init__(self, registry: Registry, health: Health) -> None:
        self._registry = registry
        self._health = health
        self._large = LargeAnswers()

    def routes(self) -> CommunityRoutes:
        """All endpoints."""
        routes = CommunityRoutes()
        routes.add(["GET"], "/v1/agent/checks", self.listing)
        routes.add(["PUT"], "/v1/agent/check/register", self.register)
        routes.add(["PUT"], "/v1/agent/check/deregister/", self.deregister)
        routes.add(["PUT"], "/v1/agent/check/pass/", self._reporter("passing"))
        routes.add(["PUT"], "/v1/agent/check/warn/", self._reporter("warning"))
        routes.add(["PUT"], "/v1/agent/check/fail/", self._reporter("critical"))
        routes.add(["PUT"], "/v1/agent/check/update/", self.update)
        return routes

    async def listing(self, request: Request) -> Response:
        """``GET /v1/agent/checks?filter``: an object by id."""
        found = AgentCheckList(self._registry, self._health, request)
        return Response(body=(await self._large.make(found))[1] if found.large else found.render())

    async def register(self, request: Request) -> Response:
        """``PUT /v1/agent/check/register``: a check of the node, or of one of its services.

        A check that is known keeps its status; the time of a TTL check begins anew.
        """
        plain, expectations = taken_out_of_check(request.body)
        body = checked(decode(plain, consul.CheckRegistration), checked_check)
        node, now = self._registry.node, self._registry.clock()
        scripts = self._health.settings.runs_scripts(from_file=False)
        (check,) = expecting([check_record(body, node=node, allows_scripts=scripts)], expectations)
        await self._registry.transact(lambda transaction: _place(transaction, check, now=now))
        self._health.restart_ttl([body.id])
        return EMPTY

    async def deregister(self, request: Request) -> Response:
        """``PUT /v1/agent/check/deregister/:id``."""
        node, check_id = self._registry.node, request.rest

        def execute(transaction: Transaction) -> None:
            if check_id.lower() == SERF_HEALTH.lower() or transaction.get(CHECKS, node, check_id) is None:
                name = golang.quote(check_id)
                raise Refusal(
                    f"Unknown check ID {name}. Ensure that the check ID is passed, not the check name.", status=404
                )
            remove_check(transaction, node, check_id)

        await self._registry.transact(execute)
        return EMPTY

    async def update(self, request: Request) -> Response:
        """``PUT /v1/agent/check/update/:id`` with status and output."""
        body = checked(decode(request.body, consul.CheckUpdate), checked_update)
        match body.status:
            case "passing" | "warning" | "critical":
                await self._health.heartbeat(request.rest, body.status, body.output)
        return EMPTY

    def _reporter(self, status: Status) -> Handler:
        """``PUT /v1/agent/check/pass|warn|fail/:id?note``: the note becomes the output."""
        heartbeat = self._health.heartbeat

        async def report(request: Request) -> Response:
            await heartbeat(request.rest, status, request.first("note"))
            return EMPTY

        return report


def _place(transaction: Transaction, check: CheckRecord, *, now: float) -> None:
    if check.service_id:
        service = transaction.get(SERVICES, check.node, check.service_id)
        if service is None:
            refuse_mirrored(transaction, check.service_id)
            raise Refusal(f"ServiceID {golang.quote(check.service_id)} does not exist", status=404)
        check = msgspec.structs.replace(check, service_id=service.id, service_name=service.name)
    put_check(transaction, check, now=now, keeps_state=True)
