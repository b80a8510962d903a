"""Registrations in the catalog: what is wrong is refused with Consul's status and words, and writes nothing."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.contract.protocols_consul.differential import Differential, Side
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

REGISTER, DEREGISTER = "/v1/catalog/register", "/v1/catalog/deregister"
UUID = "40e4a748-2192-161a-0510-9bf59fe950b5"


class Ours(NamedTuple):
    """What we answer where Consul 1.8.7, which is at hand, answers something else."""

    status: int
    text: str
    why: str


class Case(NamedTuple):
    """A body that is refused; by both in the same words, or by us as in ``ours``."""

    path: str
    body: object
    ours: Ours | None = None


@pytest.fixture(scope="module")
def differential(consul: ConsulServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Differential]:
    """Our side is a registry of this module's own, in which nothing else happens."""
    server = HomeportServer(tmp_path_factory.mktemp("homeport"))
    try:
        server.start()
        yield Differential(consul, server)
    finally:
        server.close()


def register(ours: Ours | None = None, **fields: object) -> Case:
    return Case(REGISTER, {"Node": "bc", "Address": "10.0.0.1", **fields}, ours)


def deregister(ours: Ours | None = None, **fields: object) -> Case:
    return Case(DEREGISTER, {"Node": "bc", **fields}, ours)


NO_NAME = Ours(500, "Must provide service name (Service.Service) when service ID is provided", "clearer since 1.21")

CASES: dict[str, Case] = {
    "empty": Case(REGISTER, b""),
    "cut": Case(REGISTER, b'{"Node":"bc"'),
    "number for text": register(Node=5),
    "text for switch": register(SkipNodeUpdate="true"),
    "number for list": register(Checks=5),
    "number in metadata": register(NodeMeta={"a": 5}),
    "unknown field": register(Foo=1),
    "unknown field of the service": register(Service={"Service": "s", "Foo": 1}),
    "unknown field of the check": register(Check={"Name": "c", "Foo": 1}),
    "no node": Case(REGISTER, {"Address": "10.0.0.1"}),
    "no address": Case(REGISTER, {"Node": "bc"}),
    "short node id": register(ID="xx"),
    "node id without dashes": register(ID="x" * 36),
    "node id that is not hexadecimal": register(ID=UUID.replace("40e4", "40ez")),
    "no service name": register(NO_NAME, Service={"ID": "s"}),
    "unspecified service address": register(Service={"Service": "s", "Address": "0.0.0.0"}),
    "service metadata": register(Service={"Service": "s", "Meta": {"a b": "c"}}),
    "check of an unknown service": register(Check={"Name": "c", "ServiceID": "nobody"}),
    "one check of two": register(
        Service={"Service": "s"}, Checks=[{"Name": "c"}, {"Name": "d", "ServiceID": "nobody"}]
    ),
    "check of another node": register(Check={"Name": "c", "Node": "other"}),
    "check without name": register(Check={}),
    "another datacenter": register(Datacenter="elsewhere"),
    "a reserved name": Case(REGISTER, {"Node": "{node}", "ID": UUID, "Address": "10.0.0.1"}),
    "deregister: empty": Case(DEREGISTER, b""),
    "deregister: no node": Case(DEREGISTER, {}),
    "deregister: unknown field": deregister(Foo=1),
    "deregister: number for text": deregister(ServiceID=5),
    "deregister: another datacenter": deregister(Datacenter="elsewhere"),
}


def revision(differential: Differential) -> Any:
    """Where our store stands."""
    gauges = differential.homeport.send("GET", "/v1/agent/metrics").value["Gauges"]
    return next(gauge["Value"] for gauge in gauges if gauge["Name"] == "homeport.store.revision")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_is_refused_and_writes_nothing(differential: Differential, case: Case) -> None:
    before = revision(differential)
    theirs, ours = differential.send("PUT", case.path, case.body)
    their_text, our_text = own_names(differential.consul, theirs.text), own_names(differential.homeport, ours.text)
    expected = (theirs.status, their_text) if case.ours is None else (case.ours.status, case.ours.text)
    assert (ours.status, our_text) == expected
    assert ours.status >= 400
    assert ours.header("Content-Type") == "text/plain; charset=utf-8"
    assert revision(differential) == before
    if case.ours is not None:
        assert (theirs.status, their_text) != expected, f"no difference any more: {case.ours.why}"


def own_names(side: Side, text: str) -> str:
    """A text without what is this side's own."""
    return text.replace(side.node_id, "<node id>").replace(side.node, "<node>")


GOOD: dict[str, dict[str, Any]] = {
    "node": {},
    "node with everything": {"ID": UUID, "TaggedAddresses": {"lan": "10.0.0.1"}, "NodeMeta": {"b": "c", "a": "<&>"}},
    "service": {"Service": {"Service": "bc-s"}},
    "service with everything": {
        "Service": {
            "ID": "bc-1", "Service": "bc-s", "Port": 80, "Address": "10.9.9.9", "Tags": ["b", "a"], "Meta": {"a": "b"},
            "Weights": {"Passing": 2, "Warning": 1}, "EnableTagOverride": True,
            "TaggedAddresses": {"lan": {"Address": "10.8.8.8", "Port": 1}},
        },
    },
    "weights that make no sense": {"Service": {"Service": "bc-s", "Weights": {"Passing": -1}}},
    "checks": {
        "Service": {"Service": "bc-s", "Tags": ["t"]},
        "Checks": [
            {"Name": "Own", "Status": "passing", "Notes": "n", "Output": "o"},
            {"Name": "Of service", "CheckID": "bc-c", "ServiceID": "bc-s", "ServiceName": "lie", "Status": "warning"},
        ],
    },
    "a definition": {
        "Check": {"Name": "c", "Definition": {"HTTP": "http://x/", "Interval": "90s", "Timeout": "1s", "Foo": 1}},
    },
    "a definition in numbers": {"Check": {"Name": "c", "Definition": {"TCP": "x:1", "Interval": 5000000000}}},
}  # fmt: skip


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_what_is_right_is_shown_alike(differential: Differential, body: dict[str, Any]) -> None:
    differential.same("PUT", REGISTER, {"Node": "bc-good", "Address": "10.0.0.1", **body})
    try:
        differential.same("GET", "/v1/catalog/node/bc-good")
        differential.same("GET", "/v1/health/node/bc-good")
        differential.same("GET", "/v1/catalog/service/bc-s")
        differential.same("GET", "/v1/health/service/bc-s")
    finally:
        differential.same("PUT", DEREGISTER, {"Node": "bc-good"})
    differential.same("GET", "/v1/catalog/node/bc-good")


def test_a_node_changes_its_name_and_loses_what_was_on_it(differential: Differential) -> None:
    first = {
        "Node": "bc-old",
        "ID": UUID,
        "Address": "10.0.0.1",
        "Service": {"Service": "bc-renamed"},
        "Check": {"Name": "c"},
    }
    differential.arrange("PUT", REGISTER, first)
    differential.arrange("PUT", REGISTER, {"Node": "bc-new", "ID": UUID.upper(), "Address": "10.0.0.2"})
    for path in (
        "/v1/catalog/node/bc-old",
        "/v1/catalog/node/bc-new",
        "/v1/catalog/service/bc-renamed",
        "/v1/health/node/bc-old",
    ):
        differential.same("GET", path)
    differential.arrange("PUT", DEREGISTER, {"Node": "bc-new"})
