"""py-consul's blocking client, as published, against Consul and against us: it must not notice the difference."""

import uuid
from collections.abc import Iterator
from typing import Any

import consul  # type: ignore[import-untyped]  # it has no type hints
import pytest

from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer


@pytest.fixture(params=["consul", "homeport"])
def client(request: pytest.FixtureRequest) -> Iterator[consul.Consul]:
    server: ConsulServer | HomeportServer = request.getfixturevalue(request.param)
    with consul.Consul(host="127.0.0.1", port=server.http_port) as client:
        yield client


@pytest.fixture
def name(client: consul.Consul) -> Iterator[str]:
    """A service name that no other test uses; all instances of it are removed afterwards."""
    name = f"py-{uuid.uuid4().hex[:8]}"
    yield name
    for service_id, service in client.agent.services().items():
        if service["Service"] == name:
            client.agent.service.deregister(service_id)


def statuses(client: consul.Consul, name: str) -> dict[str, str]:
    """The status of every service check of a service, by check id."""
    _, rows = client.health.checks(name)
    return {row["CheckID"]: row["Status"] for row in rows}


def test_a_service_is_registered_found_and_deregistered(client: consul.Consul, name: str) -> None:
    assert client.agent.service.register(
        name,
        service_id=f"{name}-1",
        address="10.1.2.3",
        port=8080,
        tags=["a", "b"],
        meta={"version": "1"},
        weights={"Passing": 5, "Warning": 2},
        tagged_addresses={"lan": {"address": "10.1.2.4", "port": 81}},
        enable_tag_override=True,
    )
    _, (row,) = client.catalog.service(name)
    assert (row["ServiceID"], row["ServiceAddress"], row["ServicePort"]) == (f"{name}-1", "10.1.2.3", 8080)
    assert (row["ServiceTags"], row["ServiceMeta"]) == (["a", "b"], {"version": "1"})
    assert row["ServiceWeights"] == {"Passing": 5, "Warning": 2}
    assert row["ServiceTaggedAddresses"]["lan"] == {"Address": "10.1.2.4", "Port": 81}
    assert row["ServiceTaggedAddresses"]["lan_ipv4"] == {"Address": "10.1.2.3", "Port": 8080}
    assert row["ServiceEnableTagOverride"] is True
    _, names = client.catalog.services()
    assert sorted(names[name]) == ["a", "b"]
    assert client.agent.services()[f"{name}-1"]["Meta"] == {"version": "1"}
    assert client.agent.service_definition(f"{name}-1")["Service"] == name
    assert client.agent.service.deregister(f"{name}-1")
    assert client.catalog.service(name)[1] == []


def test_a_ttl_check_is_reported(client: consul.Consul, name: str) -> None:
    client.agent.service.register(name, check=consul.Check.ttl("1h"))
    check_id = f"service:{name}"
    assert statuses(client, name) == {check_id: "critical"}
    assert client.health.service(name, passing=True)[1] == []
    for report, status in (
        (client.agent.check.ttl_pass, "passing"),
        (client.agent.check.ttl_warn, "warning"),
        (client.agent.check.ttl_fail, "critical"),
        (client.agent.check.ttl_pass, "passing"),
    ):
        assert report(check_id, notes=f"now {status}")
        assert statuses(client, name) == {check_id: status}
        assert client.agent.checks()[check_id]["Output"] == f"now {status}"
    _, (entry,) = client.health.service(name, passing=True)
    assert entry["Service"]["ID"] == name


def test_checks_are_added_replaced_and_removed(client: consul.Consul, name: str) -> None:
    ttl = consul.Check.ttl("1h")
    client.agent.service.register(name, check=ttl, extra_checks=[ttl])
    assert set(statuses(client, name)) == {f"service:{name}:1", f"service:{name}:2"}
    client.agent.check.register("third", check=ttl, check_id=f"{name}-third", service_id=name, notes="told")
    assert set(statuses(client, name)) == {f"service:{name}:1", f"service:{name}:2", f"{name}-third"}
    assert client.agent.checks()[f"{name}-third"]["Notes"] == "told"
    assert client.agent.check.deregister(f"{name}-third")
    assert set(statuses(client, name)) == {f"service:{name}:1", f"service:{name}:2"}
    client.agent.service.register(name, check={**ttl, "CheckID": f"{name}-new"}, replace_existing_checks=True)
    assert set(statuses(client, name)) == {f"{name}-new"}


def test_a_check_of_the_node_is_told_apart(client: consul.Consul, name: str) -> None:
    client.agent.check.register(name, check=consul.Check.tcp("127.0.0.1", 1, "1h"))
    try:
        row = client.agent.checks()[name]
        assert (row["ServiceID"], row["Type"], row["Status"]) == ("", "tcp", "critical")
    finally:
        client.agent.check.deregister(name)
    assert name not in client.agent.checks()


def test_a_service_in_maintenance_does_not_pass(client: consul.Consul, name: str) -> None:
    client.agent.service.register(name)
    client.agent.service.maintenance(name, True, "moving house")
    (row,) = client.health.checks(name)[1]
    assert (row["Name"], row["Notes"], row["Status"]) == ("Service Maintenance Mode", "moving house", "critical")
    assert client.health.service(name, passing=True)[1] == []
    client.agent.service.maintenance(name, False)
    assert len(client.health.service(name, passing=True)[1]) == 1


def test_a_node_in_maintenance_takes_its_services_along(client: consul.Consul, name: str) -> None:
    client.agent.service.register(name)
    client.agent.maintenance(True, "moving house")
    try:
        assert client.health.service(name, passing=True)[1] == []
        assert client.agent.checks()["_node_maintenance"]["Notes"] == "moving house"
    finally:
        client.agent.maintenance(False)
    assert len(client.health.service(name, passing=True)[1]) == 1


def test_an_external_node_lives_in_the_catalog(client: consul.Consul, name: str) -> None:
    node = f"{name}-node"
    assert client.catalog.register(
        node,
        "10.9.9.9",
        service={"Service": name, "Port": 1},
        check={"Name": "alive", "CheckID": "alive", "ServiceID": name, "Status": "passing"},
    )
    _, found = client.catalog.node(node)
    assert (found["Node"]["Address"], list(found["Services"])) == ("10.9.9.9", [name])
    _, (check,) = client.health.node(node)
    assert (check["CheckID"], check["ServiceName"], check["Status"]) == ("alive", name, "passing")
    assert client.catalog.deregister(node, check_id="alive")
    assert client.health.node(node)[1] == []
    assert client.catalog.deregister(node)
    assert client.catalog.node(node)[1] is None


def test_the_agent_tells_about_itself(client: consul.Consul) -> None:
    about = client.agent.self()
    assert about["Config"]["Datacenter"] == "dc1"
    assert about["Config"]["NodeName"] == about["Member"]["Name"]
    assert all(value is None or isinstance(value, dict) for value in about.values())
    (member,) = client.agent.members()
    assert (member["Name"], member["Status"]) == (about["Config"]["NodeName"], 1)
    (member,) = client.agent.members(wan=True)
    assert member["Name"] == f"{about['Config']['NodeName']}.dc1"
    assert {"Timestamp", "Gauges", "Counters", "Samples"} <= set(client.agent.metrics())


REFUSED: dict[str, Any] = {
    "no name": lambda client: client.agent.service.register(""),
    "bad duration": lambda client: client.agent.service.register("x", check=consul.Check.ttl("10")),
    "bad metadata": lambda client: client.agent.service.register("x", meta={"a b": "c"}),
    "bad status": lambda client: client.agent.check.register("x", check={"ttl": "1h", "status": "odd"}),
}


@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_a_bad_request(client: consul.Consul, attempt: Any) -> None:
    with pytest.raises(consul.base.ConsulException, match=r"^400 "):
        attempt(client)
