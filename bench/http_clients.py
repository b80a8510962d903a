"""What it adds to a keep-alive request of each HTTP client that services are found on the way."""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import httpx
import httpx2
import requests

from homeport import Discovery
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.integrations import httpx as for_httpx
from homeport.integrations import httpx2 as for_httpx2
from homeport.integrations.aiohttp import discovery_middleware
from homeport.integrations.requests import DiscoveryAdapter
from homeport.testing.memory import Memory

from .results import Table
from .rounds import Spread, alternate, ratios

INSTANCES, BLOCKS, REQUESTS, TARGET = 3, 100, 50, 1.10
SERVICE = "http://users/v1/items?page=2"
BODY = b'{"items": []}' * 40

SERVER = f"""
import asyncio
from aiohttp import web

async def main():
    app = web.Application()
    app.router.add_get("/v1/items", lambda request: answer())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for _ in range({INSTANCES}):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(*(port for _, port in runner.addresses), flush=True)
    await asyncio.Event().wait()

async def answer():
    return web.Response(body={BODY!r})

asyncio.run(main())
"""


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """Microseconds a request, with and without, block by block."""
    rounds = max(rounds, BLOCKS)
    with _server() as endpoints:
        rows = [
            *asyncio.run(_asynchronous(endpoints, rounds)),
            *_blocking(endpoints, rounds),
        ]
    text = (
        f"One client, one request after the other on kept connections, over {INSTANCES} instances of aiohttp.web in a "
        f"process of their own; {rounds} alternating blocks of {REQUESTS} requests, microseconds each. Without: the "
        "addresses in turn."
    )
    return [Table("HTTP clients", text, rows, ["client", "without", "with", "ratio", "target"])]


async def _asynchronous(endpoints: list[str], rounds: int) -> list[list[str]]:
    memory = Memory(users=endpoints)
    rows = []
    async with Discovery(memory) as discovery:
        async with (
            aiohttp.ClientSession() as plain,
            aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]) as found,
        ):

            def through(session: aiohttp.ClientSession) -> Callable[[str], Awaitable[object]]:
                async def get(url: str) -> None:
                    async with session.get(url) as response:
                        await response.read()

                return get

            rows.append(await _compare_async("aiohttp", through(plain), through(found), endpoints, rounds))
        async with (
            httpx.AsyncClient(transport=httpx.AsyncHTTPTransport()) as plain_httpx,
            httpx.AsyncClient(transport=for_httpx.DiscoveryTransport(discovery)) as found_httpx,
        ):
            rows.append(
                await _compare_async("httpx, asynchronous", plain_httpx.get, found_httpx.get, endpoints, rounds)
            )
        async with (
            httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport()) as plain_httpx2,
            httpx2.AsyncClient(transport=for_httpx2.DiscoveryTransport(discovery)) as found_httpx2,
        ):
            rows.append(
                await _compare_async("httpx2, asynchronous", plain_httpx2.get, found_httpx2.get, endpoints, rounds)
            )
    return rows


def _blocking(endpoints: list[str], rounds: int) -> list[list[str]]:
    rows = []
    with BlockingDiscovery(Memory(users=endpoints)) as discovery:
        with (
            httpx.Client(transport=httpx.HTTPTransport()) as plain,
            httpx.Client(transport=for_httpx.BlockingDiscoveryTransport(discovery)) as found,
        ):
            rows.append(_compare("httpx, blocking", plain.get, found.get, endpoints, rounds))
        with requests.Session() as plain_session, requests.Session() as found_session:
            plain_session.trust_env = found_session.trust_env = False
            found_session.mount("http://", DiscoveryAdapter(discovery))
            rows.append(_compare("requests", plain_session.get, found_session.get, endpoints, rounds))
    return rows


async def _compare_async(
    client: str,
    plain: Callable[[str], Awaitable[object]],
    found: Callable[[str], Awaitable[object]],
    endpoints: list[str],
    rounds: int,
) -> list[str]:
    async def block(get: Callable[[str], Awaitable[object]], urls: Iterator[str]) -> float:
        began = time.perf_counter()
        for _ in range(REQUESTS):
            await get(next(urls))
        return (time.perf_counter() - began) / REQUESTS * 1e6

    systems = {"without": (plain, _urls(endpoints)), "with": (found, itertools.repeat(SERVICE))}
    for get, urls in systems.values():
        await block(get, urls)
    taken: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(rounds):
        for name in systems if turn % 2 == 0 else reversed(systems):
            taken[name].append(await block(*systems[name]))
    return _row(client, taken)


def _compare(
    client: str,
    plain: Callable[[str], object],
    found: Callable[[str], object],
    endpoints: list[str],
    rounds: int,
) -> list[str]:
    def block(get: Callable[[str], object], urls: Iterator[str]) -> float:
        began = time.perf_counter()
        for _ in range(REQUESTS):
            get(next(urls))
        return (time.perf_counter() - began) / REQUESTS * 1e6

    urls, services = _urls(endpoints), itertools.repeat(SERVICE)
    systems = {"without": lambda: block(plain, urls), "with": lambda: block(found, services)}
    alternate(systems, 1)
    return _row(client, alternate(systems, rounds))


def _row(client: str, taken: dict[str, list[float]]) -> list[str]:
    ratio = ratios(taken["with"], taken["without"])
    verdict = "reached" if ratio.median <= TARGET else "**missed**"
    return [
        client,
        Spread.of(taken["without"]).text(),
        Spread.of(taken["with"]).text(),
        f"{ratio.median:.3f}× ({ratio.low:.3f}–{ratio.high:.3f})",
        f"≤ {TARGET:.2f}× {verdict}",
    ]


def _urls(endpoints: list[str]) -> Iterator[str]:
    return itertools.cycle(SERVICE.replace("users", endpoint, 1) for endpoint in endpoints)


@contextmanager
def _server() -> Iterator[list[str]]:
    """The ``host:port`` of every instance."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield [f"127.0.0.1:{port}" for port in server.stdout.readline().split()]
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
