"""Services of the agent, as Consul registers, shows and removes them."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.protocols_consul.agent_differences import HASHED, SERVICE
from tests.contract.protocols_consul.differential import ABSENT, Allowed, Differential, Exchange, Side
from tests.plugins.following import PATIENCE

REGISTER = "/v1/agent/service/register"


@pytest.fixture
def agent(differential: Differential) -> Iterator[Differential]:
    """Both servers; the services that a test registered are removed after it."""
    kept = [set(side.send("GET", "/v1/agent/services").value) for side in (differential.consul, differential.homeport)]
    yield differential
    for side, before in zip((differential.consul, differential.homeport), kept, strict=True):
        for service_id in set(side.send("GET", "/v1/agent/services").value) - before:
            side.send("PUT", f"/v1/agent/service/deregister/{service_id}")


def same_service(agent: Differential, service_id: str, name: str) -> None:
    """Everything that both say about a service is the same."""
    agent.same("GET", "/v1/agent/services", pick=lambda body: body[service_id], allowed=SERVICE)
    agent.same("GET", f"/v1/agent/service/{service_id}", allowed=HASHED)
    agent.same("GET", f"/v1/catalog/service/{name}")
    agent.same("GET", f"/v1/health/service/{name}", pick=without_node_checks)


def without_node_checks(entries: Any) -> Any:
    """What other tests of this worker do to the node is not compared here."""
    return [
        {
            **entry,
            "Checks": [check for check in entry["Checks"] if check["ServiceID"] or check["CheckID"] == "serfHealth"],
        }
        for entry in entries
    ]


BODIES: dict[str, dict[str, Any]] = {
    "a name": {},
    "an id": {"ID": "as-id"},
    "an address": {"Address": "10.1.1.1", "Port": 80},
    "an IPv6 address": {"Address": "2001:db8::1", "Port": 80},
    "a host name": {"Address": "web.example", "Port": 80},
    "tags": {"Tags": ["b", "a", "b"]},
    "metadata": {"Meta": {"b": "<&>", "a": "1"}},
    "weights": {"Weights": {"Passing": 9, "Warning": 0}},
    "tagged addresses": {
        "Address": "10.1.1.1",
        "Port": 80,
        "TaggedAddresses": {"lan_ipv4": {"Address": "10.2.2.2", "Port": 1}},
    },
    "other tagged addresses": {"TaggedAddresses": {"virtual": {"Address": "240.0.0.1", "Port": 2}}},
    "tag override": {"EnableTagOverride": True},
    "native": {"Port": 80, "Connect": {"Native": True}},
    "empty blocks": {"Connect": {}, "Proxy": {}},
    "an empty check": {"Check": {}},
    "a token": {"Token": "ignored"},
    "snake case": {"enable_tag_override": True, "tagged_addresses": {"x": {"address": "y", "port": 3}}},
    "one check": {"Check": {"TTL": "1h", "Status": "passing", "Notes": "n"}},
    "two checks": {"Check": {"TTL": "1h"}, "Checks": [{"TTL": "1h", "Name": "second"}]},
    "a check with an id": {"Checks": [{"TTL": "1h", "CheckID": "as-own"}, {"TCP": "127.0.0.1:1", "Interval": "24h"}]},
    "durations as numbers": {"Check": {"TTL": 3_600_000_000_000, "DeregisterCriticalServiceAfter": 7_200_000_000_000}},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_service_is_shown_alike(agent: Differential, body: dict[str, Any]) -> None:
    name = "as-shown"
    agent.arrange("PUT", REGISTER, {"Name": name, **body})
    same_service(agent, body.get("ID", name), name)
    agent.same("GET", "/v1/agent/checks", pick=lambda checks: own_checks(checks, name))
    agent.same("GET", f"/v1/health/checks/{name}")


def own_checks(checks: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: check for key, check in checks.items() if check["ServiceName"] == name}


def test_a_proxy_is_shown_alike(agent: Differential) -> None:
    proxy = {
        "DestinationServiceName": "web",
        "Config": {"b": 1, "a": [2]},
        "Upstreams": [{"DestinationName": "db", "LocalBindPort": 5}],
    }
    agent.arrange("PUT", REGISTER, {"Name": "as-proxy", "Kind": "connect-proxy", "Port": 1, "Proxy": proxy})
    shown = Allowed(r"body.*\.Upstreams\[0\]\.Datacenter", "the agent leaves it out, the catalog does not", ABSENT, "")
    agent.same("GET", "/v1/agent/services", pick=lambda body: body["as-proxy"], allowed=(*SERVICE, shown))
    agent.same("GET", "/v1/agent/service/as-proxy", allowed=(*HASHED, shown))
    config = Allowed(r"body.*Proxy\.Upstreams\[0\]\.Config", "left out when empty since 1.9", None, ABSENT)
    agent.same("GET", "/v1/catalog/service/as-proxy", allowed=[config])
    agent.same("GET", "/v1/health/connect/web", pick=without_node_checks, allowed=[config])


def test_the_content_hash_is_consuls_but_for_the_fields_that_came_later(agent: Differential) -> None:
    """A struct's hash is the exclusive or of its fields' hashes, so the two that 1.8 lacks can be taken out again."""
    agent.arrange(
        "PUT",
        REGISTER,
        {
            "Name": "as-hash",
            "Address": "10.0.0.1",
            "Port": 80,
            "Tags": ["a"],
            "Meta": {"k": "v"},
            "Connect": {"Native": True},
        },
    )
    theirs, ours = agent.send("GET", "/v1/agent/service/as-hash")
    later = fnv(fnv_pair("SocketPath")) ^ fnv(fnv_pair("PeerName"))
    assert int(ours.value["ContentHash"], 16) ^ later == int(theirs.value["ContentHash"], 16)
    assert ours.header("X-Consul-Contenthash") == ours.value["ContentHash"]


def fnv_pair(field: str) -> bytes:
    """A field that is an empty text, as it goes into the hash of its struct."""
    return fnv(field.encode()).to_bytes(8, "little") + fnv(b"").to_bytes(8, "little")


def fnv(data: bytes) -> int:
    """FNV-1 in 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = value * 0x100000001B3 % (1 << 64) ^ byte
    return value


def test_checks_keep_their_status_when_their_service_comes_again(agent: Differential) -> None:
    body: dict[str, object] = {
        "Name": "as-again",
        "Checks": [{"TTL": "1h", "CheckID": "as-a"}, {"TTL": "1h", "CheckID": "as-b"}],
    }
    agent.arrange("PUT", REGISTER, body)
    agent.arrange("PUT", "/v1/agent/check/pass/as-a?note=well")
    # Another name, another status, and one check less.
    body = {"ID": "as-again", "Name": "as-renamed", "Check": {"TTL": "1h", "CheckID": "as-a", "Status": "warning"}}
    agent.arrange("PUT", REGISTER, body)
    agent.same("GET", "/v1/agent/checks", pick=lambda checks: checks["as-a"])
    agent.same(
        "GET", "/v1/agent/checks", pick=lambda checks: checks["as-b"],
        allowed=[Allowed("body.ServiceName", "a check follows its service", "as-again", "as-renamed")],
    )  # fmt: skip
    for replace, left in (("?replace-existing-checks=no", 2), ("?replace-existing-checks", 1)):
        agent.arrange("PUT", REGISTER + replace, body)
        for answer in agent.send("GET", "/v1/agent/checks"):
            assert len([key for key in answer.value if key in ("as-a", "as-b")]) == left


def test_a_check_may_move_to_another_service(agent: Differential) -> None:
    for name in ("as-from", "as-to"):
        agent.arrange("PUT", REGISTER, {"Name": name, "Check": {"TTL": "1h", "CheckID": "as-moves"}})
    agent.same("GET", "/v1/agent/checks", pick=lambda checks: checks["as-moves"])
    agent.same("GET", "/v1/health/checks/as-from")
    agent.same("GET", "/v1/health/checks/as-to")


def test_a_service_goes_with_its_checks(agent: Differential) -> None:
    agent.arrange("PUT", REGISTER, {"Name": "as-goes", "Checks": [{"TTL": "1h"}, {"TTL": "1h"}]})
    agent.arrange("PUT", "/v1/agent/service/maintenance/as-goes?enable=true")
    agent.same("PUT", "/v1/agent/service/deregister/as-goes")
    agent.same("GET", "/v1/agent/checks", pick=lambda checks: own_checks(checks, "as-goes"))
    agent.same("GET", "/v1/health/checks/as-goes")
    agent.same("GET", "/v1/catalog/service/as-goes")


def test_services_are_filtered(agent: Differential) -> None:
    for number in (1, 2):
        agent.arrange(
            "PUT", REGISTER, {"Name": "as-filter", "ID": f"as-filter-{number}", "Port": number, "Tags": [f"t{number}"]}
        )
    for text in ("t1+in+Tags", "Port+!=+1+and+Service+==+%22as-filter%22", "Service+==+nothing"):
        for answer in agent.send("GET", f"/v1/agent/services?filter={text}"):
            assert answer.status == 200
        agent.same(
            "GET",
            f"/v1/agent/services?filter={text}+and+ID+matches+%22^as-%22",
            allowed=SERVICE if "nothing" not in text else (),
        )


SIDES = ["consul", "homeport"]


@pytest.mark.parametrize("which", SIDES)
class TestWaitingForAHash:
    """``agent/service/:id?hash=``, on either side."""

    def register(self, side: Side, service_id: str, port: int) -> None:
        assert side.send("PUT", REGISTER, {"Name": "as-wait", "ID": service_id, "Port": port}).status == 200

    def waiting(self, side: Side, service_id: str, seen: str, wait: str) -> tuple[threading.Thread, list[Exchange]]:
        answers: list[Exchange] = []
        path = f"/v1/agent/service/{service_id}?hash={seen}&wait={wait}"
        thread = threading.Thread(target=lambda: answers.append(side.send("GET", path)), daemon=True)
        thread.start()
        return thread, answers

    def test_another_hash_is_answered_at_once(self, agent: Differential, which: str) -> None:
        side: Side = getattr(agent, which)
        self.register(side, "as-wait-1", 1)
        answer = side.send("GET", "/v1/agent/service/as-wait-1?hash=other&wait=60s")
        assert answer.value["Port"] == 1

    def test_its_own_hash_waits_for_a_change(self, agent: Differential, which: str) -> None:
        side: Side = getattr(agent, which)
        self.register(side, "as-wait-2", 1)
        seen = side.send("GET", "/v1/agent/service/as-wait-2").header("X-Consul-Contenthash")
        assert seen
        thread, answers = self.waiting(side, "as-wait-2", seen, "10m")
        # What does not concern it does not end the wait.
        self.register(side, "as-wait-other", 1)
        self.register(side, "as-wait-2", 1)
        assert not answers
        self.register(side, "as-wait-2", 2)
        thread.join(PATIENCE)
        assert [answer.value["Port"] for answer in answers] == [2]
        assert answers[0].header("X-Consul-Contenthash") != seen

    def test_a_service_that_goes_ends_the_wait(self, agent: Differential, which: str) -> None:
        side: Side = getattr(agent, which)
        self.register(side, "as-wait-3", 1)
        seen = side.send("GET", "/v1/agent/service/as-wait-3").header("X-Consul-Contenthash")
        assert seen
        thread, answers = self.waiting(side, "as-wait-3", seen, "10m")
        side.send("PUT", "/v1/agent/service/deregister/as-wait-3")
        thread.join(PATIENCE)
        assert [(answer.status, answer.text) for answer in answers] == [(404, "unknown service ID: as-wait-3")]

    def test_the_time_over_it_is_what_it_was(self, agent: Differential, which: str) -> None:
        side: Side = getattr(agent, which)
        self.register(side, "as-wait-4", 1)
        first = side.send("GET", "/v1/agent/service/as-wait-4")
        began = time.monotonic()
        again = side.send("GET", f"/v1/agent/service/as-wait-4?hash={first.value['ContentHash']}&wait=100ms")
        assert again.value == first.value
        assert time.monotonic() - began > 0.05  # a timer may be early by the grain of its clock
