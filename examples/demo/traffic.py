"""A client that calls the services all the time, and counts."""

import asyncio
import time
from collections import Counter

import aiohttp

from homeport import Call, NoInstances, Watch

PAUSE = 0.02
CALL_TIMEOUT = aiohttp.ClientTimeout(total=2)


class Traffic:
    """Calls every service in turn, each call again on another instance if it failed, until it is stopped.

    ``calls`` are counted by the instance that answered. ``retried`` counts calls that needed more than one try,
    ``failed`` those that no try could save, ``stale`` those made while the registry could not confirm the snapshot.
    """

    def __init__(self, watches: dict[str, Watch]) -> None:
        self._watches = watches
        self.calls: Counter[str] = Counter()
        self.retried = 0
        self.failed = 0
        self.stale = 0
        self.slowest = 0.0

    async def run(self) -> None:
        """Call until cancelled."""
        # A connection of its own for every call: what is measured is discovery, not a kept connection.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=CALL_TIMEOUT) as http:
            while True:
                for watch in self._watches.values():
                    began = time.perf_counter()
                    await self._call(http, watch)
                    self.slowest = max(self.slowest, time.perf_counter() - began)
                await asyncio.sleep(PAUSE)

    async def _call(self, http: aiohttp.ClientSession, watch: Watch) -> None:
        self.stale += watch.current.stale
        attempts = 0

        async def ask(call: Call) -> str:
            nonlocal attempts
            attempts += 1
            async with http.get(call.url("/")) as response:
                call.observe(status=response.status)
                answer: dict[str, str] = await response.json()
                return answer["id"]

        try:
            answered = await watch.perform(ask, idempotent=True)
        except (aiohttp.ClientError, TimeoutError, NoInstances):
            self.failed += 1
            return
        self.calls[answered] += 1
        self.retried += attempts > 1
