"""Requests made a second time elsewhere while the first instance does not answer, in the libraries that can do that."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import pytest

from homeport import ClientSettings
from homeport.client.resilience.settings import RetrySettings
from homeport.integrations.http import Routing
from homeport.testing.memory import Memory
from tests.servers.process import wait_until

from .clients import load
from .conftest import Connect
from .instance_server import PATIENCE, InstanceServer

HEDGED = ClientSettings(retry=RetrySettings(hedge_after=0.02))

in_each_library = pytest.mark.parametrize("connect", ["aiohttp", "httpx", "httpx2"], indirect=True)


class Counts:
    """An observer that counts, by name and outcome."""

    def __init__(self) -> None:
        self.counted = Counter[tuple[str, str]]()

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        return nullcontext()

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        self.counted[name, labels.get("outcome", "")] += int(amount)

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        return

    async def has(self, name: str, outcome: str = "") -> None:
        """Wait until it was counted."""
        await until(lambda: self.counted[name, outcome] > 0, what=f"{name} {outcome}")


async def until(reached: Callable[[], bool], *, what: str) -> None:
    await asyncio.to_thread(wait_until, reached, timeout=PATIENCE, what=what)


async def arrived(servers: list[InstanceServer], requests: int) -> None:
    """So many requests in all are there."""
    await until(lambda: sum(len(server.seen) for server in servers) >= requests, what=f"the {requests}th request")


async def let_go(server: InstanceServer) -> None:
    """No connection to it is kept."""
    await until(lambda: server.still_connected == 0, what=f"the end of the connections to {server.name}")


@in_each_library
async def test_an_instance_that_hangs_costs_no_request(connect: Connect, servers: list[InstanceServer]) -> None:
    counts = Counts()
    client = connect(settings=HEDGED, observer=counts)
    hanging, *others = servers
    for server in others:
        server.go_on.set()
    answers = [await client.fetch("http://users/hang") for _ in range(9)]
    assert {answer.body for answer in answers} == {b"at last"}
    assert hanging.name not in {answer.served_by for answer in answers}
    assert counts.counted["hedges_total", ""] > 0
    one = await load(client, hanging.endpoint)
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)
    assert one.latency is not None  # it is known to be slow
    loads = [await load(client, server.endpoint) for server in others]
    assert sum(each.successes for each in loads) >= 9
    assert [each.in_flight for each in loads] == [0, 0]
    await let_go(hanging)


@in_each_library
async def test_a_body_is_streamed_from_the_one_that_answered(connect: Connect, servers: list[InstanceServer]) -> None:
    client = connect(settings=HEDGED)
    hanging = servers[0]
    hanging.hangs = True
    for _ in range(3):
        opened = await client.open("http://users/stream")
        assert await opened.piece() == b"first"
        [answering] = [server for server in servers if (await load(client, server.endpoint)).in_flight]
        assert answering is not hanging
        answering.go_on.set()
        assert await opened.piece() == b"second"
        assert await opened.piece() == b""
        await opened.close()
        answering.go_on.clear()
    for server in servers:
        assert (await load(client, server.endpoint)).in_flight == 0
    await let_go(hanging)


@in_each_library
@pytest.mark.parametrize(("method", "body"), [("POST", b"once"), ("POST", None), ("PUT", b"once"), ("DELETE", None)])
async def test_what_changes_something_is_never_made_twice(
    connect: Connect, servers: list[InstanceServer], method: str, body: bytes | None
) -> None:
    counts = Counts()
    client = connect(settings=HEDGED, observer=counts, routing=Routing(idempotent=True))
    changing = asyncio.create_task(client.fetch("http://users/hang", method, body=body))
    reading = asyncio.create_task(client.fetch("http://users/hang"))  # of later, so that its second attempt is too
    await counts.has("hedges_total")
    await arrived(servers, 3)
    for server in servers:
        server.go_on.set()
    await changing
    await reading
    methods = Counter(seen.method for server in servers for seen in server.seen)
    assert methods == {method: 1, "GET": 2}


@in_each_library
async def test_the_budget_is_obeyed(connect: Connect, servers: list[InstanceServer]) -> None:
    counts = Counts()
    retry = RetrySettings(hedge_after=0.02, budget_share=0.0, budget_per_second=0.0)
    client = connect(settings=ClientSettings(retry=retry), observer=counts)
    reading = asyncio.create_task(client.fetch("http://users/hang"))
    await counts.has("retries_total", "refused")
    for server in servers:
        server.go_on.set()
    await reading
    assert sum(len(server.seen) for server in servers) == 1
    assert counts.counted["hedges_total", ""] == 0


@in_each_library
async def test_who_gives_up_gives_up_both(connect: Connect, memory: Memory, servers: list[InstanceServer]) -> None:
    memory.put("users", *(server.instance() for server in servers[:2]))
    client = connect(settings=HEDGED)
    reading = asyncio.create_task(client.fetch("http://users/hang"))
    await arrived(servers, 2)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    for server in servers[:2]:
        one = await load(client, server.endpoint)
        assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)
        await let_go(server)


@in_each_library
async def test_the_deadline_ends_both(connect: Connect, memory: Memory, servers: list[InstanceServer]) -> None:
    memory.put("users", *(server.instance() for server in servers[:2]))
    counts = Counts()
    client = connect(settings=ClientSettings(retry=RetrySettings(hedge_after=0.02, deadline=1.0)), observer=counts)
    with pytest.raises(client.timeout_error, match=r'"users" was not answered within 1 s'):
        await client.fetch("http://users/hang")
    loads = [await load(client, server.endpoint) for server in servers[:2]]
    assert [(one.in_flight, one.successes) for one in loads] == [(0, 0), (0, 0)]
    assert sum(one.failures for one in loads) == 1 + counts.counted["hedges_total", ""]
    for server in servers[:2]:
        await let_go(server)


@in_each_library
async def test_both_are_lost_and_a_third_is_asked(connect: Connect, servers: list[InstanceServer]) -> None:
    client = connect(settings=HEDGED)
    reading = asyncio.create_task(client.fetch("http://users/hang"))
    await arrived(servers, 2)
    [third] = [server for server in servers if not server.seen]
    third.go_on.set()
    for server in servers:
        if server is not third:
            await asyncio.to_thread(server.cut)
    assert (await reading).served_by == third.name


@pytest.mark.parametrize("connect", ["requests", "httpx blocking", "httpx2 blocking"], indirect=True)
async def test_threads_do_not_double_their_requests(connect: Connect, servers: list[InstanceServer]) -> None:
    counts = Counts()
    client = connect(settings=ClientSettings(retry=RetrySettings(hedge_after=0.000_1)), observer=counts)
    for server in servers:
        server.go_on.set()
    for _ in range(6):
        assert (await client.fetch("http://users/hang")).status == 200
    assert counts.counted["hedges_total", ""] == 0
