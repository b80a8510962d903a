"""Blocking queries beside those of a real Consul: whom a write wakes, and what those who were not woken are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.protocols_consul.differential import Differential, Side
from tests.plugins.following import PATIENCE
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

# Those who are woken answer within milliseconds; whoever answered in this time after the last of them was woken too.
GRACE = 0.3
LONGEST = PATIENCE

QUERIES = {
    "services": "catalog/services",
    "services by node-meta": "catalog/services?node-meta=consul-network-segment",
    "services by other node-meta": "catalog/services?node-meta=rack:1",
    "nodes": "catalog/nodes",
    "node": "catalog/node/{node}",
    "catalog web": "catalog/service/web",
    "health web": "health/service/web",
    "health web passing": "health/service/web?passing&tag=blue",
    "health connect": "health/connect/web",
    "checks web": "health/checks/web",
    "node checks": "health/node/{node}",
    "any": "health/state/any",
    "passing": "health/state/passing",
    "warning": "health/state/warning",
    "critical": "health/state/critical",
    "catalog missing": "catalog/service/missing",
    "health missing": "health/service/missing",
    "checks missing": "health/checks/missing",
    "other node": "catalog/node/other",
    "other node checks": "health/node/other",
}
# Where nothing is, Consul's tree has no place to watch but a larger part of itself, and wakes for its neighbours. Its
# index is higher then, so these answers come early, and say what they said before.
NOTHING_THERE = {"warning", "catalog missing", "health missing", "checks missing"}
# What ours wakes beyond that. For an unknown node Consul has the index 1, and so goes on waiting for one that has just
# gone. Of the nodes with some metadata it watches the very ones; we watch all node records, which seldom change.
BY_NODE_META = {"services by node-meta", "services by other node-meta"}
OURS_ALONE = {"another node changed": BY_NODE_META, "another node gone": BY_NODE_META | {"other node"}}
OTHER = {"Node": "other", "Address": "10.0.0.2"}
PROXY = {"ID": "proxy-1", "Name": "web-proxy", "Kind": "connect-proxy", "Port": 9}
PROXY_OF_WEB = PROXY | {"Proxy": {"DestinationServiceName": "web"}}
WEB_1_ALONE = {"ID": "web-1", "Name": "web", "Tags": ["blue"]}
WEB_1 = WEB_1_ALONE | {"Check": {"CheckID": "check-1", "TTL": "1h"}}
DB_1 = {"ID": "db-1", "Service": "db"}
DB_1_CHECK = {"Node": "other", "CheckID": "check-db", "Name": "c", "ServiceID": "db-1", "Status": "critical"}

ARRANGED: tuple[tuple[str, dict[str, Any] | None], ...] = (
    ("agent/service/register", WEB_1),
    ("agent/check/pass/check-1", None),
    ("agent/service/register", PROXY_OF_WEB),
    ("agent/check/register", {"Name": "disk", "TTL": "1h"}),
    ("agent/check/pass/disk", None),
    ("catalog/register", OTHER | {"Service": DB_1, "Check": DB_1_CHECK}),
)
TAGS_CHANGED = "an instance and the tags of its check changed"
WRITES: dict[str, tuple[str, dict[str, Any] | None]] = {
    "a new instance": ("agent/service/register", {"ID": "web-2", "Name": "web"}),
    "a new instance with a check": ("agent/service/register", {"ID": "web-2", "Name": "web", "Check": {"TTL": "1h"}}),
    "an instance changed": ("agent/service/register", WEB_1_ALONE | {"Port": 1}),
    TAGS_CHANGED: ("agent/service/register", WEB_1 | {"Tags": ["green"]}),
    "the last instance gone": ("agent/service/deregister/web-1", None),
    "an instance on another node": ("catalog/register", OTHER | {"Service": {"ID": "db-2", "Service": "db"}}),
    "an instance of another service": ("agent/service/register", {"ID": "db-2", "Name": "db"}),
    "another service gone": ("catalog/deregister", {"Node": "other", "ServiceID": "db-1"}),
    "a check of an instance turned": ("agent/check/warn/check-1", None),
    "a check of another service turned": ("catalog/register", OTHER | {"Check": DB_1_CHECK | {"Status": "passing"}}),
    "a check of the node turned": ("agent/check/fail/disk", None),
    "another node changed": ("catalog/register", OTHER | {"Address": "10.0.0.9"}),
    "another node gone": ("catalog/deregister", {"Node": "other"}),
    "the missing service": ("agent/service/register", {"ID": "missing-1", "Name": "missing"}),
    "the proxy changed": ("agent/service/register", PROXY_OF_WEB | {"Port": 10}),
    "the proxy gone": ("agent/service/deregister/proxy-1", None),
    "the same instance again": ("agent/service/register", WEB_1_ALONE),
    "the same status again": ("agent/check/pass/check-1", None),
    "the same node again": ("catalog/register", OTHER),
}
WAKES_NOBODY = {"the same instance again", "the same status again", "the same node again"}


@pytest.fixture(scope="module")
def pair(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Differential]:
    """A Consul and a registry of this module's own: whatever happens in them wakes somebody."""
    consul = ConsulServer(consul_binary, tmp_path_factory.mktemp("consul"))
    homeport = HomeportServer(tmp_path_factory.mktemp("homeport"), dev=True)
    try:
        consul.start()
        homeport.start()
        yield Differential(consul, homeport)
    finally:
        consul.close()
        homeport.close()


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_wakes_the_same_queries(pair: Differential, write: str) -> None:
    async with AsyncExitStack() as stack:
        sides = (stack.enter_async_context(woken(side, write)) for side in (pair.consul, pair.homeport))
        theirs, ours = await asyncio.gather(*sides)
        for _ in range(int(LONGEST / GRACE)):  # on a busy machine either may be late
            before = theirs(), ours()
            await asyncio.sleep(GRACE)
            spoke = write in WAKES_NOBODY or all(before)
            if spoke and before == (theirs(), ours()) and not of_one_side(write, *before):
                break
        assert not of_one_side(write, theirs(), ours())


def of_one_side(write: str, theirs: set[str], ours: set[str]) -> set[str]:
    """The queries that were answered by one side only, and should not have been."""
    return (ours - theirs - OURS_ALONE.get(write, set())) | (theirs - ours - NOTHING_THERE)


@asynccontextmanager
async def woken(side: Side, write: str) -> AsyncIterator[Callable[[], set[str]]]:
    """Write; what is given tells the queries that were answered so far."""
    async with aiohttp.ClientSession(f"http://{side.address}", timeout=aiohttp.ClientTimeout(300)) as http:
        await clear(http, side)
        for path, body in ARRANGED:
            await put(http, path, body)
        waiting = {}
        for name, target in QUERIES.items():
            target = side.named(target)
            async with http.get(f"/v1/{target}") as response:
                index = response.headers["X-Consul-Index"]
            asked = f"/v1/{target}{'&' if '?' in target else '?'}index={index}&wait=10m"
            waiting[name] = asyncio.create_task(answered(http, asked))
        await asyncio.sleep(GRACE)
        assert not any(task.done() for task in waiting.values())
        await put(http, *WRITES[write])
        try:
            yield lambda: {name for name, task in waiting.items() if task.done()}
        finally:
            for task in waiting.values():
                task.cancel()
            await asyncio.wait(waiting.values())


async def answered(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as response:
        await response.read()


async def put(http: aiohttp.ClientSession, path: str, body: object) -> None:
    data = None if body is None else json.dumps(body).encode()
    async with http.put(f"/v1/{path}", data=data) as response:
        assert response.status == 200, f"{path}: {await response.text()}"


async def clear(http: aiohttp.ClientSession, side: Side) -> None:
    """Remove what the scenario before this one left."""
    async with http.get("/v1/agent/services") as response:
        for service in await response.json():
            await put(http, f"agent/service/deregister/{service}", None)
    async with http.get("/v1/agent/checks") as response:
        for check in await response.json():
            await put(http, f"agent/check/deregister/{check}", None)
    async with http.get("/v1/catalog/nodes") as response:
        for node in await response.json():
            if node["Node"] != side.node:
                await put(http, "catalog/deregister", {"Node": node["Node"]})


@pytest.mark.parametrize("target", ["health/service/waits", "health/state/any?node-meta=none"])
def test_an_index_of_the_future_is_waited_for_and_answered_with_the_truth(pair: Differential, target: str) -> None:
    pair.arrange("PUT", "/v1/agent/service/register", {"Name": "waits"})
    path = f"/v1/{target}{'&' if '?' in target else '?'}"
    before = pair.send("GET", path)
    for side, answer in zip((pair.consul, pair.homeport), before, strict=True):
        future = answer.index + 1000
        after = side.send("GET", f"{path}index={future}&wait=200ms")
        assert (after.status, after.value) == (200, answer.value)
        assert answer.index <= after.index < future


def test_without_an_index_nobody_waits(pair: Differential) -> None:
    pair.arrange("PUT", "/v1/agent/service/register", {"Name": "waits"})
    # A wait would end in a time-out of the client.
    for query in ("?index=0&wait=10m", "?wait=10m", "?index=&wait=10m", "?index=1&wait=10m"):
        pair.same("GET", f"/v1/health/service/waits{query}")


async def test_many_waits_of_one_name_all_end(pair: Differential) -> None:
    pair.arrange("PUT", "/v1/agent/service/register", {"Name": "crowd"})
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://{pair.homeport.address}", connector=connector) as http:
        async with http.get("/v1/health/service/crowd") as response:
            index = response.headers["X-Consul-Index"]
        # One in three takes the way that is not the short one.
        paths = [f"/v1/health/service/crowd?index={index}&wait=5m{'&near=_agent' * (n % 3 == 0)}" for n in range(150)]
        waiting = [asyncio.create_task(answered(http, path)) for path in paths]
        await asyncio.sleep(GRACE)
        assert not any(task.done() for task in waiting)
        await put(http, "agent/service/register", {"Name": "crowd", "Port": 1})
        await asyncio.wait_for(asyncio.gather(*waiting), LONGEST)
