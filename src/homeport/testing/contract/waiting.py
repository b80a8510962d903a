"""Waiting for what a watch delivers, and for what callbacks were told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from homeport.client.watch import Watch
from homeport.model import Snapshot

PATIENCE = 60.0


async def until(watch: Watch, condition: Callable[[Snapshot], bool], *, timeout: float = PATIENCE) -> Snapshot:
    """The first snapshot, from the current one on, that fulfils the condition.

    Raises:
        TimeoutError: none came in time; it says what came instead.
    """
    seen: list[str] = []
    try:
        async with asyncio.timeout(timeout):
            async for snapshot in watch:
                seen.append(f"{snapshot.revision}: {ids(snapshot)} {snapshot.reason}")
                if condition(snapshot):
                    return snapshot
    except TimeoutError:
        raise TimeoutError(f"it did not come within {timeout:g} s; there came {seen[-10:]}") from None
    raise AssertionError("the watch was closed")


async def noted(condition: Callable[[], bool]) -> None:
    """Return when what callbacks noted down fulfils the condition.

    A callback that is idle is told of every state that a watch goes through, also of one that is over before somebody
    who iterates on another thread looks again.

    Raises:
        TimeoutError: it was not fulfilled in time.
    """
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a list tells nobody
            await asyncio.sleep(0.01)


def ids(snapshot: Snapshot) -> list[str]:
    """The ids of the instances."""
    return [one.id for one in snapshot]


def stale(snapshot: Snapshot) -> bool:
    """Whether it is stale."""
    return snapshot.stale


def fresh(snapshot: Snapshot) -> bool:
    """Whether it is confirmed."""
    return not snapshot.stale
