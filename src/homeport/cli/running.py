"""From a command's function to the event loop, with an end in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from homeport.errors import BackendUnavailable
from homeport.spi import Backend

READ_TIMEOUT = 5.0
"""A command that only reads gives up after this many seconds."""

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command in an event loop of its own; Ctrl-C cancels it and comes out as KeyboardInterrupt."""
    return asyncio.run(work)


@asynccontextmanager
async def within(seconds: float, backend: Backend) -> AsyncIterator[None]:
    """A block that ends in time.

    Raises:
        BackendUnavailable: it did not.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise BackendUnavailable(
            f"{backend.url} did not answer within {seconds:g} s. Try again, or name another with --backend.",
            backend=backend.url,
        ) from error
