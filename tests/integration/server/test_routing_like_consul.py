"""Paths, methods and framing: the same requests to a real Consul and to ours, and what may differ."""

import pytest

from tests.integration.server.talking import Talk
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until
from tests.unit.server.answered import Answered


def both(consul: ConsulServer, homeport: HomeportServer, data: bytes) -> tuple[Answered, Answered]:
    """The answers of both to the same bytes."""
    answers = []
    for server in (consul, homeport):
        with Talk(server.address) as talk:
            talk.send(data)
            answers.append(talk.answer())
    return answers[0], answers[1]


def plain(method: str, target: str, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "DELETE", "POST"])
@pytest.mark.parametrize(
    "target",
    [
        "//v1/agent/self", "/v1//agent/self", "/v1/./agent/self", "/v1/../v1/agent/self?a=b&c", "/v1/agent/self/..",
        "/v1/health/service/a%2F%2Fb", "/v1/health/service/a%2F..%2Fb", "/v1/health/service//a%20b%3Fc%23d",
        "/v1/health/service//!'()*$&+,:;=@~_.-", "/v1/health/service//%C3%A4%22%3C%3E%7C", "//", "/v1/x/..//",
    ],
)  # fmt: skip
def test_paths_that_are_not_clean(consul: ConsulServer, homeport: HomeportServer, method: str, target: str) -> None:
    theirs, ours = both(consul, homeport, plain(method, target))
    for name in ("Location", "Content-Type"):
        assert ours.header(name) == theirs.header(name)
    assert (ours.status, ours.body) == (theirs.status, theirs.body) == (301, theirs.body)


@pytest.mark.parametrize(
    "character", [*(f"%{code:02x}" for code in (*range(0x20), 0x7F)), "%C2%85", "%C2%A0", "%C2%AD", "%E2%80%A8"]
)
@pytest.mark.parametrize("path", ["/v1/health/service/a{}b", "/{}", "//v1{}"])
def test_what_cannot_be_printed(consul: ConsulServer, homeport: HomeportServer, character: str, path: str) -> None:
    theirs, ours = both(consul, homeport, plain("GET", path.format(character)))
    assert (ours.status, ours.body) == (theirs.status, theirs.body) == (400, b"")
    assert ours.header("Content-Type") is theirs.header("Content-Type") is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/status/leader", "/v1/status/peers", "/v1/catalog/nodes", "/v1/catalog/datacenters", "/v1/catalog/register",
        "/v1/catalog/deregister", "/v1/health/node/x", "/v1/health/state/any", "/v1/agent/self", "/v1/agent/checks",
        "/v1/agent/service/register", "/v1/agent/check/register", "/v1/agent/check/pass/x",
        "/v1/agent/service/maintenance/x",
    ],
)  # fmt: skip
def test_methods(consul: ConsulServer, homeport: HomeportServer, method: str, path: str) -> None:
    with Talk(consul.address) as talk:
        talk.send(plain("OPTIONS", path))
        if method in (talk.answer().header("Allow") or "").split(",")[1:]:
            return  # it is a method of this path: others test what it does
    data = plain(method, path, "Connection: close")
    answers = []
    for server in (consul, homeport):
        with Talk(server.address) as talk:
            talk.send(data)
            answers.append(talk.answer(to_head=method == "HEAD"))
            assert talk.ended(), "to HEAD no body follows"
    theirs, ours = answers
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    for name in ("Allow", "Content-Length", "Content-Type", "Vary"):
        assert ours.header(name) == theirs.header(name), name


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (plain("OPTIONS", "*"), 200),
        (plain("GET", "*"), 400),
        (plain("GET", "/v1/health/service/%zz"), 400),
        (plain("GET", "/v1/health/service/%2"), 400),
        (plain("GET", "http://elsewhere/v1/catalog/datacenters"), 200),
        (plain("GET", "/v1/catalog/datacenters", "Expect: 100-continue"), 200),
        (plain("GET", "/v1/catalog/datacenters", "Expect: miracles"), 417),
        (plain("GET", "/v1/catalog/datacenters", "Connection: Upgrade", "Upgrade: h2c"), 200),
        (plain("GET", "/v1/catalog/datacenters", "Transfer-Encoding: gzip, chunked"), 501),
        (plain("GET", "/v1/catalog/datacenters", "X : y"), 400),
        (plain("GET", "/v1/catalog/datacenters", "X: y\0"), 400),
        (plain("GET", "/v1/catalog/datacenters", "Host: b"), 400),
        (b"GET /v1/catalog/datacenters HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/catalog/datacenters HTTP/1.0\r\n\r\n", 200),
        (b"GET /v1/catalog/datacenters\r\n\r\n", 400),
        (plain("GET", "/v1/catalog/datacenters", "Content-Length: 4") + b"body", 200),
    ],
)
def test_framing(consul: ConsulServer, homeport: HomeportServer, data: bytes, status: int) -> None:
    first = data.replace(b" HTTP/1.0\r\n", b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")
    theirs, ours = both_loosely(consul, homeport, data if data == first else first)
    assert theirs == ours == status
    if data != first:
        with Talk(homeport.address) as talk:
            talk.send(data)
            assert talk.answer().status == status


def both_loosely(consul: ConsulServer, homeport: HomeportServer, data: bytes) -> tuple[int, int]:
    """The statuses of both; Go ends some of its refusals without saying how long they are."""
    statuses = []
    for server in (consul, homeport):
        with Talk(server.address) as talk:
            talk.send(data)
            statuses.append(int(talk.socket.recv(100).split()[1]))
    return statuses[0], statuses[1]


@pytest.mark.parametrize(
    ("accepts", "compressed"), [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)]
)
def test_compression(consul: ConsulServer, homeport: HomeportServer, name: str, accepts: str, compressed: bool) -> None:
    path = f"/v1/health/service/{name}"
    for server in (consul, homeport):
        server.request(
            "PUT", "/v1/agent/service/register", {"Name": name, "Meta": {f"k{n}": "x" * 200 for n in range(20)}}
        )
        # Consul's agent brings what it was told into the catalog a moment later.
        wait_until(lambda server=server: bool(server.request("GET", path)), timeout=60, what="an entry in the catalog")  # type: ignore[misc]  # the default binds the loop's value
        with Talk(server.address) as talk:
            talk.send(plain("GET", path, f"Accept-Encoding: {accepts}"))
            head = talk.socket.recv(2000).lower()
            assert (b"content-encoding: gzip" in head) is compressed
            assert b"vary: accept-encoding" in head
        server.request("PUT", f"/v1/agent/service/deregister/{name}")


def test_pretty(consul: ConsulServer, homeport: HomeportServer) -> None:
    theirs, ours = both(consul, homeport, plain("GET", "/v1/catalog/datacenters?pretty"))
    assert ours.body == theirs.body == b'[\n    "dc1"\n]\n'
