"""Following many services by one request."""

import asyncio

import pytest

from homeport.backends.consul.api import ConsulAPI
from homeport.backends.consul.changes import Changes
from homeport.backends.consul.settings import ConsulSettings
from homeport.errors import BackendUnavailable


async def test_who_follows_is_told_that_it_was_closed() -> None:
    with_nobody_there = ConsulSettings.from_url("homeport://127.0.0.1:1", {})
    changes = Changes(ConsulAPI(with_nobody_there), wait=30.0, timeout=30.0)
    follower = changes.follow("api", 1, "store")
    waiting = asyncio.ensure_future(follower.next(1))
    await changes.aclose()
    with pytest.raises(BackendUnavailable, match="was closed"):
        async with asyncio.timeout(30.0):
            await waiting
    await changes.leave(follower)
