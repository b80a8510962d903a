"""A real registry in memory with a health engine, on real or on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from homeport.model import Status
from homeport.registry import services
from homeport.registry.checks import put_check
from homeport.registry.health import Health, HealthSettings
from homeport.registry.health.probing import Probed
from homeport.registry.health.views import CheckView
from homeport.registry.records import CheckDefinition, CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.contract import Effect, Store, StoreFull
from homeport.registry.store.memory import MemoryStore
from tests.unit.health.virtual_time import VirtualTime

PATIENCE = 60.0
FAST = HealthSettings(minimum_interval=0.01)
"""Settings with which checks may run often enough for a test."""


class TroubledStore(MemoryStore):
    """A store whose disk can be full, or slow."""

    full = False

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        """Commits wait for this."""
        self.goes_on.set()

    async def commit(self, effects: Sequence[Effect]) -> Sequence[int]:
        await self.goes_on.wait()
        if self.full:
            raise StoreFull("no space left")
        return await super().commit(effects)


class Engine:
    """What a test needs of a registry and its health engine."""

    def __init__(self, registry: Registry, health: Health, time: VirtualTime) -> None:
        self.registry = registry
        self.health = health
        self.time = time
        self.probed: list[Probed] = []
        self._changed = asyncio.Event()
        registry.catalog.on_change(lambda *_: self._changed.set())
        health.on_result(self._note)

    def check(
        self, check_id: str, *, service: str = "web-1", status: Status = "critical", **definition: Any
    ) -> CheckRecord:
        """An executed check of an instance of ``web``, or (with an empty ``service``) of the node."""
        return CheckRecord(
            node=self.registry.node, id=check_id, name=f"name of {check_id}", status=status, service_id=service,
            service_name="web" if service else "", type=definition["kind"], executed=True,
            definition=CheckDefinition(**definition),
        )  # fmt: skip

    def written(self, check_id: str, *, service: str = "web-1", status: Status = "passing") -> CheckRecord:
        """A check that somebody writes into the catalog, and nobody executes."""
        return CheckRecord(
            node=self.registry.node, id=check_id, name=f"name of {check_id}", status=status, service_id=service,
            service_name="web" if service else "",
        )  # fmt: skip

    async def register(
        self,
        *checks: CheckRecord,
        service_id: str = "web-1",
        name: str = "web",
        address: str = "10.0.0.1",
        port: int = 80,
        node: str = "",
        replaces_checks: bool = False,
    ) -> None:
        """Register an instance with its checks, as the agent's endpoint does."""
        checks = tuple(msgspec.structs.replace(check, service_id=service_id, service_name=name) for check in checks)
        service = ServiceRecord(node=node or self.registry.node, id=service_id, name=name, address=address, port=port)
        await self.registry.transact(
            lambda transaction: services.register(
                transaction, service, checks, replaces_checks=replaces_checks, now=self.registry.clock()
            )
        )

    async def put(self, check: CheckRecord) -> None:
        """Register a check alone."""
        await self.registry.transact(
            lambda transaction: put_check(transaction, check, now=self.registry.clock(), keeps_state=True)
        )

    async def deregister(self, service_id: str = "web-1") -> None:
        await self.registry.transact(
            lambda transaction: services.deregister(transaction, self.registry.node, service_id)
        )

    def record(self, check_id: str, node: str = "") -> CheckRecord:
        """A check as it is committed."""
        entry = self.registry.catalog.check(node or self.registry.node, check_id)
        assert entry is not None, f"there is no check {check_id}"
        record: CheckRecord = entry.value
        return record

    def status(self, check_id: str) -> str:
        return self.record(check_id).status

    def ids(self) -> list[str]:
        """The ids of all checks of services."""
        return [entry.value.id for entry in self.registry.catalog.check_entries() if entry.value.service_id]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait, in real time, for something to hold; looked at after every commit and every run of a check."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def until_true(self, holds: Callable[[], bool]) -> None:
        """Wait for something to hold that nobody tells of."""
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110  # there is nothing to wait for
                await asyncio.sleep(0.005)

    def run_soon(self, check_id: str) -> asyncio.Task[CheckView]:
        """Run a check, beside the test."""
        return asyncio.create_task(self.health.run_now(check_id))

    async def result(self, check: CheckRecord) -> tuple[str, str]:
        """Register a check with its service, run it, and give its status and output."""
        await self.register(check)
        view = await self.health.run_now(check.id)
        return view.status, view.output

    def _note(self, probed: Probed) -> None:
        self.probed.append(probed)
        self._changed.set()


@asynccontextmanager
async def real(
    settings: HealthSettings = FAST, *, store: Store | None = None, random: float = 0.5, **more: Any
) -> AsyncIterator[Engine]:
    """An engine on real time, whose random numbers are all ``random``: no run of a check comes when none is due."""
    registry = Registry(store or MemoryStore())
    async with registry, Health(registry, settings=settings, random=lambda: random, **more) as health:
        yield Engine(registry, health, VirtualTime())


@asynccontextmanager
async def virtual(
    settings: HealthSettings | None = None,
    *,
    store: Store | None = None,
    time: VirtualTime | None = None,
    random: float = 0.5,
    **more: Any,
) -> AsyncIterator[Engine]:
    """An engine on virtual time, whose random numbers are all ``random``."""
    time = time or VirtualTime()
    registry = Registry(store or MemoryStore(), clock=time.clock)
    health = Health(
        registry, settings=settings or HealthSettings(), clock=time.clock, monotonic=time.monotonic,
        call_later=time.call_later, random=lambda: random, **more,
    )  # fmt: skip
    async with registry, health:
        yield Engine(registry, health, time)
