"""The reading half of the API over a registry in memory, and short ways to change what it reads."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable

from homeport.model import Status
from homeport.protocols.consul.catalog_routes import CatalogReads
from homeport.protocols.consul.connect_index import ConnectIndex
from homeport.protocols.consul.health_routes import HealthReads
from homeport.protocols.consul.questions import Questions
from homeport.protocols.consul.status_routes import StatusReads
from homeport.registry import checks, nodes, services
from homeport.registry.records import CheckRecord, NodeRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.transaction import Transaction
from homeport.wire.http import Routes
from tests.unit.protocols_consul.in_process import Answer, InProcess


class Reading:
    """A registry and a client of its reads. `jitter` is what is drawn for every wait."""

    def __init__(self, registry: Registry, *, jitter: float) -> None:
        self.registry = registry
        self.drawn = 0
        questions, connect = Questions(registry, jitter=self._draw), ConnectIndex(registry)
        routes = Routes()
        routes.include(CatalogReads(registry, questions, connect).routes())
        routes.include(HealthReads(registry, questions, connect).routes())
        routes.include(StatusReads(registry).routes())
        self._client = InProcess(routes)
        self._jitter = jitter
        self._clock = itertools.count(1)

    async def get(self, target: str, **headers: str) -> Answer:
        """`GET /v1/{target}`; `_` in the name of a header stands for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.get(f"/v1/{target}", headers=sent)

    async def index(self, target: str) -> int:
        """The index at which an answer stands."""
        return int((await self.get(target)).headers["x-consul-index"])

    async def after(self, target: str, index: int, *, wait: str = "") -> Answer:
        """The answer once its index is above `index`."""
        asked = f"{target}{'&' if '?' in target else '?'}index={index}"
        return await self.get(f"{asked}&wait={wait}" if wait else asked)

    async def change(self, execute: Callable[[Transaction], object]) -> int:
        """Run a transaction; its revision."""
        return (await self.registry.transact(execute)).revision

    async def node(self, name: str, **fields: object) -> int:
        """Put a node."""
        record = NodeRecord(name=name, **fields)  # type: ignore[arg-type]  # whatever fields a test wants
        return await self.change(lambda transaction: nodes.put_node(transaction, record))

    async def remove_node(self, name: str) -> int:
        """Remove a node and all that is on it."""
        return await self.change(lambda transaction: nodes.remove_node(transaction, name))

    async def register(
        self, service_id: str, name: str, *, node: str = "", status: Status | None = None, **fields: object
    ) -> int:
        """Register an instance, with the check `check-{service_id}` if a status is given."""
        node = node or self.registry.node
        service = ServiceRecord(node=node, id=service_id, name=name, **fields)  # type: ignore[arg-type]  # as above
        own = [] if status is None else [self._check(service, status)]
        return await self.change(
            lambda transaction: services.register(transaction, service, own, replaces_checks=False, now=self._now())
        )

    async def deregister(self, service_id: str, *, node: str = "") -> int:
        """Remove an instance and its checks."""
        node = node or self.registry.node
        return await self.change(lambda transaction: services.deregister(transaction, node, service_id))

    async def check(self, check_id: str, status: Status, *, node: str = "", output: str = "") -> int:
        """Set the status of a check; one that is not there yet becomes a check of the node itself."""
        node = node or self.registry.node

        def execute(transaction: Transaction) -> None:
            if self.registry.catalog.check(node, check_id) is None:
                record = CheckRecord(node=node, id=check_id, name=check_id, status=status, output=output)
                checks.put_check(transaction, record, now=self._now(), keeps_state=False)
            else:
                checks.set_status(transaction, node, check_id, status, output, now=self._now())

        return await self.change(execute)

    def _check(self, service: ServiceRecord, status: Status) -> CheckRecord:
        return CheckRecord(
            node=service.node,
            id=f"check-{service.id}",
            name=f"check of {service.id}",
            status=status,
            service_id=service.id,
            service_name=service.name,
            type="ttl",
        )

    def _now(self) -> float:
        return float(next(self._clock))

    def _draw(self) -> float:
        self.drawn += 1
        return self._jitter


@contextlib.asynccontextmanager
async def reading(*, jitter: float = 0.0, node: str = "agent") -> AsyncIterator[Reading]:
    """A registry with nothing but its own node in it.

    The random id of that node begins with no "b": the ids of others, by whose beginnings they are asked for, do.
    """
    while True:
        async with Registry(MemoryStore(), node=node) as registry:
            if not registry.identity.node_id.startswith("b"):
                yield Reading(registry, jitter=jitter)
                return
