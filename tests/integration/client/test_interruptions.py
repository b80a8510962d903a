"""Interruptions of watches by the network, a few of each kind, and a thousand with `make chaos`.

Each round interrupts ten watches at once and changes what they watch meanwhile. No final state may be missed, no set
may be believed that was not stated, and nothing may be left behind.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from uuid import uuid4

import pytest

from homeport import ClientSettings, Discovery, Service, Snapshot, Watch
from homeport.backends import open_backend
from homeport.spi import Registrar
from homeport.testing import FaultProxy
from homeport.testing.contract import HTTP_GARBAGE
from homeport.testing.contract.leaks import Left
from homeport.testing.contract.waiting import fresh, stale, until
from tests.integration.client.in_haste import followed
from tests.servers.homeport import HomeportServer

INTERRUPTIONS = int(os.environ.get("HOMEPORT_INTERRUPTIONS", "20"))
WATCHES = 10
SETTINGS = ClientSettings(first_retry_interval=0.01, longest_retry_interval=0.05, silence_timeout=1.4)
HASTE = "wait=1s&timeout=2s&connect_timeout=1s"
# What is only slow is no outage, not even on a machine that is slow itself.
PATIENT = ClientSettings(first_retry_interval=0.01, longest_retry_interval=0.05, silence_timeout=60.0)
LEISURE = "wait=1s&timeout=60s&connect_timeout=60s"

Change = Callable[[], Awaitable[None]]
Interrupt = Callable[[FaultProxy, list[Watch], Change, random.Random], Awaitable[None]]


async def until_all(watches: list[Watch], condition: Callable[[Snapshot], bool]) -> None:
    await asyncio.gather(*(until(watch, condition) for watch in watches))


async def refuse(proxy: FaultProxy, watches: list[Watch], change: Change, chance: random.Random) -> None:
    await asyncio.to_thread(proxy.stop)
    await change()
    await until_all(watches, stale)
    await asyncio.to_thread(proxy.start)


async def cut(proxy: FaultProxy, watches: list[Watch], change: Change, chance: random.Random) -> None:
    changing = asyncio.ensure_future(change())
    await asyncio.sleep(chance.random() * 0.02)  # amid the changes, or after them
    await asyncio.to_thread(proxy.cut)
    await changing


async def cut_amid_an_answer(proxy: FaultProxy, watches: list[Watch], change: Change, chance: random.Random) -> None:
    await asyncio.to_thread(proxy.truncate, chance.randrange(1, 1500))
    await change()
    await until_all(watches, stale)
    await asyncio.to_thread(proxy.truncate, None)


async def garbage(proxy: FaultProxy, watches: list[Watch], change: Change, chance: random.Random) -> None:
    await asyncio.to_thread(proxy.garble, chance.choice(list(HTTP_GARBAGE.values())))
    await change()
    await until_all(watches, stale)
    await asyncio.to_thread(proxy.garble, None)


async def half_open(proxy: FaultProxy, watches: list[Watch], change: Change, chance: random.Random) -> None:
    await asyncio.to_thread(proxy.stall)
    await change()
    await until_all(watches, stale)
    await asyncio.to_thread(proxy.resume)


async def slow(proxy: FaultProxy, watches: list[Watch], change: Change, chance: random.Random) -> None:
    proxy.delay(chance.random() * 0.2)
    await change()


@pytest.mark.parametrize("interrupt", [refuse, cut, cut_amid_an_answer, garbage, half_open, slow])
@pytest.mark.timeout(300 + INTERRUPTIONS)
async def test_no_final_state_is_missed_and_nothing_is_left_behind(
    homeport: HomeportServer, interrupt: Interrupt, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"t-{uuid4().hex[:12]}" for _ in range(WATCHES)]
    chance = random.Random(7)
    seen: Counter[str] = Counter()
    begun = time.monotonic()
    before = Left()
    with FaultProxy(homeport.address) as proxy:
        async with aclosing(open_backend(homeport.backend_url, {})) as aside:
            assert isinstance(aside, Registrar)
            registrar = aside

            async def change_to(turn: int) -> None:
                for name in names:
                    await registrar.register(
                        Service(name=name, id=f"{name}-1", address="10.0.0.1", port=1, tags=(str(turn),)),
                        ttl=None,
                        incarnation="",
                    )

            def note(snapshot: Snapshot) -> None:
                seen["stale" if snapshot.stale else "fresh"] += 1
                seen["empty"] += not snapshot.instances

            await change_to(-1)
            parameters, settings = (LEISURE, PATIENT) if interrupt is slow else (HASTE, SETTINGS)
            backend = f"homeport://{proxy.address}?{parameters}"
            async with Discovery(backend, settings=settings, environ={}, handle_signals=False) as discovery:
                watches = [await followed(discovery, name, on_change=note) for name in names]
                turn = interrupted = 0
                while interrupted < INTERRUPTIONS:
                    accepted = proxy.accepted
                    await interrupt(proxy, watches, lambda turn=turn: change_to(turn), chance)  # type: ignore[misc]
                    await until_all(
                        watches,
                        lambda snapshot, turn=turn: fresh(snapshot) and snapshot[0].tags == (str(turn),),  # type: ignore[misc]
                    )
                    # Who asks at the moment is cut off and comes again; the others have nothing to be cut.
                    interrupted += min(WATCHES, proxy.accepted - accepted) if interrupt is cut else WATCHES
                    turn += 1
            for name in names:
                await registrar.deregister(f"{name}-1")
    await before.returns()
    assert seen["empty"] == 0
    if interrupt is slow:
        assert seen["stale"] == 0
    elif interrupt is not cut:
        assert seen["stale"] >= interrupted
    if "HOMEPORT_INTERRUPTIONS" in os.environ:
        with capsys.disabled():
            taken = time.monotonic() - begun
            sys.stdout.write(f"\n{interrupt.__name__}: {interrupted} in {taken:.0f} s, seen {dict(seen)}\n")
