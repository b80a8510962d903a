"""The answers of catalog and health, beside those of a real Consul."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.protocols_consul.differential import Differential

WEB: tuple[dict[str, object], ...] = (
    {"ID": "c1-web-1", "Port": 81, "Tags": ["Blue", "v1"], "Check": {"TTL": "1h", "Status": "passing"}},
    {
        "ID": "c1-web-2",
        "Port": 82,
        "Address": "10.9.8.7",
        "Tags": ["green", "<&>\u2028\u00e9"],
        "Meta": {"version": "1.2", "a": "b"},
        "Weights": {"Passing": 10, "Warning": 2},
        "TaggedAddresses": {"wan": {"Address": "1.2.3.4", "Port": 8082}},
        "Checks": [
            {"Name": "first", "TTL": "1h", "Status": "warning", "Notes": "of the first"},
            {
                "CheckID": "c1-2nd",
                "HTTP": "http://127.0.0.1:1/",
                "Interval": "87600h",  # its first run, somewhere within that, would change the answers of one side
                "Timeout": "2s",
                "Status": "critical",
            },
        ],
    },
    {"ID": "c1-web-3", "EnableTagOverride": True},
)
NATIVE = {"ID": "c1-native", "Name": "c1-mesh", "Port": 83, "Connect": {"Native": True}}
PROXY = {
    "ID": "c1-proxy",
    "Name": "c1-mesh-proxy",
    "Kind": "connect-proxy",
    "Port": 84,
    "Proxy": {"DestinationServiceName": "c1-mesh", "DestinationServiceID": "c1-native"},
}
EXTERNAL = {
    "Node": "c1-External",
    "ID": "c1c1c1c1-0000-4000-8000-000000000001",
    "Address": "10.0.0.9",
    "NodeMeta": {"rack": "9", "row": "1"},
    "TaggedAddresses": {"lan": "10.0.0.9", "wan": "2.3.4.5"},
    "Service": {
        "ID": "c1-db-1",
        "Service": "c1-db",
        "Tags": ["primary"],
        "Port": 5432,
        "Address": "10.0.0.10",
        "Meta": {"shard": "1"},
    },
    "Checks": [
        {"Node": "c1-External", "CheckID": "c1-ping", "Name": "ping", "Status": "passing", "Output": "pong"},
        {
            "Node": "c1-External",
            "CheckID": "c1-db-tcp",
            "Name": "tcp",
            "Status": "warning",
            "ServiceID": "c1-db-1",
            "Notes": "n",
            "Definition": {"TCP": "10.0.0.10:5432", "Interval": "10s", "Timeout": "1m30s"},
        },
    ],
}
EXTERNAL_WEB = {"ID": "c1-web-9", "Service": "c1-web", "Tags": ["green"], "Port": 89}


@pytest.fixture(scope="module", autouse=True)
def arranged(differential: Differential) -> None:
    """The service c1-web in every variety, c1-db on another node, a service of the mesh, and checks of nodes."""
    for service in (*({"Name": "c1-web", **web} for web in WEB), NATIVE, PROXY):
        differential.arrange("PUT", "/v1/agent/service/register", service)
    for body in (
        EXTERNAL,
        {"Node": "c1-External", "SkipNodeUpdate": True, "Service": EXTERNAL_WEB},
        {"Node": "c1-bare", "Address": "10.0.0.11"},
    ):
        differential.arrange("PUT", "/v1/catalog/register", body)


@pytest.mark.parametrize(
    "target",
    [
        "health/service/c1-web",
        "health/service/C1-WEB",
        "health/service/c1-db",
        "health/service/c1-mesh",
        "health/service/c1-mesh-proxy",
        "health/service/c1-unknown",
        "health/service/c1-web?tag=green",
        "health/service/c1-web?tag=GREEN&tag=%3C%26%3E%E2%80%A8%C3%A9",
        "health/service/c1-web?tag=green&tag=blue",
        "health/service/c1-web?tag=",
        "health/service/c1-web?node-meta=rack:9",
        "health/service/c1-web?node-meta=rack:9&node-meta=row:2",
        "health/service/c1-web?node-meta=rack",
        "health/service/c1-web?filter=Service.Port==82",
        "health/service/c1-web?filter=Checks.Status!=passing",
        "health/service/c1-web?filter=%22green%22+in+Service.Tags+and+Node.Meta.rack==9",
        "health/service/c1-web?passing=false",
        "health/service/c1-db?passing",
        "health/service/c1-web?tag=green&node-meta=rack:9&passing=1",
        "health/service/c1-db?near=_agent",
        "health/service/c1-db?stale",
        "health/service/c1-db?consistent",
        "health/service/c1-db?leader",
        "health/service/c1-db?max_stale=10s",
        "health/service/c1-db?dc=dc1",
        "health/service/c1-db?pretty",
        "health/service/c1-db?wait=5s",
        "health/service/c1-db?index=0&wait=5s",
        "health/service/c1-web/1",
        "health/connect/c1-mesh",
        "health/connect/C1-mesh",
        "health/connect/c1-mesh-proxy",
        "health/connect/c1-web",
        "health/checks/c1-web",
        "health/checks/c1-db",
        "health/checks/c1-unknown",
        "health/checks/c1-web?node-meta=rack:9",
        "health/checks/c1-db?filter=Name==tcp",
        "health/node/c1-external",
        "health/node/c1-bare",
        "health/node/c1-unknown",
        "health/node/c1-external?filter=ServiceID==%22%22",
        "health/state/bogus",
        "health/state/PASSING",
        "health/state/any?node-meta=rack:9",
        "health/state/passing?node-meta=rack:9",
        "health/state/warning?node-meta=rack:9",
        "health/state/critical?node-meta=rack:9",
        "catalog/service/c1-web",
        "catalog/service/c1-db",
        "catalog/service/C1-DB",
        "catalog/service/c1-mesh-proxy",
        "catalog/service/c1-unknown",
        "catalog/service/c1-web?tag=green",
        "catalog/service/c1-web?node-meta=rack:9",
        "catalog/service/c1-web?filter=ServicePort==82",
        "catalog/connect/c1-mesh",
        "catalog/connect/c1-web",
        "catalog/nodes?node-meta=rack:9",
        "catalog/nodes?filter=Node==%22c1-bare%22",
        "catalog/nodes?filter=TaggedAddresses.wan==%222.3.4.5%22",
        "catalog/services?node-meta=rack:9",
        "catalog/node/c1-External",
        "catalog/node/C1-EXTERNAL",
        "catalog/node/c1-bare",
        "catalog/node/c1-unknown",
        "catalog/node/c1c1c1c1",
        "catalog/node/c1c",
        "catalog/node/c1c1c1c1-0",
        "catalog/node/c1-external?filter=Service==%22c1-db%22",
        "catalog/node-services/c1-External",
        "catalog/node-services/c1-unknown",
        "catalog/node-services/c1-bare",
        "catalog/node-services/c1-bare?filter=Port==1",
        "catalog/datacenters",
        "catalog/datacenters?dc=elsewhere&ns=x&wait=x",
    ],
)  # fmt: skip
def test_the_same_answer(differential: Differential, target: str) -> None:
    differential.same("GET", f"/v1/{target}")


def by_id(prefix: str) -> Callable[[Any], Any]:
    """Picks what a test arranged out of a list of checks, services or nodes."""

    def pick(rows: Any) -> Any:
        return [row for row in rows if (row.get("ServiceID") or row.get("CheckID") or row["Node"]).startswith(prefix)]

    return pick


def own_services(node: Any) -> Any:
    """Picks them out of a node's."""
    return {"Services": {key: node["Services"][key] for key in node["Services"] if key.startswith("c1-")}}


@pytest.mark.parametrize(
    ("target", "pick"),
    [
        ("catalog/nodes", by_id("c1-")),
        ("catalog/services", lambda services: {name: sorted(services[name]) for name in services if "c1-" in name}),
        ("catalog/node/{node}", own_services),
        ("catalog/node/{node_id}", lambda node: node["Node"]),
        ("health/node/{node}", by_id("c1-")),
        ("health/state/any", by_id("c1-")),
        ("health/state/passing", by_id("c1-")),
        ("health/state/warning", by_id("c1-")),
        ("health/state/critical", by_id("c1-")),
    ],
)
def test_the_same_answer_among_others(differential: Differential, target: str, pick: Callable[[Any], Any]) -> None:
    first, second = differential.same("GET", f"/v1/{target}", pick=pick)
    assert pick(first.value)
    assert pick(second.value)


def test_the_nodes_own_row_and_check(differential: Differential) -> None:
    def own(rows: Any) -> Any:
        return [row for row in rows if row.get("CheckID", "serfHealth") == "serfHealth"]

    differential.same("GET", "/v1/health/node/{node}", pick=own)
    differential.same("GET", "/v1/catalog/nodes?filter=Node==%22{node}%22")


@pytest.mark.parametrize(
    "target", ["catalog/services", "catalog/service/c1-db", "health/service/c1-db", "health/connect/c1-mesh"]
)
def test_the_second_cached_question_is_a_hit(differential: Differential, target: str) -> None:
    path = f"/v1/{target}?cached&filter=%22c1-cached%22+not+in+ServiceTags"
    if "health" in target:
        path = path.replace("ServiceTags", "Service.Tags")
    for mark in ("MISS", "HIT", "HIT"):
        answers = differential.same("GET", path, pick=lambda _: None)
        assert [answer.header("X-Cache") for answer in answers] == [mark, mark]


@pytest.mark.parametrize(
    "target", ["catalog/nodes", "health/checks/c1-db", "health/node/c1-bare", "catalog/node/c1-bare"]
)
def test_what_is_not_cached(differential: Differential, target: str) -> None:
    for answer in differential.send("GET", f"/v1/{target}?cached"):
        assert answer.header("X-Cache") is None


def test_the_form_of_status(differential: Differential) -> None:
    for target in ("status/leader", "status/peers"):
        for answer in differential.send("GET", f"/v1/{target}"):
            peers = answer.value if isinstance(answer.value, list) else [answer.value]
            assert [peer.rpartition(":")[0] for peer in peers] == ["127.0.0.1"]
            assert answer.header("X-Consul-Index") is None


def test_there_is_no_service_of_our_own(differential: Differential) -> None:
    # Documented: nothing of ours answers what the service "consul" promises, which is server RPC.
    theirs, ours = differential.send("GET", "/v1/catalog/services")
    assert "consul" in theirs.value
    assert "consul" not in ours.value
    theirs, ours = differential.send("GET", "/v1/catalog/service/consul")
    assert (len(theirs.value), ours.value) == (1, [])


def test_header_names_are_spelled_as_go_spells_them(differential: Differential) -> None:
    theirs, ours = differential.send("GET", "/v1/catalog/service/c1-db")
    assert {name for name, _ in theirs.headers} - {"Transfer-Encoding"} <= {name for name, _ in ours.headers}
