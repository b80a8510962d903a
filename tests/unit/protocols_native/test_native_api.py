"""What the registry offers beyond Consul's API, over a real registry and health engine in memory."""

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import pytest

from homeport.protocols.consul.api import ConsulAPI
from homeport.protocols.native.api import NativeAPI
from homeport.registry.checks import put_check
from homeport.registry.health import Health, HealthSettings
from homeport.registry.records import SERVICES, CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.transaction import Transaction
from homeport.wire.http import Routes
from tests.unit.protocols_consul.in_process import InProcess

REGISTER = "/v1/agent/service/register"
INCARNATION = "homeport-incarnation"


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry(MemoryStore(), node="agent") as registry:
        yield registry


@pytest.fixture
async def health(registry: Registry) -> AsyncIterator[Health]:
    async with Health(registry, settings=HealthSettings()) as health:
        yield health


@pytest.fixture
def api(registry: Registry, health: Health) -> InProcess:
    """Both protocols, since services are registered through Consul's."""
    routes = Routes()
    routes.include(ConsulAPI(registry, health).routes())
    routes.include(NativeAPI(registry, health).routes())
    return InProcess(routes)


async def register(api: InProcess, name: str, **body: object) -> None:
    answer = await api.put(REGISTER, {"Name": name, **body})
    assert answer.status == 200, answer.text


async def summaries(api: InProcess) -> dict[str, dict[str, Any]]:
    return {row.pop("Name"): row for row in (await api.get("/v1/homeport/services")).json}


async def test_capabilities_tell_product_store_and_features(api: InProcess, registry: Registry) -> None:
    assert (await api.get("/v1/homeport/capabilities")).json == {
        "Product": "homeport",
        "Version": version("homeport"),
        "Store": registry.identity.id,
        "Node": "agent",
        "Datacenter": "dc1",
        "Features": [
            "incarnation",
            "check-run",
            "check-history",
            "check-expectations",
            "summary",
            "service-changes",
            "sources",
        ],
    }


class TestDeregisteringAnIncarnation:
    async def test_its_own_is_removed_with_its_checks(self, api: InProcess, registry: Registry) -> None:
        await register(api, "web", Meta={INCARNATION: "one"}, Check={"TTL": "1h"})
        answer = await api.put("/v1/homeport/service/deregister/web?incarnation=one")
        assert (answer.status, answer.json) == (200, True)
        assert registry.catalog.instances("web") == []
        assert registry.catalog.check("agent", "service:web") is None

    async def test_a_successor_stays(self, api: InProcess, registry: Registry) -> None:
        await register(api, "web", Meta={INCARNATION: "one"})
        await register(api, "web", Meta={INCARNATION: "two"})
        revision = registry.catalog.revision
        answer = await api.put("/v1/homeport/service/deregister/web?incarnation=one")
        assert (answer.status, answer.json) == (200, False)
        assert registry.catalog.revision == revision

    async def test_what_is_not_there_is_no_failure(self, api: InProcess) -> None:
        answer = await api.put("/v1/homeport/service/deregister/nobody?incarnation=one")
        assert (answer.status, answer.json) == (200, False)

    @pytest.mark.parametrize("target", ["web", "web?incarnation=", "?incarnation=one"])
    async def test_both_must_be_given(self, api: InProcess, registry: Registry, target: str) -> None:
        await register(api, "web")
        answer = await api.put(f"/v1/homeport/service/deregister/{target}")
        assert answer.status == 400
        assert len(registry.catalog.instances("web")) == 1


class TestChangesOfServices:
    CHANGES = "/v1/homeport/services/changes"

    async def index(self, api: InProcess, name: str) -> int:
        return int((await api.get(f"/v1/health/service/{name}")).headers["x-consul-index"])

    async def test_what_moved_is_told_with_the_index_of_its_health(self, api: InProcess) -> None:
        asked = {name: await self.index(api, name) for name in ("web", "api", "db")}
        await register(api, "web")
        await register(api, "api")
        answer = await api.ask("POST", self.CHANGES, asked)
        assert answer.json == {"web": await self.index(api, "web"), "api": await self.index(api, "api")}

    @pytest.mark.parametrize(
        "change",
        [
            ("PUT", "/v1/agent/check/pass/service:web", b""),
            ("PUT", "/v1/agent/service/deregister/web", b""),
            ("PUT", "/v1/agent/maintenance?enable=true", b""),
            ("PUT", REGISTER, {"Name": "web", "Tags": ["new"]}),
            ("PUT", REGISTER, {"Name": "later"}),
        ],
    )
    async def test_it_waits_for_the_first_change_of_any(self, api: InProcess, change: tuple[str, str, object]) -> None:
        await register(api, "web", Check={"TTL": "1h"})
        asked = {name: await self.index(api, name) for name in ("web", "later", "other")}
        waiting = asyncio.create_task(api.ask("POST", f"{self.CHANGES}?wait=60s", asked))
        await register(api, "unasked")
        assert not waiting.done()
        await api.ask(*change)
        moved = (await waiting).json
        assert list(moved) == ["later" if "later" in str(change) else "web"]

    async def test_without_a_change_it_ends_empty_when_the_time_is_over(self, api: InProcess) -> None:
        asked = {"web": await self.index(api, "web")}
        assert (await api.ask("POST", f"{self.CHANGES}?wait=10ms", asked)).json == {}

    async def test_an_index_of_other_data_is_answered_at_once(self, api: InProcess, registry: Registry) -> None:
        asked = {"web": 2**62}
        assert (await api.ask("POST", f"{self.CHANGES}?wait=60s&store=another", asked)).json.keys() == asked.keys()
        same = f"{self.CHANGES}?wait=10ms&store={registry.identity.id}"
        assert (await api.ask("POST", same, asked)).json == {}

    async def test_the_end_of_the_server_ends_the_wait(self, api: InProcess, registry: Registry) -> None:
        asked = {"web": await self.index(api, "web")}
        waiting = asyncio.create_task(api.ask("POST", f"{self.CHANGES}?wait=60s", asked))
        await register(api, "unasked")
        registry.drain()
        assert (await waiting).json == {}

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"{}", {"web": "1"}, {"web": -1}, {"web": 1.5}, {f"s{number}": 1 for number in range(10_001)}],
    )
    async def test_a_body_that_cannot_be_is_refused(self, api: InProcess, body: object) -> None:
        answer = await api.ask("POST", self.CHANGES, body)
        assert answer.status == 400
        assert "body" in answer.text


class TestSummaries:
    async def test_instances_are_counted_by_their_worst_check(self, api: InProcess) -> None:
        for number, status in enumerate(("passing", "passing", "warning", "critical")):
            checks = [{"TTL": "1h", "Status": "passing"}, {"TTL": "1h", "Status": status}]
            await register(api, "web", ID=f"web-{number}", Tags=["b", f"t{number % 2}"], Checks=checks)
        await register(api, "api")
        assert list(await summaries(api)) == ["api", "web"]
        assert await summaries(api) == {
            "api": {"Tags": [], "Instances": 1, "Passing": 1, "Warning": 0, "Critical": 0},
            "web": {"Tags": ["b", "t0", "t1"], "Instances": 4, "Passing": 2, "Warning": 1, "Critical": 1},
        }

    async def test_checks_of_the_node_count_for_all_on_it(self, api: InProcess) -> None:
        await register(api, "web")
        await api.put("/v1/agent/check/register", {"Name": "disk", "TTL": "1h", "Status": "warning"})
        assert (await summaries(api))["web"]["Warning"] == 1
        await api.put("/v1/agent/maintenance?enable=true")
        assert (await summaries(api))["web"]["Critical"] == 1

    async def test_every_change_is_seen(self, api: InProcess) -> None:
        assert await summaries(api) == {}
        await register(api, "web", Check={"TTL": "1h"})
        assert (await summaries(api))["web"]["Critical"] == 1
        await api.put("/v1/agent/check/pass/service:web")
        assert (await summaries(api))["web"]["Passing"] == 1
        await register(api, "web", Tags=["new"], Check={"TTL": "1h"})
        assert (await summaries(api))["web"]["Tags"] == ["new"]
        await api.put("/v1/agent/service/deregister/web")
        assert await summaries(api) == {}

    async def test_many_are_counted_in_slices(self, api: InProcess, registry: Registry) -> None:
        def fill(transaction: Transaction) -> None:
            for number in range(3000):
                name, service_id = f"n{number % 3}", f"s{number}"
                transaction.put(SERVICES, ServiceRecord(node="agent", id=service_id, name=name))
                check = CheckRecord(
                    node="agent", id=f"c{number}", service_id=service_id, service_name=name,
                    status="passing" if number < 1500 else "critical",
                )  # fmt: skip
                put_check(transaction, check, now=1.0, keeps_state=False)

        await registry.transact(fill)
        found = await summaries(api)
        assert [row["Instances"] for row in found.values()] == [1000, 1000, 1000]
        assert [row["Passing"] for row in found.values()] == [500, 500, 500]

    async def test_waiting_ends_with_a_change(self, api: InProcess) -> None:
        await register(api, "web", Check={"TTL": "1h"})
        first = await api.get("/v1/homeport/services")
        index = first.headers["x-consul-index"]
        waiting = asyncio.create_task(api.get(f"/v1/homeport/services?index={index}&wait=60s"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await api.put("/v1/agent/check/pass/service:web")
        answer = await asyncio.wait_for(waiting, 30)
        assert answer.json[0]["Passing"] == 1
        assert int(answer.headers["x-consul-index"]) > int(index)

    async def test_the_time_over_it_is_what_it_was(self, api: InProcess) -> None:
        await register(api, "web")
        first = await api.get("/v1/homeport/services")
        again = await api.get(f"/v1/homeport/services?index={first.headers['x-consul-index']}&wait=10ms")
        assert (again.body, again.headers["x-consul-index"]) == (first.body, first.headers["x-consul-index"])

    async def test_whoever_waits_is_answered_when_the_server_ends(self, api: InProcess, registry: Registry) -> None:
        index = (await api.get("/v1/homeport/services")).headers["x-consul-index"]
        waiting = asyncio.create_task(api.get(f"/v1/homeport/services?index={index}&wait=60s"))
        await asyncio.sleep(0)
        registry.drain()
        assert (await asyncio.wait_for(waiting, 30)).json == []

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("index=-1", "Invalid index"),
            ("index=x", "Invalid index"),
            ("index=18446744073709551616", "Invalid index"),
            ("index=1&wait=10", "Invalid wait time"),
        ],
    )
    async def test_bad_parameters_are_refused(self, api: InProcess, query: str, text: str) -> None:
        answer = await api.get(f"/v1/homeport/services?{query}")
        assert (answer.status, answer.text) == (400, text)


class TestChecks:
    async def test_rows_tell_everything(self, api: InProcess) -> None:
        check = {"CheckID": "beat", "Name": "Beat", "TTL": "1h", "Notes": "n"}
        await register(api, "web", ID="web-1", Check=check)
        await api.put("/v1/agent/check/fail/beat?note=bad")
        (row,) = (await api.get("/v1/homeport/checks?service=web")).json
        assert row.pop("CheckedAt") > 0
        assert row.pop("CriticalSince") > 0
        assert row == {
            "Node": "agent",
            "Service": "web",
            "ServiceID": "web-1",
            "CheckID": "beat",
            "Name": "Beat",
            "Type": "ttl",
            "Status": "critical",
            "Output": "bad",
            "Notes": "n",
            "Flapping": False,
        }

    async def test_what_was_never_checked_has_no_times(self, api: InProcess) -> None:
        await register(api, "web", Check={"TTL": "1h", "Status": "passing"})
        (row,) = (await api.get("/v1/homeport/checks?service=web")).json
        assert (row["CheckedAt"], row["CriticalSince"]) == (None, None)

    async def test_rows_are_chosen_by_service_and_status(self, api: InProcess) -> None:
        for name, status in (("a", "passing"), ("b", "warning"), ("c", "passing")):
            await register(api, name, Check={"CheckID": name, "TTL": "1h", "Status": status})

        async def ids(query: str) -> list[str]:
            return [row["CheckID"] for row in (await api.get(f"/v1/homeport/checks{query}")).json]

        assert await ids("") == ["a", "b", "c", "serfHealth"]
        assert await ids("?status=passing") == ["a", "c", "serfHealth"]
        assert await ids("?service=b") == ["b"]
        assert await ids("?service=a&status=warning") == []
        assert await ids("?service=nobody") == []

    async def test_a_status_that_there_is_not_is_refused(self, api: InProcess) -> None:
        answer = await api.get("/v1/homeport/checks?status=fine")
        assert (answer.status, answer.text) == (400, '"fine" is not a status; use one of passing, warning, critical')

    async def test_many_rows_come_in_order(self, api: InProcess, registry: Registry) -> None:
        def fill(transaction: Transaction) -> None:
            for number in range(1200):
                put_check(transaction, CheckRecord(node="agent", id=f"c{number:04}"), now=1.0, keeps_state=False)

        await registry.transact(fill)
        rows = (await api.get("/v1/homeport/checks")).json
        assert [row["CheckID"] for row in rows] == [*(f"c{number:04}" for number in range(1200)), "serfHealth"]

    async def test_a_check_is_run_now(self, api: InProcess) -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            check = {"CheckID": "port", "TCP": f"127.0.0.1:{port}", "Interval": "24h"}
            await register(api, "web", Check=check)
            answer = await api.put("/v1/homeport/check/run/port")
        assert answer.status == 200
        assert (answer.json["CheckID"], answer.json["Status"]) == ("port", "passing")
        assert answer.json["CheckedAt"] > 0

    async def test_only_what_can_be_run_is(self, api: InProcess) -> None:
        await register(api, "web", Check={"CheckID": "beat", "TTL": "1h"})
        answer = await api.put("/v1/homeport/check/run/beat")
        assert answer.status == 400
        assert 'check "beat" cannot be run' in answer.text
        answer = await api.put("/v1/homeport/check/run/nobody")
        assert (answer.status, answer.text) == (
            404,
            'Unknown check ID "nobody". Ensure that the check ID is passed, not the check name.',
        )

    async def test_history_tells_the_changes_oldest_first(self, api: InProcess) -> None:
        await register(api, "web", ID="web-1", Check={"CheckID": "beat", "TTL": "1h"})
        await register(api, "other", Check={"TTL": "1h"})
        for report in ("pass", "warn", "fail"):
            await api.put(f"/v1/agent/check/{report}/beat?note={report}")
        rows = (await api.get("/v1/homeport/check/history?service=web")).json
        assert [(row["Status"], row["Output"]) for row in rows] == [
            ("critical", ""),
            ("passing", "pass"),
            ("warning", "warn"),
            ("critical", "fail"),
        ]
        assert {(row["Service"], row["ServiceID"], row["CheckID"]) for row in rows} == {("web", "web-1", "beat")}
        assert [row["At"] for row in rows] == sorted(row["At"] for row in rows)
        since = rows[-1]["At"]
        late = (await api.get(f"/v1/homeport/check/history?service=web&since={since!r}")).json
        assert late[-1] == rows[-1]
        assert all(row["At"] >= since for row in late)
        assert (await api.get(f"/v1/homeport/check/history?service=web&since={since + 1}")).json == []

    @pytest.mark.parametrize("since", ["x", "nan", "inf"])
    async def test_a_time_that_is_none_is_refused(self, api: InProcess, since: str) -> None:
        answer = await api.get(f"/v1/homeport/check/history?since={since}")
        assert (answer.status, answer.text) == (400, f'since is "{since}"; give a Unix time in seconds')
