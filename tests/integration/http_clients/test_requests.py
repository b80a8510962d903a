"""What only requests has."""

import gc
import socket
from collections.abc import Iterator

import pytest
import requests
from urllib3.util import Timeout

from homeport.balancing.loads import Load
from homeport.blocking import Discovery
from homeport.integrations.requests import DiscoveryAdapter, Routing
from homeport.model import Instance
from homeport.testing.memory import Memory
from tests.servers.ports import LOOPBACK

from .instance_server import LARGE, InstanceServer


@pytest.fixture
def discovery(memory: Memory, servers: list[InstanceServer]) -> Iterator[Discovery]:
    memory.put("users", servers[0].instance())
    with Discovery(memory, handle_signals=False) as discovery:
        yield discovery


@pytest.fixture
def session(discovery: Discovery) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.mount("http://", DiscoveryAdapter(discovery))
        yield session


@pytest.fixture
def one(discovery: Discovery, servers: list[InstanceServer]) -> Load:
    return discovery.watching("users").traffic.table.of(servers[0].endpoint)


def test_the_request_stays_as_it_was(session: requests.Session) -> None:
    response = session.get("http://users/who")
    assert response.request.url == "http://users/who"
    assert "Host" not in response.request.headers  # where it would follow a redirect to another host


def test_a_key_reaches_the_balancer(memory: Memory, servers: list[InstanceServer]) -> None:
    by_user = Routing(key=lambda request: str(request.headers.get("X-User")))
    with (
        Discovery(memory, balancer="consistent_hash", handle_signals=False) as discovery,
        requests.Session() as session,
    ):
        session.mount("http://", DiscoveryAdapter(discovery, by_user))
        for _ in range(6):
            session.get("http://users/who", headers={"X-User": "7"})
        assert sorted(len(server.seen) for server in servers) == [0, 0, 6]
        for user in range(1000):  # where a key leads depends on the ports, which are others each time
            session.get("http://users/who", headers={"X-User": str(user)})
            if all(server.seen for server in servers):
                break
    assert all(server.seen for server in servers)


def test_a_part_of_a_service_may_be_called_otherwise(
    session: requests.Session, discovery: Discovery, memory: Memory, servers: list[InstanceServer]
) -> None:
    memory.put("users", *(server.instance() for server in servers))
    for server in servers[:2]:
        server.drops = True
    session.mount("http://users/echo", DiscoveryAdapter(discovery, Routing(idempotent=True)))
    for _ in range(3):
        assert session.post("http://users/echo", data=b"x").content == b"x"
    memory.put("users", servers[0].instance())
    with pytest.raises(requests.ConnectionError):
        session.post("http://users/who", data=b"x")


def test_the_raw_body_tells_when_it_ends(session: requests.Session, one: Load) -> None:
    with session.get("http://users/large", stream=True) as response:
        assert response.raw.status == 200
        assert response.raw.read(1000) == LARGE[:1000]
        buffer = bytearray(500)
        assert response.raw.readinto(buffer) == 500
        assert one.in_flight == 1
        assert len(response.raw.read()) == len(LARGE) - 1500
        assert (one.in_flight, one.successes) == (0, 1)
    with session.get("http://users/large", stream=True) as response:
        assert sum(len(piece) for piece in iter(lambda: response.raw.read(300_000), b"")) == len(LARGE)
        assert one.successes == 2
    with session.get("http://users/echo", data=b"a\nb\n", stream=True) as response, response.raw as raw:
        assert list(raw) == [b"a\n", b"b\n"]
        assert one.successes == 3
    assert one.successes == 3
    response = session.get("http://users/large", stream=True)
    response.raw.close()
    assert (one.in_flight, one.successes, one.failures) == (0, 4, 0)


def test_a_defect_of_the_program_is_no_failure_of_an_instance(session: requests.Session, one: Load) -> None:
    with pytest.raises(OSError, match="Could not find the TLS certificate file"):
        session.get("http://users/who", cert="/nowhere.pem")
    assert (one.in_flight, one.successes, one.failures) == (0, 0, 0)


@pytest.mark.timeout(60)
def test_a_response_that_is_not_the_last_gives_its_connection_back(
    discovery: Discovery, servers: list[InstanceServer]
) -> None:
    servers[0].status = 503
    with requests.Session() as session:
        session.mount("http://", DiscoveryAdapter(discovery, pool_maxsize=1, pool_block=True))
        assert session.get("http://users/large").status_code == 503
    assert len(servers[0].seen) == 3


def test_a_response_that_is_thrown_away_is_ended_by_the_next_request(session: requests.Session, one: Load) -> None:
    response = session.get("http://users/large", stream=True)
    assert one.in_flight == 1
    del response
    gc.collect()
    session.get("http://users/who")
    assert (one.in_flight, one.successes, one.failures) == (0, 1, 0)


@pytest.mark.timeout(60)
def test_the_time_outs_of_urllib3_are_kept(discovery: Discovery, servers: list[InstanceServer]) -> None:
    with requests.Session() as session:
        session.mount("http://", DiscoveryAdapter(discovery, Routing(deadline=20.0, idempotent=False)))
        for timeout in (Timeout(total=0.1), Timeout(read=0.1), (5.0, 0.1), 0.1):
            with pytest.raises(requests.ReadTimeout, match="read timeout"):
                session.get("http://users/hang", timeout=timeout)  # type: ignore[arg-type]  # the stubs lack one
    with requests.Session() as session:
        session.mount("http://", DiscoveryAdapter(discovery, Routing(deadline=0.5)))
        for longer in (Timeout(total=20), (20, 20), None):
            with pytest.raises(requests.ReadTimeout, match="was not answered within"):
                session.get("http://users/hang", timeout=longer)  # type: ignore[arg-type]


def test_a_proxy_that_the_program_names_is_asked_for_the_instance(
    session: requests.Session, servers: list[InstanceServer]
) -> None:
    answer = session.get("http://users/who", proxies={"http": f"http://{servers[1].endpoint}"})
    assert answer.content == b"two"
    assert servers[1].seen[0].path == f"http://{servers[0].endpoint}/who"
    assert servers[1].seen[0].headers["host"] == "users"


@pytest.mark.parametrize(
    ("address", "port", "netloc"),
    [("10.0.0.1", 8080, "10.0.0.1:8080"), ("::1", 8080, "[::1]:8080"), ("10.0.0.1", 0, "10.0.0.1")],
)
def test_every_form_of_address_is_called(
    session: requests.Session, memory: Memory, servers: list[InstanceServer], address: str, port: int, netloc: str
) -> None:
    memory.put("users", Instance(id="one", service="users", address=address, port=port))
    session.get("http://users/who", proxies={"http": f"http://{servers[1].endpoint}"})
    assert servers[1].seen[0].path == f"http://{netloc}/who"


def test_a_file_is_sent_again_only_if_nothing_was_sent(
    session: requests.Session, memory: Memory, servers: list[InstanceServer]
) -> None:
    with socket.socket() as nobody:
        nobody.bind((LOOPBACK, 0))
        memory.put("users", f"{LOOPBACK}:{nobody.getsockname()[1]}", servers[0].instance())
        for _ in range(2):
            with open(__file__, "rb") as file:  # noqa: PTH123 - what programs do
                assert b"test_a_file" in session.put("http://users/echo", data=file).content
    assert len(servers[0].seen) == 2
