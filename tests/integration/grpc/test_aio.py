"""The channel for `grpc.aio`, on real servers."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc import ChannelConnectivity, StatusCode
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from homeport import ClientSettings, Discovery, Instance, InvalidValue, Snapshot
from homeport.balancing.balancer import Picker
from homeport.balancing.loads import Load, Loads
from homeport.blocking import Discovery as BlockingDiscovery
from homeport.client.resilience.settings import RetrySettings
from homeport.integrations.grpc import discovery_channel
from homeport.testing.memory import Memory
from tests.integration.grpc.conftest import Serve
from tests.integration.grpc.counting_relay import counting_relay
from tests.integration.grpc.echo_server import HANG, PATIENCE, WHO, EchoServer
from tests.integration.grpc.stubs import AsyncEcho, Echo
from tests.integration.http_clients.passing_time import pass_time

TARGET = "discovery:///echo"
NAMES = {b"one", b"two", b"three"}


@pytest.fixture
async def discovery(memory: Memory) -> AsyncIterator[Discovery]:
    async with Discovery(memory) as discovery:
        yield discovery


async def load_of(discovery: Discovery, server: EchoServer) -> Load:
    """What calls have taught about a server."""
    watching = await discovery.watching("echo")
    return watching.traffic.table.of(server.instance().endpoint)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about that nobody tells of."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


async def failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def all_of(responses: AsyncIterator[bytes]) -> list[bytes]:
    return [response async for response in responses]


class TestChoosing:
    async def test_each_call_goes_to_the_next_instance(self, discovery: Discovery) -> None:
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            assert Counter([await echo.who(b"") for _ in range(60)]) == dict.fromkeys(NAMES, 20)

    async def test_the_balancer_may_be_chosen(self, discovery: Discovery) -> None:
        async with discovery_channel(discovery, TARGET, balancer="consistent_hash", key="user") as channel:
            echo = AsyncEcho(channel)
            for user in ("ann", "bob"):
                answers = {await echo.who(b"", metadata=(("user", user),)) for _ in range(10)}
                assert len(answers) == 1

    async def test_all_four_kinds(self, discovery: Discovery) -> None:
        async with discovery_channel(discovery, "homeport:///echo") as channel:
            echo = AsyncEcho(channel)
            assert {await echo.who(b"") for _ in range(3)} == NAMES
            counts = [await all_of(echo.count(b"2").__aiter__()) for _ in range(3)]
            assert sorted(counts) == [[b"one"] * 2, [b"three"] * 2, [b"two"] * 2]
            joined = [await echo.join(iter([b"a", b"b"])) for _ in range(3)]
            assert sorted(joined) == [b"one a b", b"three a b", b"two a b"]
            chats = [await all_of(echo.chat(iter([b"a", b"b"])).__aiter__()) for _ in range(3)]
            assert sorted(chats) == [[b"one a", b"one b"], [b"three a", b"three b"], [b"two a", b"two b"]]

    async def test_streams_may_be_read_and_written(self, discovery: Discovery) -> None:
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            chat = echo.chat()
            for word in (b"a", b"b"):
                await chat.write(word)
                answer = await chat.read()
                assert isinstance(answer, bytes)
                assert answer.endswith(b" " + word)
            await chat.done_writing()
            assert await chat.read() is grpc.aio.EOF
            join = echo.join()
            await join.write(b"c")
            await join.done_writing()
            assert (await join).endswith(b" c")
            count = echo.count(b"1")
            assert await count.read() in NAMES
            assert await count.read() is grpc.aio.EOF

    async def test_the_target_narrows(self, servers: list[EchoServer]) -> None:
        one, two, three = servers
        memory = Memory(
            echo=[
                one.instance(tags=("v1",), version="1.0.0"),
                two.instance(tags=("v2",), version="2.1.0", meta={"tier": "gold"}),
                three.instance(tags=("v2",), version="2.0.0", environment="staging"),
            ]
        )
        async with Discovery(memory) as discovery:
            for query, names in {
                "tag=v2": {b"two", b"three"},
                "version=<2": {b"one"},
                "meta.tier=gold": {b"two"},
                "environment=staging": {b"three"},
            }.items():
                async with discovery_channel(discovery, f"{TARGET}?{query}") as channel:
                    assert {await AsyncEcho(channel).who(b"") for _ in range(4)} == names
            async with discovery_channel(discovery, f"{TARGET}?datacenter=moon") as channel:
                assert (await failure(AsyncEcho(channel).who(b""))).code() is StatusCode.UNAVAILABLE

    async def test_the_key_of_a_call_is_in_its_metadata(self, memory: Memory) -> None:
        class ByKey:
            """The instance whose id is the key."""

            needs_outcomes = True

            def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
                return lambda key: next((one for one in snapshot.instances if one.id == key), None)

        async with (
            Discovery(memory, balancer=ByKey()) as discovery,
            discovery_channel(discovery, TARGET, key="user") as channel,
        ):
            echo = AsyncEcho(channel)
            assert [await echo.who(b"", metadata=(("user", "two"),)) for _ in range(3)] == [b"two"] * 3
            assert await all_of(echo.count(b"1", metadata=(("user", "one"),)).__aiter__()) == [b"one"]
            assert (await failure(echo.who(b""))).code() is StatusCode.UNAVAILABLE

    async def test_instances_come_and_go(self, servers: list[EchoServer], memory: Memory, discovery: Discovery) -> None:
        one, two, three = servers
        memory.put("echo", one.instance())
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            chat = echo.chat()
            await chat.write(b"a")
            assert await chat.read() == b"one a"
            memory.put("echo", two.instance(), three.instance())
            while await echo.who(b"") == b"one":  # until the channel has heard of it
                pass
            assert {await echo.who(b"") for _ in range(6)} == {b"two", b"three"}
            await chat.write(b"b")
            assert await chat.read() == b"one b"
            assert channel.connections == 3
            await chat.done_writing()
            assert await chat.read() is grpc.aio.EOF
            await until(lambda: channel.connections == 2)

    async def test_a_generated_stub(self) -> None:
        server = grpc.aio.server()
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with (
                Discovery(Memory(health=[f"127.0.0.1:{port}"])) as discovery,
                discovery_channel(discovery, "discovery:///health") as channel,
            ):
                stub: Any = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest())
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
                async for answer in stub.Watch(health_pb2.HealthCheckRequest()):
                    assert answer.status == health_pb2.HealthCheckResponse.SERVING
                    break
        finally:
            await server.stop(None)


class TestFailover:
    async def test_no_idempotent_call_fails_when_a_server_dies(
        self, discovery: Discovery, servers: list[EchoServer]
    ) -> None:
        async with discovery_channel(discovery, TARGET, idempotent={HANG.removeprefix("/"), WHO}) as channel:
            echo = AsyncEcho(channel)
            hanging = [asyncio.ensure_future(echo.hang(b"")) for _ in range(3)]
            for server in servers:
                await asyncio.to_thread(server.arrived.acquire)
            await asyncio.to_thread(servers[0].stop)
            for server in servers[1:]:
                server.release.set()
            assert Counter(await asyncio.gather(*hanging)).keys() == {b"two", b"three"}
            assert {await echo.who(b"") for _ in range(20)} == {b"two", b"three"}

    async def test_other_calls_are_not_sent_twice(self, discovery: Discovery, servers: list[EchoServer]) -> None:
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            calls = [echo.hang(b"") for _ in range(3)]
            for server in servers:
                await asyncio.to_thread(server.arrived.acquire)
            await asyncio.to_thread(servers[0].stop)
            for server in servers[1:]:
                server.release.set()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert {answer for answer in answers if isinstance(answer, bytes)} == {b"two", b"three"}
            [error] = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
            assert error.code() in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}

    @pytest.mark.parametrize("predicate", [False, True])
    async def test_an_idempotent_call_is_made_again_on_unavailable(
        self, discovery: Discovery, servers: list[EchoServer], predicate: bool
    ) -> None:
        names = {"echo.Echo/Fail"}
        idempotent = (lambda name: name == "/echo.Echo/Fail") if predicate else names
        async with discovery_channel(discovery, TARGET, idempotent=idempotent) as channel:
            echo = AsyncEcho(channel)
            error = await failure(echo.fail(b"UNAVAILABLE"))
            assert "was asked to fail" in (error.details() or "")
            assert [server.calls for server in servers] == [1, 1, 1]
            await failure(echo.fail(b"NOT_FOUND"))
            assert sum(server.calls for server in servers) == 4

    async def test_calls_that_were_never_sent_go_elsewhere(self, servers: list[EchoServer], dead: Instance) -> None:
        async with (
            Discovery(Memory(echo=[dead, servers[0].instance()])) as discovery,
            discovery_channel(discovery, TARGET) as channel,
        ):
            echo = AsyncEcho(channel)
            for _ in range(2):
                assert await echo.who(b"") == b"one"
                assert await all_of(echo.count(b"1").__aiter__()) == [b"one"]
                assert await echo.join(iter([b"a"])) == b"one a"
                assert await all_of(echo.chat(iter([b"a"])).__aiter__()) == [b"one a"]

    async def test_grpc_says_why_nobody_could_be_connected_to(self, dead: Instance) -> None:
        async with Discovery(Memory(echo=[dead])) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            for call in (echo.who(b""), echo.join(iter([b"a"])), echo.count(b"1").read(), echo.chat().read()):
                error = await failure(call)
                assert error.code() is StatusCode.UNAVAILABLE
                assert "Connection refused" in (error.details() or "")

    async def test_a_server_that_accepts_and_is_silent_is_given_up(self, servers: list[EchoServer]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
            async with (
                Discovery(Memory(echo=[endpoint, servers[0].instance()])) as discovery,
                discovery_channel(discovery, TARGET, connect_timeout=2.0) as channel,
            ):
                echo = AsyncEcho(channel)
                assert [await echo.who(b"") for _ in range(2)] == [b"one"] * 2
                assert [await all_of(echo.count(b"1").__aiter__()) for _ in range(2)] == [[b"one"]] * 2
            async with (
                Discovery(Memory(echo=[endpoint])) as discovery,
                discovery_channel(discovery, TARGET, connect_timeout=60) as channel,
            ):
                for call in (
                    AsyncEcho(channel).count(b"1", timeout=0.2).read(),
                    AsyncEcho(channel).who(b"", timeout=0.2),
                ):
                    assert (await failure(call)).code() is StatusCode.DEADLINE_EXCEEDED

    async def test_a_slow_idempotent_call_is_made_a_second_time(
        self, memory: Memory, servers: list[EchoServer]
    ) -> None:
        settings = ClientSettings(retry=RetrySettings(hedge_after=0.3))
        for server in servers[1:]:
            server.release.set()
        async with (
            Discovery(memory, settings=settings) as discovery,
            discovery_channel(discovery, TARGET, idempotent={HANG}) as channel,
        ):
            echo = AsyncEcho(channel)
            assert {await echo.who(b"") for _ in range(3)} == NAMES  # connected, so that none but the first is slow
            assert {await echo.hang(b"") for _ in range(3)} == {b"two", b"three"}
            load = await load_of(discovery, servers[0])
            assert (load.failures, load.in_flight) == (0, 0)

    async def test_the_deadline_of_the_settings_holds_for_calls_without_one(self, memory: Memory) -> None:
        settings = ClientSettings(retry=RetrySettings(deadline=0.2))
        async with Discovery(memory, settings=settings) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            for call in (echo.hang(b""), all_of(echo.count(b"0").__aiter__())):
                assert (await failure(call)).code() is StatusCode.DEADLINE_EXCEEDED

    async def test_attempts_are_bounded_by_the_settings(self, memory: Memory, servers: list[EchoServer]) -> None:
        settings = ClientSettings(retry=RetrySettings(attempts=2))
        async with (
            Discovery(memory, settings=settings) as discovery,
            discovery_channel(discovery, TARGET, idempotent=lambda _: True) as channel,
        ):
            await failure(AsyncEcho(channel).fail(b"UNAVAILABLE"))
        assert sum(server.calls for server in servers) == 2


class TestWaiting:
    async def test_without_instances_every_kind_fails_with_a_sentence(self) -> None:
        async with Discovery(Memory()) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            sentence = '"echo" has no instances on memory://.'
            for call in (echo.who(b""), echo.join(iter([b"a"])), echo.count(b"1").read(), echo.chat().read()):
                error = await failure(call)
                assert (error.code(), error.details()) == (StatusCode.UNAVAILABLE, sentence)
            for stream in (echo.count(b"1"), echo.chat()):
                with pytest.raises(grpc.aio.AioRpcError):
                    await all_of(stream.__aiter__())
            chat = echo.chat()
            assert (await failure(chat.write(b"a"))).details() == sentence
            assert (await failure(chat.wait_for_connection())).details() == sentence
            await chat.done_writing()
            assert await chat.code() is StatusCode.UNAVAILABLE
            assert await chat.details() == sentence
            assert not list(await chat.initial_metadata())
            assert not list(await chat.trailing_metadata())
            assert (chat.done(), chat.cancelled(), chat.cancel()) == (True, False, False)

    async def test_wait_for_ready_waits_for_an_instance(self, servers: list[EchoServer]) -> None:
        memory = Memory()
        async with Discovery(memory) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            calls = [
                asyncio.ensure_future(call)
                for call in (
                    echo.who(b"", wait_for_ready=True),
                    echo.join(iter([b"a"]), wait_for_ready=True),
                    echo.count(b"1", wait_for_ready=True).read(),
                    echo.chat(iter([b"a"]), wait_for_ready=True).read(),
                )
            ]
            await failure(echo.who(b""))
            memory.put("echo", servers[0].instance())
            answers: list[object] = list(await asyncio.gather(*calls))
            assert answers == [b"one", b"one a", b"one", b"one a"]

    async def test_wait_for_ready_waits_for_a_connection_and_for_the_backend(
        self, dead: Instance, serve: Serve
    ) -> None:
        memory = Memory(echo=[dead])
        with memory.outage():
            discovery = Discovery(memory)
            channel = discovery_channel(discovery, TARGET, options=(("grpc.max_reconnect_backoff_ms", 100),))
            echo = AsyncEcho(channel)
            error = await failure(echo.who(b""))
            assert error.code() is StatusCode.UNAVAILABLE
            who = asyncio.ensure_future(echo.who(b"", wait_for_ready=True))
            count = asyncio.ensure_future(echo.count(b"1", wait_for_ready=True).read())
            await failure(echo.who(b""))
        serve("late", port=dead.port)
        answers: list[object] = list(await asyncio.gather(who, count))
        assert answers == [b"late", b"late"]
        await channel.close()
        await discovery.aclose()

    async def test_waiting_ends_with_the_time_of_the_call(self) -> None:
        async with Discovery(Memory()) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            await failure(echo.who(b""))  # its watch has begun, so that all the time is spent on waiting
            # Each begins when the one before is over, since its time runs from when it is made.
            for make in (
                lambda: echo.who(b"", wait_for_ready=True, timeout=0.1),
                lambda: echo.count(b"1", wait_for_ready=True, timeout=0.1).read(),
            ):
                error = await failure(make())
                assert error.code() is StatusCode.DEADLINE_EXCEEDED
                assert error.details() == (
                    'no instance of "echo" could be called within 0.1 s: "echo" has no instances on memory://.'
                )

    async def test_a_call_that_has_no_time_left_says_that_nobody_was_called(self, discovery: Discovery) -> None:
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            await echo.who(b"")
            for call in (
                echo.who(b"", wait_for_ready=True, timeout=0.0),
                echo.count(b"1", wait_for_ready=True, timeout=0.0).read(),
            ):
                error = await failure(call)
                assert error.code() is StatusCode.DEADLINE_EXCEEDED
                assert error.details() == 'no instance of "echo" could be called within 0 s'


class TestOutcomes:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("UNAVAILABLE", (0, 1)), ("INTERNAL", (0, 1)), ("UNKNOWN", (0, 1)), ("DEADLINE_EXCEEDED", (0, 1)),
            ("RESOURCE_EXHAUSTED", (0, 1)), ("DATA_LOSS", (0, 1)), ("NOT_FOUND", (1, 0)), ("INVALID_ARGUMENT", (1, 0)),
            ("PERMISSION_DENIED", (1, 0)), ("ABORTED", (1, 0)), ("CANCELLED", (0, 0)),
        ],
    )  # fmt: skip
    async def test_a_status_speaks_for_or_against_the_instance(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer], code: str, expected: tuple[int, int]
    ) -> None:
        memory.put("echo", servers[0].instance())
        async with discovery_channel(discovery, TARGET) as channel:
            error = await failure(AsyncEcho(channel).fail(code.encode()))
            assert error.code() is StatusCode[code]
            load = await load_of(discovery, servers[0])
            assert (load.successes, load.failures) == expected
            assert load.in_flight == 0

    async def test_a_stream_is_under_way_until_its_end(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer]
    ) -> None:
        memory.put("echo", servers[0].instance())
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            load = await load_of(discovery, servers[0])
            for last, expected in ((b"b", (1, 0)), (b"fail", (1, 1))):
                chat = echo.chat()
                await chat.write(b"a")
                await chat.read()
                assert load.in_flight == 1
                await chat.write(last)
                await chat.done_writing()
                if last == b"fail":
                    assert (await failure(chat.read())).code() is StatusCode.INTERNAL
                else:
                    assert [await chat.read(), await chat.read()] == [b"one b", grpc.aio.EOF]
                await until(lambda: load.in_flight == 0)
                assert (load.successes, load.failures) == expected

    async def test_a_cancelled_call_says_nothing(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer]
    ) -> None:
        memory.put("echo", servers[0].instance())
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            load = await load_of(discovery, servers[0])
            hanging = echo.hang(b"")
            await asyncio.to_thread(servers[0].arrived.acquire)
            assert hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert await hanging.code() is StatusCode.CANCELLED
            assert hanging.cancelled()

            waiting = asyncio.ensure_future(echo.hang(b""))
            await asyncio.to_thread(servers[0].arrived.acquire)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

            count = echo.count(b"0")
            await count.read()
            count.cancel()
            assert await count.code() is StatusCode.CANCELLED
            for _ in range(3):
                assert await asyncio.to_thread(servers[0].ended.acquire, timeout=PATIENCE)  # the server hears of it
            await until(lambda: load.in_flight == 0)
            assert (load.successes, load.failures) == (0, 0)

    async def test_a_deadline_bounds_all_and_counts(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer]
    ) -> None:
        memory.put("echo", servers[0].instance())
        async with discovery_channel(discovery, TARGET) as channel:
            echo = AsyncEcho(channel)
            assert await echo.who(b"") == b"one"  # connected, so that the time is the server's
            call = echo.hang(b"", timeout=0.5)
            left = call.time_remaining()
            assert left is not None
            assert 0 <= left <= 0.5
            assert (await failure(call)).code() is StatusCode.DEADLINE_EXCEEDED
            assert (
                await failure(all_of(echo.count(b"0", timeout=0.5).__aiter__()))
            ).code() is StatusCode.DEADLINE_EXCEEDED
            load = await load_of(discovery, servers[0])
            await until(lambda: load.in_flight == 0)
            assert (load.successes, load.failures) == (1, 2)
            assert echo.who(b"").time_remaining() is None


class TestGRPC:
    async def test_metadata_and_authority(self, discovery: Discovery) -> None:
        async with discovery_channel(discovery, TARGET) as channel:
            call = AsyncEcho(channel).headers(b"", metadata=(("color", "blue"),))
            ended: list[object] = []
            call.add_done_callback(ended.append)
            lines = (await call).decode().splitlines()
            assert "color=blue" in lines
            assert ":authority=echo" in lines
            name = dict(await call.initial_metadata())["served-by"]
            assert dict(await call.trailing_metadata())["done-by"] == name
            assert await call.code() is StatusCode.OK
            assert await call.details() == ""
            await until(lambda: ended == [call])
            assert call.done()

    async def test_options_hold_for_each_connection(self, discovery: Discovery) -> None:
        options = (("grpc.default_authority", "other.example"), ("grpc.max_receive_message_length", 4))
        async with discovery_channel(discovery, TARGET, options=options) as channel:
            echo = AsyncEcho(channel)
            assert (await failure(echo.headers(b""))).code() is StatusCode.RESOURCE_EXHAUSTED
        async with discovery_channel(discovery, TARGET, options=options[:1]) as channel:
            assert b":authority=other.example" in await AsyncEcho(channel).headers(b"")

    @pytest.mark.parametrize("channels_own", [False, True])
    async def test_compression(self, servers: list[EchoServer], channels_own: bool) -> None:
        message = bytes(100_000)
        async with counting_relay(servers[0].port) as relay:
            memory = Memory(echo=[f"127.0.0.1:{relay.port}"])
            compression = grpc.Compression.Gzip
            channels: dict[str, Any] = {"compression": compression} if channels_own else {}
            calls: dict[str, Any] = {} if channels_own else {"compression": compression}
            async with Discovery(memory) as discovery, discovery_channel(discovery, TARGET, **channels) as channel:
                assert await AsyncEcho(channel).who(message, **calls) == b"one"
            assert 0 < relay.received < 10_000

            def blocking() -> None:
                with BlockingDiscovery(memory) as discovery, discovery_channel(discovery, TARGET, **channels) as sync:
                    assert Echo(sync).who(message, **calls) == b"one"

            await asyncio.to_thread(blocking)
            assert relay.received < 20_000
            async with Discovery(memory) as discovery, discovery_channel(discovery, TARGET) as channel:
                assert await AsyncEcho(channel).who(message) == b"one"
            assert relay.received > 100_000

    async def test_interceptors_see_each_attempt(self, discovery: Discovery) -> None:
        attempts: list[str] = []

        class Count(grpc.aio.UnaryUnaryClientInterceptor):
            async def intercept_unary_unary(self, continuation, client_call_details, request):  # type: ignore[no-untyped-def]
                attempts.append(client_call_details.method)
                return await continuation(client_call_details, request)

        class Stream(grpc.aio.UnaryStreamClientInterceptor):
            async def intercept_unary_stream(self, continuation, client_call_details, request):  # type: ignore[no-untyped-def]
                attempts.append("stream")
                return await continuation(client_call_details, request)

        async with discovery_channel(
            discovery, TARGET, idempotent={"echo.Echo/Fail"}, interceptors=(Count(), Stream())
        ) as channel:
            echo = AsyncEcho(channel)
            await failure(echo.fail(b"UNAVAILABLE"))
            assert len(attempts) == 3
            assert len(await all_of(echo.count(b"2").__aiter__())) == 2
            assert attempts[3:] == ["stream"]

    async def test_the_state_of_the_channel(self, memory: Memory, servers: list[EchoServer], dead: Instance) -> None:
        memory.put("echo", dead)
        async with Discovery(memory) as discovery:
            channel = discovery_channel(discovery, TARGET)
            assert channel.get_state() is ChannelConnectivity.IDLE
            assert channel.get_state(try_to_connect=True) is ChannelConnectivity.CONNECTING
            ready = asyncio.create_task(channel.channel_ready())
            async with asyncio.timeout(PATIENCE):
                while channel.get_state() is not ChannelConnectivity.TRANSIENT_FAILURE:
                    await channel.wait_for_state_change(channel.get_state())
            memory.put("echo", dead, servers[0].instance())
            await ready
            assert channel.get_state() is ChannelConnectivity.READY
            waiting = asyncio.create_task(channel.wait_for_state_change(ChannelConnectivity.READY))
            await channel.close()
            await waiting
            assert channel.get_state(try_to_connect=True) is ChannelConnectivity.SHUTDOWN
            with pytest.raises(grpc.aio.UsageError):
                await channel.channel_ready()


class TestClosing:
    async def test_nothing_is_left(self, discovery: Discovery, servers: list[EchoServer]) -> None:
        before = asyncio.all_tasks()
        channel = discovery_channel(discovery, TARGET)
        echo = AsyncEcho(channel)
        calls = [echo.hang(b""), echo.count(b"0"), echo.chat(), echo.who(b"", wait_for_ready=True)]
        for server in servers:
            await asyncio.to_thread(server.arrived.acquire)
        await channel.close()
        await channel.close()
        assert [await call.code() for call in calls[:3]] == [StatusCode.CANCELLED] * 3
        assert discovery.cache_statistics().watched == 0
        assert channel.connections == 0
        with pytest.raises(grpc.aio.UsageError):
            await echo.who(b"")
        await discovery.resolve("echo")  # it is not closed with the channel
        assert not {task.get_name() for task in asyncio.all_tasks() - before if "grpc" in task.get_name()}

    async def test_grace(self, discovery: Discovery, servers: list[EchoServer]) -> None:
        channel = discovery_channel(discovery, TARGET)
        echo = AsyncEcho(channel)
        calls = [echo.hang(b"") for _ in range(3)]
        for server in servers:
            await asyncio.to_thread(server.arrived.acquire)
        closing = asyncio.create_task(channel.close(grace=60.0))
        await asyncio.sleep(0)
        with pytest.raises(grpc.aio.UsageError):
            await echo.who(b"")
        servers[0].release.set()
        await asyncio.wait([asyncio.ensure_future(call.code()) for call in calls], return_when="FIRST_COMPLETED")
        await pass_time(60.0)
        await closing
        assert Counter([await call.code() for call in calls]) == {StatusCode.OK: 1, StatusCode.CANCELLED: 2}


@pytest.mark.parametrize("options", [{"connect_timeout": 0}, {"idempotent": "echo.Echo/Who"}, {"idempotent": {"Who"}}])
async def test_what_cannot_be_right_is_refused(discovery: Discovery, options: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        discovery_channel(discovery, TARGET, **options)  # type: ignore[call-overload]
