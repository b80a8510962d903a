"""Backends in memory, mirrored into a registry in memory, in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from random import Random
from typing import Any

from homeport.model import CheckState, Instance, Status
from homeport.registry.records import CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.services import deregister, register
from homeport.registry.source_status import SourceStatus
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.transaction import Transaction
from homeport.server.sources.settings import SourceSettings
from homeport.server.sources.sources import Sources
from homeport.spi import Backend
from homeport.testing.memory import Memory

HOLD = 30.0


def source(name: str = "one", **settings: Any) -> SourceSettings:
    """The settings of a source whose backend has that name."""
    values: dict[str, Any] = {"url": f"memory://{name}", "name": name, "removal_hold": HOLD, **settings}
    return SourceSettings(**values)


def one(service: str, number: int, *, status: Status = "passing", **fields: Any) -> Instance:
    """An instance with a check of that status."""
    checks = (CheckState(id="alive", name="Alive", status=status, output=f"is {status}"),)
    values: dict[str, Any] = {"id": f"{service}-{number}", "address": "10.0.0.1", "port": number, "checks": checks}
    return Instance(service=service, status=status, **{**values, **fields})


class Mirrored:
    """A registry with its sources."""

    def __init__(self, registry: Registry, sources: Sources) -> None:
        self.registry = registry
        self.sources = sources

    @property
    def status(self) -> SourceStatus:
        """How the first source fares."""
        return self.sources.statuses()[0]

    def rows(self, node: str = "one") -> dict[str, ServiceRecord]:
        """What stands on a node, by id."""
        return {entry.value.id: entry.value for entry in self.registry.catalog.services_of(node)}

    def checks(self, service_id: str, node: str = "one") -> dict[str, CheckRecord]:
        """The checks of an instance by id."""
        return {entry.value.id: entry.value for entry in self.registry.catalog.service_checks(node, service_id)}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let virtual time pass until something is so."""
        async with asyncio.timeout(1000):
            while not condition():  # noqa: ASYNC110 - virtual time passes at once
                await asyncio.sleep(0.05)

    async def until_ids(self, *ids: str, node: str = "one") -> None:
        """Let virtual time pass until just these instances stand on a node."""
        await self.until(lambda: self.rows(node).keys() == set(ids))

    async def register(self, name: str, service_id: str) -> None:
        """Register an instance here."""
        record = ServiceRecord(node=self.registry.node, id=service_id, name=name, address="10.9.9.9")

        def execute(transaction: Transaction) -> None:
            register(transaction, record, (), replaces_checks=False, now=0.0)

        await self.registry.transact(execute)

    async def deregister(self, service_id: str) -> None:
        """Remove an instance from here."""
        node = self.registry.node

        def execute(transaction: Transaction) -> None:
            deregister(transaction, node, service_id)

        await self.registry.transact(execute)


@contextlib.asynccontextmanager
async def mirroring(
    *settings: SourceSettings, registry: Registry | None = None, **backends: Memory
) -> AsyncIterator[Mirrored]:
    """A registry that mirrors these backends, which the settings name."""

    def opening(url: str, _environ: Mapping[str, str]) -> Backend:
        return backends[url.removeprefix("memory://").partition("?")[0]]

    async with contextlib.AsyncExitStack() as stack:
        if registry is None:
            registry = await stack.enter_async_context(Registry(MemoryStore()))
        sources = Sources(registry, settings, environ={}, random=Random(1), opening=opening)
        yield Mirrored(registry, await stack.enter_async_context(sources))
