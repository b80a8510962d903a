"""What everybody needs who follows a service: a name of one's own, an impatient client, and patience."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import uuid4

import pytest

from homeport import ClientSettings, Snapshot, Watch
from homeport.testing.contract import waiting

PATIENCE = 60.0
EAGER = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.5, deregister_timeout=10.0)

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
    """Follows a watch, from its current snapshot on, until one is as wanted."""

    async def follow(watch: Watch, wanted: Callable[[Snapshot], bool]) -> Snapshot:
        return await waiting.until(watch, wanted, timeout=PATIENCE)

    return follow
