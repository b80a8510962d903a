"""Leases run out when they are due, and not because nobody looked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from homeport.backends.kubernetes import KubernetesSettings
from homeport.backends.kubernetes.facts import SliceFacts
from homeport.backends.kubernetes.lease_clock import LeaseClock
from homeport.backends.kubernetes.mirror import Mirror
from homeport.backends.kubernetes.running_out import let_run_out
from tests.unit.backends_kubernetes.objects import lease
from tests.unit.backends_kubernetes.test_mirror import registered
from tests.unit.client.virtual_time import now, run


class Observed:
    """A registration with a lease of 15 s, and a program that may stand still."""

    def __init__(self, found: SliceFacts) -> None:
        self.found = found
        self.stood_still = 0.0
        clock = LeaseClock(lambda: now() + self.stood_still)
        self.mirror = Mirror(KubernetesSettings(), clock, home="default")
        self.changed = asyncio.Event()
        self.told: list[tuple[float, set[str]]] = []
        self.began = now()
        self.running = let_run_out(self.mirror, clock, tell=self.tell, changed=self.changed)

    def tell(self, services: set[str]) -> None:
        self.told.append((now() + self.stood_still - self.began, services))

    def renew(self, at: str) -> None:
        self.mirror.put(lease(self.found.key[1], renewed=at))
        self.changed.set()


@asynccontextmanager
async def observed() -> AsyncIterator[Observed]:
    one = Observed(registered("api", 1, ttl=15.0))
    one.mirror.put(one.found)
    one.renew("first")
    task = asyncio.create_task(one.running)
    yield one
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_each_runs_out_when_it_is_due() -> None:
    async def main() -> None:
        async with observed() as one:
            await asyncio.sleep(10)
            one.renew("second")
            await asyncio.sleep(14.9)
            assert one.told == []
            await asyncio.sleep(0.2)
            assert one.told == [(25.0, {"api"})]

    run(main())


def test_who_stood_still_reads_the_renewals_of_that_time_first() -> None:
    async def main() -> None:
        async with observed() as one:
            await asyncio.sleep(5)
            one.stood_still = 60.0
            one.changed.set()  # an event is the first that is read afterwards
            await asyncio.sleep(0.5)
            one.renew("second")
            await asyncio.sleep(10)
            assert one.told == []
            await asyncio.sleep(5)
            assert one.told == [(80.5, {"api"})]

    run(main())


def test_who_stood_still_lets_run_out_what_nobody_renewed() -> None:
    async def main() -> None:
        async with observed() as one:
            await asyncio.sleep(5)
            one.stood_still = 60.0
            await asyncio.sleep(20)
            assert one.told == [(76.0, {"api"})]

    run(main())


def test_who_is_always_late_sees_the_dead_too() -> None:
    async def main() -> None:
        async with observed() as one:
            for _ in range(60):
                one.stood_still += 1.0
                await asyncio.sleep(0.5)
            assert [services for _, services in one.told] == [{"api"}]

    run(main())
