"""An event loop whose time jumps to the next timer when nothing else is to be done: hours pass in milliseconds.

What a thread does takes no time, however long it takes: the loop waits for it before it jumps.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

# How long real work, such as that of a thread, may take before a wait without a timer counts as a deadlock.
PATIENCE = 60.0


class DeadlockError(AssertionError):
    """Everything waits, and no timer will ever end it."""


class _Selector(selectors.DefaultSelector):
    """Waits for no timer: it moves the loop's time instead."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.loop.work_of_threads:
            ready = super().select(PATIENCE)
            if not ready:
                raise DeadlockError("every task waits for something that no timer brings")
            return ready
        self.loop.virtual_now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.virtual_now = 1000.0
        self.work_of_threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.virtual_now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        work = super().run_in_executor(executor, func, *args)
        self.work_of_threads += 1
        work.add_done_callback(self._done)
        return work

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        del timeout  # which is real time: Python 3.12 gives it, 3.11 has none
        await super().shutdown_default_executor()

    def _done(self, _work: asyncio.Future[Any]) -> None:
        self.work_of_threads -= 1


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on virtual time; a task that is left over is an error."""

    async def checked() -> T:
        outcome = await work
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left over: {left}"
        return outcome

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(checked())


def now() -> float:
    """The virtual time, in seconds."""
    return asyncio.get_running_loop().time()
