"""The backend in memory passes the contract suite, which shows that the suite can be passed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from homeport.errors import InvalidAnswer, Unsupported
from homeport.spi import Backend, Cursor, Observed
from homeport.testing import Memory
from homeport.testing.contract import GARBAGE, OUTAGE, SLOW, BackendContract, Harness


class MemoryHarness(Harness):
    troubles: tuple[str, ...] = (OUTAGE, SLOW, GARBAGE)
    restarts = True
    wipes = True

    def __init__(self) -> None:
        self.memory = Memory()

    def backend(self) -> Backend:
        return self.memory

    @asynccontextmanager
    async def trouble(self, kind: str) -> AsyncIterator[None]:
        if kind == SLOW:
            self.memory.latency = 0.1
            yield
            self.memory.latency = 0.0
        elif kind == OUTAGE:
            with self.memory.outage():
                yield
        else:
            with self.memory.failing(InvalidAnswer("nonsense")):
                yield

    async def restart(self) -> None:
        with self.memory.outage():
            await asyncio.sleep(0.2)

    async def wipe(self) -> None:
        self.memory.wipe()


class Unwatchable(Memory):
    """Can only be asked, as DNS."""

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        if self.watch_limit is None:  # as always here
            raise Unsupported("nothing can be watched here", backend=self.url)
        yield Observed(instances=())


class TestMemory(BackendContract):
    @pytest.fixture
    def harness(self) -> Harness:
        return MemoryHarness()


class TestMemoryThatCannotBeWatched(BackendContract):
    @pytest.fixture
    def harness(self) -> Harness:
        harness = MemoryHarness()
        harness.memory = Unwatchable()
        return harness
