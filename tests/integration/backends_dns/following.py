"""Waiting for what a watch delivers, and impatient backends."""

import asyncio
from collections.abc import Callable, Iterable

from homeport import ClientSettings, Discovery, Instance, Snapshot
from homeport.client.watch import Watch

EAGER = ClientSettings(first_retry_interval=0.02, longest_retry_interval=0.1)
IMPATIENT = {"floor": 0.05, "negative_floor": 0.05, "timeout": 3}


def url(server: str, domain: str = "services.test", /, **parameters: object) -> str:
    """A URL of a backend that asks again at once."""
    query = "&".join(f"{name}={value}" for name, value in {**IMPATIENT, **parameters}.items())
    return f"dns://{server}/{domain}?{query}"


def opened(backend: str) -> Discovery:
    return Discovery(backend, settings=EAGER, environ={}, handle_signals=False)


def endpoints(instances: Iterable[Instance]) -> list[str]:
    return sorted(one.endpoint for one in instances)


def has(*wanted: str) -> Callable[[Snapshot], bool]:
    return lambda snapshot: endpoints(snapshot) == sorted(wanted)


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
