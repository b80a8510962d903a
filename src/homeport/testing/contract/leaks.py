"""Nothing stays behind."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path

from homeport.errors import Unsupported
from homeport.spi import Discoverer, Registrar

from .capabilities import need
from .harness import OUTAGE, Harness
from .scenarios import Scenarios, of_a_backend, one
from .waiting import PATIENCE, stale, until

_DESCRIPTORS = Path("/proc/self/fd")


class LeakContract(Scenarios):
    """What was opened is closed, also after a cancellation."""

    async def test_nothing_is_left_behind(self, harness: Harness, name: str) -> None:
        """Tasks, threads and open files are as many as before when everything is closed."""
        await _use(harness, f"{name}-before")  # what is kept for the whole process is made at the first use
        before = Left()
        await _use(harness, name)
        await before.returns()

    async def test_an_end_amid_an_outage_leaves_nothing_behind(self, harness: Harness, name: str) -> None:
        """What is closed while nobody answers is closed all the same."""
        await need(harness, OUTAGE, name)
        await _use(harness, f"{name}-before")
        before = Left()
        async with AsyncExitStack() as trouble, harness.discovery() as discovery:  # the trouble ends last
            watch = await discovery.watch(name)
            if isinstance(discovery.backend, Registrar):
                _ = await discovery.register(name, port=2, ttl=harness.ttl)
            await trouble.enter_async_context(harness.trouble(OUTAGE))
            await until(watch, stale)
        await before.returns()

    @of_a_backend
    async def test_cancellation_is_honoured(self, harness: Harness, name: str) -> None:
        """A request that is cancelled ends as cancelled, and leaves nothing behind."""
        await _use(harness, f"{name}-before")
        before = Left()
        async with aclosing(harness.backend()) as backend:
            assert isinstance(backend, Discoverer)
            for steps in range(8):
                asked = asyncio.create_task(backend.fetch(name))
                watching = asyncio.create_task(anext(backend.watch(name)))
                for _ in range(steps):
                    await asyncio.sleep(0)
                asked.cancel()
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await asked
                with suppress(asyncio.CancelledError, Unsupported):
                    await watching
            await backend.fetch(name)
        await before.returns()


class Left:
    """The tasks, threads and open files of this moment."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._threads = set(threading.enumerate())
        self._files = _files()

    def more(self) -> list[str]:
        """What there is now beyond that."""
        tasks = [f"task {task.get_name()}" for task in asyncio.all_tasks() - self._tasks]
        threads = [
            f"thread {thread.name}"
            for thread in set(threading.enumerate()) - self._threads
            if not thread.name.startswith("asyncio_")  # the loop's own, for blocking calls; they end with it
        ]
        extra = _files() - self._files
        return [*tasks, *threads, *([f"{extra} open files"] if extra > 0 else [])]

    async def returns(self) -> None:
        """Return when there is no more than then.

        Raises:
            AssertionError: there still is, after a while.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE / 4):
                while self.more():  # noqa: ASYNC110 - what ends in other threads and in the kernel tells nobody
                    await asyncio.sleep(0.02)
        assert not self.more(), f"left behind: {', '.join(self.more())}"


def _files() -> int:
    return len(list(_DESCRIPTORS.iterdir())) if _DESCRIPTORS.is_dir() else 0  # Linux only


async def _use(harness: Harness, name: str) -> None:
    """Use a backend in every way, and close it."""
    await harness.write(one(name, 1))
    async with harness.discovery() as discovery, discovery.watch(name), discovery.watch(f"{name}-other"):
        await discovery.discover(name)
        await discovery.discover(name, use_cache=False)
        with suppress(Unsupported):
            await discovery.services()
        if isinstance(discovery.backend, Registrar):
            async with discovery.register(name, port=2):
                await discovery.resolve(name)
    await harness.remove(one(name, 1))
