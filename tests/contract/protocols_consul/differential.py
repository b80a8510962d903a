"""The same request to a real Consul and to our registry, and what differs between their answers.

    def test_…(differential):
        differential.arrange("PUT", "/v1/agent/service/register", {"Name": "web-17", "Port": 80})
        differential.same("GET", "/v1/health/service/web-17")

Status, headers and body are compared field by field, the order of members included. What cannot be equal is made
equal first: node name, node id, indexes. What may differ is in `KNOWN`, or given by the test, each with its reason; a
reason that a test gives must be needed, so that a list of excuses does not outlive its causes.
"""

import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

TIMEOUT = 60.0
ABSENT: Final = "(absent)"
ANYTHING: Final = object()
_INDEX_MEMBERS = frozenset(("CreateIndex", "ModifyIndex"))
# They say how an answer travels, or when, not what it is.
_HEADERS_OF_TRANSPORT = frozenset(("Date", "Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding"))


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header by its name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def index(self) -> int:
        """The index of the answer; 0 without one."""
        return int(self.header("X-Consul-Index") or 0)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def value(self) -> Any:
        """The body, decoded if it is JSON."""
        kind = self.header("Content-Type") or ""
        return json.loads(self.body) if kind == "application/json" and self.body.strip() else self.text


class Difference(NamedTuple):
    """One place at which two answers differ: `status`, `header NAME`, or a path such as `body[0].Service.Port`."""

    where: str
    consul: Any
    homeport: Any


class Allowed(NamedTuple):
    """A difference that may be: its place (a regular expression), the reason, and what either side must then have."""

    where: str
    why: str
    consul: Any = ANYTHING
    homeport: Any = ANYTHING

    def covers(self, difference: Difference) -> bool:
        """Whether this is the difference that is meant."""
        return (
            re.fullmatch(self.where, difference.where) is not None
            and (self.consul is ANYTHING or self.consul == difference.consul)
            and (self.homeport is ANYTHING or self.homeport == difference.homeport)
        )


_CHECK = r"body.*"
KNOWN: Final = (
    Allowed("header X-Consul-Default-Acl-Policy", "since 1.9", ABSENT, "allow"),
    Allowed("header X-Consul-Query-Backend", "since 1.12", ABSENT, "blocking-query"),
    Allowed("header X-Homeport-Store", "ours: the id of the store", ABSENT),
    Allowed(_CHECK + r"\.(Interval|Timeout)", "checks show them since 1.10", ABSENT),
    Allowed(_CHECK + r"\.ExposedPort", "checks show it since 1.9", ABSENT, 0),
    Allowed(r"body.*\.Service(s.*)?\.Port", "left out when 0 since 1.11", 0, ABSENT),
    Allowed(r"body.*\.PeerName", "services have it since 1.14", ABSENT, ""),
    Allowed(r"body.*\.(Service)?Proxy\.Mode", "proxies have it since 1.10", ABSENT, ""),
    Allowed(r"body.*\.ServiceSocketPath", "services have it since 1.10", ABSENT, ""),
    Allowed(r"body.*\.ServiceLocality", "services have it since 1.17", ABSENT, None),
)
"""What differs between 1.8.7, the Consul that is at hand, and 1.21, the one we follow; and what our registry adds."""


class Side:
    """One of the two servers."""

    def __init__(self, server: ConsulServer | HomeportServer) -> None:
        self.address = server.address
        checks = self.send("GET", "/v1/health/state/any").value
        self.node: str = next(check["Node"] for check in checks if check["CheckID"] == "serfHealth")
        self.node_id: str = self.send("GET", f"/v1/catalog/node/{self.node}").value["Node"]["ID"]

    def send(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Exchange:
        """One request on a connection of its own. `body` goes out as it is if it is bytes, else as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        try:
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            return Exchange(response.status, tuple(response.getheaders()), response.read())
        finally:
            connection.close()

    def named(self, text: str) -> str:
        """`{node}` and `{node_id}` in a text replaced by this side's."""
        return text.replace("{node}", self.node).replace("{node_id}", self.node_id)

    def normal(self, value: Any, member: str = "") -> Any:
        """A decoded body without what is this side's own."""
        if isinstance(value, dict):
            return {self._own(key): self.normal(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.normal(item) for item in value]
        if member in _INDEX_MEMBERS and isinstance(value, int):
            return "<index>" if value else 0
        return self._own(value) if isinstance(value, str) else value

    def _own(self, text: str) -> str:
        return {self.node: "<node>", self.node_id: "<node id>"}.get(text, text)


class Differential:
    """Sends the same to both sides and compares."""

    def __init__(self, consul: ConsulServer, homeport: HomeportServer) -> None:
        self.consul = Side(consul)
        self.homeport = Side(homeport)

    def arrange(self, method: str, path: str, body: object = None) -> None:
        """Send a request to both that both must accept."""
        for exchange in self.send(method, path, body):
            assert exchange.status == 200, f"{method} {path}: {exchange.status} {exchange.text}"

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Exchange, Exchange]:
        """Send a request to both, `{node}` and `{node_id}` replaced in path and body: Consul's answer, then ours."""
        first, second = (
            side.send(method, side.named(path), _named(body, side), headers) for side in (self.consul, self.homeport)
        )
        return first, second

    def same(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        allowed: Sequence[Allowed] = (),
        pick: Callable[[Any], Any] | None = None,
    ) -> tuple[Exchange, Exchange]:
        """Send a request to both and fail if the answers differ beyond `KNOWN` and `allowed`; returns the answers.

        `pick` is given the decoded body of either answer and returns the part to be compared: what the test arranged.
        """
        answers = self.send(method, path, body, headers)
        found = list(self.differences(*answers, pick=pick))
        for excuse in allowed:
            assert any(map(excuse.covers, found)), f"nothing differs at {excuse.where} any more: {excuse.why}"
        left = [
            difference for difference in found if not any(excuse.covers(difference) for excuse in (*KNOWN, *allowed))
        ]
        assert not left, f"{method} {path}\n" + "\n".join(
            f"  {where}: Consul {theirs!r}, Homeport {ours!r}" for where, theirs, ours in left
        )
        return answers

    def differences(
        self, consul: Exchange, homeport: Exchange, *, pick: Callable[[Any], Any] | None = None
    ) -> Iterator[Difference]:
        """All differences of two answers, in no order that matters."""
        if consul.status != homeport.status:
            yield Difference("status", consul.status, homeport.status)
        yield from _members("header ", _headers(consul), _headers(homeport))
        bodies = (consul.value, homeport.value)
        theirs, ours = (pick(body) for body in bodies) if pick is not None else bodies
        yield from _compare("body", self.consul.normal(theirs), self.homeport.normal(ours))


def _named(body: object, side: Side) -> object:
    if isinstance(body, str):
        return side.named(body)
    if isinstance(body, Mapping):
        return {key: _named(value, side) for key, value in body.items()}
    if isinstance(body, list):
        return [_named(value, side) for value in body]
    return body


def _headers(exchange: Exchange) -> dict[str, str]:
    # How names are spelled is a test of its own: it concerns every answer.
    headers = {name.title(): value for name, value in exchange.headers if name.title() not in _HEADERS_OF_TRANSPORT}
    if "X-Consul-Index" in headers:
        headers["X-Consul-Index"] = "<index>"
    return headers


def _compare(where: str, consul: Any, homeport: Any) -> Iterator[Difference]:
    if isinstance(consul, dict) and isinstance(homeport, dict):
        yield from _members(f"{where}.", consul, homeport)
        orders = [[key for key in side if key in consul and key in homeport] for side in (consul, homeport)]
        if orders[0] != orders[1]:
            yield Difference(f"{where} order of members", *orders)
    elif isinstance(consul, list) and isinstance(homeport, list) and len(consul) == len(homeport):
        for position, (theirs, ours) in enumerate(zip(consul, homeport, strict=True)):
            yield from _compare(f"{where}[{position}]", theirs, ours)
    elif consul != homeport or type(consul) is not type(homeport):
        yield Difference(where, consul, homeport)


def _members(where: str, consul: Mapping[str, Any], homeport: Mapping[str, Any]) -> Iterator[Difference]:
    for key in {**consul, **homeport}:
        theirs, ours = consul.get(key, ABSENT), homeport.get(key, ABSENT)
        if theirs is ABSENT or ours is ABSENT:
            yield Difference(f"{where}{key}", theirs, ours)
        else:
            yield from _compare(f"{where}{key}", theirs, ours)
