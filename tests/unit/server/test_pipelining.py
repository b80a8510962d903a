"""Answers come in the order of their requests, each once, however the bytes arrive."""

import random

from hypothesis import given
from hypothesis import strategies as st

from homeport.server.settings import Limits
from tests.unit.client import virtual_time
from tests.unit.server.changes import register
from tests.unit.server.line import Switchboard, request, settled, switchboard

HOT = "/v1/health/service/web"
ORDINARY = "/v1/health/service/web?near=agent"


async def served(board: Switchboard) -> int:
    return await register(board.registry, "web", port=1)


def test_two_hot_reads_in_one_chunk() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            await served(board)
            line = board.connect()
            line.send(request("GET", HOT) + request("GET", "/v1/catalog/nodes"))
            assert (await line.answer()).json[0]["Service"]["Port"] == 1
            assert (await line.answer()).json[0]["Node"] == "agent"
            assert line.silent()

    virtual_time.run(scenario())


def test_a_hot_read_behind_an_ordinary_one_waits_for_it() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await served(board)
            line = board.connect()
            line.get("/v1/test/held?name=first")
            line.get(HOT)
            line.get("/v1/test/held?name=third")
            await settled()
            assert line.silent()
            board.release.set()
            assert (await line.answer()).text == "held first"
            assert (await line.answer()).index == index
            assert (await line.answer()).text == "held third"

    virtual_time.run(scenario())


def test_what_comes_behind_a_parked_read_waits_for_it() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await served(board)
            line = board.connect()
            line.get(f"{HOT}?index={index}")
            line.send(request("PUT", "/v1/test/echo?name=behind", b"body"))
            line.get(f"{HOT}?index={index}")
            await settled()
            assert line.silent()
            assert board.done == []
            changed = await register(board.registry, "web", port=2)
            assert (await line.answer()).index == changed
            assert (await line.answer()).text.endswith("body")
            assert (await line.answer()).index == changed

    virtual_time.run(scenario())


def test_a_parked_read_may_come_in_one_chunk_with_what_is_behind_it() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            index = await served(board)
            line = board.connect()
            line.send(request("GET", f"{HOT}?index={index}") + request("GET", "/v1/status/leader"))
            await settled()
            assert line.silent()
            changed = await register(board.registry, "web", port=2)
            assert (await line.answer()).index == changed
            assert (await line.answer()).json == "127.0.0.1:8300"

    virtual_time.run(scenario())


def test_a_body_may_arrive_behind_an_answer_that_is_due() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            put = request("PUT", "/v1/test/echo?name=put", b"x" * 10_000)
            line.send(request("GET", "/v1/test/held") + put[:200])
            line.send(put[200:5000])
            line.send(put[5000:] + request("GET", "/v1/status/leader"))
            await settled()
            board.release.set()
            assert (await line.answer()).text == "held "
            assert (await line.answer()).text.count("x") >= 10_000
            assert (await line.answer()).status == 200

    virtual_time.run(scenario())


def test_many_requests_ahead_are_held_in_bounds() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.get("/v1/test/held")
            piece = request("GET", "/v1/status/leader") * 100
            for _ in range(200):
                line.send(piece)
            assert line.transport.waiting_bytes > 1_000_000, "what is not read stays with the client"
            assert len(line.protocol.pipeline) < 200
            board.release.set()
            await line.answer()
            for _ in range(200 * 100):
                assert (await line.answer()).status == 200
            assert line.silent()

    virtual_time.run(scenario())


def test_one_large_chunk_of_requests_is_not_begun_as_a_whole() -> None:
    async def scenario() -> None:
        async with switchboard() as board:
            line = board.connect()
            line.send(request("GET", "/v1/test/held?name=0") * (200_000 // 60))
            assert len(line.protocol.pipeline) < 100
            board.release.set()
            for _ in range(200_000 // 60):
                assert (await line.answer()).text == "held 0"

    virtual_time.run(scenario())


REQUESTS = (
    ("hot", request("GET", HOT)),
    ("hot", request("GET", f"{HOT}?passing=1", Accept_Encoding="gzip")),
    ("hot", request("GET", "/v1/catalog/services")),
    ("ordinary", request("GET", ORDINARY)),
    ("nothing", request("GET", "/v1/nothing")),
    ("put", request("PUT", "/v1/test/echo?name=a", b"a body")),
    ("put", request("PUT", "/v1/test/echo?name=b")),
    (
        "put",
        request("PUT", "/v1/test/echo?name=c", Transfer_Encoding="chunked") + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    ),
    ("get with a body", request("GET", "/v1/status/leader", b"ignored")),
    ("head", request("DELETE", "/v1/status/leader")),
    ("blocks", request("GET", f"{HOT}?index=1&wait=5s")),
    ("empty line", b"\r\n" + request("GET", HOT)),
    ("upgrade", request("GET", "/v1/status/leader", Connection="Upgrade", Upgrade="h2c")),
    ("upgrade", request("PUT", "/v1/test/echo?name=d", b"a body", Connection="Upgrade", Upgrade="h2c")),
)


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_the_chunks_in_which_requests_arrive_do_not_matter(
    wanted: list[tuple[str, bytes]], rng: random.Random, pauses: bool
) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=1000.0)) as board:
            await served(board)
            alone = []
            for _, data in wanted:
                line = board.connect()
                line.send(data)
                alone.append(await line.answer())
            stream = b"".join(data for _, data in wanted)
            line = board.connect()
            while stream:
                size = rng.choice((1, 2, 10, 50, 100, 1000))
                line.send(stream[:size])
                stream = stream[size:]
                if pauses:
                    await settled()
            assert [await line.answer() for _ in wanted] == alone
            assert line.silent()

    virtual_time.run(scenario())
