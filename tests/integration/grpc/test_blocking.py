"""The channel for `grpc` without an event loop, on real servers."""

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc import ChannelConnectivity, StatusCode
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from homeport import ClientSettings, Instance, Snapshot
from homeport.balancing.balancer import Picker
from homeport.balancing.loads import Load, Loads
from homeport.blocking import Discovery
from homeport.client.resilience.settings import RetrySettings
from homeport.integrations.grpc import discovery_channel
from homeport.integrations.grpc.blocking.channel import DiscoveryChannel
from homeport.testing.memory import Memory
from tests.integration.grpc.conftest import Serve
from tests.integration.grpc.echo_server import HANG, PATIENCE, WHO, EchoServer
from tests.integration.grpc.stubs import Echo

TARGET = "discovery:///echo"
NAMES = {b"one", b"two", b"three"}


@pytest.fixture
def discovery(memory: Memory) -> Iterator[Discovery]:
    with Discovery(memory) as discovery:
        yield discovery


def load_of(discovery: Discovery, server: EchoServer) -> Load:
    """What calls have taught about a server."""
    return discovery.watching("echo").traffic.table.of(server.instance().endpoint)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about that nobody tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def failure(call: Callable[[], object]) -> Any:
    """The error that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


class TestChoosing:
    def test_each_call_goes_to_the_next_instance(self, discovery: Discovery) -> None:
        with discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            assert Counter([echo.who(b"") for _ in range(60)]) == dict.fromkeys(NAMES, 20)

    def test_the_balancer_may_be_chosen(self, discovery: Discovery) -> None:
        with discovery_channel(discovery, TARGET, balancer="consistent_hash", key="user") as channel:
            echo = Echo(channel)
            for user in ("ann", "bob"):
                assert len({echo.who(b"", metadata=(("user", user),)) for _ in range(10)}) == 1

    def test_all_four_kinds(self, discovery: Discovery) -> None:
        with discovery_channel(discovery, "homeport:///echo") as channel:
            echo = Echo(channel)
            assert {echo.who(b"") for _ in range(3)} == NAMES
            assert {echo.who.with_call(b"")[0] for _ in range(3)} == NAMES
            assert {echo.who.future(b"").result() for _ in range(3)} == NAMES
            counts = [list(echo.count(b"2")) for _ in range(3)]
            assert sorted(counts) == [[b"one"] * 2, [b"three"] * 2, [b"two"] * 2]
            joined = [echo.join(iter([b"a", b"b"])) for _ in range(3)]
            assert sorted(joined) == [b"one a b", b"three a b", b"two a b"]
            assert len({echo.join.future(iter([b"a"])).result() for _ in range(3)}) == 3
            assert echo.join.with_call(iter([b"a"]))[1].code() is StatusCode.OK
            chats = [list(echo.chat(iter([b"a", b"b"]))) for _ in range(3)]
            assert sorted(chats) == [[b"one a", b"one b"], [b"three a", b"three b"], [b"two a", b"two b"]]

    def test_from_many_threads(self, discovery: Discovery) -> None:
        with discovery_channel(discovery, TARGET) as channel, ThreadPoolExecutor(8) as threads:
            echo = Echo(channel)

            def calls(_: int) -> list[bytes]:
                return [echo.who(b""), *echo.count(b"1"), echo.who.future(b"").result()]

            names = Counter(name for names in threads.map(calls, range(40)) for name in names)
            assert names == dict.fromkeys(NAMES, 40)
            assert isinstance(channel, DiscoveryChannel)
            assert channel.connections == 3

    def test_the_key_of_a_call_is_in_its_metadata(self, memory: Memory) -> None:
        class ByKey:
            """The instance whose id is the key."""

            needs_outcomes = True

            def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
                return lambda key: next((one for one in snapshot.instances if one.id == key), None)

        with (
            Discovery(memory, balancer=ByKey()) as discovery,
            discovery_channel(discovery, TARGET, key="user") as channel,
        ):
            echo = Echo(channel)
            assert [echo.who(b"", metadata=(("user", "two"),)) for _ in range(3)] == [b"two"] * 3
            assert list(echo.count(b"1", metadata=(("user", "one"),))) == [b"one"]

    def test_instances_come_and_go(self, servers: list[EchoServer], memory: Memory, discovery: Discovery) -> None:
        one, two, three = servers
        memory.put("echo", one.instance())
        with discovery_channel(discovery, TARGET) as channel:
            assert isinstance(channel, DiscoveryChannel)
            echo = Echo(channel)
            count = echo.count(b"0")
            assert next(count) == b"one"
            memory.put("echo", two.instance(), three.instance())
            while echo.who(b"") == b"one":  # until the channel has heard of it
                pass
            assert {echo.who(b"") for _ in range(6)} == {b"two", b"three"}
            assert next(count) == b"one"
            assert channel.connections == 3
            count.cancel()
            until(lambda: channel.connections == 2)

    def test_a_generated_stub(self) -> None:
        server = grpc.server(ThreadPoolExecutor(2))
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with (
                Discovery(Memory(health=[f"127.0.0.1:{port}"])) as discovery,
                discovery_channel(discovery, "discovery:///health") as channel,
            ):
                stub: Any = health_pb2_grpc.HealthStub(channel)
                answer = stub.Check(health_pb2.HealthCheckRequest())
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
        finally:
            server.stop(None).wait()


class TestFailover:
    def test_no_idempotent_call_fails_when_a_server_dies(self, discovery: Discovery, servers: list[EchoServer]) -> None:
        with (
            discovery_channel(discovery, TARGET, idempotent={HANG.removeprefix("/"), WHO}) as channel,
            ThreadPoolExecutor(3) as threads,
        ):
            echo = Echo(channel)
            hanging = [threads.submit(echo.hang, b"") for _ in range(3)]
            for server in servers:
                server.arrived.acquire()
            servers[0].stop()
            for server in servers[1:]:
                server.release.set()
            assert Counter(call.result() for call in hanging).keys() == {b"two", b"three"}
            assert {echo.who(b"") for _ in range(20)} == {b"two", b"three"}

    def test_other_calls_are_not_sent_twice(self, discovery: Discovery, servers: list[EchoServer]) -> None:
        with discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            assert "was asked to fail" in failure(lambda: echo.fail(b"UNAVAILABLE")).details()
            assert sum(server.calls for server in servers) == 1

    def test_an_idempotent_call_is_made_again_on_unavailable(
        self, discovery: Discovery, servers: list[EchoServer]
    ) -> None:
        with discovery_channel(discovery, TARGET, idempotent=lambda name: name.endswith("/Fail")) as channel:
            echo = Echo(channel)
            assert "was asked to fail" in failure(lambda: echo.fail(b"UNAVAILABLE")).details()
            assert [server.calls for server in servers] == [1, 1, 1]
            failure(lambda: echo.fail(b"NOT_FOUND"))
            assert sum(server.calls for server in servers) == 4

    def test_calls_that_were_never_sent_go_elsewhere(self, servers: list[EchoServer], dead: Instance) -> None:
        with (
            Discovery(Memory(echo=[dead, servers[0].instance()])) as discovery,
            discovery_channel(discovery, TARGET) as channel,
        ):
            echo = Echo(channel)
            for _ in range(2):
                assert echo.who(b"") == b"one"
                assert echo.who.future(b"").result() == b"one"
                assert list(echo.count(b"1")) == [b"one"]
                assert echo.join(iter([b"a"])) == b"one a"
                assert list(echo.chat(iter([b"a"]))) == [b"one a"]

    def test_grpc_says_why_nobody_could_be_connected_to(self, dead: Instance) -> None:
        with Discovery(Memory(echo=[dead])) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            for call in (
                lambda: echo.who(b""),
                lambda: echo.who.future(b"").result(),
                lambda: echo.join(iter([b"a"])),
                lambda: next(echo.count(b"1")),
                lambda: next(echo.chat(iter([b"a"]))),
            ):
                error = failure(call)
                assert error.code() is StatusCode.UNAVAILABLE
                assert "Connection refused" in error.details()

    def test_a_connection_that_broke_is_made_again(self, serve: Serve, dead: Instance) -> None:
        first = serve("first", port=dead.port)
        with (
            Discovery(Memory(echo=[dead])) as discovery,
            discovery_channel(discovery, TARGET, options=(("grpc.max_reconnect_backoff_ms", 100),)) as channel,
        ):
            echo = Echo(channel)
            assert list(echo.count(b"1")) == [b"first"]
            first.stop()
            assert failure(lambda: next(echo.count(b"1", timeout=PATIENCE))).code() is StatusCode.UNAVAILABLE
            serve("second", port=dead.port)
            assert next(echo.count(b"1", wait_for_ready=True, timeout=PATIENCE)) == b"second"

    def test_attempts_are_bounded_by_the_settings(self, memory: Memory, servers: list[EchoServer]) -> None:
        settings = ClientSettings(retry=RetrySettings(attempts=2))
        with (
            Discovery(memory, settings=settings) as discovery,
            discovery_channel(discovery, TARGET, idempotent=lambda _: True) as channel,
        ):
            failure(lambda: Echo(channel).fail(b"UNAVAILABLE"))
        assert sum(server.calls for server in servers) == 2


class TestWaiting:
    def test_without_instances_every_kind_fails_with_a_sentence(self) -> None:
        with Discovery(Memory()) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            for call in (
                lambda: echo.who(b""),
                lambda: echo.who.future(b"").result(),
                lambda: echo.join(iter([b"a"])),
                lambda: next(echo.count(b"1")),
                lambda: list(echo.chat(iter([b"a"]))),
            ):
                error = failure(call)
                assert error.code() is StatusCode.UNAVAILABLE
                assert error.details() == '"echo" has no instances on memory://.'
            ended: list[object] = []
            made: Any = echo.who.future(b"")
            made.add_done_callback(ended.append)
            assert ended == [made]
            assert made.exception() is made
            assert (made.done(), made.running(), made.cancelled(), made.cancel(), made.is_active()) == (
                True, False, False, False, False,
            )  # fmt: skip
            assert (made.initial_metadata(), made.trailing_metadata(), made.time_remaining()) == ((), (), 0.0)
            assert made.traceback() is None
            assert not made.add_callback(lambda: None)

    def test_wait_for_ready_waits_for_an_instance(self, servers: list[EchoServer]) -> None:
        memory = Memory()
        with (
            Discovery(memory) as discovery,
            discovery_channel(discovery, TARGET) as channel,
            ThreadPoolExecutor(5) as threads,
        ):
            echo = Echo(channel)
            calls = [
                threads.submit(echo.who, b"", wait_for_ready=True),
                threads.submit(lambda: echo.who.future(b"", wait_for_ready=True).result()),
                threads.submit(echo.join, iter([b"a"]), wait_for_ready=True),
                threads.submit(lambda: next(echo.count(b"1", wait_for_ready=True))),
                threads.submit(lambda: next(echo.chat(iter([b"a"]), wait_for_ready=True))),
            ]
            failure(lambda: echo.who(b""))
            memory.put("echo", servers[0].instance())
            assert [call.result() for call in calls] == [b"one", b"one", b"one a", b"one", b"one a"]

    def test_wait_for_ready_waits_for_a_connection_and_for_the_backend(self, dead: Instance, serve: Serve) -> None:
        memory = Memory(echo=[dead])
        with (
            Discovery(memory) as discovery,
            discovery_channel(discovery, TARGET, options=(("grpc.max_reconnect_backoff_ms", 100),)) as channel,
            ThreadPoolExecutor(2) as threads,
        ):
            echo = Echo(channel)
            with memory.outage():
                assert failure(lambda: echo.who(b"")).code() is StatusCode.UNAVAILABLE
                who = threads.submit(echo.who, b"", wait_for_ready=True)
                count = threads.submit(lambda: next(echo.count(b"1", wait_for_ready=True)))
                failure(lambda: echo.who(b""))
            failure(lambda: echo.who(b""))
            serve("late", port=dead.port)
            assert [who.result(), count.result()] == [b"late", b"late"]

    def test_waiting_ends_with_the_time_of_the_call(self) -> None:
        with Discovery(Memory()) as discovery, discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            for call in (
                lambda: echo.who(b"", wait_for_ready=True, timeout=0.1),
                lambda: next(echo.count(b"1", wait_for_ready=True, timeout=0.1)),
            ):
                error = failure(call)
                assert error.code() is StatusCode.DEADLINE_EXCEEDED
                assert error.details() == (
                    'no instance of "echo" could be called within 0.1 s: "echo" has no instances on memory://.'
                )

    def test_a_call_that_has_no_time_left_says_that_nobody_was_called(self, discovery: Discovery) -> None:
        with discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            for call in (
                lambda: echo.who(b"", wait_for_ready=True, timeout=0.0),
                lambda: next(echo.count(b"1", wait_for_ready=True, timeout=0.0)),
            ):
                error = failure(call)
                assert error.code() is StatusCode.DEADLINE_EXCEEDED
                assert error.details() == 'no instance of "echo" could be called within 0 s'

    def test_closing_ends_the_waiting(self) -> None:
        with Discovery(Memory()) as discovery, ThreadPoolExecutor(1) as threads:
            channel = discovery_channel(discovery, TARGET)
            echo = Echo(channel)
            failure(lambda: echo.who(b""))
            waiting = threads.submit(echo.who, b"", wait_for_ready=True)
            channel.close()
            with pytest.raises(ValueError, match="closed channel"):
                waiting.result()


class TestOutcomes:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [("UNAVAILABLE", (0, 1)), ("RESOURCE_EXHAUSTED", (0, 1)), ("NOT_FOUND", (1, 0)), ("CANCELLED", (0, 0))],
    )
    def test_a_status_speaks_for_or_against_the_instance(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer], code: str, expected: tuple[int, int]
    ) -> None:
        memory.put("echo", servers[0].instance())
        with discovery_channel(discovery, TARGET) as channel:
            assert failure(lambda: Echo(channel).fail(code.encode())).code() is StatusCode[code]
            load = load_of(discovery, servers[0])
            assert (load.successes, load.failures) == expected
            assert load.in_flight == 0

    def test_a_stream_is_under_way_until_its_end(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer]
    ) -> None:
        memory.put("echo", servers[0].instance())
        with discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            load = load_of(discovery, servers[0])
            for last, expected in ((b"b", (1, 0)), (b"fail", (1, 1))):
                go_on = threading.Event()

                def requests(last: bytes = last, go_on: threading.Event = go_on) -> Iterator[bytes]:
                    yield b"a"
                    go_on.wait(PATIENCE)
                    yield last

                chat = echo.chat(requests())
                assert next(chat) == b"one a"
                assert load.in_flight == 1
                go_on.set()
                if last == b"fail":
                    assert failure(lambda: list(chat)).code() is StatusCode.INTERNAL  # noqa: B023
                else:
                    assert list(chat) == [b"one b"]
                until(lambda: load.in_flight == 0)
                assert (load.successes, load.failures) == expected

    def test_a_cancelled_call_says_nothing(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer]
    ) -> None:
        memory.put("echo", servers[0].instance())
        with discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            hanging = echo.hang.future(b"")
            servers[0].arrived.acquire()
            assert hanging.cancel()
            count = echo.count(b"0")
            next(count)
            del count  # a stream that nobody reads any more is cancelled
            gc.collect()
            for _ in range(2):
                assert servers[0].ended.acquire(timeout=PATIENCE)
            load = load_of(discovery, servers[0])
            until(lambda: load.in_flight == 0)
            assert (load.successes, load.failures) == (0, 0)

    def test_a_deadline_bounds_all_and_counts(
        self, discovery: Discovery, memory: Memory, servers: list[EchoServer]
    ) -> None:
        memory.put("echo", servers[0].instance())
        with discovery_channel(discovery, TARGET) as channel:
            echo = Echo(channel)
            assert echo.who(b"") == b"one"  # connected, so that the time is the server's
            assert failure(lambda: echo.hang(b"", timeout=0.5)).code() is StatusCode.DEADLINE_EXCEEDED
            assert failure(lambda: list(echo.count(b"0", timeout=0.5))).code() is StatusCode.DEADLINE_EXCEEDED
            load = load_of(discovery, servers[0])
            until(lambda: load.in_flight == 0)
            assert (load.successes, load.failures) == (1, 2)


class TestGRPC:
    def test_metadata_authority_and_options(self, discovery: Discovery) -> None:
        with discovery_channel(discovery, TARGET) as channel:
            answer, call = Echo(channel).headers.with_call(b"", metadata=(("color", "blue"),))
            lines = answer.decode().splitlines()
            assert "color=blue" in lines
            assert ":authority=echo" in lines
            assert dict(call.trailing_metadata())["done-by"] == dict(call.initial_metadata())["served-by"]
        options = (("grpc.default_authority", "other.example"), ("grpc.max_receive_message_length", 4))
        with discovery_channel(discovery, TARGET, options=options) as channel:
            assert failure(lambda: Echo(channel).headers(b"")).code() is StatusCode.RESOURCE_EXHAUSTED

    def test_interceptors_see_the_call_as_a_whole(self, discovery: Discovery) -> None:
        seen: list[str] = []

        class Count(grpc.UnaryUnaryClientInterceptor):
            def intercept_unary_unary(self, continuation, client_call_details, request):  # type: ignore[no-untyped-def]
                seen.append(client_call_details.method)
                return continuation(client_call_details, request)

        with discovery_channel(discovery, TARGET, idempotent=lambda _: True, interceptors=(Count(),)) as channel:
            failure(lambda: Echo(channel).fail(b"UNAVAILABLE"))
            assert len(seen) == 1

    def test_the_state_of_the_channel(self, memory: Memory, servers: list[EchoServer], dead: Instance) -> None:
        memory.put("echo", dead)
        with Discovery(memory) as discovery, discovery_channel(discovery, TARGET) as channel:
            states: list[ChannelConnectivity] = []
            failed = threading.Event()

            def take(state: ChannelConnectivity) -> None:
                states.append(state)
                if state is ChannelConnectivity.TRANSIENT_FAILURE:
                    failed.set()

            channel.subscribe(take)
            until(lambda: states == [ChannelConnectivity.IDLE])
            ready = grpc.channel_ready_future(channel)
            assert failed.wait(PATIENCE)
            memory.put("echo", dead, servers[0].instance())
            ready.result(timeout=PATIENCE)
            until(lambda: states[-1] is ChannelConnectivity.READY)
            channel.unsubscribe(take)
            seen = len(states)
            servers[0].stop()
            failure(lambda: Echo(channel).who(b""))
            assert len(states) == seen


class TestClosing:
    def test_nothing_is_left(self, discovery: Discovery, servers: list[EchoServer]) -> None:
        channel = discovery_channel(discovery, TARGET)
        echo = Echo(channel)
        calls = [echo.hang.future(b""), echo.count(b"0"), echo.count(b"0")]
        for server in servers:
            server.arrived.acquire()
        channel.subscribe(lambda _: None, try_to_connect=True)
        channel.close()
        channel.close()
        assert [call.code() for call in calls] == [StatusCode.CANCELLED] * 3
        assert discovery.cache_statistics().watched == 0
        for call in (lambda: echo.who(b""), lambda: echo.count(b"1"), lambda: channel.subscribe(print)):
            with pytest.raises(ValueError, match="closed channel"):
                call()
        discovery.resolve("echo")  # it is not closed with the channel
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("homeport grpc")]
