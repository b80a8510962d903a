"""Turns: at most so many at once, first come, first served, and none is lost."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from homeport.client.turns import Turns
from tests.unit.client.virtual_time import run


def test_without_a_limit_nobody_waits() -> None:
    async def main() -> None:
        turns = Turns(None, turn_time=1.0)
        async with turns.turn(), turns.turn(), turns.turn():
            assert not turns.crowded

    run(main())


def test_who_is_cancelled_in_the_moment_of_getting_a_turn_passes_it_on() -> None:
    async def main() -> None:
        turns = Turns(1, turn_time=1.0)
        reached: list[str] = []

        async def take(name: str) -> None:
            async with turns.turn():
                reached.append(name)

        async with turns.turn():
            one, other = asyncio.create_task(take("one")), asyncio.create_task(take("other"))
            await asyncio.sleep(1)
        one.cancel()  # it has been given the turn, but did not run yet
        await asyncio.wait([one, other])
        assert reached == ["other"]
        async with asyncio.timeout(1), turns.turn():
            pass

    run(main())


@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_whatever_happens_the_limit_holds_and_no_turn_is_lost(chance: random.Random, limit: int) -> None:
    async def main() -> None:
        turns = Turns(limit, turn_time=1.0)
        held = most = 0

        async def work() -> None:
            nonlocal held, most
            async with turns.turn():
                held += 1
                most = max(most, held)
                try:
                    await asyncio.sleep(chance.choice([0, 1, 2]))
                finally:
                    held -= 1

        tasks = []
        for _ in range(20):
            tasks.append(asyncio.create_task(work()))
            await asyncio.sleep(chance.choice([0, 0, 1]))
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks)
        assert most <= limit
        async with asyncio.timeout(1):
            for _ in range(limit):
                await turns.turn().__aenter__()

    run(main())
