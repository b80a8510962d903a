"""Waiting for what a watch delivers."""

import asyncio
from collections.abc import Callable

from homeport import Snapshot
from homeport.client.watch import Watch


def stale(snapshot: Snapshot) -> bool:
    return snapshot.stale


def fresh(snapshot: Snapshot) -> bool:
    return not snapshot.stale


async def until(watch: Watch, condition: Callable[[Snapshot], bool]) -> Snapshot:
    """The first snapshot, from the current one on, that fulfils the condition."""
    async with asyncio.timeout(30):
        async for snapshot in watch:
            if condition(snapshot):
                return snapshot
    raise AssertionError("the watch was closed")
