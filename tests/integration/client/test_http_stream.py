"""Answers that go on, against small real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest
from aiohttp import web

from homeport.connections.backend_url import HostPort
from homeport.connections.http import Answer, HTTPConnection
from homeport.connections.http_stream import Stream, StreamEnded
from homeport.connections.token import FixedToken
from homeport.errors import BackendUnavailable
from tests.integration.client.test_http_connection import serving, silent
from tests.servers.ports import LOOPBACK, PortLease

Talk = Callable[[web.StreamResponse], Awaitable[None]]
LONG = 60.0


@asynccontextmanager
async def talking(talk: Talk, *, status: int = 200) -> AsyncIterator[HostPort]:
    """A server whose every answer is what ``talk`` says, after which it ends."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"X-Asked": f"{request.method} {request.raw_path}"})
        await response.prepare(request)
        await response.write(await request.read() + request.headers.get("Authorization", "").encode())
        await talk(response)
        return response

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    try:
        yield HostPort(LOOPBACK, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def connection(*addresses: HostPort, token: str = "") -> HTTPConnection:
    return HTTPConnection(
        addresses, system="system", backend="x://", timeout=LONG, connect_timeout=LONG, token=FixedToken(token)
    )


async def opened(http: HTTPConnection, body: bytes = b"body") -> Stream:
    stream = await http.stream("POST", "/x", body=body)
    assert isinstance(stream, Stream)
    return stream


async def to_the_end(stream: Stream) -> None:
    while True:
        await stream.read(timeout=LONG)


async def test_what_comes_is_read_as_it_comes() -> None:
    go_on = asyncio.Event()

    async def talk(response: web.StreamResponse) -> None:
        await go_on.wait()
        await response.write(b"more")
        await asyncio.Event().wait()

    async with talking(talk) as address, connection(address, token="-token") as http:
        with closing(await opened(http)) as stream:
            assert await stream.read(timeout=LONG) == b"body-token"
            assert stream.origin == f"http://{address}"
            assert await stream.read(timeout=0.01) == b""  # silence is told, and costs nothing
            waiting = asyncio.create_task(stream.read(timeout=LONG))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            go_on.set()
            assert await stream.read(timeout=LONG) == b"more"


async def test_its_end_is_a_failure() -> None:
    async def talk(response: web.StreamResponse) -> None:
        await response.write(b"")

    async with talking(talk) as address, connection(address) as http:
        with closing(await opened(http)) as stream:
            assert await stream.read(timeout=LONG) == b"body"
            with pytest.raises(StreamEnded) as caught:
                await stream.read(timeout=LONG)
            assert str(caught.value) == (
                f"the system at http://{address} ended an answer that was to go on (connection closed); try again."
            )
            assert caught.value.backend == "x://"


async def test_a_break_is_a_failure() -> None:
    async def talk(response: web.StreamResponse) -> None:
        transport = response._req.transport if response._req is not None else None
        assert transport is not None
        transport.abort()

    async with talking(talk) as address, connection(address) as http:
        with closing(await opened(http)) as stream:
            with pytest.raises(BackendUnavailable, match="try again") as caught:
                await to_the_end(stream)
            assert not isinstance(caught.value, StreamEnded)


async def test_another_status_is_a_whole_answer() -> None:
    async def talk(response: web.StreamResponse) -> None:
        await response.write(b" and more")

    async with talking(talk, status=404) as address, connection(address) as http:
        answer = await http.stream("POST", "/y", body=b"body")
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body, answer.headers["x-asked"]) == (404, b"body and more", "POST /y")


async def test_addresses_are_asked_in_turn() -> None:
    async def talk(response: web.StreamResponse) -> None:
        if response.status == 200:
            await asyncio.Event().wait()

    with PortLease() as nobody:
        async with (
            talking(talk, status=503) as broken,
            talking(talk) as address,
            connection(HostPort(LOOPBACK, nobody.ports[0]), broken, address) as http,
        ):
            for _ in range(2):
                with closing(await opened(http)) as stream:
                    assert stream.origin == http.origin == f"http://{address}"


async def test_who_says_nothing_is_given_up() -> None:
    async with serving(silent) as address, connection(address) as http:
        await http.request("GET", "/")  # connects, which is no part of the silence
        with pytest.raises(BackendUnavailable, match=r"no answer within 0.05 s"):
            await http.stream("POST", "/silent", timeout=0.05)


async def test_closing_ends_the_connection() -> None:
    ended = asyncio.Event()

    async def talk(response: web.StreamResponse) -> None:
        try:
            while True:
                await response.write(b".")
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with talking(talk) as address, connection(address) as http:
        stream = await opened(http)
        await stream.read(timeout=LONG)
        stream.close()
        stream.close()
        async with asyncio.timeout(LONG):
            await ended.wait()
        stream = await opened(http)
        ended.clear()
        with closing(stream):
            await http.aclose()
        async with asyncio.timeout(LONG):
            await ended.wait()
