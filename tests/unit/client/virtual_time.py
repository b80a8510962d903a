"""An event loop whose time jumps to the next timer when nothing else is to be done: hours pass in milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# How long real work, such as that of a thread, may take before a wait without a timer counts as a deadlock.
PATIENCE = 30.0


class DeadlockError(AssertionError):
    """Everything waits, and no timer will ever end it."""


class _Selector(selectors.DefaultSelector):
    """Waits for no timer: it moves the loop's time instead."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
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
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.virtual_now


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
