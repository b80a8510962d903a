"""How much one client may ask of the server; each limit with two values that lead to different outcomes."""

import asyncio

import msgspec
import pytest

from homeport.errors import SettingsError
from homeport.server.settings import Limits
from tests.unit.client import virtual_time
from tests.unit.server.line import HIGH_WATER, request, settled, switchboard

LEADER = "/v1/status/leader"
HOT = "/v1/catalog/nodes"


@pytest.mark.parametrize("target", [LEADER, HOT])
@pytest.mark.parametrize(("header_bytes", "status"), [(1000, 431), (3000, 200)])
@pytest.mark.parametrize("where", ["one header", "many headers", "target"])
@pytest.mark.parametrize("size", [100, 100_000])
def test_header_bytes(target: str, header_bytes: int, status: int, where: str, size: int) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_bytes=header_bytes)) as board:
            line = board.connect()
            padding = {"one header": {"X_Long": "x" * 1500}, "many headers": {f"X{n}": "x" * 15 for n in range(75)}}
            longer = f"{target}?x={'x' * 1500}" if where == "target" else target
            data = request("GET", longer, b"", **padding.get(where, {}))
            for start in range(0, len(data), size):
                line.send(data[start : start + size])
            assert (await line.answer()).status == status

    virtual_time.run(scenario())


def test_a_head_without_end_is_refused_before_it_ends() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_bytes=1000)) as board:
            for data in (b"GET /v1/status/leader HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\nX"):
                line = board.connect()
                line.send(data)
                sent = 0
                while line.silent():
                    line.send(b"x" * 500)
                    sent += 500
                    assert sent < 1000 + 2 * 4096
                assert (await line.answer()).status == 431
                await line.ended()

    virtual_time.run(scenario())


def test_the_limit_is_for_each_head_and_not_for_a_chunk_of_many() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_bytes=256)) as board:
            line = board.connect()
            data = request("GET", LEADER) * 100 + request("GET", LEADER)[:20]
            line.send(data)
            for _ in range(100):
                assert (await line.answer()).status == 200
            line.send(request("GET", LEADER)[20:])
            assert (await line.answer()).status == 200

    virtual_time.run(scenario())


@pytest.mark.parametrize("header_timeout", [3.0, 7.0])
@pytest.mark.parametrize("first", [b"", request("GET", HOT), request("GET", LEADER)], ids=["first", "hot", "ordinary"])
def test_header_timeout(header_timeout: float, first: bytes) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_timeout=header_timeout)) as board:
            line = board.connect()
            if first:
                line.send(first)
                await line.answer()
            await asyncio.sleep(20)
            began = virtual_time.now()
            line.send(b"GET / HT")
            dripping = asyncio.create_task(drip(line.send, b"TP/1.1\r\nX: xxxxxxxxxxxxxxxxxxxxxxxx"))
            assert (await line.answer()).status == 408
            assert virtual_time.now() - began == pytest.approx(header_timeout)
            await dripping
            await line.closed()

    virtual_time.run(scenario())


def test_each_head_has_its_own_time() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_timeout=5.0)) as board:
            line = board.connect()
            data = request("GET", LEADER)
            line.send(data[:10])
            for _ in range(4):
                await asyncio.sleep(4)
                line.send(data[10:] + data[:10])
                assert (await line.answer()).status == 200
            assert (await line.answer()).status == 408

    virtual_time.run(scenario())


def test_a_head_whose_rest_we_do_not_read_yet_is_not_late() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_timeout=5.0)) as board:
            line = board.connect()
            data = request("GET", LEADER)
            line.send(request("GET", "/v1/test/held") + data[:10])
            line.send(data[10:])
            await asyncio.sleep(30)
            board.release.set()
            assert (await line.answer()).text == "held "
            assert (await line.answer()).status == 200

    virtual_time.run(scenario())


def test_a_head_that_stays_half_behind_an_answer_is_late_in_the_end() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_timeout=5.0)) as board:
            line = board.connect()
            line.send(request("GET", "/v1/test/held") + request("GET", LEADER)[:10])
            await asyncio.sleep(30)
            board.release.set()
            assert (await line.answer()).text == "held "
            answered = virtual_time.now()
            assert (await line.answer()).status == 408
            assert virtual_time.now() - answered == pytest.approx(5.0)

    virtual_time.run(scenario())


@pytest.mark.parametrize(("body_bytes", "status"), [(999, 413), (1000, 200)])
@pytest.mark.parametrize("how", ["length", "chunks", "tiny chunks"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_body_bytes(body_bytes: int, status: int, how: str, method: str) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(body_bytes=body_bytes)) as board:
            line = board.connect()
            target = "/v1/test/echo?name=large" if method == "PUT" else LEADER
            if how == "length":
                line.send(request(method, target, b"x" * 1000))
            else:
                size = 500 if how == "chunks" else 1
                line.send(request(method, target, Transfer_Encoding="chunked"))
                for _ in range(1000 // size):
                    line.send(b"%x\r\n%s\r\n" % (size, b"x" * size))
                    await asyncio.sleep(0)
                line.send(b"0\r\n\r\n")
            answer = await line.answer()
            assert answer.status == status
            assert board.done == (["large"] if (status, method) == (200, "PUT") else [])
            if status == 413:
                assert answer.header("Connection") == "close"
                await line.ended()
            else:
                assert (await line.ask(LEADER)).status == 200

    virtual_time.run(scenario())


def test_the_body_before_does_not_count_for_the_next_head() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(header_bytes=1000)) as board:
            line = board.connect()
            put = request("PUT", "/v1/test/echo", b"x" * 20_000)
            for start in range(0, len(put), 2000):
                line.send(put[start : start + 2000])
            assert (await line.answer()).status == 200
            data = request("GET", LEADER)
            for byte in data:
                line.send(bytes((byte,)))
            assert (await line.answer()).status == 200

    virtual_time.run(scenario())


def test_who_is_refused_amid_its_body_has_a_moment_to_read_why() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(body_bytes=1000)) as board:
            line = board.connect()
            line.send(request("PUT", "/v1/test/echo", b"x" * 2000)[:-500])
            assert (await line.answer()).status == 413
            assert line.transport.ended
            line.send(b"x" * 100)
            assert not line.transport.closed, "what is still sent would else reset the connection"
            before = virtual_time.now()
            await line.closed()
            assert virtual_time.now() - before == pytest.approx(1.0)

    virtual_time.run(scenario())


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(body_bytes=1000)) as board:
            line = board.connect()
            line.send(b"PUT /v1/test/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
            assert (await line.answer()).status == 413
            await line.ended()

    virtual_time.run(scenario())


@pytest.mark.parametrize("noise", [b"1;" + b"x" * 4000, b"0\r\nX: " + b"x" * 4000], ids=["extension", "trailer"])
def test_a_body_may_not_hide_a_flood_between_its_chunks(noise: bytes) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(body_bytes=1000, header_bytes=1000)) as board:
            line = board.connect()
            line.send(request("PUT", "/v1/test/echo?name=flood", Transfer_Encoding="chunked") + noise)
            sent = 0
            while line.silent():
                line.send(b"x" * 1000)
                await asyncio.sleep(0)
                sent += 1000
                assert sent < 20_000
            assert (await line.answer()).status == 413
            await line.closed()
            assert board.done == []

    virtual_time.run(scenario())


@pytest.mark.parametrize("body_timeout", [3.0, 7.0])
def test_body_timeout(body_timeout: float) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(body_timeout=body_timeout)) as board:
            line = board.connect()
            began = virtual_time.now()
            line.send(b"PUT /v1/test/echo?name=slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
            dripping = asyncio.create_task(drip(line.send, b"x" * 20))
            assert (await line.answer()).status == 408
            assert virtual_time.now() - began == pytest.approx(body_timeout)
            await dripping
            await line.closed()
            assert board.done == []

    virtual_time.run(scenario())


@pytest.mark.parametrize("idle_timeout", [20.0, 50.0])
@pytest.mark.parametrize("target", ["", HOT, LEADER])
def test_idle_timeout(idle_timeout: float, target: str) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=idle_timeout)) as board:
            line = board.connect()
            for _ in range(3 if target else 0):
                await asyncio.sleep(idle_timeout - 1)
                assert (await line.ask(target)).status == 200
            began = virtual_time.now()
            await line.ended()
            assert virtual_time.now() - began == pytest.approx(idle_timeout)

    virtual_time.run(scenario())


@pytest.mark.parametrize("target", ["/v1/health/service/web?index=9999999999999999&wait=600s", "/v1/test/held"])
def test_who_waits_for_us_is_not_idle(target: str) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=10.0)) as board:
            line = board.connect()
            line.get(target)
            await asyncio.sleep(503)
            assert not line.transport.closed
            board.release.set()
            assert (await line.answer()).status == 200
            answered = virtual_time.now()
            await line.ended()
            assert virtual_time.now() - answered == pytest.approx(10.0)

    virtual_time.run(scenario())


@pytest.mark.parametrize("target", [HOT, LEADER, "/v1/test/large?n=10000"])
def test_a_client_that_does_not_read_costs_a_bounded_amount_and_is_cut(target: str) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=10.0)) as board:
            line = board.connect()
            line.transport.stuck = True
            began = virtual_time.now()
            for _ in range(20_000):
                line.get(target)
                if not line.transport.paused:
                    await asyncio.sleep(0)
            assert line.transport.most_unsent < 3 * HIGH_WATER
            assert line.transport.waiting_bytes > 100_000, "the rest stays with the client"
            await line.closed()
            assert virtual_time.now() - began <= 2 * 10.0
            await settled()
            assert not board.state.tasks

    virtual_time.run(scenario())


def test_a_client_that_reads_slowly_is_served() -> None:
    async def scenario() -> None:
        async with switchboard(Limits(idle_timeout=10.0)) as board:
            line = board.connect()
            line.transport.stuck = True
            line.get("/v1/test/large?n=1000000")
            line.get("/v1/test/large?n=10")
            for _ in range(100):
                await asyncio.sleep(9)
                line.transport.take(10_100)
            assert len((await line.answer()).body) == 1_000_000
            line.transport.take()
            assert len((await line.answer()).body) == 10

    virtual_time.run(scenario())


@pytest.mark.parametrize(("most", "status"), [(2, 429), (3, 200), (0, 200)])
@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_connections_per_client(most: int, status: int, host: str) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(connections_per_client=most)) as board:
            open_ones = [board.connect(host), board.connect(host)]
            others = [board.connect("192.0.2.8") for _ in range(2)]
            line = board.connect(host)
            line.get(HOT)
            answer = await line.answer()
            assert answer.status == status
            if status == 429:
                assert answer.header("Connection") == "close"
                await line.closed()
                open_ones[0].transport.lose()
                await open_ones[0].closed()
                assert (await board.connect(host).ask(HOT)).status == 200
            for other in (*others, open_ones[1]):
                assert (await other.ask(HOT)).status == 200

    virtual_time.run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_has_as_many_connections_as_it_wants(host: str) -> None:
    async def scenario() -> None:
        async with switchboard(Limits(connections_per_client=1)) as board:
            lines = [board.connect(host) for _ in range(5)]
            for line in lines:
                assert (await line.ask(HOT)).status == 200

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("header_timeout", 0.0), ("body_timeout", -1.0), ("idle_timeout", 0.0), ("body_bytes", 0),
        ("header_bytes", 255), ("connections_per_client", -1),
    ],
)  # fmt: skip
def test_limits_that_let_nobody_in_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"server\.limits\.{name} is {value}; it must be"):
        msgspec.structs.replace(Limits(), **{name: value})


async def drip(send: object, data: bytes) -> None:
    """Send a byte a second."""
    assert callable(send)
    for at in range(len(data)):
        await asyncio.sleep(1)
        send(data[at : at + 1])
