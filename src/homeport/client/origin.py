"""One backend as all watches of it see it together."""

from __future__ import annotations

import asyncio

from homeport.spi import Discoverer

from .slots import Slots


class Origin:
    """A backend, the watches that it bears, and its signs of life.

    Whoever pauses after a failure tries again as soon as anybody else gets an answer, so that after an outage all
    services are confirmed together.
    """

    def __init__(self, backend: Discoverer) -> None:
        self.backend = backend
        self.slots = Slots(lambda: backend.watch_limit)
        self._failing = False
        self._pausing: set[asyncio.Future[None]] = set()

    @property
    def url(self) -> str:
        """The backend's URL."""
        return self.backend.url

    def failed(self) -> None:
        """It could not be asked."""
        self._failing = True

    def answered(self) -> None:
        """It answered somebody."""
        self.slots.look()
        if not self._failing:
            return
        self._failing = False
        for pausing in self._pausing:
            if not pausing.done():
                pausing.set_result(None)

    async def pause(self, seconds: float) -> bool:
        """Wait so many seconds, or until somebody gets an answer after a failure; True if that cut it short."""
        pausing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pausing.add(pausing)
        try:
            async with asyncio.timeout(seconds):
                await pausing
        except TimeoutError:
            return False
        finally:
            self._pausing.discard(pausing)
        return True
