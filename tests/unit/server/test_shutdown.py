"""The end of the server: who waits is answered, what is in flight too, and what is half here is told so."""

import asyncio

import pytest

from tests.unit.client import virtual_time
from tests.unit.server.changes import register
from tests.unit.server.line import request, settled, switchboard


@pytest.mark.parametrize("target", ["/v1/health/service/web?index=", "/v1/health/service/web?near=agent&index="])
def test_watchers_are_answered_with_what_there_is(target: str) -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            lines = [board.connect() for _ in range(50)]
            for line in lines:
                line.get(f"{target}{index}")
            await settled()
            before = virtual_time.now()
            board.shut_down()
            for line in lines:
                answer = await line.answer()
                assert (answer.status, answer.index, answer.header("Connection")) == (200, index, "close")
                await line.closed()
            assert virtual_time.now() == before

    virtual_time.run(scenario())


def test_what_is_in_flight_is_answered() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(request("GET", "/v1/test/held?name=a") + request("GET", "/v1/test/held?name=b"))
            await settled()
            board.shut_down()
            await asyncio.sleep(1)
            board.release.set()
            assert (await line.answer()).text == "held a"
            answer = await line.answer()
            assert (answer.text, answer.header("Connection")) == ("held b", "close")
            await line.closed()

    virtual_time.run(scenario())


def test_what_waits_behind_is_not_begun_any_more() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await register(board.registry, "web")
            line = board.connect()
            line.get(f"/v1/health/service/web?index={index}")
            line.send(request("PUT", "/v1/test/echo?name=behind", b"x"))
            board.shut_down()
            assert (await line.answer()).header("Connection") == "close"
            await line.closed()
            assert board.done == []

    virtual_time.run(scenario())


def test_a_request_that_is_half_here_is_told() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            body, head = board.connect(), board.connect()
            body.send(request("PUT", "/v1/test/echo?name=half", b"x" * 100)[:-50])
            head.send(request("GET", "/v1/status/leader")[:-10])
            await settled()
            before = virtual_time.now()
            board.shut_down()
            answer = await body.answer()
            assert (answer.status, answer.header("Connection")) == (503, "close")
            await head.ended()
            await body.closed()
            assert board.done == []
            assert virtual_time.now() - before <= 1

    virtual_time.run(scenario())


def test_who_asks_for_nothing_is_let_go_at_once() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            lines = [board.connect() for _ in range(3)]
            await lines[1].ask("/v1/status/leader")
            await lines[2].ask("/v1/catalog/nodes")
            before = virtual_time.now()
            board.shut_down()
            for line in lines:
                await line.ended()
            assert virtual_time.now() == before

    virtual_time.run(scenario())


def test_a_handler_that_does_not_end_is_told_and_its_client_too() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.get("/v1/test/held")
            await settled()
            board.shut_down()
            for task in board.state.tasks:  # as uvicorn does when the time is over
                task.cancel()
            answer = await line.answer()
            assert (answer.status, answer.header("Connection")) == (503, "close")
            await line.closed()

    virtual_time.run(scenario())
