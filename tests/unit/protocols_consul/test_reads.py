"""What the catalog and health endpoints answer, over a registry in memory."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul import reads
from homeport.protocols.consul.reads import (
    CatalogNode,
    CatalogNodes,
    CatalogServices,
    HealthService,
    HealthState,
    NarrowedCatalogServices,
    Rows,
    Selection,
)
from homeport.registry.checks import put_check
from homeport.registry.records import CheckDefinition, CheckRecord
from tests.unit.protocols_consul.reading import Reading, reading

PROXY = b'{"DestinationServiceName":"Web","Mode":"","MeshGateway":{},"Expose":{}}'


async def two_nodes(api: Reading) -> None:
    """web on both nodes, in all states; db on one."""
    await api.node("Beta", id="bbbbbbbb-0000-4000-8000-000000000001", address="10.0.0.2", meta={"rack": "2"})
    await api.register("web-2", "Web", node="beta", tags=("Blue", "v2"), status="warning", port=82)
    await api.register("web-1", "web", tags=("green",), status="passing", port=81, meta={"zone": "a"})
    await api.register("web-0", "web", status="critical")
    await api.register("db", "db", node="beta", tags=("primary",))


def ids(rows: list[Any]) -> list[str]:
    return [row["ServiceID"] if "ServiceID" in row else row["Service"]["ID"] for row in rows]


async def test_instances_come_by_node_then_id_each_with_the_nodes_checks_first() -> None:
    async with reading() as api:
        await two_nodes(api)
        await api.check("zz-disk", "passing")
        await api.check("aa-disk", "passing")
        rows = (await api.get("health/service/WEB")).json
        assert [(row["Node"]["Node"], row["Service"]["ID"]) for row in rows] == [
            ("agent", "web-0"),
            ("agent", "web-1"),
            ("Beta", "web-2"),
        ]
        assert [[check["CheckID"] for check in row["Checks"]] for row in rows] == [
            ["aa-disk", "serfHealth", "zz-disk", "check-web-0"],
            ["aa-disk", "serfHealth", "zz-disk", "check-web-1"],
            ["check-web-2"],
        ]
        assert [row["Checks"][-1]["ServiceTags"] for row in rows] == [[], ["green"], ["Blue", "v2"]]
        assert ids((await api.get("catalog/service/WEB")).json) == ["web-0", "web-1", "web-2"]


async def test_a_health_entry_to_the_letter() -> None:
    async with reading() as api:
        node = api.registry.catalog.revision
        await api.register(
            "web-1",
            "web",
            tags=("<a>",),
            address="10.1.1.1",
            port=80,
            meta={"z": "1", "a": "2"},
            weights=(5, 1),
            tagged_addresses={"wan": ("1.2.3.4", 81)},
        )
        service = await api.register("web-1", "web", kind="typical", socket_path="/s", enable_tag_override=True)
        answer = await api.get("health/service/web")
        identity = api.registry.identity
        created = answer.json[0]["Service"]["CreateIndex"]
        assert node < created < service
        assert answer.text == (
            f'[{{"Node":{{"ID":"{identity.node_id}","Node":"agent","Address":"127.0.0.1","Datacenter":"dc1",'
            '"TaggedAddresses":{"lan":"127.0.0.1","lan_ipv4":"127.0.0.1","wan":"127.0.0.1","wan_ipv4":"127.0.0.1"},'
            f'"Meta":{{"consul-network-segment":""}},"CreateIndex":{node},"ModifyIndex":{node}}},'
            '"Service":{"Kind":"typical","ID":"web-1","Service":"web","Tags":[],"Address":"","Meta":null,'
            '"SocketPath":"/s","Weights":{"Passing":1,"Warning":1},"EnableTagOverride":true,'
            '"Proxy":{"Mode":"","MeshGateway":{},"Expose":{}},"Connect":{},"PeerName":"",'
            f'"CreateIndex":{created},"ModifyIndex":{service}}},'
            '"Checks":[{"Node":"agent","CheckID":"serfHealth","Name":"Serf Health Status","Status":"passing",'
            '"Notes":"","Output":"Agent alive and reachable","ServiceID":"","ServiceName":"","ServiceTags":[],'
            '"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{},'
            f'"CreateIndex":{node},"ModifyIndex":{node}}}]}}]'
        )


async def test_a_catalog_row_to_the_letter() -> None:
    async with reading() as api:
        node = await api.node("ext", address="10.0.0.2", meta={"b": "1", "a": "<"})
        service = await api.register(
            "web-1", "web", node="ext", port=80, tags=("a",), tagged_addresses={"wan": ("1.2.3.4", 81)}, meta={"k": "v"}
        )
        answer = await api.get("catalog/service/web")
        assert node < service
        assert answer.text == (
            '[{"ID":"","Node":"ext","Address":"10.0.0.2","Datacenter":"dc1","TaggedAddresses":null,'
            '"NodeMeta":{"a":"\\u003c","b":"1"},"ServiceKind":"","ServiceID":"web-1","ServiceName":"web",'
            '"ServiceTags":["a"],"ServiceAddress":"","ServiceTaggedAddresses":{"wan":{"Address":"1.2.3.4","Port":81}},'
            '"ServiceWeights":{"Passing":1,"Warning":1},"ServiceMeta":{"k":"v"},"ServicePort":80,'
            '"ServiceSocketPath":"","ServiceEnableTagOverride":false,'
            '"ServiceProxy":{"Mode":"","MeshGateway":{},"Expose":{}},"ServiceConnect":{},"ServiceLocality":null,'
            f'"CreateIndex":{service},"ModifyIndex":{service}}}]'
        )


async def test_how_the_agent_executes_a_check_is_not_shown_but_what_the_catalog_was_told_is() -> None:
    async with reading() as api:
        executed = CheckRecord(
            node="agent", id="own", type="http", executed=True, definition=CheckDefinition(kind="http", http="http://x")
        )
        told = CheckRecord(node="agent", id="told", wire_definition=b'{"HTTP":"http://x","Interval":"10s"}')
        await api.change(lambda tx: put_check(tx, executed, now=1.0, keeps_state=False))
        await api.change(lambda tx: put_check(tx, told, now=1.0, keeps_state=False))
        rows = {row["CheckID"]: row for row in (await api.get("health/node/agent")).json}
        assert rows["own"]["Definition"] == {}
        assert rows["told"]["Definition"] == {"HTTP": "http://x", "Interval": "10s"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?passing", ["web-1"]),
        ("?passing=false", ["web-0", "web-1", "web-2"]),
        ("?tag=green", ["web-1"]),
        ("?tag=GREEN", ["web-1"]),
        ("?tag=blue&tag=V2", ["web-2"]),
        ("?tag=blue&tag=green", []),
        ("?tag=", []),
        ("?node-meta=rack:2", ["web-2"]),
        ("?node-meta=rack:3", []),
        ("?node-meta=rack:2&node-meta=row:1", []),
        ("?node-meta=consul-network-segment", ["web-0", "web-1"]),
        ("?node-meta=nothing", []),
        ("?filter=Service.Port==82", ["web-2"]),
        ('?filter=Checks.Status=="critical"', ["web-0"]),
        ("?filter=Service.Meta.zone==a&tag=green", ["web-1"]),
        ("?filter=", ["web-0", "web-1", "web-2"]),
        ("?near=_agent", ["web-0", "web-1", "web-2"]),
        ("?near=nobody", ["web-0", "web-1", "web-2"]),
        ("?merge-central-config", ["web-0", "web-1", "web-2"]),
        ("?peer=elsewhere", []),
    ],
)
async def test_instances_may_be_narrowed(query: str, expected: list[str]) -> None:
    async with reading() as api:
        await two_nodes(api)
        assert ids((await api.get(f"health/service/web{query}")).json) == expected
        if "passing" not in query:
            query = query.replace("Service.Meta.", "ServiceMeta.").replace("Service.Port", "ServicePort")
            if "Checks" not in query:
                assert ids((await api.get(f"catalog/service/web{query}")).json) == expected


async def test_an_instance_without_checks_passes_and_one_on_a_failing_node_does_not() -> None:
    async with reading() as api:
        await api.node("ext", address="10.0.0.2")
        await api.register("bare", "web", node="ext")
        assert ids((await api.get("health/service/web?passing")).json) == ["bare"]
        await api.check("disk", "warning", node="ext")
        assert (await api.get("health/service/web?passing")).text == "[]"


@pytest.mark.parametrize(
    ("target", "row"),
    [
        ("catalog/nodes", "Address"),
        ("catalog/services", "ServiceName"),
        ("catalog/service/web", "ServiceName"),
        ("catalog/connect/web", "ServiceName"),
        ("catalog/node/agent", "Service"),
        ("catalog/node-services/agent", "Service"),
        ("health/service/web", "Service.Service"),
        ("health/connect/web", "Service.Service"),
        ("health/checks/web", "CheckID"),
        ("health/node/agent", "CheckID"),
        ("health/state/any", "CheckID"),
        ("health/service/unknown", "Node.Node"),
        ("catalog/node/unknown", "Port"),
    ],
)
async def test_a_filter_is_about_the_rows_of_its_endpoint(target: str, row: str) -> None:
    async with reading() as api:
        await two_nodes(api)
        answer = await api.get(f'{target}?filter={row}+!=+"1"')
        assert answer.status == 200, answer.text
        answer = await api.get(f"{target}?filter=Bogus==1")
        assert answer.status == 500
        assert answer.text == 'Failed to create boolean expression evaluator: Selector "Bogus" is not valid'
        assert answer.headers["x-consul-index"] == "1"
        assert answer.headers["x-consul-knownleader"] == "false"


async def test_services_with_their_tags() -> None:
    async with reading() as api:
        assert (await api.get("catalog/services")).text == "{}"
        await api.node("beta", address="10.0.0.2", meta={"rack": "2"})
        await api.register("web-2", "web", node="beta", tags=("Blue", "v2"))
        await api.register("web-1", "web", tags=("green", "v2"), port=81)
        await api.register("db", "db", node="beta", tags=("primary",))
        assert (await api.get("catalog/services")).text == '{"db":["primary"],"web":["Blue","green","v2"]}'
        # The tags are those of the wanted instances only.
        assert (await api.get("catalog/services?node-meta=rack:2")).json == {"db": ["primary"], "web": ["Blue", "v2"]}
        assert (await api.get("catalog/services?filter=ServicePort==81")).json == {"web": ["green", "v2"]}
        assert (await api.get("catalog/services?node-meta=rack:9")).text == "{}"
        assert (await api.get("catalog/services?peer=elsewhere")).text == "{}"


async def test_nodes() -> None:
    async with reading() as api:
        await two_nodes(api)
        assert [row["Node"] for row in (await api.get("catalog/nodes")).json] == ["agent", "Beta"]
        assert [row["Node"] for row in (await api.get("catalog/nodes?node-meta=rack:2")).json] == ["Beta"]
        assert [row["Node"] for row in (await api.get("catalog/nodes?filter=Meta.rack==2")).json] == ["Beta"]
        assert (await api.get("catalog/nodes?peer=elsewhere")).json == []


@pytest.mark.parametrize(
    "asked", ["beta", "BETA", "bb", "bbb", "bb-", "bbbbbbbb-", "BBBBBBBB0000", "bbbbbbbb-0000-4000-8000-000000000001"]
)
async def test_a_node_is_found_by_its_name_or_the_beginning_of_its_id(asked: str) -> None:
    async with reading() as api:
        await two_nodes(api)
        answer = (await api.get(f"catalog/node/{asked}")).json
        assert answer["Node"]["Node"] == "Beta"
        assert {key: row["Service"] for key, row in answer["Services"].items()} == {"db": "db", "web-2": "Web"}
        answer = (await api.get(f"catalog/node-services/{asked}")).json
        assert [row["ID"] for row in answer["Services"]] == ["db", "web-2"]
        filtered = (await api.get(f"catalog/node/{asked}?filter=Port==82")).json
        assert list(filtered["Services"]) == ["web-2"]


@pytest.mark.parametrize("asked", ["b", "bc", "zz", "b-b", "bbbbbbbb-0000", "bbbbbbbb000051", "b b"])
async def test_an_unknown_node_is_null(asked: str) -> None:
    async with reading() as api:
        await two_nodes(api)
        assert (await api.get(f"catalog/node/{asked.replace(' ', '%20')}")).text == "null"
        answer = await api.get(f"catalog/node-services/{asked.replace(' ', '%20')}")
        assert answer.text == '{"Node":null,"Services":null}'


async def test_the_beginning_of_two_ids_is_nobodys_and_a_name_wins_over_an_id() -> None:
    async with reading() as api:
        await two_nodes(api)
        await api.node("other", id="bbbbbbbb-1111-4000-8000-000000000001", address="10.0.0.3")
        assert (await api.get("catalog/node/bb")).text == "null"
        assert (await api.get("catalog/node/bbbbbbbb1")).text == "null"
        assert (await api.get("catalog/node/bbbbbbbb11")).json["Node"]["Node"] == "other"
        await api.node("bbbbbbbb00", address="10.0.0.4")
        assert (await api.get("catalog/node/bbbbbbbb00")).json["Node"]["Address"] == "10.0.0.4"


async def test_a_node_without_services_has_empty_ones_or_none() -> None:
    async with reading() as api:
        assert (await api.get("catalog/node/agent")).json["Services"] == {}
        assert (await api.get("catalog/node-services/agent")).json["Services"] is None
        assert (await api.get("catalog/node-services/agent?filter=Port==1")).json["Services"] == []


async def test_checks_by_state_node_and_service() -> None:
    async with reading() as api:
        await two_nodes(api)

        async def checks(target: str) -> list[str]:
            return [row["CheckID"] for row in (await api.get(f"health/{target}")).json]

        assert await checks("state/any") == ["check-web-0", "check-web-1", "serfHealth", "check-web-2"]
        assert await checks("state/passing") == ["check-web-1", "serfHealth"]
        assert await checks("state/warning") == ["check-web-2"]
        assert await checks("state/critical") == ["check-web-0"]
        assert await checks("state/PASSING") == []
        assert await checks("state/unknown") == []
        assert await checks("state/any?node-meta=rack:2") == ["check-web-2"]
        assert await checks("state/any?filter=ServiceTags+contains+green") == ["check-web-1"]
        assert await checks("node/BETA") == ["check-web-2"]
        assert await checks("node/agent?node-meta=rack:2") == ["check-web-0", "check-web-1", "serfHealth"]
        assert await checks("node/unknown") == []
        assert await checks("checks/WEB") == ["check-web-0", "check-web-1", "check-web-2"]
        assert await checks("checks/web?node-meta=rack:2") == ["check-web-2"]
        assert await checks("checks/unknown") == []
        assert await checks("state/any?peer=elsewhere") == []


async def test_asking_for_states_that_do_not_exist_costs_no_memory() -> None:
    async with reading() as api:
        states = set(api.registry.catalog.states)
        for number in range(10):
            await api.get(f"health/state/made-up-{number}?index=1")
        assert set(api.registry.catalog.states) == states


async def test_checks_of_one_instance_by_its_id_where_no_service_has_that_name() -> None:
    async with reading() as api:
        await two_nodes(api)
        assert [row["CheckID"] for row in (await api.get("health/checks/web-1")).json] == ["check-web-1"]
        # Ids are the agent's; those of other nodes are not looked up.
        assert (await api.get("health/checks/web-2")).json == []
        await api.register("a", "web-1", status="critical")
        assert [row["CheckID"] for row in (await api.get("health/checks/web-1")).json] == ["check-a"]


async def test_connect_finds_proxies_by_their_destination_and_native_instances_by_their_name() -> None:
    async with reading() as api:
        await two_nodes(api)
        assert (await api.get("health/connect/web")).text == "[]"
        await api.register("proxy", "sidecars", kind="connect-proxy", proxy=PROXY, status="critical")
        await api.register("native", "web", connect=b'{"Native":true}', tags=("n",))
        await api.register("gateway", "web", kind="mesh-gateway", proxy=PROXY)
        await api.register("odd", "sidecars", kind="connect-proxy", proxy=b'{"DestinationServiceName":7}')
        await api.register("odder", "sidecars", connect=b'{"Native":"yes"}')
        assert ids((await api.get("health/connect/WEB")).json) == ["native", "proxy"]
        assert ids((await api.get("health/connect/web?passing")).json) == ["native"]
        assert ids((await api.get("catalog/connect/web?tag=N")).json) == ["native"]
        assert (await api.get("health/connect/sidecars")).json == []
        await api.register("proxy", "sidecars", kind="connect-proxy", proxy=PROXY.replace(b"Web", b"db"))
        assert ids((await api.get("health/connect/web")).json) == ["native"]
        assert ids((await api.get("health/connect/db")).json) == ["proxy"]
        await api.deregister("native")
        assert (await api.get("health/connect/web")).json == []


async def test_what_leads_to_a_service_is_known_also_of_a_registry_that_was_there_before() -> None:
    async with reading() as api:
        await api.register("odd", "sidecars", kind="connect-proxy", proxy=b'{"DestinationServiceName":7}')
        await api.register("proxy", "sidecars", kind="connect-proxy", proxy=PROXY)
        later = Reading(api.registry, jitter=0.0)
        assert ids((await later.get("health/connect/web")).json) == ["proxy"]


async def test_no_index_ever_goes_back() -> None:
    async with reading() as api:
        targets = (
            "catalog/services", "catalog/services?node-meta=rack:2", "catalog/nodes", "catalog/node/beta",
            "catalog/node-services/beta", "catalog/service/web", "catalog/connect/web", "health/service/web",
            "health/connect/web", "health/checks/web", "health/checks/web?node-meta=rack:2", "health/node/beta",
            "health/state/any", "health/state/critical?node-meta=rack:2",
        )  # fmt: skip
        seen = dict.fromkeys(targets, 0)
        for step in (
            two_nodes(api),
            api.register("proxy", "sidecars", node="beta", kind="connect-proxy", proxy=PROXY),
            api.check("check-web-2", "critical", node="beta"),
            api.register("native", "web", connect=b'{"Native":true}'),
            api.check("disk", "critical"),
            api.deregister("proxy", node="beta"),
            api.deregister("native"),
            api.remove_node("beta"),
            api.node("later", address="10.0.0.7"),
            api.deregister("web-1"),
            api.deregister("web-0"),
            two_nodes(api),
        ):
            await step
            for target, before in seen.items():
                seen[target] = await api.index(target)
                assert seen[target] >= before > -1, target


async def test_datacenters_and_status() -> None:
    async with reading() as api:
        answer = await api.get("catalog/datacenters?dc=dcx&wait=x&ns=x")
        assert answer.text == '["dc1"]'
        assert "x-consul-index" not in answer.headers
        assert (await api.get("catalog/datacenters?stale&consistent")).status == 400
        assert (await api.get("status/leader")).text == '"127.0.0.1:8300"'
        assert (await api.get("status/peers")).text == '["127.0.0.1:8300"]'


async def test_the_leader_at_an_address_of_version_six_has_brackets() -> None:
    async with reading() as api:
        api.registry.address = "fd00::1"
        assert (await api.get("status/leader")).text == '"[fd00::1]:8300"'


@pytest.mark.parametrize(
    "target",
    ["catalog/services", "catalog/service/web", "health/service/web", "health/connect/web", "catalog/datacenters"],
)
async def test_a_second_cached_question_is_a_hit(target: str) -> None:
    async with reading() as api:
        await two_nodes(api)
        first, second = await api.get(f"{target}?cached"), await api.get(f"{target}?cached")
        assert (first.headers["x-cache"], first.headers.get("age")) == ("MISS", None)
        assert (second.headers["x-cache"], second.headers["age"]) == ("HIT", "0")
        assert "x-cache" not in (await api.get(target)).headers
        if "web" in target:
            assert (await api.get(f"{target}?cached&tag=blue")).headers["x-cache"] == "MISS"
        if "health" in target:
            # It is applied to what the cache gave.
            assert (await api.get(f"{target}?cached&passing")).headers["x-cache"] == "HIT"


@pytest.mark.parametrize("target", ["catalog/nodes", "catalog/node/agent", "health/checks/web", "health/state/any"])
async def test_what_consul_does_not_cache_says_nothing_of_a_cache(target: str) -> None:
    async with reading() as api:
        assert "x-cache" not in (await api.get(f"{target}?cached")).headers


# ----- large answers --------------------------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["web", "db", "cache"]), max_size=40)


def every_read(api: Reading) -> list[Rows]:
    catalog, whole, narrowed = api.registry.catalog, Selection(), Selection(tags=("a",), node_meta=(("rack", "1"),))
    return [
        HealthService(catalog, "dc1", "web", whole, None),
        HealthService(catalog, "dc1", "web", narrowed, None),
        HealthState(catalog, "dc1", "any", whole, None),
        HealthState(catalog, "dc1", "critical", narrowed, None),
        CatalogServices(catalog, "dc1", whole, None),
        NarrowedCatalogServices(catalog, "dc1", narrowed, None),
        CatalogNodes(catalog, "dc1", (), None),
        CatalogNode(catalog, "dc1", "agent", whole, None),
        CatalogNode(catalog, "dc1", "unknown", whole, None),
    ]


@given(names=NAMES, size=st.integers(1, 7))
def test_an_answer_made_in_slices_is_the_answer_made_at_once(names: list[str], size: int) -> None:
    async def scenario() -> None:
        async with reading() as api:
            await api.node("ext-2", address="10.0.0.2", meta={"rack": "1"})
            await api.node("ext", address="10.0.0.2")
            for number, name in enumerate(names):
                node = ("", "ext", "ext-2")[number % 3]
                status = "critical" if number % 4 else "passing"
                await api.register(f"{name}-{number}", name, node=node, tags=("a",) * (number % 2), status=status)  # type: ignore[arg-type]  # both are statuses
            for read in every_read(api):
                assert await read.render_in_slices() == read.render()
                msgspec.json.decode(read.render())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads, "_SORTED_AT_ONCE", size)
        patch.setattr(reads, "_RENDERED_AT_ONCE", size)
        asyncio.run(scenario())


async def test_whether_an_answer_is_large_is_a_matter_of_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LARGEST_AT_ONCE", 5)
    async with reading() as api:
        for number in range(6):
            await api.register(f"web-{number}", "web")
        await api.register("db", "db")
        catalog = api.registry.catalog
        assert HealthService(catalog, "dc1", "web", Selection(), None).large
        assert not HealthService(catalog, "dc1", "db", Selection(), None).large
        assert CatalogNode(catalog, "dc1", "agent", Selection(), None).large
        assert not CatalogServices(catalog, "dc1", Selection(), None).large
        assert not HealthState(catalog, "dc1", "any", Selection(), None).large


async def test_a_large_answer_of_an_endpoint_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LARGEST_AT_ONCE", 5)
    async with reading() as api:
        revisions = [await api.register(f"web-{number:02}", "web") for number in range(20)]
        answer = await api.get("health/service/web")
        assert ids(answer.json) == [f"web-{number:02}" for number in range(20)]
        assert answer.headers["x-consul-index"] == str(revisions[-1])
