"""The agent's API over a real registry and health engine in memory: what a comparison with Consul does not reach."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from homeport.protocols.consul.api import ConsulAPI
from homeport.registry.health import Health, HealthSettings
from homeport.registry.registry import Registry
from homeport.registry.store.memory import MemoryStore
from tests.unit.protocols_consul.in_process import InProcess

REGISTER = "/v1/agent/service/register"
NEIGHBOUR = "10.0.0.7"


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry(MemoryStore(), node="agent", datacenter="dc1") as registry:
        yield registry


@pytest.fixture
async def health(registry: Registry) -> AsyncIterator[Health]:
    async with Health(registry, settings=HealthSettings()) as health:
        yield health


@pytest.fixture
def api(registry: Registry, health: Health) -> InProcess:
    return InProcess(ConsulAPI(registry, health).routes())


async def register(api: InProcess, body: Mapping[str, Any], **options: Any) -> None:
    answer = await api.put(REGISTER, body, **options)
    assert (answer.status, answer.body) == (200, b""), answer.text


async def test_the_wrapped_form_of_a_registration_is_accepted(api: InProcess, registry: Registry) -> None:
    inner = {
        "id": "user-service-1",
        "name": "user-service",
        "address": "192.168.1.100",
        "port": 8080,
        "tags": ["primary", "v1.2"],
        "meta": {"version": "1.2.3"},
        "checks": [{"http": "http://192.168.1.100:8080/health", "interval": "10h", "timeout": "1s"}],
    }
    await register(api, {"service": inner})
    (entry,) = registry.catalog.instances("user-service")
    assert (entry.value.id, entry.value.port, entry.value.meta) == ("user-service-1", 8080, {"version": "1.2.3"})
    assert [check.value.type for check in registry.catalog.service_checks("agent", "user-service-1")] == ["http"]


async def test_a_service_is_deregistered_by_DELETE_as_well(api: InProcess, registry: Registry) -> None:  # noqa: N802
    await register(api, {"Name": "web"})
    assert (await api.ask("DELETE", "/v1/agent/service/deregister/web")).status == 200
    assert registry.catalog.instances("web") == []


async def test_an_empty_address_from_another_host_is_that_hosts(api: InProcess, registry: Registry) -> None:
    await register(api, {"Name": "far", "Port": 80}, client=NEIGHBOUR)
    await register(api, {"Name": "near", "Port": 80})
    (far,), (near,) = registry.catalog.instances("far"), registry.catalog.instances("near")
    assert (far.value.address, near.value.address) == (NEIGHBOUR, "")
    assert far.value.tagged_addresses["lan_ipv4"] == (NEIGHBOUR, 80)


async def test_a_passing_service_that_moves_is_accepted_and_logged(
    api: InProcess, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    def moves() -> list[tuple[Any, Any]]:
        return [
            (record.__dict__["before"], record.__dict__["after"])
            for record in caplog.records
            if "before" in record.__dict__
        ]

    body = {"Name": "web", "Port": 80, "Check": {"TTL": "1h"}}
    with caplog.at_level(logging.WARNING):
        await register(api, {**body, "Address": "10.0.0.1"})
        await register(api, {**body, "Address": "10.0.0.2"})
        assert moves() == [], "a service that does not pass may come from anywhere"
        await api.put("/v1/agent/check/pass/service:web")
        await register(api, {**body, "Address": "10.0.0.2"})
        assert moves() == [], "nothing moved"
        await register(api, {**body, "Address": "10.0.0.3"})
    assert moves() == [("10.0.0.2:80", "10.0.0.3:80")]
    (entry,) = registry.catalog.instances("web")
    assert entry.value.address == "10.0.0.3"


async def test_the_same_again_writes_nothing_and_lets_the_ttl_run_anew(
    api: InProcess, registry: Registry, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"Name": "web", "Check": {"TTL": "1h"}}
    await register(api, body)
    restarted: list[list[str]] = []
    monkeypatch.setattr(health, "restart_ttl", lambda ids: restarted.append(list(ids)))
    revision = registry.catalog.revision
    await register(api, body)
    await api.put("/v1/agent/check/register", {"Name": "beat", "TTL": "1h"})
    assert registry.catalog.revision == revision + 1, "the check of the node is new, the service is not"
    assert restarted == [["service:web"], ["beat"]]


async def test_a_heartbeat_that_changes_nothing_is_no_write(api: InProcess, registry: Registry) -> None:
    await register(api, {"Name": "web", "Check": {"TTL": "1h"}})
    await api.put("/v1/agent/check/pass/service:web?note=well")
    revision = registry.catalog.revision
    for number in range(3):
        assert (await api.put(f"/v1/agent/check/pass/service:web?note={number}")).status == 200
    assert registry.catalog.revision == revision
    checks = (await api.get("/v1/agent/checks")).json
    assert checks["service:web"]["Output"] == "2"
    health = (await api.get("/v1/agent/health/service/id/web")).json
    assert health["Checks"][0]["Output"] == "2"


async def test_scripts_are_run_only_where_they_are_switched_on(registry: Registry) -> None:
    body = {"Name": "web", "Check": {"Args": ["true"], "Interval": "10h"}}
    check = {"Name": "script", "Args": ["true"], "Interval": "10h"}
    for enabled, status in ((False, 500), (True, 200)):
        async with Health(registry, settings=HealthSettings(enable_script_checks=enabled)) as health:
            api = InProcess(ConsulAPI(registry, health).routes())
            assert (await api.put(REGISTER, body)).status == status
            assert (await api.put("/v1/agent/check/register", check)).status == status


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", REGISTER),
        ("PUT", "/v1/agent/service/deregister/web"),
        ("GET", "/v1/agent/services"),
        ("GET", "/v1/agent/service/web"),
        ("GET", "/v1/agent/checks"),
        ("PUT", "/v1/agent/check/register"),
        ("PUT", "/v1/agent/check/pass/x"),
        ("GET", "/v1/agent/health/service/id/web"),
        ("PUT", "/v1/agent/maintenance"),
        ("GET", "/v1/agent/self"),
        ("GET", "/v1/agent/members"),
        ("PUT", "/v1/catalog/register"),
        ("PUT", "/v1/catalog/deregister"),
    ],
)
async def test_enterprise_is_refused_everywhere(api: InProcess, registry: Registry, method: str, target: str) -> None:
    revision = registry.catalog.revision
    body = b"" if method == "GET" else {"Name": "web", "Node": "n", "Address": "a"}
    for query, headers, text in (
        ("?ns=a", {}, 'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature'),
        ("?partition=a", {}, 'Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature'),
        (
            "",
            {"X-Consul-Namespace": "a"},
            'Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature',
        ),
    ):
        answer = await api.ask(method, target + query, body, headers=headers)
        assert (answer.status, answer.text) == (400, text)
    assert registry.catalog.revision == revision


async def test_many_services_and_checks_are_listed_in_slices(api: InProcess, registry: Registry) -> None:
    """Beyond a certain number the loop is not kept; what comes out is the same."""
    from homeport.registry.checks import put_check
    from homeport.registry.records import SERVICES, CheckRecord, ServiceRecord
    from homeport.registry.store.transaction import Transaction

    def fill(transaction: Transaction) -> None:
        for number in range(2500):
            transaction.put(SERVICES, ServiceRecord(node="agent", id=f"S{number}", name=f"n{number % 7}", port=number))
            check = CheckRecord(node="agent", id=f"C{number}", service_id=f"S{number}", service_name=f"n{number % 7}")
            put_check(transaction, check, now=1.0, keeps_state=False)

    await registry.transact(fill)
    services = (await api.get("/v1/agent/services")).json
    assert list(services) == sorted(f"S{number}" for number in range(2500))
    assert services["S17"]["Port"] == 17
    checks = (await api.get("/v1/agent/checks")).json
    assert list(checks) == sorted(f"C{number}" for number in range(2500))
    some = (await api.get("/v1/agent/services?filter=Service+==+n3")).json
    assert {service["Service"] for service in some.values()} == {"n3"}


async def test_whoever_waits_for_a_hash_is_answered_when_the_server_ends(api: InProcess, registry: Registry) -> None:
    await register(api, {"Name": "web"})
    seen = (await api.get("/v1/agent/service/web")).headers["x-consul-contenthash"]
    waiting = asyncio.create_task(api.get(f"/v1/agent/service/web?hash={seen}&wait=60s"))
    await asyncio.sleep(0)
    assert not waiting.done()
    registry.drain()
    answer = await asyncio.wait_for(waiting, 30)
    assert (answer.status, answer.headers["x-consul-contenthash"]) == (200, seen)


async def test_the_agent_tells_who_it_is(api: InProcess, registry: Registry) -> None:
    about = (await api.get("/v1/agent/self")).json
    assert all(isinstance(value, dict) for value in about.values())
    assert about["Config"]["NodeID"] == about["Member"]["Tags"]["id"] == registry.identity.node_id
    assert about["Config"]["Version"].startswith("1.21.4+homeport.")
    version = (await api.get("/v1/agent/version")).json
    assert version["HumanVersion"] == about["Config"]["Version"]
    assert set(version) == {"SHA", "BuildDate", "HumanVersion", "FIPS"}
    await register(api, {"Name": "web", "Check": {"TTL": "1h"}})
    agent = (await api.get("/v1/agent/self")).json["Stats"]["agent"]
    assert agent == {"checks": "1", "services": "1"}


async def test_its_metrics_are_measured(api: InProcess, registry: Registry) -> None:
    async def gauges() -> dict[str, float]:
        metrics = (await api.get("/v1/agent/metrics")).json
        assert [gauge["Name"] for gauge in metrics["Gauges"]] == sorted(gauge["Name"] for gauge in metrics["Gauges"])
        return {gauge["Name"]: gauge["Value"] for gauge in metrics["Gauges"]}

    await register(api, {"Name": "web", "ID": "a", "Check": {"TTL": "1h"}})
    await register(api, {"Name": "web", "ID": "b"})
    await api.put("/v1/catalog/register", {"Node": "other", "Address": "10.0.0.1", "Service": {"Service": "db"}})
    found = await gauges()
    assert found["consul.state.nodes"] == 2
    assert found["consul.state.services"] == 2
    assert found["consul.state.service_instances"] == 3
    assert found["homeport.state.checks"] == 2
    assert found["homeport.store.revision"] == registry.catalog.revision
    assert (await api.get("/v1/agent/metrics?format=prometheus")).status == 415


async def test_its_members_are_itself(api: InProcess) -> None:
    (member,) = (await api.get("/v1/agent/members")).json
    assert (member["Name"], member["Status"], member["Port"]) == ("agent", 1, 8301)
    (member,) = (await api.get("/v1/agent/members?wan=1")).json
    assert (member["Name"], member["Port"]) == ("agent.dc1", 8302)
    assert (await api.get("/v1/agent/members?filter=Name+==+other")).json == []
    assert (await api.get("/v1/agent/members?segment=_all")).status == 200
    assert (await api.get("/v1/agent/members?segment=alpha")).status == 500


async def test_its_host_is_described(api: InProcess) -> None:
    found = (await api.get("/v1/agent/host")).json
    assert found["Host"]["os"]
    assert found["Disk"]["total"] > 0
    assert found["Errors"] is None


async def test_a_reload_is_refused_in_a_sentence(api: InProcess) -> None:
    answer = await api.put("/v1/agent/reload")
    assert (answer.status, answer.text) == (
        501,
        "this registry does not reload its configuration while it runs; restart it instead",
    )


async def test_a_sidecar_is_refused_and_nothing_written(api: InProcess, registry: Registry) -> None:
    revision = registry.catalog.revision
    answer = await api.put(REGISTER, {"Name": "web", "Port": 1, "Connect": {"SidecarService": {}}})
    assert (answer.status, answer.text.split(":")[0]) == (400, "Connect.SidecarService is not supported yet")
    assert registry.catalog.revision == revision


async def test_a_check_may_expect_a_status_and_a_body(api: InProcess, registry: Registry) -> None:
    http = {"HTTP": "http://127.0.0.1:1/", "Interval": "24h"}
    await register(api, {"Name": "web", "Check": {}, "Checks": [{"TTL": "1h"}, {**http, "ExpectedStatus": 204}]})
    answer = await api.put("/v1/agent/check/register", {"Name": "body", **http, "ExpectedBody": "ok"})
    assert answer.status == 200, answer.text
    (second, body) = (registry.catalog.check("agent", check_id) for check_id in ("service:web:2", "body"))
    assert second is not None
    assert body is not None
    assert second.value.definition.expected_status == 204
    assert body.value.definition.expected_body == "ok"


async def test_an_expectation_that_cannot_be_is_refused_and_nothing_written(api: InProcess, registry: Registry) -> None:
    revision = registry.catalog.revision
    for target, body in (
        (REGISTER, {"Name": "web", "Check": {"TTL": "1h", "ExpectedStatus": 200}}),
        (REGISTER, {"Name": "web", "ExpectedStatus": 200}),
        ("/v1/agent/check/register", {"Name": "c", "TTL": "1h", "ExpectedBody": 5}),
    ):
        assert (await api.put(target, body)).status == 400
    assert registry.catalog.revision == revision


async def test_the_health_of_a_service_counts_the_checks_of_the_agents_node(api: InProcess) -> None:
    await register(api, {"Name": "web", "Check": {"TTL": "1h", "Status": "passing"}})
    await api.put("/v1/agent/check/register", {"Name": "disk", "TTL": "1h", "Status": "warning"})
    answer = await api.get("/v1/agent/health/service/id/web")
    assert (answer.status, answer.json["AggregatedStatus"]) == (429, "warning")
    # The node's serfHealth is the catalog's, not the agent's.
    assert {check["CheckID"] for check in answer.json["Checks"]} == {"service:web", "disk"}


async def test_maintenance_tells_its_reason(api: InProcess) -> None:
    await register(api, {"Name": "web"})
    for target, check_id in (
        ("/v1/agent/maintenance", "_node_maintenance"),
        ("/v1/agent/service/maintenance/web", "_service_maintenance:web"),
    ):
        await api.put(f"{target}?enable=true&reason=moving%20house")
        assert (await api.get("/v1/agent/checks")).json[check_id]["Notes"] == "moving house"
        await api.put(f"{target}?enable=false")
        assert check_id not in (await api.get("/v1/agent/checks")).json
