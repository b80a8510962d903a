"""Reads that wait for a change: on the short way without a task, on the ordinary way in one; the same for a client."""

import asyncio

import pytest

from homeport.server.settings import Limits
from tests.unit.client import virtual_time
from tests.unit.server.changes import deregister, register
from tests.unit.server.line import Line, Switchboard, settled, switchboard

HOT = "/v1/health/service/web"
ORDINARY = "/v1/health/service/web?near=agent"
WAYS = pytest.mark.parametrize("target", [HOT, ORDINARY], ids=["hot", "ordinary"])


def waiters(board: Switchboard) -> int:
    """How many wait in the topics of the service."""
    catalog = board.registry.catalog
    index = catalog.service_index("web")
    return sum(len(topic.waiters) for topic in (index.everything, index.rows, index.checks, catalog.extinction))


def ask_after(line: Line, target: str, index: int, *, wait: str = "") -> None:
    line.get(f"{target}{'&' if '?' in target else '?'}index={index}{f'&wait={wait}' if wait else ''}")


@WAYS
def test_a_change_is_answered_at_once(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web", port=1)
            line = board.connect()
            ask_after(line, target, index)
            await settled()
            assert line.silent()
            assert waiters(board) == 1
            before = virtual_time.now()
            changed = await register(board.registry, "web", port=2)
            answer = await line.answer()
            assert answer.index == changed
            assert answer.json[0]["Service"]["Port"] == 2
            assert virtual_time.now() == before
            assert waiters(board) == 0

    virtual_time.run(scenario())


@WAYS
@pytest.mark.parametrize(
    ("wait", "seconds"), [("", 300), ("0s", 300), ("-5s", 300), ("8s", 8), ("90000ms", 90), ("30m", 600), ("1h", 600)]
)
def test_without_a_change_the_answer_comes_when_the_wait_and_its_jitter_are_over(
    target: str, wait: str, seconds: int
) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            before = virtual_time.now()
            ask_after(line, target, index, wait=wait)
            answer = await line.answer()
            assert virtual_time.now() - before == pytest.approx(seconds + 0.5 * seconds / 16)
            assert answer.index == index
            assert len(answer.json) == 1
            assert waiters(board) == 0

    virtual_time.run(scenario())


@WAYS
def test_an_index_of_the_future_waits_and_gets_the_smaller_one(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            before = virtual_time.now()
            ask_after(line, target, index + 1000, wait="16s")
            await asyncio.sleep(1)
            changed = await register(board.registry, "web", port=2)
            await settled()
            assert line.silent()
            assert (await line.answer()).index == changed
            assert virtual_time.now() - before == pytest.approx(16.5)

    virtual_time.run(scenario())


@WAYS
def test_an_index_of_the_future_is_reached_step_by_step(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            before = virtual_time.now()
            ask_after(line, target, index + 3)
            for port in (2, 3, 4):
                await asyncio.sleep(1)
                await register(board.registry, "web", port=port)
                await settled()
                assert line.silent()
            await asyncio.sleep(1)
            changed = await register(board.registry, "web", port=5)
            assert (await line.answer()).index == changed == index + 4
            assert virtual_time.now() - before == pytest.approx(4)

    virtual_time.run(scenario())


@WAYS
def test_an_older_index_does_not_wait(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            before = virtual_time.now()
            for older in (1, index - 1):
                ask_after(line, target, older)
                assert (await line.answer()).index == index
            ask_after(line, target, 0)
            assert (await line.answer()).index == index
            assert virtual_time.now() == before

    virtual_time.run(scenario())


@WAYS
def test_a_service_that_goes_and_comes_back_wakes_each_time(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            answer = await line.ask(target)
            indexes = [answer.index]
            for round_number in range(1, 4):
                ask_after(line, target, indexes[-1])
                await settled()
                assert line.silent()
                indexes.append(await register(board.registry, "web", port=round_number))
                answer = await line.answer()
                assert answer.index == indexes[-1]
                assert answer.json[0]["Service"]["Port"] == round_number
                ask_after(line, target, indexes[-1])
                await settled()
                indexes.append(await deregister(board.registry, "web"))
                answer = await line.answer()
                assert (answer.index, answer.json) == (indexes[-1], [])
            assert indexes == sorted(set(indexes))

    virtual_time.run(scenario())


@WAYS
def test_a_service_that_nobody_knows_is_forgotten_with_its_watchers(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = (await board.connect().ask(target)).index
            lines = [board.connect() for _ in range(3)]
            for line in lines:
                ask_after(line, target, index)
            await settled()
            assert waiters(board) >= 3
            for line in lines:
                line.transport.lose()
            await settled()
            assert waiters(board) == 0
            assert not board.state.tasks

    virtual_time.run(scenario())


@WAYS
@pytest.mark.parametrize("how", ["lost", "ended"])
def test_a_client_that_goes_away_leaves_nothing_behind(target: str, how: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            ask_after(line, target, index)
            await settled()
            assert waiters(board) == 1
            before = virtual_time.now()
            if how == "lost":
                line.transport.lose()
            else:
                line.end_input()
            await line.closed()
            await settled()
            assert virtual_time.now() == before
            assert waiters(board) == 0
            assert not board.state.tasks
            assert not board.state.connections

    virtual_time.run(scenario())


def test_a_handler_that_waits_is_cancelled_when_its_client_goes_away() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.get("/v1/test/stuck?index=1")
            await settled()
            line.transport.lose()
            await settled()
            assert board.cancelled == 1
            assert not board.state.tasks

    virtual_time.run(scenario())


def test_the_running_one_is_cancelled_too_when_others_were_sent_behind_it() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(b"GET /v1/test/stuck?index=1 HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            await settled()
            line.transport.lose()
            await settled()
            assert board.cancelled == 1
            assert not board.state.tasks

    virtual_time.run(scenario())


@WAYS
def test_a_waiting_client_that_closes_its_side_is_answered_as_things_stand(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            ask_after(line, target, index)
            await settled()
            before = virtual_time.now()
            line.end_input()
            answer = await line.answer()
            assert (answer.status, answer.index, len(answer.json)) == (200, index, 1)
            await line.closed()
            assert virtual_time.now() == before

    virtual_time.run(scenario())


def test_all_that_was_sent_before_the_end_is_answered() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            ask_after(line, HOT, index)
            line.get("/v1/test/held")
            ask_after(line, HOT, index)
            line.send(b"GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\nGET /half")
            before = virtual_time.now()
            line.end_input()
            board.release.set()
            assert (await line.answer()).index == index
            assert (await line.answer()).text == "held "
            assert (await line.answer()).index == index
            assert (await line.answer()).json == "127.0.0.1:8300"
            await line.ended()
            assert virtual_time.now() == before

    virtual_time.run(scenario())


@WAYS
def test_a_second_read_that_would_wait_does_not_wait_after_the_end(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            ask_after(line, target, index)
            await settled()
            ask_after(line, target, index)
            before = virtual_time.now()
            line.end_input()
            assert (await line.answer()).index == index
            assert (await line.answer()).index == index
            await line.ended()
            assert virtual_time.now() == before

    virtual_time.run(scenario())


def test_half_a_request_and_the_end_is_no_request() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            for data in (b"", b"GET /v1/status/leader HTTP/1.1\r\nHo"):
                line = board.connect()
                if data:
                    line.send(data)
                line.end_input()
                await line.ended()

    virtual_time.run(scenario())


def test_a_body_that_ends_too_early_is_no_request() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(b"PUT /v1/test/echo?name=half HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
            await settled()
            before = virtual_time.now()
            line.end_input()
            assert (await line.answer()).status == 400
            await line.closed()
            assert board.done == []
            assert virtual_time.now() == before

    virtual_time.run(scenario())


@pytest.mark.parametrize("watchers", [1, 150])
def test_a_thousand_changes_wake_each_watcher_to_the_last_state(watchers: int) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=1e6)) as board:
            index = await register(board.registry, "web", port=1)
            seen = await asyncio.gather(*(watch(board, index) for _ in range(watchers)), write(board))
            assert all(port == 1000 for port in seen[:-1])

    async def write(board: Switchboard) -> int:
        for port in range(2, 1001):
            await register(board.registry, "web", port=port)
            if port % 7 == 0:
                await asyncio.sleep(0.003)
        return 0

    async def watch(board: Switchboard, index: int) -> int:
        line = board.connect()
        while True:
            ask_after(line, HOT, index)
            answer = await line.answer()
            assert answer.index > index
            index = answer.index
            port: int = answer.json[0]["Service"]["Port"]
            if port == 1000:
                return port

    virtual_time.run(scenario())
