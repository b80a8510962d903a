"""What only aiohttp has."""

import asyncio
import gc
from collections.abc import AsyncGenerator

import aiohttp
import pytest
from aiohttp import web

from homeport import ClientSettings, Discovery, NoInstances
from homeport.balancing.loads import Load
from homeport.client.resilience.settings import RetrySettings
from homeport.integrations.aiohttp import Routing, ServiceDisconnected, ServiceUnreachable, discovery_middleware
from homeport.model import Instance
from homeport.testing.memory import Memory
from tests.servers.ports import LOOPBACK
from tests.servers.process import wait_until

from .instance_server import PATIENCE, InstanceServer
from .passing_time import pass_time


@pytest.fixture
async def discovery(memory: Memory) -> AsyncGenerator[Discovery, None]:
    async with Discovery(memory, handle_signals=False) as discovery:
        yield discovery


@pytest.fixture
async def session(discovery: Discovery) -> AsyncGenerator[aiohttp.ClientSession, None]:
    async with aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]) as session:
        yield session


async def load(discovery: Discovery, server: InstanceServer) -> Load:
    return (await discovery.watching("users")).traffic.table.of(server.endpoint)


async def test_the_request_info_tells_the_instance(
    session: aiohttp.ClientSession, servers: list[InstanceServer]
) -> None:
    async with session.get("http://users/who") as response:
        assert response.real_url.host == "users"
        assert response.request_info.url.port in {server.port for server in servers}
        assert str(response.request_info.real_url) == "http://users/who"


async def test_other_middlewares_see_the_service_and_the_instance(
    discovery: Discovery, servers: list[InstanceServer]
) -> None:
    seen: list[str | None] = []

    async def look(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.url.host)
        response = await handler(request)
        seen.append(request.url.host)
        return response

    middlewares = [look, discovery_middleware(discovery), look]
    async with aiohttp.ClientSession(middlewares=middlewares) as session, session.get("http://users/who"):
        assert seen == ["users", LOOPBACK, LOOPBACK, "users"]


async def test_a_response_that_is_not_the_last_gives_its_connection_back(
    memory: Memory, discovery: Discovery, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    servers[0].status = 503
    connector = aiohttp.TCPConnector(limit=1)
    middlewares = [discovery_middleware(discovery)]
    async with (
        aiohttp.ClientSession(connector=connector, middlewares=middlewares) as session,
        session.get("http://users/large", timeout=aiohttp.ClientTimeout(total=60)) as response,
    ):
        assert response.status == 503
    assert len(servers[0].seen) == 3


async def test_the_deadline_does_not_reach_into_a_body_that_has_arrived(
    memory: Memory, discovery: Discovery, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    middlewares = [discovery_middleware(discovery, Routing(deadline=60.0))]
    async with aiohttp.ClientSession(middlewares=middlewares) as session:
        response = await session.get("http://users/stream")
        servers[0].go_on.set()
        await response.content.wait_eof()
        await pass_time(60.0)  # until the deadline is over
        assert await response.read() == b"firstsecond"


async def test_a_single_request_may_be_called_otherwise(
    discovery: Discovery, session: aiohttp.ClientSession, servers: list[InstanceServer]
) -> None:
    for server in servers[:2]:
        server.drops = True
    repeated = discovery_middleware(discovery, Routing(idempotent=True))
    for _ in range(3):
        async with session.post("http://users/echo", data=b"x", middlewares=[repeated]) as response:
            assert await response.read() == b"x"


async def test_a_key_reaches_the_balancer(memory: Memory, servers: list[InstanceServer]) -> None:
    async with (
        Discovery(memory, balancer="consistent_hash", handle_signals=False) as discovery,
        aiohttp.ClientSession(middlewares=[discovery_middleware(discovery, Routing(key_header="X-User"))]) as session,
    ):
        for _ in range(6):
            async with session.get("http://users/who", headers={"X-User": "7"}) as response:
                assert response.status == 200
        assert sorted(len(server.seen) for server in servers) == [0, 0, 6]
        for user in range(1000):  # where a key leads depends on the ports, which are others each time
            async with session.get("http://users/who", headers={"X-User": str(user)}) as response:
                assert response.status == 200
            if all(server.seen for server in servers):
                break
    assert all(server.seen for server in servers)


async def test_a_lost_connection_is_not_repeated_by_aiohttp_on_its_own(
    memory: Memory, servers: list[InstanceServer]
) -> None:
    for server in servers:
        server.drops = True
    settings = ClientSettings(retry=RetrySettings(attempts=2))
    async with (
        Discovery(memory, settings=settings, handle_signals=False) as discovery,
        aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]) as session,
    ):
        with pytest.raises(ServiceDisconnected, match='the connection to "users" was lost') as caught:
            await session.get("http://users/who")
    assert isinstance(caught.value.__cause__, aiohttp.ServerDisconnectedError)
    assert sum(len(server.seen) for server in servers) == 2


async def test_the_error_before_stands_when_everybody_is_gone_meanwhile(
    discovery: Discovery,
    session: aiohttp.ClientSession,
    memory: Memory,
    servers: list[InstanceServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory.put("users", servers[0].instance())
    servers[0].drops = True
    users = await discovery.watching("users")

    async def vanish(_pause: float) -> None:
        memory.put("users")
        async for snapshot in users:
            if not snapshot.instances:
                break

    monkeypatch.setattr(asyncio, "sleep", vanish)
    with pytest.raises(ServiceDisconnected) as caught:
        await session.get("http://users/who")
    assert isinstance(caught.value.__cause__, aiohttp.ServerDisconnectedError)
    assert isinstance(caught.value.__cause__.__cause__, NoInstances)


async def test_a_defect_of_the_program_is_no_failure_of_an_instance(
    discovery: Discovery, servers: list[InstanceServer]
) -> None:
    async def broken(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        raise ZeroDivisionError

    async with aiohttp.ClientSession(middlewares=[discovery_middleware(discovery), broken]) as session:
        for url in ("http://users/who",) * 3:
            with pytest.raises(ZeroDivisionError):
                await session.get(url)
    loads = [await load(discovery, server) for server in servers]
    assert [(one.in_flight, one.successes, one.failures) for one in loads] == [(0, 0, 0)] * 3


async def test_a_cancelled_request_is_no_failure_and_leaves_nothing_under_way(
    discovery: Discovery, session: aiohttp.ClientSession, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    one = await load(discovery, servers[0])
    request = asyncio.ensure_future(session.get("http://users/hang"))
    assert await asyncio.to_thread(servers[0].arrived.wait, PATIENCE)
    assert one.in_flight == 1
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)


async def test_a_body_whose_reader_is_cancelled_is_no_failure(
    discovery: Discovery, session: aiohttp.ClientSession, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    response = await session.get("http://users/stream")
    assert await response.content.readany() == b"first"
    reading = asyncio.ensure_future(response.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    one = await load(discovery, servers[0])
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)


async def test_a_total_time_out_ends_everything(
    discovery: Discovery, session: aiohttp.ClientSession, servers: list[InstanceServer]
) -> None:
    request = asyncio.ensure_future(session.get("http://users/hang", timeout=aiohttp.ClientTimeout(total=60)))
    await asyncio.to_thread(
        wait_until, lambda: any(server.seen for server in servers), timeout=PATIENCE, what="the request"
    )
    await pass_time(60.0)
    with pytest.raises(TimeoutError):
        await request
    assert sum(len(server.seen) for server in servers) == 1
    loads = [await load(discovery, server) for server in servers]
    assert [sum(one.in_flight for one in loads), sum(one.failures for one in loads)] == [0, 1]


async def test_a_total_time_out_within_the_body_is_a_failure(
    discovery: Discovery, session: aiohttp.ClientSession, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    async with session.get("http://users/stream", timeout=aiohttp.ClientTimeout(total=60)) as response:
        reading = asyncio.ensure_future(response.read())
        await pass_time(60.0)
        with pytest.raises(TimeoutError):
            await reading
    one = await load(discovery, servers[0])
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 1)


async def test_a_response_that_is_thrown_away_is_ended_by_the_next_request(
    discovery: Discovery, session: aiohttp.ClientSession, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    response = await session.get("http://users/cut")
    one = await load(discovery, servers[0])
    assert one.in_flight == 1
    servers[0].go_on.set()
    with pytest.raises(aiohttp.ClientPayloadError):
        async for _ in response.content.iter_any():
            pass
    del response
    gc.collect()
    async with session.get("http://users/who") as response:
        await response.read()
    assert (one.in_flight, one.successes, one.failures) == (0, 1, 0)


async def test_a_proxy_that_the_program_names_is_asked_for_the_instance(
    session: aiohttp.ClientSession, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    async with session.get("http://users/who", proxy=f"http://{servers[1].endpoint}") as response:
        assert await response.read() == b"two"  # which answers itself, and so tells what it was asked
    assert servers[1].seen[0].path == f"http://{servers[0].endpoint}/who"
    assert servers[1].seen[0].headers["host"] == "users"


@pytest.mark.parametrize(
    ("address", "port", "netloc"),
    [("10.0.0.1", 8080, "10.0.0.1:8080"), ("::1", 8080, "[::1]:8080"), ("10.0.0.1", 0, "10.0.0.1")],
)
async def test_every_form_of_address_is_called(
    session: aiohttp.ClientSession,
    memory: Memory,
    servers: list[InstanceServer],
    address: str,
    port: int,
    netloc: str,
) -> None:
    memory.put("users", Instance(id="one", service="users", address=address, port=port))
    async with session.get("http://users/who", proxy=f"http://{servers[1].endpoint}"):
        assert servers[1].seen[0].path == f"http://{netloc}/who"


async def test_a_proxy_of_the_environment_is_not_asked(
    discovery: Discovery, servers: list[InstanceServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:word@{LOOPBACK}:1")
    middlewares = [discovery_middleware(discovery)]
    async with aiohttp.ClientSession(middlewares=middlewares, trust_env=True) as session:
        async with session.get("http://users/who") as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientProxyConnectionError):
            await session.get("http://example.test/")
        async with session.get("http://users/who", proxy=f"http://{servers[1].endpoint}") as response:
            assert servers[1].seen[-1].path.endswith("/who")
            assert servers[1].seen[-1].path.startswith("http://")


async def test_a_web_socket_is_a_call_as_long_as_it_is_open(discovery: Discovery, memory: Memory) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    endpoint = f"{LOOPBACK}:{runner.addresses[0][1]}"
    memory.put("users", endpoint)
    one = (await discovery.watching("users")).traffic.table.of(endpoint)
    middlewares = [discovery_middleware(discovery, Routing(deadline=60.0))]  # which is for answers
    async with aiohttp.ClientSession(middlewares=middlewares) as session:
        async with session.ws_connect("ws://users/") as socket:
            await pass_time(60.0)
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
            assert one.in_flight == 1
        assert (one.in_flight, one.successes) == (0, 1)
    await runner.cleanup()


async def test_what_cannot_be_called_is_told_by_an_error_of_its_own(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ServiceUnreachable):
        await session.get("http://nobody/")


async def test_two_attempts_at_the_same_time_have_a_request_each(memory: Memory, servers: list[InstanceServer]) -> None:
    seen: list[aiohttp.ClientRequest] = []

    async def look(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request)
        request.headers["Attempt"] = str(len(seen))
        return await handler(request)

    memory.put("users", *(server.instance() for server in servers[:2]))
    settings = ClientSettings(retry=RetrySettings(hedge_after=0.02))
    async with (
        Discovery(memory, settings=settings, handle_signals=False) as discovery,
        aiohttp.ClientSession(middlewares=[discovery_middleware(discovery), look]) as session,
    ):
        reading = asyncio.create_task(session.get("http://users/hang"))
        wanted = "both attempts"
        await asyncio.to_thread(wait_until, lambda: all(one.seen for one in servers[:2]), timeout=PATIENCE, what=wanted)
        assert {request.url.port for request in seen} == {server.port for server in servers[:2]}
        assert {server.seen[0].headers["attempt"] for server in servers[:2]} == {"1", "2"}
        assert [request.headers["Attempt"] for request in seen] == ["1", "2"]
        for server in servers[:2]:
            server.go_on.set()
        async with await reading as response:
            assert str(response.url) == "http://users/hang"
            assert await response.text() == "at last"


@pytest.mark.timeout(60)
async def test_the_total_time_out_ends_two_attempts_at_the_same_time(
    memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", *(server.instance() for server in servers[:2]))
    settings = ClientSettings(retry=RetrySettings(hedge_after=0.02))
    async with (
        Discovery(memory, settings=settings, handle_signals=False) as discovery,
        aiohttp.ClientSession(middlewares=[discovery_middleware(discovery)]) as session,
    ):
        with pytest.raises(TimeoutError):
            await session.get("http://users/hang", timeout=aiohttp.ClientTimeout(total=1.0))
        loads = [await load(discovery, server) for server in servers[:2]]
        assert [(one.in_flight, one.successes) for one in loads] == [(0, 0), (0, 0)]
