"""The agent's lists of services and checks: objects by id, made in slices when they are large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from homeport.registry.health import Health
from homeport.registry.records import CheckRecord, Entry
from homeport.registry.registry import SERF_HEALTH, Registry
from homeport.registry.topics import Topic
from homeport.wire import consul
from homeport.wire.http import Request

from .agent_rows import agent_check, agent_service
from .reads import LARGEST_AT_ONCE, Rows, Selection
from .row_filter import row_filter


class AgentList(Rows):
    """What is on the agent's own node, by id, in the order of the ids' bytes as Go's maps are written."""

    __slots__ = ("_group",)

    def __init__(self, registry: Registry, request: Request, row_type: type[consul.WireShape], kind: str) -> None:
        selection = Selection(filter=request.first("filter"))
        identity = registry.identity
        super().__init__(registry.catalog, identity.datacenter, identity.node, selection, row_filter(request, row_type))
        self._group = (kind, identity.node.lower())

    @property
    def large(self) -> bool:
        """See `Rows.large`."""
        return len(self._catalog.image.group(self._group)) > LARGEST_AT_ONCE

    def _order(self, item: Entry) -> str:
        found: str = item.value.id
        return found

    def _frame(self) -> tuple[bytes, bytes]:
        return b"{", b"}"


class AgentServiceList(AgentList):
    """``GET /v1/agent/services``."""

    __slots__ = ()

    def __init__(self, registry: Registry, request: Request) -> None:
        super().__init__(registry, request, consul.AgentService, "svc")

    @property
    def topics(self) -> Sequence[Topic]:
        """See `Read.topics`."""
        return (self._catalog.services,)

    def index(self) -> int:
        """See `Read.index`."""
        return self._catalog.services.revision

    def _items(self) -> list[Entry]:
        return list(self._catalog.image.group(self._group).values())

    def _rows(self, items: Iterable[Entry]) -> dict[str, Any]:
        rows = {entry.value.id: agent_service(entry.value, self._datacenter) for entry in items}
        return rows if self._keep is None else {key: row for key, row in rows.items() if self._keep(row)}


class AgentCheckList(AgentList):
    """``GET /v1/agent/checks``, with the newest outputs. ``serfHealth`` is the catalog's, not the agent's."""

    __slots__ = ("_health",)

    def __init__(self, registry: Registry, health: Health, request: Request) -> None:
        super().__init__(registry, request, consul.HealthCheck, "chk")
        self._health = health

    @property
    def topics(self) -> Sequence[Topic]:
        """See `Read.topics`."""
        return (self._catalog.checks,)

    def index(self) -> int:
        """See `Read.index`."""
        return self._catalog.checks.revision

    def _items(self) -> list[Entry]:
        found = self._catalog.image.group(self._group).values()
        return [entry for entry in found if entry.value.id != SERF_HEALTH]

    def _rows(self, items: Iterable[Entry]) -> dict[str, Any]:
        rows = {entry.value.id: self._row(entry) for entry in items}
        return rows if self._keep is None else {key: row for key, row in rows.items() if self._keep(row)}

    def _row(self, entry: Entry) -> consul.HealthCheck:
        check: CheckRecord = entry.value
        service = self._catalog.service(check.node, check.service_id) if check.service_id else None
        live = self._health.live(check.id, node=check.node)
        output = check.output if live is None else live.output
        return agent_check(entry, service.value.tags if service is not None else (), output=output)
