"""Who is woken, when, and how often: in virtual time."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.topics import BATCH, WAVE_GAP, Topic, Wakeups, subscribe, unsubscribe, wait_for_any
from tests.unit.registry.virtual_time import run, spend


class Sleeper:
    """Notes when it was woken; ``then`` is what it does at that."""

    def __init__(self, then: Callable[["Sleeper"], None] | None = None) -> None:
        self.woken: list[float] = []
        self.then = then

    def wake(self) -> None:
        self.woken.append(asyncio.get_running_loop().time())
        if self.then is not None:
            self.then(self)


def sleepers(count: int, topic: Topic) -> list[Sleeper]:
    """Subscribed in order."""
    made = [Sleeper() for _ in range(count)]
    for sleeper in made:
        subscribe(sleeper, [topic])
    return made


async def turn() -> None:
    """One turn of the loop."""
    await asyncio.sleep(0)


def test_a_move_wakes_everybody_once_and_nobody_before() -> None:
    async def main() -> None:
        wakeups, topic, other = Wakeups(), Topic(), Topic()
        waiting, elsewhere = sleepers(3, topic), sleepers(1, other)
        await asyncio.sleep(1)
        assert not any(sleeper.woken for sleeper in waiting)
        wakeups.move(topic, 7)
        assert topic.revision == 7
        await asyncio.sleep(1)
        assert [len(sleeper.woken) for sleeper in (*waiting, *elsewhere)] == [1, 1, 1, 0]
        wakeups.move(topic, 8)  # whoever wants to hear of this must have subscribed again
        await asyncio.sleep(1)
        assert [len(sleeper.woken) for sleeper in waiting] == [1, 1, 1]

    run(main())


def test_a_revision_never_goes_back() -> None:
    async def main() -> None:
        topic = Topic(5)
        Wakeups().move(topic, 4)
        assert topic.revision == 5

    run(main())


def test_at_most_a_batch_is_woken_a_turn_of_the_loop_oldest_first() -> None:
    async def main() -> None:
        wakeups, first, second = Wakeups(), Topic(), Topic()
        order: list[int] = []
        for number in range(2 * BATCH + 10):
            topic = first if number < BATCH + 30 else second
            subscribe(Sleeper(lambda _, number=number: order.append(number)), [topic])  # type: ignore[misc]
        wakeups.move(first, 1)
        wakeups.move(second, 1)
        seen = []
        for _ in range(4):
            await turn()
            seen.append(len(order))
        assert seen == [BATCH, 2 * BATCH, 2 * BATCH + 10, 2 * BATCH + 10]
        assert order == sorted(order)

    run(main())


def test_waves_of_a_topic_keep_their_distance() -> None:
    async def main() -> None:
        wakeups, topic = Wakeups(), Topic()
        sleeper = Sleeper(lambda self: subscribe(self, [topic]))
        subscribe(sleeper, [topic])
        for revision in range(1, 200):
            wakeups.move(topic, revision)
            await asyncio.sleep(WAVE_GAP / 10)
        await asyncio.sleep(1)
        gaps = [after - before for before, after in zip(sleeper.woken, sleeper.woken[1:], strict=False)]
        assert len(gaps) == pytest.approx(199 / 10, abs=2)
        assert min(gaps) >= WAVE_GAP * 0.999

    run(main())


def test_a_topic_that_rests_wakes_at_once() -> None:
    async def main() -> None:
        wakeups, topic = Wakeups(), Topic()
        for revision in range(1, 4):
            (sleeper,) = sleepers(1, topic)
            await asyncio.sleep(WAVE_GAP)
            now = asyncio.get_running_loop().time()
            wakeups.move(topic, revision)
            await turn()
            assert sleeper.woken == [now]

    run(main())


def test_the_distance_grows_with_the_cost_of_the_wave_before() -> None:
    async def main() -> None:
        wakeups, topic, cost = Wakeups(), Topic(), 0.01

        def work(self: Sleeper) -> None:
            spend(cost)
            subscribe(self, [topic])

        made = [Sleeper(work) for _ in range(10)]
        for sleeper in made:
            subscribe(sleeper, [topic])
        wakeups.move(topic, 1)
        await turn()
        ended = made[-1].woken[0] + cost
        wakeups.move(topic, 2)
        await asyncio.sleep(10)
        assert made[0].woken[1] - ended >= 2 * 10 * cost * 0.999

    run(main())


def test_a_wave_waits_for_the_one_before_to_end() -> None:
    """While a long wave is under way its topic moves again: those who are new are woken after it, not among it."""

    async def main() -> None:
        wakeups, topic = Wakeups(), Topic()
        old = sleepers(5 * BATCH, topic)
        wakeups.move(topic, 1)
        await turn()
        spend(1)  # the gap is long over
        new = sleepers(2, topic)
        wakeups.move(topic, 2)
        gone = old.pop()
        unsubscribe(gone, [topic])
        await asyncio.sleep(1)
        assert [len(sleeper.woken) for sleeper in (*old, *new)] == [1] * len((*old, *new))
        assert not gone.woken
        assert new[0].woken[0] >= old[-1].woken[0]

    run(main())


def test_a_move_during_a_wave_reaches_those_who_subscribed_again() -> None:
    async def main() -> None:
        wakeups, topic = Wakeups(), Topic()

        def once_more(self: Sleeper) -> None:
            if len(self.woken) == 1:
                subscribe(self, [topic])
                wakeups.move(topic, 2)

        made = [Sleeper(once_more) for _ in range(3)]
        for sleeper in made:
            subscribe(sleeper, [topic])
        wakeups.move(topic, 1)
        await asyncio.sleep(1)
        assert [len(sleeper.woken) for sleeper in made] == [2, 2, 2]

    run(main())


def test_unsubscribing_takes_back_even_a_wave_under_way() -> None:
    async def main() -> None:
        wakeups, topic, other = Wakeups(), Topic(), Topic()
        waiting = sleepers(BATCH + 2, topic)
        gone = sleepers(1, topic)
        unsubscribe(gone[0], [topic, other])
        wakeups.move(topic, 1)
        await turn()
        unsubscribe(waiting[-1], [topic])
        await asyncio.sleep(1)
        assert [len(sleeper.woken) for sleeper in waiting] == [1] * (BATCH + 1) + [0]
        assert not gone[0].woken

    run(main())


def test_two_topics_that_move_together_wake_once_whoever_lets_go_of_both() -> None:
    async def main() -> None:
        wakeups, topics = Wakeups(), [Topic(), Topic()]
        careful = Sleeper(lambda self: unsubscribe(self, topics))
        subscribe(careful, topics)
        for topic in topics:
            wakeups.move(topic, 1)
        await asyncio.sleep(1)
        assert len(careful.woken) == 1

    run(main())


def test_a_waiter_that_fails_does_not_keep_the_others_asleep(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Sleeper) -> None:
        raise RuntimeError("out of order")

    async def main() -> None:
        wakeups, topic = Wakeups(), Topic()
        made = [Sleeper(fail if number % 2 else None) for number in range(3 * BATCH)]
        for sleeper in made:
            subscribe(sleeper, [topic])
        wakeups.move(topic, 1)
        await asyncio.sleep(1)
        assert [len(sleeper.woken) for sleeper in made] == [1] * len(made)
        (later,) = sleepers(1, topic)
        wakeups.move(topic, 2)
        await asyncio.sleep(1)
        assert later.woken

    with caplog.at_level(logging.ERROR):
        run(main())
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "out of order" in str(record.exc_info[1])


def test_wait_for_any_tells_a_move_from_a_timeout_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        wakeups, topics = Wakeups(), [Topic(), Topic()]
        loop = asyncio.get_running_loop()
        loop.call_later(3, wakeups.move, topics[1], 1)
        began = loop.time()
        assert await wait_for_any(topics, 10)
        assert loop.time() - began == pytest.approx(3)
        assert not await wait_for_any(topics, 10)
        assert loop.time() - began == pytest.approx(13)
        assert not any(topic.waiters for topic in topics)

        waiting = asyncio.create_task(wait_for_any(topics, 10))
        await turn()
        assert all(topic.waiters for topic in topics)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert not any(topic.waiters for topic in topics)

    run(main())


@given(
    moves=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 0.05)), max_size=30),
    seed=st.integers(0, 2**16),
)
def test_nobody_misses_the_last_move(moves: Sequence[tuple[int, float]], seed: int) -> None:
    """However moves and waves fall: whoever reads, subscribes, and reads again when woken, ends with the last state."""

    async def main() -> None:
        rng = random.Random(seed)
        wakeups, topics = Wakeups(), [Topic(), Topic(), Topic()]
        seen: dict[Sleeper, list[int]] = {}

        def read(self: Sleeper) -> None:
            seen[self] = [topic.revision for topic in topics]
            spend(rng.random() / 1000)
            subscribe(self, topics)

        for _ in range(rng.randint(1, 2 * BATCH)):
            read(Sleeper(read))
        for revision, (number, pause) in enumerate(moves, 1):
            wakeups.move(topics[number], revision)
            await asyncio.sleep(pause)
        await asyncio.sleep(100)
        assert all(state == [topic.revision for topic in topics] for state in seen.values())
        for sleeper in seen:
            assert len(sleeper.woken) <= len(moves)

    run(main())
