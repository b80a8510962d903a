"""What `http://users/path` does, the same in every library."""

import asyncio
import socket
from collections import Counter

import pytest

from homeport import BackendUnavailable, CircuitOpen, ClientSettings, DeadlineExceeded, NoInstances
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from homeport.integrations.http import Routing
from homeport.model import Instance
from homeport.testing.memory import Memory
from tests.servers.ports import LOOPBACK
from tests.servers.process import wait_until

from .clients import Client, load
from .conftest import Connect, Serve
from .instance_server import LARGE, PATIENCE, InstanceServer
from .tls_servers import TLSServers

ONE_TRY = ClientSettings(retry=RetrySettings(attempts=1))


async def settled(client: Client, servers: list[InstanceServer]) -> bool:
    """Whether no call is under way."""
    return all([(await load(client, server.endpoint)).in_flight == 0 for server in servers])


async def test_every_request_chooses_anew_on_connections_that_are_kept(
    client: Client, servers: list[InstanceServer]
) -> None:
    answers = [await client.fetch("http://users/who") for _ in range(60)]
    assert Counter(answer.served_by for answer in answers) == {"one": 20, "two": 20, "three": 20}
    assert [server.accepted for server in servers] == [1, 1, 1]
    assert await settled(client, servers)
    assert (await load(client, servers[0].endpoint)).successes == 20


async def test_the_name_of_the_service_stays_in_the_request_and_its_response(
    client: Client, servers: list[InstanceServer]
) -> None:
    answer = await client.fetch("http://users/who?a=1&b=%20c")
    assert answer.url == "http://users/who?a=1&b=%20c"
    seen = next(server for server in servers if server.seen).seen[0]
    assert seen.headers["host"] == "users"
    assert seen.path == "/who?a=1&b=%20c"


async def test_a_host_with_a_dot_or_a_port_passes_through(client: Client, servers: list[InstanceServer]) -> None:
    answer = await client.fetch(f"http://{servers[1].endpoint}/who")
    assert answer.served_by == "two"
    assert servers[1].seen[0].headers["host"] == servers[1].endpoint
    answer = await client.fetch(f"http://localhost:{servers[2].port}/who")
    assert answer.served_by == "three"
    assert (await load(client, servers[1].endpoint)).successes == 0


async def test_a_suffix_names_services(connect: Connect, servers: list[InstanceServer]) -> None:
    client = connect(routing=Routing(suffix=".service"))
    answer = await client.fetch("http://users.service/who")
    assert answer.url == "http://users.service/who"
    assert next(server for server in servers if server.seen).seen[0].headers["host"] == "users.service"


async def test_an_instance_that_was_killed_costs_no_request(client: Client, servers: list[InstanceServer]) -> None:
    for number in range(30):
        if number == 10:
            await asyncio.to_thread(servers[0].stop)
        answer = await client.fetch("http://users/who")
        assert answer.status == 200
    assert await settled(client, servers)
    assert (await load(client, servers[0].endpoint)).failures > 0


async def test_an_idempotent_request_is_repeated_elsewhere(client: Client, servers: list[InstanceServer]) -> None:
    for server in servers[:2]:
        server.drops = True
    for method in ("GET", "PUT", "DELETE"):
        answer = await client.fetch("http://users/who", method, body=b"twice" if method == "PUT" else None)
        assert answer.served_by == "three"
    assert any(seen.body == b"twice" for seen in servers[2].seen)


async def test_a_status_that_says_so_is_repeated_elsewhere_too(client: Client, servers: list[InstanceServer]) -> None:
    for server in servers[:2]:
        server.status = 503
    answers = [await client.fetch("http://users/who") for _ in range(3)]
    assert {(answer.status, answer.served_by) for answer in answers} == {(200, "three")}
    assert (await load(client, servers[0].endpoint)).failures > 0


async def test_a_post_that_arrived_is_not_repeated(client: Client, servers: list[InstanceServer]) -> None:
    for server in servers:
        server.drops = True
    with pytest.raises(client.any_error):
        await client.fetch("http://users/who", "POST", body=b"once")
    assert sum(len(server.seen) for server in servers) == 1
    assert await settled(client, servers)


async def test_a_post_with_an_idempotency_key_is_repeated(client: Client, servers: list[InstanceServer]) -> None:
    for server in servers[:2]:
        server.drops = True
    for _ in range(3):
        answer = await client.fetch("http://users/echo", "POST", body=b"paid", headers={"Idempotency-Key": "7"})
        assert (answer.served_by, answer.body) == ("three", b"paid")


async def test_idempotence_may_be_claimed_and_denied(connect: Connect, servers: list[InstanceServer]) -> None:
    for server in servers[:2]:
        server.drops = True
    claimed = connect(routing=Routing(idempotent=True))
    for _ in range(3):
        assert (await claimed.fetch("http://users/who", "POST", body=b"x")).served_by == "three"
    denied = connect(routing=Routing(idempotent=False))
    outcomes = Counter[str]()
    for _ in range(3):
        try:
            outcomes[(await denied.fetch("http://users/who")).served_by] += 1
        except denied.any_error:
            outcomes["lost"] += 1
    assert outcomes == {"lost": 2, "three": 1}


async def test_a_post_that_was_refused_is_repeated(client: Client, memory: Memory, serve: Serve) -> None:
    alive = serve("alive")
    with socket.socket() as nobody:  # bound, but nobody listens: whoever connects is refused
        nobody.bind((LOOPBACK, 0))
        dead = Instance(id="dead", service="users", address=LOOPBACK, port=nobody.getsockname()[1])
        memory.put("users", dead, alive.instance())
        for _ in range(4):
            assert (await client.fetch("http://users/echo", "POST", body=b"once")).served_by == "alive"
            assert (await client.fetch("http://users/echo", "POST", pieces=[b"on", b"ce"])).body == b"once"
    assert [seen.body for seen in alive.seen] == [b"once"] * 8
    assert (await load(client, dead.endpoint)).failures > 0


async def test_a_body_that_can_be_read_once_is_not_repeated(client: Client, servers: list[InstanceServer]) -> None:
    assert (await client.fetch("http://users/echo", "PUT", pieces=[b"a", b"b"])).body == b"ab"
    for server in servers:
        server.seen.clear()
        server.drops = True
    with pytest.raises(client.any_error):
        await client.fetch("http://users/who", "PUT", pieces=[b"a", b"b"])
    assert sum(len(server.seen) for server in servers) == 1


async def test_the_number_of_attempts_and_the_budget_bound_retries(
    connect: Connect, servers: list[InstanceServer]
) -> None:
    for server in servers:
        server.status = 503
    twice = connect(settings=ClientSettings(retry=RetrySettings(attempts=2)))
    assert (await twice.fetch("http://users/who")).status == 503
    assert sum(len(server.seen) for server in servers) == 2
    broke = connect(settings=ClientSettings(retry=RetrySettings(budget_share=0.0, budget_per_second=0.0)))
    assert (await broke.fetch("http://users/who")).status == 503
    assert sum(len(server.seen) for server in servers) == 3


async def test_a_lost_connection_is_tried_as_often_as_the_settings_say(
    connect: Connect, servers: list[InstanceServer]
) -> None:
    client = connect(settings=ONE_TRY)
    for server in servers:
        server.drops = True
    with pytest.raises(client.any_error):
        await client.fetch("http://users/who")
    assert sum(len(server.seen) for server in servers) == 1


@pytest.mark.parametrize("path", ["relative", "absolute"])
async def test_a_redirect_within_the_service_chooses_anew(
    client: Client, servers: list[InstanceServer], path: str
) -> None:
    answer = await client.fetch(f"http://users/{path}")
    assert (answer.status, answer.url) == (200, "http://users/who")
    assert [len(server.seen) for server in servers].count(1) == 2  # one sent it on, another answered
    assert await settled(client, servers)


async def test_a_redirect_to_an_instance_goes_there(client: Client, servers: list[InstanceServer]) -> None:
    answer = await client.fetch("http://users/own")
    first = next(server for server in servers if server.seen)
    assert (answer.url, answer.served_by) == (f"http://{first.endpoint}/who", first.name)
    assert [seen.headers["host"] for seen in first.seen] == ["users", first.endpoint]


async def test_cookies_belong_to_the_service(client: Client, servers: list[InstanceServer]) -> None:
    await client.fetch("http://users/cookie")
    for server in servers:
        server.seen.clear()
    for _ in range(3):
        await client.fetch("http://users/who")
    assert [server.seen[0].headers.get("cookie") for server in servers] == ["taste=sweet"] * 3
    await client.fetch(f"http://{servers[0].endpoint}/who")
    assert "cookie" not in servers[0].seen[-1].headers


async def test_a_call_lasts_until_its_body_ends(client: Client, memory: Memory, servers: list[InstanceServer]) -> None:
    memory.put("users", servers[0].instance())
    opened = await client.open("http://users/stream")
    assert await opened.piece() == b"first"
    one = await load(client, servers[0].endpoint)
    assert (one.in_flight, one.successes) == (1, 0)
    servers[0].go_on.set()
    assert await opened.piece() == b"second"
    assert await opened.piece() == b""
    assert (one.in_flight, one.successes, one.failures) == (0, 1, 0)
    await opened.close()
    assert one.successes == 1
    await client.fetch("http://users/who")
    assert servers[0].accepted == 1  # the connection was given back


async def test_a_body_that_breaks_is_a_failure(client: Client, memory: Memory, servers: list[InstanceServer]) -> None:
    memory.put("users", servers[0].instance())
    opened = await client.open("http://users/cut")
    assert await opened.piece() == b"first"
    servers[0].go_on.set()
    with pytest.raises(client.any_error):
        await opened.piece()
    await opened.close()
    one = await load(client, servers[0].endpoint)
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 1)


async def test_a_response_that_is_closed_early_is_a_success(
    client: Client, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    opened = await client.open("http://users/stream")
    assert await opened.piece() == b"first"
    await opened.close()
    one = await load(client, servers[0].endpoint)
    assert (one.in_flight, one.successes, one.failures) == (0, 1, 0)


async def test_an_error_status_is_a_failure_when_its_body_ends(
    connect: Connect, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    client = connect()
    servers[0].status = 500
    assert (await client.fetch("http://users/who")).status == 500
    servers[0].status = 404
    assert (await client.fetch("http://users/who")).status == 404
    one = await load(client, servers[0].endpoint)
    assert (one.in_flight, one.successes, one.failures) == (0, 1, 1)


async def test_large_and_packed_bodies_arrive_whole(client: Client) -> None:
    assert (await client.fetch("http://users/large")).body == LARGE
    assert (await client.fetch("http://users/packed")).body == LARGE
    assert (await client.fetch("http://users/echo", "POST", pieces=[LARGE, LARGE])).body == LARGE * 2
    assert (await client.fetch("http://users/who", "HEAD")).body == b""


async def test_many_at_once_leave_nothing_under_way(client: Client, servers: list[InstanceServer]) -> None:
    answers = await asyncio.gather(*(client.fetch("http://users/who") for _ in range(30)))
    assert Counter(answer.served_by for answer in answers) == {"one": 10, "two": 10, "three": 10}
    assert await settled(client, servers)


async def test_nothing_to_call_is_a_connect_error_that_says_why(
    connect: Connect, memory: Memory, servers: list[InstanceServer]
) -> None:
    client = connect()
    with pytest.raises(client.connect_error, match='"nobody" has no instances') as caught:
        await client.fetch("http://nobody/who")
    assert isinstance(caught.value.__cause__, NoInstances)
    with memory.outage(), pytest.raises(client.connect_error, match="nobody answers at memory://") as caught:
        await client.fetch("http://unknown/who")
    assert isinstance(caught.value.__cause__, BackendUnavailable)
    breaking = connect(
        settings=ClientSettings(circuit=CircuitSettings(minimum_calls=1, open_time=60.0), retry=ONE_TRY.retry)
    )
    for server in servers:
        server.status = 500
    assert (await breaking.fetch("http://users/who")).status == 500
    with pytest.raises(breaking.connect_error, match='nearly every call of "users" failed') as caught:
        await breaking.fetch("http://users/who")
    assert isinstance(caught.value.__cause__, CircuitOpen)


async def test_nobody_listening_anywhere_is_the_error_of_the_library(client: Client, memory: Memory) -> None:
    with socket.socket() as nobody:
        nobody.bind((LOOPBACK, 0))
        memory.put("users", Instance(id="dead", service="users", address=LOOPBACK, port=nobody.getsockname()[1]))
        with pytest.raises(client.connect_error) as caught:
            await client.fetch("http://users/who")
    assert not isinstance(caught.value.__cause__, NoInstances)


@pytest.mark.timeout(60)
async def test_the_deadline_bounds_the_wait_for_an_answer(
    connect: Connect, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    client = connect(settings=ClientSettings(retry=RetrySettings(deadline=1.0)))
    with pytest.raises(client.timeout_error, match=r'"users" was not answered within 1 s') as caught:
        await client.fetch("http://users/hang")
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    one = await load(client, servers[0].endpoint)
    assert (one.in_flight, one.failures) == (0, 1)


@pytest.mark.timeout(60)
async def test_the_deadline_bounds_the_body_too(
    connect: Connect, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", servers[0].instance())
    client = connect(routing=Routing(deadline=2.0))
    opened = await client.open("http://users/stream")
    assert await opened.piece() == b"first"
    with pytest.raises(client.timeout_error) as caught:
        await opened.piece()
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    await opened.close()
    one = await load(client, servers[0].endpoint)
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 1)


@pytest.mark.timeout(60)
async def test_the_deadline_bounds_a_body_that_is_always_on_its_way(
    connect: Connect, servers: list[InstanceServer]
) -> None:
    client = connect(routing=Routing(deadline=0.3))
    with pytest.raises(client.timeout_error) as caught:
        await client.fetch("http://users/trickle")
    assert isinstance(caught.value.__cause__, DeadlineExceeded)
    assert await settled(client, servers)


async def test_the_time_out_of_the_library_holds_for_each_attempt(
    client: Client, servers: list[InstanceServer]
) -> None:
    with pytest.raises(client.any_error):
        await client.fetch("http://users/hang", timeout=0.5)
    attempts = 3  # each given up, perhaps before the server has read it
    await asyncio.to_thread(
        wait_until,
        lambda: sum(len(server.seen) for server in servers) == attempts,
        timeout=PATIENCE,
        what="each attempt",
    )
    assert await settled(client, servers)


async def test_a_proxy_of_the_environment_is_not_asked_for_services(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:1")
    assert (await connect().fetch("http://users/who")).status == 200


async def test_tls_asks_for_the_name_of_the_service(connect: Connect, memory: Memory, tls: TLSServers) -> None:
    client = connect(authority=tls.authority, settings=ONE_TRY)
    memory.put("users", tls.serve("users").instance())
    assert (await client.fetch("https://users/who")).url == "https://users/who"
    assert tls.server_names == ["users"]


async def test_a_certificate_of_another_name_is_refused(connect: Connect, memory: Memory, tls: TLSServers) -> None:
    client = connect(authority=tls.authority, settings=ONE_TRY)
    memory.put("users", tls.serve("orders").instance())  # which is valid for the address of the instance
    with pytest.raises(client.connect_error, match=r"(?i)hostname"):
        await client.fetch("https://users/who")


async def test_an_instance_may_have_another_name_in_its_certificate(
    connect: Connect, memory: Memory, tls: TLSServers
) -> None:
    client = connect(authority=tls.authority, settings=ONE_TRY)
    memory.put("users", tls.serve("orders").instance(tls_server_name="orders"))
    assert (await client.fetch("https://users/who")).status == 200
    assert tls.server_names == ["orders"]
