"""How long a blocking query waits, on virtual time."""

import asyncio

import pytest

from homeport.protocols.consul.blocking import index_headers
from homeport.registry.waiting import DEFAULT_WAIT, LONGEST_WAIT, bounded_wait, with_jitter
from tests.unit.client import virtual_time
from tests.unit.protocols_consul.in_process import Answer
from tests.unit.protocols_consul.reading import Reading, reading

WEB = "health/service/web"


async def timed(reading: Reading, target: str) -> tuple[float, Answer]:
    started = virtual_time.now()
    answer = await reading.get(target)
    return virtual_time.now() - started, answer


@pytest.mark.parametrize(
    ("query", "jitter", "seconds"),
    [
        ("", 0.5, 0.0),
        ("?wait=2s", 0.5, 0.0),
        ("?index=0", 0.5, 0.0),
        ("?index=0&wait=2s", 0.5, 0.0),
        ("?index=", 0.5, 0.0),
        ("?index={now}", 0.0, 300.0),
        ("?index={now}", 0.5, 309.375),
        ("?index={now}&wait=", 0.0, 300.0),
        ("?index={now}&wait=0s", 0.0, 300.0),
        ("?index={now}&wait=-5s", 0.0, 300.0),
        ("?index={now}&wait=2s", 0.0, 2.0),
        ("?index={now}&wait=2s", 0.5, 2.0625),
        ("?index={now}&wait=16000ms", 0.25, 16.25),
        ("?index={now}&wait=10m", 0.5, 618.75),
        ("?index={now}&wait=11m", 0.5, 618.75),
        ("?index={now}&wait=1000h", 0.0, 600.0),
        ("?index={future}&wait=4s", 0.0, 4.0),
        ("?index=1", 0.5, 0.0),
        ("?index=0{now}&wait=2s", 0.0, 2.0),
    ],
)
def test_a_query_without_news_waits_as_long_as_it_says(query: str, jitter: float, seconds: float) -> None:
    async def scenario() -> None:
        async with reading(jitter=jitter) as api:
            now = await api.register("web-1", "web")
            took, answer = await timed(api, WEB + query.format(now=now, future=now + 1_000_000))
            assert took == pytest.approx(seconds)
            # Also one that asked for the future is told the truth, which may be less than it knew.
            assert answer.headers["x-consul-index"] == str(now)
            assert answer.json[0]["Service"]["ID"] == "web-1"
            assert api.drawn == (1 if "{" in query or query == "?index=1" else 0)

    virtual_time.run(scenario())


def test_news_end_the_wait_at_once() -> None:
    async def scenario() -> None:
        async with reading(jitter=0.9) as api:
            index = await api.register("web-1", "web")
            waiting = asyncio.create_task(timed(api, f"{WEB}?index={index}&wait=60s"))
            await asyncio.sleep(17)
            revision = await api.register("web-2", "web")
            took, answer = await waiting
            assert took == pytest.approx(17)
            assert answer.headers["x-consul-index"] == str(revision)
            assert [row["Service"]["ID"] for row in answer.json] == ["web-1", "web-2"]

    virtual_time.run(scenario())


def test_news_of_others_neither_end_nor_lengthen_the_wait() -> None:
    async def scenario() -> None:
        async with reading() as api:
            index = await api.register("web-1", "web")
            waiting = asyncio.create_task(timed(api, f"{WEB}?index={index}&wait=10s"))
            for number in range(9):
                await asyncio.sleep(1)
                await api.register(f"db-{number}", "db")
            took, answer = await waiting
            assert took == pytest.approx(10)
            assert answer.headers["x-consul-index"] == str(index)

    virtual_time.run(scenario())


def test_a_wake_up_without_a_higher_index_waits_on_for_the_rest() -> None:
    async def scenario() -> None:
        async with reading() as api:
            index = await api.register("web-1", "web") + 1000
            waiting = asyncio.create_task(timed(api, f"{WEB}?index={index}&wait=10s"))
            revisions = []
            for number in range(3):
                await asyncio.sleep(3)
                revisions.append(await api.register("web-1", "web", port=number + 1))
            assert revisions[-1] < index
            took, answer = await waiting
            assert took == pytest.approx(10)
            assert answer.headers["x-consul-index"] == str(revisions[-1])

    virtual_time.run(scenario())


def test_a_news_between_two_questions_is_not_missed() -> None:
    async def scenario() -> None:
        async with reading() as api:
            index = await api.register("web-1", "web")
            await api.register("web-2", "web")
            took, _ = await timed(api, f"{WEB}?index={index}")
            assert took == 0

    virtual_time.run(scenario())


def test_the_end_of_the_server_ends_all_waits_and_begins_none() -> None:
    async def scenario() -> None:
        async with reading() as api:
            index = await api.register("web-1", "web")
            waiting = asyncio.create_task(timed(api, f"{WEB}?index={index}"))
            await asyncio.sleep(5)
            api.registry.drain()
            took, answer = await waiting
            assert took == pytest.approx(5)
            assert answer.headers["x-consul-index"] == str(index)
            took, _ = await timed(api, f"{WEB}?index={index}")
            assert took == 0

    virtual_time.run(scenario())


def test_a_waiter_that_goes_away_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        async with reading() as api:
            index = await api.register("web-1", "web")
            waiting = asyncio.create_task(api.get(f"{WEB}?index={index}"))
            await asyncio.sleep(1)
            topic = api.registry.catalog.service_index("web").everything
            assert len(topic.waiters) == 1
            waiting.cancel()
            await asyncio.wait([waiting])
            assert not topic.waiters
            assert not api.registry.draining.waiters

    virtual_time.run(scenario())


def test_the_bounds_and_the_jitter() -> None:
    assert [bounded_wait(wait) for wait in (-1.0, 0.0, 0.001, 600.0, 600.1)] == [
        DEFAULT_WAIT,
        DEFAULT_WAIT,
        0.001,
        LONGEST_WAIT,
        LONGEST_WAIT,
    ]
    # The longest there is; clients count on it (Prometheus gives up after 135 s with a wait of 120 s).
    assert with_jitter(600.0, 0.999999) < 637.5
    assert with_jitter(120.0, 0.999999) < 127.5


def test_an_index_of_zero_is_told_as_one() -> None:
    assert dict(index_headers(0, "leader"))["X-Consul-Index"] == "1"
