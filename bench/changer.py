"""A process that changes registered instances at a steady rate."""

import asyncio
import random
import signal
from multiprocessing.synchronize import Event

from .population import registration
from .raw_client import Caller, RefusedError


def run(address: str, rate: int, services: int, instances: int, ready: Event, end: Event) -> None:
    """Write ``rate`` changes a second to random instances until ``end`` is set; the entry of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_change(address, rate, services, instances, ready, end))


async def _change(address: str, rate: int, services: int, instances: int, ready: Event, end: Event) -> None:
    callers = [await Caller.connect(address) for _ in range(max(1, rate // 50))]
    loop = asyncio.get_running_loop()
    rng = random.Random(1)
    ready.set()

    async def worker(caller: Caller, number: int) -> None:
        interval = len(callers) / rate
        due = loop.time() + interval * number / len(callers)
        port = 10000 + number
        while not end.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due += interval
            port = 10000 + (port + len(callers)) % 50000
            body = registration(rng.randrange(services), rng.randrange(instances), port=port)
            answer = await caller.call("PUT", "/v1/catalog/register", body)
            if answer.status != 200:
                raise RefusedError(f"{answer.status} {answer.body[:200]!r}")
        caller.close()

    async with asyncio.TaskGroup() as group:
        for number, caller in enumerate(callers):
            group.create_task(worker(caller, number))
