"""Mirroring ten thousand instances, and how soon one change at the source is visible here."""

import asyncio
import base64
import contextlib
import json
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp

from tests.servers.etcd import EtcdServer
from tests.servers.homeport import HomeportServer
from tests.servers.install import find

from .raw_client import put_all
from .results import Table
from .rounds import number, percentile
from .systems import consul, homeport, processor_seconds

INSTANCES = 10_000
CHANGES = 300
_PATIENCE = 120.0
Change = Callable[[aiohttp.ClientSession, int, int], Awaitable[None]]
"""Gives an instance of a service another port."""


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """How long a source takes to be mirrored, and a change to come through."""
    del rounds, seconds
    rows: list[list[str]] = []
    for title, source, services in (
        ("Homeport, 500 services", _homeport_source, 500),
        ("Consul, 100 services", _consul_source, 100),
        ("Consul, 500 services", _consul_source, 500),
        ("etcd, 100 services", _etcd_source, 100),
        ("etcd, 500 services", _etcd_source, 500),
    ):
        with source(services) as (url, change):
            took, used, delays = asyncio.run(_mirrored(url, change, services))
        p99 = percentile(delays, 0.99)
        rows.append(
            [
                title,
                f"{number(took)} {'reached' if took <= 5 else '**missed**'}",
                number(used),
                number(percentile(delays, 0.5) * 1e3),
                f"{number(p99 * 1e3)} {'reached' if p99 <= 0.05 else '**missed**'}",
            ]
        )
    text = (
        f"{INSTANCES:,} instances with a check (in etcd without), mirrored by a durable Homeport on the same two cores "
        f"as the source and the load: the seconds from the ready line until all are in its answers, and its processor "
        f"time for that; then {CHANGES} times another port for one instance, from the request at the source to the "
        "answer of a blocking query at Homeport. Targets: 5 s, and 50 ms at p99. Consul allows a client more "
        "connections here than its usual 200, so that all services are watched; with 200 a hundred of them are, and a "
        "change of another is here after a second or two."
    )
    return [Table("Sources", text, rows, ["source", "mirrored, s", "processor, s", "change p50, ms", "change p99, ms"])]


async def _mirrored(url: str, change: Change, services: int) -> tuple[float, float, list[float]]:
    with tempfile.TemporaryDirectory(prefix="bench-mirror-") as folder:
        server = HomeportServer(Path(folder), arguments=("--source", url))
        await asyncio.to_thread(server.start)
        try:
            begun = time.monotonic()
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                await _complete(http, server)
                took, used = time.monotonic() - begun, processor_seconds(server.pid)
                await asyncio.sleep(3)  # watches that came later settle
                # Ports that no instance had: nothing answers a change that changes nothing.
                delays = [await _delay(http, server, change, services, port) for port in range(2, 2 + CHANGES)]
            return took, used, delays
        finally:
            await asyncio.to_thread(server.close)


async def _complete(http: aiohttp.ClientSession, server: HomeportServer) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        async with http.get(f"{server.url}/v1/homeport/sources") as answer:
            if (await answer.json())[0]["Instances"] >= INSTANCES:
                return
        await asyncio.sleep(0.02)
    raise TimeoutError("the source was not mirrored")


async def _delay(
    http: aiohttp.ClientSession, server: HomeportServer, change: Change, services: int, port: int
) -> float:
    chosen = random.randrange(INSTANCES)
    url = f"{server.url}/v1/health/service/s{chosen % services}"
    async with http.get(url) as answer:
        index = answer.headers["X-Consul-Index"]
        await answer.read()
    waiting = asyncio.ensure_future(_next(http, f"{url}?index={index}&wait=30s", f"i{chosen}", port))
    await asyncio.sleep(0.03)
    begun = time.monotonic()
    await change(http, chosen, port)
    return await waiting - begun


async def _next(http: aiohttp.ClientSession, url: str, service_id: str, port: int) -> float:
    base, _, _ = url.partition("?")
    while True:
        async with http.get(url) as answer:
            index, rows = answer.headers["X-Consul-Index"], await answer.json()
        at = time.monotonic()
        if any(row["Service"]["ID"] == service_id and row["Service"]["Port"] == port for row in rows):
            return at
        url = f"{base}?index={index}&wait=30s"


def _body(instance: int, services: int, port: int) -> dict[str, object]:
    check = {"TTL": "24h", "Status": "passing"}
    return {
        "ID": f"i{instance}",
        "Name": f"s{instance % services}",
        "Address": "10.0.0.1",
        "Port": port,
        "Check": check,
    }


def _by_agent(address: str, services: int) -> Change:
    async def change(http: aiohttp.ClientSession, instance: int, port: int) -> None:
        url = f"http://{address}/v1/agent/service/register"
        async with http.put(url, json=_body(instance, services, port)) as answer:
            answer.raise_for_status()

    return change


@contextlib.contextmanager
def _homeport_source(services: int) -> Iterator[tuple[str, Change]]:
    with homeport() as server:
        asyncio.run(
            put_all(server.address, [("/v1/agent/service/register", _body(n, services, 1)) for n in range(INSTANCES)])
        )
        yield server.backend_url, _by_agent(server.address, services)


@contextlib.contextmanager
def _consul_source(services: int) -> Iterator[tuple[str, Change]]:
    """Instances in Consul's catalog, since registering so many with one agent takes it minutes."""

    def registration(instance: int, port: int) -> dict[str, object]:
        service = {"ID": f"i{instance}", "Service": f"s{instance % services}", "Address": "10.0.0.1", "Port": port}
        check = {"CheckID": f"i{instance}", "Name": "alive", "Status": "passing", "ServiceID": f"i{instance}"}
        node = f"n{instance % 200}"
        return {"Node": node, "Address": "10.0.0.1", "Service": service, "Check": check}

    with consul() as server:
        asyncio.run(put_all(server.address, [("/v1/catalog/register", registration(n, 1)) for n in range(INSTANCES)]))

        async def change(http: aiohttp.ClientSession, instance: int, port: int) -> None:
            async with http.put(f"{server.url}/v1/catalog/register", json=registration(instance, port)) as answer:
                answer.raise_for_status()

        yield server.backend_url, change


@contextlib.contextmanager
def _etcd_source(services: int) -> Iterator[tuple[str, Change]]:
    binary = find("etcd", os.environ)
    if binary is None:
        raise FileNotFoundError("etcd is not installed; run: python -m tests.servers.install etcd")
    with tempfile.TemporaryDirectory(prefix="bench-etcd-") as folder:
        server = EtcdServer(binary, Path(folder))
        server.start()
        try:

            async def put(http: aiohttp.ClientSession, instance: int, port: int) -> None:
                key = f"/services/s{instance % services}/i{instance}"
                value = json.dumps({"address": "10.0.0.1", "port": port})
                body = {"key": _encoded(key), "value": _encoded(value)}
                async with http.post(f"{server.url}/v3/kv/put", json=body) as answer:
                    answer.raise_for_status()

            asyncio.run(_put_every(put))
            yield server.backend_url, put
        finally:
            server.close()


async def _put_every(put: Change) -> None:
    instances = iter(range(INSTANCES))

    async def some() -> None:
        async with aiohttp.ClientSession() as http:
            for instance in instances:
                await put(http, instance, 1)

    await asyncio.gather(*(some() for _ in range(32)))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
