"""What only httpx and httpx2 have."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any, Self

import httpx
import httpx2
import pytest

from homeport import Discovery, InvalidValue
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.integrations import httpx as for_httpx
from homeport.integrations import httpx2 as for_httpx2
from homeport.integrations.http import Routing
from homeport.model import Instance
from homeport.testing.memory import Memory

from .instance_server import PATIENCE, InstanceServer

LIBRARIES = pytest.mark.parametrize(("library", "integration"), [(httpx, for_httpx), (httpx2, for_httpx2)])


@LIBRARIES
async def test_a_single_request_may_be_called_otherwise(
    library: Any, integration: Any, memory: Memory, servers: list[InstanceServer]
) -> None:
    for server in servers[:2]:
        server.drops = True
    async with (
        Discovery(memory, handle_signals=False) as discovery,
        library.AsyncClient(transport=integration.DiscoveryTransport(discovery)) as client,
    ):
        for _ in range(3):
            response = await client.post(
                "http://users/echo", content=b"x", extensions={"homeport": {"idempotent": True}}
            )
            assert response.content == b"x"
        for server in servers:
            server.drops = False
        with pytest.raises(library.ReadTimeout):
            await client.get("http://users/hang", extensions={"homeport": {"deadline": 0.1}})
        with pytest.raises(InvalidValue, match='"retries" cannot be asked for by a single request'):
            await client.get("http://users/who", extensions={"homeport": {"retries": 7}})
        with pytest.raises(InvalidValue, match="give a dictionary"):
            await client.get("http://users/who", extensions={"homeport": True})


@LIBRARIES
async def test_a_cancelled_request_is_no_failure_and_leaves_nothing_under_way(
    library: Any, integration: Any, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    async with (
        Discovery(memory, handle_signals=False) as discovery,
        library.AsyncClient(transport=integration.DiscoveryTransport(discovery)) as client,
    ):
        one = (await discovery.watching("users")).traffic.table.of(servers[0].endpoint)
        request = asyncio.ensure_future(client.get("http://users/hang"))
        assert await asyncio.to_thread(servers[0].arrived.wait, PATIENCE)
        assert one.in_flight == 1
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)
        async with client.stream("GET", "http://users/stream") as response:
            pieces = response.aiter_raw()
            assert await anext(pieces) == b"first"
            reading = asyncio.ensure_future(anext(pieces))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)


@LIBRARIES
async def test_a_response_that_is_thrown_away_is_ended_by_the_next_request(
    library: Any, integration: Any, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    with (
        BlockingDiscovery(memory, handle_signals=False) as discovery,
        library.Client(transport=integration.BlockingDiscoveryTransport(discovery)) as client,
    ):
        one = discovery.watching("users").traffic.table.of(servers[0].endpoint)
        response = client.send(client.build_request("GET", "http://users/stream"), stream=True)
        assert one.in_flight == 1
        servers[0].go_on.set()
        del response
        gc.collect()
        client.get("http://users/who")
        assert (one.in_flight, one.successes, one.failures) == (0, 1, 0)


@LIBRARIES
def test_the_inner_transport_is_opened_and_closed_with_it(library: Any, integration: Any, memory: Memory) -> None:
    events: list[str] = []

    class Inner(library.BaseTransport):  # type: ignore[misc]  # one of two libraries
        def __enter__(self) -> Self:
            events.append("opened")
            return self

        def close(self) -> None:
            events.append("closed")

    with BlockingDiscovery(memory, handle_signals=False) as discovery:
        with library.Client(transport=integration.BlockingDiscoveryTransport(discovery, transport=Inner())):
            assert events == ["opened"]
        assert events == ["opened", "closed"]
        library.Client(transport=integration.BlockingDiscoveryTransport(discovery, transport=Inner())).close()
        assert events == ["opened", "closed", "closed"]


@LIBRARIES
async def test_the_inner_transport_is_opened_and_closed_with_it_in_a_loop(
    library: Any, integration: Any, memory: Memory
) -> None:
    events: list[str] = []

    class Inner(library.AsyncBaseTransport):  # type: ignore[misc]  # one of two libraries
        async def __aenter__(self) -> Self:
            events.append("opened")
            return self

        async def aclose(self) -> None:
            events.append("closed")

    async with Discovery(memory, handle_signals=False) as discovery:
        async with library.AsyncClient(transport=integration.DiscoveryTransport(discovery, transport=Inner())):
            assert events == ["opened"]
        assert events == ["opened", "closed"]
        await library.AsyncClient(transport=integration.DiscoveryTransport(discovery, transport=Inner())).aclose()
        assert events == ["opened", "closed", "closed"]


@LIBRARIES
async def test_a_response_that_is_not_the_last_gives_its_connection_back(
    library: Any, integration: Any, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    servers[0].status = 503
    limits = library.Limits(max_connections=1)
    async with Discovery(memory, handle_signals=False) as discovery:
        inner = library.AsyncHTTPTransport(limits=limits)
        async with library.AsyncClient(transport=integration.DiscoveryTransport(discovery, transport=inner)) as client:
            assert (await client.get("http://users/large")).status_code == 503
    assert len(servers[0].seen) == 3


@LIBRARIES
def test_a_response_that_is_not_the_last_gives_its_connection_back_to_a_thread(
    library: Any, integration: Any, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    servers[0].status = 503
    inner = library.HTTPTransport(limits=library.Limits(max_connections=1))
    with (
        BlockingDiscovery(memory, handle_signals=False) as discovery,
        library.Client(transport=integration.BlockingDiscoveryTransport(discovery, transport=inner)) as client,
    ):
        assert client.get("http://users/large").status_code == 503
    assert len(servers[0].seen) == 3


@LIBRARIES
def test_each_wait_of_a_thread_is_bounded_by_the_deadline_and_the_time_outs(
    library: Any, integration: Any, memory: Memory
) -> None:
    given: list[dict[str, float]] = []

    def answer(request: Any) -> Any:
        given.append(request.extensions["timeout"])
        return library.Response(200)

    with BlockingDiscovery(memory, handle_signals=False) as discovery:
        transport = integration.BlockingDiscoveryTransport(
            discovery, Routing(deadline=5.0), transport=library.MockTransport(answer)
        )
        with library.Client(transport=transport) as client:
            client.get("http://users/", timeout=1.0)
            client.get("http://users/", timeout=library.Timeout(20.0, connect=1.0))
            client.get("http://users/", timeout=None)
    assert set(given[0].values()) == {1.0}
    assert given[1].pop("connect") == 1.0
    for times in given[1:]:
        assert all(0 < seconds <= 5.0 for seconds in times.values())


@LIBRARIES
@pytest.mark.parametrize("how", [lambda library: library.PoolTimeout(""), lambda _: ValueError()])
async def test_what_is_no_fault_of_an_instance_is_not_repeated(
    library: Any, integration: Any, memory: Memory, servers: list[InstanceServer], how: Callable[[Any], Exception]
) -> None:
    asked: list[str] = []

    def refuse(request: Any) -> Any:
        asked.append(request.url.host)
        raise how(library)

    async with Discovery(memory, handle_signals=False) as discovery:
        transport = integration.DiscoveryTransport(discovery, transport=library.MockTransport(refuse))
        async with library.AsyncClient(transport=transport) as client:
            with pytest.raises(type(how(library))):
                await client.get("http://users/who")
        loads = (await discovery.watching("users")).traffic.table.values()
    assert len(asked) == 1
    assert [(one.in_flight, one.failures) for one in loads] == [(0, 0)] * 3


@LIBRARIES
async def test_a_key_reaches_the_balancer(library: Any, integration: Any, memory: Memory) -> None:
    async with Discovery(memory, balancer="consistent_hash", handle_signals=False) as discovery:
        routing = Routing(key_header="X-User")
        async with library.AsyncClient(transport=integration.DiscoveryTransport(discovery, routing)) as client:
            for headers, extensions in (({"X-User": "7"}, {}), ({}, {"homeport": {"key": "7"}})):
                answers = [
                    await client.get("http://users/who", headers=headers, extensions=extensions) for _ in range(6)
                ]
                assert len({answer.content for answer in answers}) == 1
            found: set[bytes] = set()
            for user in range(1000):  # where a key leads depends on the ports, which are others each time
                found.add((await client.get("http://users/who", headers={"X-User": str(user)})).content)
                if len(found) == 3:
                    break
            assert len(found) == 3


@LIBRARIES
@pytest.mark.parametrize(
    ("address", "port", "netloc"),
    [("10.0.0.1", 8080, "10.0.0.1:8080"), ("::1", 8080, "[::1]:8080"), ("10.0.0.1", 0, "10.0.0.1")],
)
async def test_the_inner_transport_sees_the_url_of_the_instance(
    library: Any, integration: Any, address: str, port: int, netloc: str
) -> None:
    def answer(request: Any) -> Any:
        assert (request.url.host, request.url.raw_host, request.url.port) == (address, address.encode(), port or None)
        assert request.url.netloc == netloc.encode()
        return library.Response(200, text=str(request.url))

    memory = Memory(users=[Instance(id="one", service="users", address=address, port=port)])
    async with Discovery(memory, handle_signals=False) as discovery:
        transport = integration.DiscoveryTransport(discovery, transport=library.MockTransport(answer))
        async with library.AsyncClient(transport=transport) as client:
            response = await client.get("http://users/who?a=1")
    assert response.text == f"http://{netloc}/who?a=1"
    assert str(response.url) == "http://users/who?a=1"
