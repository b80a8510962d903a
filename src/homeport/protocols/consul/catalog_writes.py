"""``catalog/register`` and ``catalog/deregister``: what others know about nodes, recorded as they say it.

Source: https://developer.hashicorp.com/consul/api-docs/catalog. Every refusal of these two is a 500, as Consul's
validation runs on its servers.

One node is special: the agent's own. Consul's agent puts back, within a minute or two, whatever somebody changes about
itself in the catalog. Here there is one copy of the truth, so what the agent would put back is not changed in the first
place: its record stays as it is, a check that it executes goes on being executed, and neither itself nor its
``serfHealth`` can be removed.
"""

from __future__ import annotations

import msgspec

from homeport.registry import services
from homeport.registry.checks import put_check, remove_check
from homeport.registry.mirroring import refuse_writes_on
from homeport.registry.nodes import put_node, remove_node
from homeport.registry.records import CHECKS, NODES, SERVICES, CheckRecord, NodeRecord, StoreRecord
from homeport.registry.registry import SERF_HEALTH, Registry
from homeport.registry.store.transaction import Refusal, Transaction
from homeport.wire import consul
from homeport.wire.consul_decode import decode
from homeport.wire.consul_rules import checked_catalog_deregistration, checked_catalog_registration
from homeport.wire.http import HTTPError, Request, Response

from .community_routes import CommunityRoutes
from .mapping import catalog_check_record, catalog_service_record, checked, node_record
from .parameters import check_datacenter

_TRUE = Response(body=b"true")


class CatalogWrites:
    """The writing half of ``/v1/catalog``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> CommunityRoutes:
        """Both endpoints."""
        routes = CommunityRoutes()
        routes.add(["PUT"], "/v1/catalog/register", self.register)
        routes.add(["PUT"], "/v1/catalog/deregister", self.deregister)
        return routes

    async def register(self, request: Request) -> Response:
        """``PUT /v1/catalog/register``: a node, and with it a service and checks, all or nothing."""
        body = checked(decode(request.body, consul.CatalogRegistration), checked_catalog_registration)
        self._must_be_here(request, body.datacenter)
        identity, now = self._registry.identity, self._registry.clock()
        await self._registry.transact(lambda transaction: _register(transaction, body, identity, now=now))
        return _TRUE

    async def deregister(self, request: Request) -> Response:
        """``PUT /v1/catalog/deregister``: a service, a check, or a whole node; ``true`` also when nothing was there."""
        body = checked(decode(request.body, consul.CatalogDeregistration), checked_catalog_deregistration)
        self._must_be_here(request, body.datacenter)
        own = self._registry.node
        await self._registry.transact(lambda transaction: _deregister(transaction, body, own=own))
        return _TRUE

    def _must_be_here(self, request: Request, datacenter: str) -> None:
        """Refuse what is meant for another datacenter, by the body or by ``?dc=``, which Consul overlooks here."""
        own = self._registry.identity.datacenter
        check_datacenter(request, own, indexed=False)
        if datacenter not in ("", own):
            raise HTTPError(500, "No path to datacenter")


def _register(transaction: Transaction, body: consul.CatalogRegistration, identity: StoreRecord, *, now: float) -> None:
    refuse_writes_on(transaction, body.node)
    node = _place_node(transaction, body, identity)
    if body.service is not None:
        instance = catalog_service_record(body.service, node=node)
        services.register(transaction, instance, (), replaces_checks=False, now=now)
    for check in body.checks or ():
        _place_check(transaction, check, node, is_own=node.lower() == identity.node.lower(), now=now)


def _place_node(transaction: Transaction, body: consul.CatalogRegistration, identity: StoreRecord) -> str:
    """Create or update the node unless told to skip it; returns the name that it stands under."""
    node = node_record(body)
    known = transaction.get(NODES, node.name)
    if node.name.lower() == identity.node.lower():
        if node.id and node.id.lower() != identity.node_id.lower():
            _refuse_name(node, known or node)
        return identity.node
    if known is not None and body.skip_node_update:
        return known.name
    if node.id:
        _check_identity(transaction, node, known, identity)
    put_node(transaction, node)
    return node.name


def _check_identity(
    transaction: Transaction, node: NodeRecord, known: NodeRecord | None, identity: StoreRecord
) -> None:
    """Refuse a node id that would take a living agent's name, or the name of this agent."""
    if node.id.lower() == identity.node_id.lower():
        own = transaction.get(NODES, identity.node)
        _refuse_name(node, own or node)
    if known is None or known.id.lower() == node.id.lower():
        return
    renames = bool(transaction.scan(("nodeid", node.id.lower())))
    if not known.id and not renames:
        return
    # Only a node with a passing serfHealth belongs to an agent that could defend its name.
    health = transaction.get(CHECKS, known.name, SERF_HEALTH)
    if health is not None and health.status != "critical":
        _refuse_name(node, known)


def _refuse_name(node: NodeRecord, holder: NodeRecord) -> None:
    raise Refusal(
        f'failed inserting node: Error while renaming Node ID: "{node.id}": Node name {node.name} is reserved by node '
        f"{holder.id} with name {holder.name} ({holder.address})",
        status=500,
    )


def _place_check(
    transaction: Transaction, body: consul.CatalogCheckBody, node: str, *, is_own: bool, now: float
) -> None:
    if is_own and body.check_id.lower() == SERF_HEALTH.lower():
        raise _kept_by_agent(f'the check "{SERF_HEALTH}" of the node "{node}"')
    name = ""
    if body.service_id:
        service = transaction.get(SERVICES, node, body.service_id)
        if service is None:
            raise Refusal(f'failed inserting check: Missing service registration on node "{node}"', status=500)
        name = service.name
    check = catalog_check_record(body, node=node, service_name=name)
    put_check(transaction, _still_executed(check, transaction.get(CHECKS, node, check.id)), now=now, keeps_state=False)


def _still_executed(check: CheckRecord, known: CheckRecord | None) -> CheckRecord:
    """What somebody writes for a check that the agent executes is a result, and does not end its execution."""
    if known is None or not known.executed:
        return check
    return msgspec.structs.replace(known, status=check.status, output=check.output)


def _deregister(transaction: Transaction, body: consul.CatalogDeregistration, *, own: str) -> None:
    refuse_writes_on(transaction, body.node)
    is_own = body.node.lower() == own.lower()
    if body.service_id:
        services.deregister(transaction, body.node, body.service_id)
    elif body.check_id:
        if is_own and body.check_id.lower() == SERF_HEALTH.lower():
            raise _kept_by_agent(f'the check "{SERF_HEALTH}" of the node "{own}"')
        remove_check(transaction, body.node, body.check_id)
    elif is_own:
        raise _kept_by_agent(f'the node "{own}"')
    else:
        remove_node(transaction, body.node)


def _kept_by_agent(subject: str) -> Refusal:
    return Refusal(f"{subject} belongs to this registry's own agent and cannot be changed from outside", status=500)
