"""What the integration tests of the Eureka backend share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import uuid4

import pytest

from homeport import ClientSettings, Snapshot, Watch

EAGER = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5, deregister_timeout=10.0)
PATIENCE = 60.0

Until: TypeAlias = Callable[[Watch, Callable[[Snapshot], bool]], Awaitable[Snapshot]]


@pytest.fixture
def name() -> str:
    """The name of a service that no other test uses."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def settings() -> ClientSettings:
    """An impatient client."""
    return EAGER


@pytest.fixture
def until() -> Until:
    """Follows a watch until a snapshot is as wanted."""

    async def follow(watch: Watch, wanted: Callable[[Snapshot], bool]) -> Snapshot:
        async with asyncio.timeout(PATIENCE):
            async for snapshot in watch:
                if wanted(snapshot):
                    return snapshot
        raise AssertionError("the watch ended")

    return follow
