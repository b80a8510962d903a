"""The node of a source in this registry: what stands on it, and the only way to write there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from homeport.registry.catalog import Catalog
from homeport.registry.mirroring import MIRRORED, SOURCE_CHECK, Owner, Row, claim, describe, write
from homeport.registry.records import CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.transaction import Transaction

_OPERATIONS = 100
"""Writes of one transaction: the store gathers several in a group, and etcd bears little more in one."""
_TRANSACTIONS = 8
"""So many are under way at once; whoever else writes stands between them."""


class SourceNode:
    """The node of ``owner``, who mirrors ``url`` (without credentials). What is asked here is in memory.

    Every write raises `Refusal` where another owner has it now, and `StoreError` where the store cannot.
    """

    def __init__(self, registry: Registry, owner: Owner, *, url: str) -> None:
        self.owner = owner
        self.url = url
        self.last_change: float | None = None
        """The Unix time of the last write of instances."""
        self._registry = registry
        self._lowered = owner.node.lower()

    # What stands there

    @property
    def size(self) -> int:
        """How many instances it has."""
        return len(self._catalog.image.group(("svc", self._lowered)))

    @property
    def services(self) -> int:
        """Of how many services."""
        return len(self._catalog.node_index(self.owner.node).names)

    def rows(self) -> Iterator[ServiceRecord]:
        """All of its instances."""
        return (entry.value for entry in self._catalog.image.group(("svc", self._lowered)).values())

    def row(self, service_id: str) -> ServiceRecord | None:
        """The instance with this id, None if there is none."""
        entry = self._catalog.service(self.owner.node, service_id)
        return None if entry is None else entry.value

    def rows_of(self, service: str) -> Iterator[ServiceRecord]:
        """Its instances of the service that is spelled so."""
        for record in self._everywhere(service):
            if record.node.lower() == self._lowered and record.name == service:
                yield record

    def rival(self, service: str, *, but: frozenset[str]) -> str | None:
        """Another node that has the service, spelled in any case, and is not one of ``but``, in lower case."""
        for record in self._everywhere(service):
            node = record.node.lower()
            if node != self._lowered and node not in but:
                return record.node
        return None

    def has(self, row: Row, *, known: ServiceRecord | None) -> bool:
        """Whether a row stands there as it is; ``known`` is what has its id now.

        Checks that somebody here gave the instance do not count, nor does the time of a turn to critical.
        """
        if known != row.service:
            return False
        found = self._catalog.image.group(("chk", self._lowered, row.service.id.lower())).values()
        checks = {entry.value.id: _without_time(entry.value) for entry in found if entry.value.origin == MIRRORED}
        return checks == {check.id: check for check in row.checks}

    @property
    def description(self) -> str | None:
        """What it says of its source, None before it was ever claimed."""
        entry = self._catalog.check(self.owner.node, SOURCE_CHECK)
        return None if entry is None else entry.value.output

    @property
    def _catalog(self) -> Catalog:
        return self._registry.catalog

    def _everywhere(self, service: str) -> Iterator[ServiceRecord]:
        return (entry.value for entry in self._catalog.image.group(("name", service.lower())).values())

    # What is written

    async def claim(self) -> None:
        """Take possession.

        Raises:
            Refusal: it is there already, and is no source's.
        """
        owner, url = self.owner, self.url
        address, now = self._registry.address, self._registry.clock()

        def execute(transaction: Transaction) -> None:
            claim(transaction, owner, url=url, address=address, now=now)

        await self._registry.transact(execute)

    async def write(self, put: Iterable[Row], remove: Iterable[str]) -> None:
        """Write rows and remove the instances with these ids. It takes several transactions: it may fail halfway."""
        transactions = [*_chunks(put, remove)]
        for start in range(0, len(transactions), _TRANSACTIONS):
            part = transactions[start : start + _TRANSACTIONS]
            done = await asyncio.gather(*(self._transact(*one) for one in part), return_exceptions=True)
            for outcome in done:
                if isinstance(outcome, BaseException):
                    raise outcome
        if transactions:
            self.last_change = time.time()

    async def describe(self, text: str) -> None:
        """Say how far to trust what stands there."""
        owner, now = self.owner, self._registry.clock()

        def execute(transaction: Transaction) -> None:
            describe(transaction, owner, text, now=now)

        await self._registry.transact(execute)

    async def _transact(self, put: Sequence[Row], remove: Sequence[str]) -> None:
        owner, now = self.owner, self._registry.clock()

        def execute(transaction: Transaction) -> None:
            write(transaction, owner, put=put, remove=remove, now=now)

        await self._registry.transact(execute)


def _without_time(check: CheckRecord) -> CheckRecord:
    """The check as it was mirrored, without the time of its turn to critical."""
    return msgspec.structs.replace(check, critical_since=0.0) if check.critical_since else check


def _chunks(put: Iterable[Row], remove: Iterable[str]) -> Iterator[tuple[list[Row], list[str]]]:
    """The changes in parts, each for one transaction; a row is never parted from its checks."""
    rows: list[Row] = []
    ids: list[str] = []
    operations = 0
    for row in put:
        if rows and operations + row.operations > _OPERATIONS:
            yield rows, []
            rows, operations = [], 0
        rows.append(row)
        operations += row.operations
    for service_id in remove:
        if operations >= _OPERATIONS:
            yield rows, ids
            rows, ids, operations = [], [], 0
        ids.append(service_id)
        operations += 3
    if rows or ids:
        yield rows, ids
