"""Makes the attempts of one call, in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from homeport.client.call import Call
from homeport.errors import DeadlineExceeded, InvalidValue, NoInstances

from .attempts import Attempts

T = TypeVar("T")

Work = Callable[[Call], Awaitable[T]]


async def perform(attempts: Attempts, work: Work[T], *, hedge_after: float | None = None) -> T:
    """The result of ``work``, tried as often as ``attempts`` allows; see `homeport.Watch.perform`."""
    if not callable(work):
        raise InvalidValue(f"the work of a call is {work!r}; give a function that takes the call")
    patience = hedge_after if hedge_after is not None else attempts.settings.hedge_after
    last: Exception | None = None
    while True:
        try:
            if patience is not None and attempts.idempotent:
                call, result = await _hedged(attempts, work, patience)
            else:
                call, result = await _once(attempts, attempts.next(), work)
        except NoInstances as error:
            if last is None:
                raise
            raise last from error
        except DeadlineExceeded as error:
            raise error from (error.__cause__ or last)
        except Exception as error:
            last = error
            pause = attempts.pause(error=error)
            if pause is None:
                raise
        else:
            pause = attempts.pause(status=call.status)
            if pause is None:
                return result
        # Outside of the handler, so that a later failure does not drag this one along.
        if pause > 0.0:
            await asyncio.sleep(pause)


async def _once(attempts: Attempts, call: Call, work: Work[T]) -> tuple[Call, T]:
    async with call:
        remaining = attempts.remaining
        limit = asyncio.timeout(remaining)
        try:
            # Inside the call: an instance that lets the time run out has failed.
            async with limit:
                return call, await work(call)
        except TimeoutError as error:
            if limit.expired():
                raise attempts.exceeded() from error.__cause__
            raise


async def _hedged(attempts: Attempts, work: Work[T], patience: float) -> tuple[Call, T]:
    """The first success of two attempts, of which the second begins when the first has no answer after ``patience``.

    Raises:
        Exception: what the first attempt raised, if both failed.
    """
    calls = [attempts.next()]
    running = [asyncio.ensure_future(_once(attempts, calls[0], work))]
    try:
        await asyncio.wait(running, timeout=patience)
        if not running[0].done():
            second = attempts.hedge()
            if second is not None:
                calls.append(second)
                running.append(asyncio.ensure_future(_once(attempts, second, work)))
        waiting = set(running)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            good = next((task for task in done if task.exception() is None and not _retriable(attempts, task)), None)
            if good is not None:
                for call, task in zip(calls, running, strict=True):
                    if not task.done():
                        call.overtaken()
                return good.result()
        good = next((task for task in running if task.exception() is None), None)
        return (good or running[0]).result()
    finally:
        for task in running:
            task.cancel()
        # Every task is waited for, and no failure of one that lost is reported as never looked at.
        await asyncio.gather(*running, return_exceptions=True)


def _retriable(attempts: Attempts, task: asyncio.Task[tuple[Call, T]]) -> bool:
    """Whether an answer came that is worth another attempt, so that the other one may still do better."""
    call, _ = task.result()
    return call.status in attempts.settings.statuses
