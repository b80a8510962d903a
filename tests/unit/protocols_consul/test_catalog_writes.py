"""catalog/register and catalog/deregister over a real registry in memory."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import pytest

from homeport.protocols.consul.catalog_writes import CatalogWrites
from homeport.registry.checks import put_check
from homeport.registry.records import CheckDefinition, CheckRecord
from homeport.registry.registry import Registry
from homeport.registry.store.memory import MemoryStore
from tests.unit.protocols_consul.in_process import Answer, InProcess

UUID = "40e4a748-2192-161a-0510-9bf59fe950b5"
OTHER_UUID = "40e4a748-2192-161a-0510-9bf59fe950b6"
KEPT = "belongs to this registry's own agent and cannot be changed from outside"
EXTERNAL: Mapping[str, Any] = {"Node": "External", "Address": "10.1.1.1"}


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry(MemoryStore(), node="agent", clock=lambda: 1000.0) as registry:
        yield registry


@pytest.fixture
def api(registry: Registry) -> InProcess:
    return InProcess(CatalogWrites(registry).routes())


async def register(api: InProcess, **more: object) -> Answer:
    return await api.put("/v1/catalog/register", {**EXTERNAL, **more})


async def deregister(api: InProcess, **body: object) -> Answer:
    return await api.put("/v1/catalog/deregister", body)


async def test_a_node_with_service_and_checks_is_registered_at_once(api: InProcess, registry: Registry) -> None:
    answer = await register(
        api,
        ID=UUID,
        TaggedAddresses={"lan": "10.1.1.1"},
        NodeMeta={"rack": "7"},
        Service={
            "Service": "web",
            "Port": 80,
            "Tags": ["a"],
            "Meta": {"v": "1"},
            "Weights": {"Passing": 3, "Warning": 1},
        },
        Checks=[{"Name": "alive", "Status": "passing", "ServiceID": "web"}, {"CheckID": "disk", "Name": "Disk"}],
    )
    assert (answer.status, answer.text) == (200, "true")
    node = registry.catalog.node("external")
    assert node is not None
    assert (node.value.id, node.value.meta, node.value.tagged_addresses) == (UUID, {"rack": "7"}, {"lan": "10.1.1.1"})
    (web,) = registry.catalog.instances("web")
    assert (web.value.id, web.value.port, web.value.tags, web.value.weights) == ("web", 80, ("a",), (3, 1))
    alive, disk = registry.catalog.check("External", "alive"), registry.catalog.check("External", "disk")
    assert alive is not None
    assert disk is not None
    assert (alive.value.status, alive.value.service_name, alive.value.executed) == ("passing", "web", False)
    assert (disk.value.status, disk.value.service_id) == ("critical", "")
    assert node.modified == web.modified == alive.modified


async def test_the_same_again_changes_nothing(api: InProcess, registry: Registry) -> None:
    body = {"Service": {"Service": "web"}, "Check": {"Name": "c", "ServiceID": "web", "Status": "passing"}}
    await register(api, **body)
    revision = registry.catalog.revision
    assert (await register(api, **body)).status == 200
    assert registry.catalog.revision == revision


async def test_a_definition_is_kept_as_it_came_without_what_is_unknown(api: InProcess, registry: Registry) -> None:
    definition = {"HTTP": "http://x/", "Interval": "90s", "Foo": 1}
    await register(api, Check={"Name": "c", "Definition": definition})
    check = registry.catalog.check("External", "c")
    assert check is not None
    assert msgspec.json.decode(check.value.wire_definition) == {"HTTP": "http://x/", "Interval": "1m30s"}
    assert check.value.type == "http"
    assert check.value.definition is None


async def test_a_node_may_be_skipped_or_made_without_address(api: InProcess, registry: Registry) -> None:
    await register(api, NodeMeta={"a": "b"})
    await api.put("/v1/catalog/register", {"Node": "external", "SkipNodeUpdate": True, "Service": {"Service": "s"}})
    await api.put("/v1/catalog/register", {"Node": "new", "SkipNodeUpdate": True})
    node, new = registry.catalog.node("external"), registry.catalog.node("new")
    assert node is not None
    assert new is not None
    assert (node.value.name, node.value.address, node.value.meta) == ("External", "10.1.1.1", {"a": "b"})
    assert new.value.address == ""
    assert [entry.value.node for entry in registry.catalog.instances("s")] == ["External"]


async def test_a_known_node_id_renames_the_node(api: InProcess, registry: Registry) -> None:
    await register(api, ID=UUID, Service={"Service": "web"})
    await api.put("/v1/catalog/register", {"Node": "renamed", "Address": "10.1.1.2", "ID": UUID.upper()})
    assert registry.catalog.node("External") is None
    assert registry.catalog.instances("web") == []
    renamed = registry.catalog.node("renamed")
    assert renamed is not None
    assert renamed.value.address == "10.1.1.2"


@pytest.mark.parametrize(("status", "accepted"), [("passing", False), ("critical", True)])
async def test_the_name_of_a_living_agent_is_reserved(
    api: InProcess, registry: Registry, status: str, accepted: bool
) -> None:
    await register(api, ID=UUID, Check={"CheckID": "serfHealth", "Name": "Serf", "Status": status})
    answer = await register(api, ID=OTHER_UUID)
    node = registry.catalog.node("External")
    assert node is not None
    if accepted:
        assert (answer.status, node.value.id) == (200, OTHER_UUID)
    else:
        assert (answer.status, node.value.id) == (500, UUID)
        assert answer.text == (
            f'failed inserting node: Error while renaming Node ID: "{OTHER_UUID}": '
            f"Node name External is reserved by node {UUID} with name External (10.1.1.1)"
        )


async def test_checks_follow_a_service_that_changed_its_name(api: InProcess, registry: Registry) -> None:
    await register(api, Service={"ID": "s", "Service": "old"}, Check={"Name": "c", "ServiceID": "s"})
    await register(api, Service={"ID": "s", "Service": "new"})
    check = registry.catalog.check("External", "c")
    assert check is not None
    assert check.value.service_name == "new"


async def test_the_agents_own_node_is_not_changed(api: InProcess, registry: Registry) -> None:
    before = registry.catalog.node("agent")
    answer = await api.put(
        "/v1/catalog/register",
        {"Node": "AGENT", "Address": "9.9.9.9", "NodeMeta": {"x": "y"}, "Service": {"Service": "beside"}},
    )
    assert answer.status == 200
    assert registry.catalog.node("agent") is before
    assert [entry.value.node for entry in registry.catalog.instances("beside")] == ["agent"]


async def test_neither_the_agents_name_nor_its_id_can_be_taken(api: InProcess, registry: Registry) -> None:
    own = registry.identity.node_id
    for body in ({"Node": "agent", "ID": UUID, "Address": "a"}, {"Node": "thief", "ID": own, "Address": "a"}):
        answer = await api.put("/v1/catalog/register", body)
        assert answer.status == 500
        assert answer.text.endswith(f"is reserved by node {own} with name agent (127.0.0.1)")
    assert registry.catalog.node("thief") is None


async def test_a_result_for_a_check_that_the_agent_executes_does_not_end_its_execution(
    api: InProcess, registry: Registry
) -> None:
    definition = CheckDefinition(kind="ttl", ttl=60.0)
    executed = CheckRecord(node="agent", id="beat", name="Beat", type="ttl", definition=definition, executed=True)
    await registry.transact(lambda transaction: put_check(transaction, executed, now=1.0, keeps_state=False))
    body = {
        "Node": "agent",
        "Address": "a",
        "Check": {"CheckID": "beat", "Name": "x", "Status": "passing", "Output": "o"},
    }
    await api.put("/v1/catalog/register", body)
    check = registry.catalog.check("agent", "beat")
    assert check is not None
    assert (check.value.status, check.value.output, check.value.name) == ("passing", "o", "Beat")
    assert (check.value.executed, check.value.definition) == (True, definition)


async def test_a_service_a_check_or_a_whole_node_is_deregistered(api: InProcess, registry: Registry) -> None:
    await register(
        api, Service={"Service": "s"}, Checks=[{"Name": "of-s", "ServiceID": "s"}, {"Name": "c1"}, {"Name": "c2"}]
    )

    async def left(**body: object) -> list[str]:
        answer = await deregister(api, Node="external", **body)
        assert (answer.status, answer.text) == (200, "true")
        return [entry.value.id for entry in registry.catalog.checks_on("external")]

    # A service id takes precedence over a check id.
    assert await left(ServiceID="s", CheckID="c1") == ["c1", "c2"]
    assert registry.catalog.instances("s") == []
    assert await left(CheckID="c1", Address="obsolete") == ["c2"]
    assert await left(CheckID="nope") == ["c2"]
    assert await left() == []
    assert registry.catalog.node("external") is None
    assert await left() == []


REFUSED = {
    "not json": (b"{", 400, "Request decode failed: unexpected EOF"),
    "empty": (b"", 400, "Request decode failed: EOF"),
    "unknown field": ({**EXTERNAL, "Foo": 1}, 400, 'Request decode failed: json: unknown field "Foo"'),
    "no node": ({}, 500, "Must provide node"),
    "no address": ({"Node": "e"}, 500, "Must provide address if SkipNodeUpdate is not set"),
    "bad node id": ({**EXTERNAL, "ID": "xx"}, 500, "Bad node ID: uuid string is wrong length"),
    "unspecified address": ({**EXTERNAL, "Service": {"Service": "s", "Address": "::"}}, 500, "Invalid service address"),
    "check without service": (
        {**EXTERNAL, "Check": {"Name": "c", "ServiceID": "nope"}},
        500,
        'failed inserting check: Missing service registration on node "External"',
    ),
    "check of another node": (
        {**EXTERNAL, "Check": {"Name": "c", "Node": "zz"}},
        500,
        'check node "zz" does not match node "External"',
    ),
    "check without name": (
        {**EXTERNAL, "Check": {}},
        500,
        'failed inserting check: failed inserting check: object missing primary index on node "External"',
    ),
    "unknown status": (
        {**EXTERNAL, "Check": {"Name": "c", "Status": "weird"}},
        500,
        "\"weird\" is not a status; use 'passing', 'warning' or 'critical'",
    ),
    "another datacenter": ({**EXTERNAL, "Datacenter": "elsewhere"}, 500, "No path to datacenter"),
    "meta of the service": (
        {**EXTERNAL, "Service": {"Service": "s", "Meta": {"a b": "1"}}},
        500,
        (
            "failed inserting service: Invalid Service Meta for node External and serviceID s: "
            "Couldn't load metadata pair ('a b', '1'): Key contains invalid characters"
        ),
    ),
    "the agent's serfHealth": (
        {"Node": "agent", "Address": "a", "Check": {"CheckID": "serfHealth", "Name": "x", "Status": "critical"}},
        500,
        f'the check "serfHealth" of the node "agent" {KEPT}',
    ),
}


@pytest.mark.parametrize(("body", "status", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_registration_writes_nothing(
    api: InProcess, registry: Registry, body: object, status: int, message: str
) -> None:
    revision = registry.catalog.revision
    answer = await api.put("/v1/catalog/register", body)
    assert (answer.status, answer.text) == (status, message)
    assert registry.catalog.revision == revision


NOT_DEREGISTERED = {
    "empty": (b"", 400, "Request decode failed: EOF"),
    "no node": ({}, 500, "Must provide node"),
    "unknown field": ({"Node": "e", "Foo": 1}, 400, 'Request decode failed: json: unknown field "Foo"'),
    "another datacenter": ({"Node": "e", "Datacenter": "elsewhere"}, 500, "No path to datacenter"),
    "the agent": (
        {"Node": "agent"},
        500,
        f'the node "agent" {KEPT}',
    ),
    "the agent's health": (
        {"Node": "agent", "CheckID": "serfhealth"},
        500,
        f'the check "serfHealth" of the node "agent" {KEPT}',
    ),
}


@pytest.mark.parametrize(("body", "status", "message"), NOT_DEREGISTERED.values(), ids=NOT_DEREGISTERED.keys())
async def test_a_refused_deregistration_writes_nothing(
    api: InProcess, registry: Registry, body: object, status: int, message: str
) -> None:
    revision = registry.catalog.revision
    answer = await api.put("/v1/catalog/deregister", body)
    assert (answer.status, answer.text) == (status, message)
    assert registry.catalog.revision == revision


@pytest.mark.parametrize("parameter", ["dc", "datacenter"])
async def test_a_write_for_another_datacenter_does_not_land_here(
    api: InProcess, registry: Registry, parameter: str
) -> None:
    revision = registry.catalog.revision
    for endpoint in ("register", "deregister"):
        answer = await api.put(f"/v1/catalog/{endpoint}?{parameter}=elsewhere", EXTERNAL)
        assert (answer.status, answer.text) == (500, "No path to datacenter")
    assert registry.catalog.revision == revision
    assert (await api.put(f"/v1/catalog/register?{parameter}=dc1", EXTERNAL)).status == 200
