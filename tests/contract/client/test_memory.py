"""The backend in memory passes the contract suite, which shows that the suite can be passed."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from homeport.errors import BackendUnavailable, InvalidAnswer, PermissionDenied, Unsupported
from homeport.spi import Backend, Cursor, Observed
from homeport.testing import Memory
from homeport.testing.contract import (
    COMPACT,
    CUT,
    FOLLOW_LIST,
    GARBAGE,
    HALF_OPEN,
    OUTAGE,
    ROTATE,
    SLOW,
    WATCH,
    BackendContract,
    Harness,
)


class Counting(Memory):
    """Counts the requests that nobody answered."""

    unanswered = 0

    async def _request(self, datacenter: str = "") -> None:
        try:
            await super()._request(datacenter)
        except BackendUnavailable:
            self.unanswered += 1
            raise


class MemoryHarness(Harness):
    troubles: tuple[str, ...] = (OUTAGE, SLOW, GARBAGE)
    restarts = True
    wipes = True
    cannot: Mapping[str, str] = {
        CUT: "There are no connections.",
        HALF_OPEN: "There are no connections.",
        FOLLOW_LIST: "It tells the list to who asks.",
        COMPACT: "It keeps no history to go on from: each answer is the whole set.",
        ROTATE: "It asks for no credentials.",
    }

    def __init__(self) -> None:
        self.memory: Memory = Counting()

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
        """It takes until somebody who asks again and again has noticed it."""
        memory = self.memory
        assert isinstance(memory, Counting)
        before = memory.unanswered
        with memory.outage():
            while memory.unanswered == before:  # noqa: ASYNC110 - a number tells nobody
                await asyncio.sleep(0.01)

    async def wipe(self) -> None:
        self.memory.wipe()


class Unwatchable(Counting):
    """Can only be asked, as DNS."""

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        if self.watch_limit is None:  # as always here
            raise Unsupported("nothing can be watched here", backend=self.url)
        yield Observed(instances=())


class Guarded(Memory):
    """Answers only to whoever has the newest secret in a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.secret = ""

    def held(self) -> str:
        """The secret that programs send."""
        return self.path.read_text()

    async def _request(self, datacenter: str = "") -> None:
        if self.held() != self.secret:
            raise PermissionDenied("another secret is needed", backend=self.url)
        await super()._request(datacenter)


class GuardedMemoryHarness(MemoryHarness):
    """Rotates the secret; nothing else."""

    rotates = True

    def __init__(self, memory: Guarded) -> None:
        super().__init__()
        self.cannot = {lack: reason for lack, reason in self.cannot.items() if lack != ROTATE}
        self.memory = self._guarded = memory
        memory.path.write_text("")

    async def rotate(self) -> None:
        self._guarded.secret = secrets.token_hex(4)
        await asyncio.sleep(0.05)  # somebody is refused meanwhile
        self._guarded.path.write_text(self._guarded.secret)


class TestMemory(BackendContract):
    @pytest.fixture
    def harness(self) -> Harness:
        return MemoryHarness()

    @pytest.fixture
    def guarded_harness(self, tmp_path: Path) -> Harness:
        return GuardedMemoryHarness(Guarded(tmp_path / "secret"))


class TestMemoryThatCannotBeWatched(BackendContract):
    @pytest.fixture
    def harness(self) -> Harness:
        harness = MemoryHarness()
        harness.memory = Unwatchable()
        harness.cannot = {**harness.cannot, WATCH: "As DNS."}
        return harness
