"""Checks of the agent: registered, reported and shown as Consul does it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.protocols_consul.differential import Allowed, Differential

REGISTER = "/v1/agent/check/register"


@pytest.fixture
def agent(differential: Differential) -> Iterator[Differential]:
    """Both servers, with a service; its checks and those of the node that a test registered are removed after it."""
    differential.arrange("PUT", "/v1/agent/service/register", {"Name": "ac-service", "Tags": ["t"]})
    yield differential
    for side in (differential.consul, differential.homeport):
        for service_id in ("ac-service", "ac-follower"):
            side.send("PUT", f"/v1/agent/service/deregister/{service_id}")
        for check_id in side.send("GET", "/v1/agent/checks").value:
            if check_id.startswith("ac-"):
                side.send("PUT", f"/v1/agent/check/deregister/{check_id}")


def same_check(agent: Differential, check_id: str, *, allowed: tuple[Allowed, ...] = ()) -> Any:
    _, ours = agent.same("GET", "/v1/agent/checks", pick=lambda checks: checks[check_id], allowed=allowed)
    return ours.value[check_id]


BODIES: dict[str, dict[str, Any]] = {
    "ttl": {"TTL": "1h"},
    "status and notes": {"TTL": "1h", "Status": "passing", "Notes": "<n>"},
    "of a service": {"TTL": "1h", "ServiceID": "ac-service"},
    "tcp": {"TCP": "127.0.0.1:1", "Interval": "24h", "Timeout": "3s"},
    "http": {"HTTP": "http://127.0.0.1:1/", "Interval": "24h", "Header": {"a": ["b"]}, "Method": "POST"},
    "grpc": {"GRPC": "127.0.0.1:1/x", "Interval": "24h", "GRPCUseTLS": True},
    "numbers": {"TTL": 3_600_000_000_000},
    "snake case": {"TTL": "1h", "service_id": "ac-service", "deregister_critical_service_after": "2h"},
    "a token": {"TTL": "1h", "Token": "ignored"},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_check_is_shown_alike(agent: Differential, body: dict[str, Any]) -> None:
    agent.arrange("PUT", REGISTER, {"Name": "AC", "ID": "ac-shown", **body})
    same_check(agent, "ac-shown")
    agent.same("GET", "/v1/health/node/{node}", pick=lambda rows: [row for row in rows if row["CheckID"] == "ac-shown"])


def test_its_name_is_its_id(agent: Differential) -> None:
    agent.arrange("PUT", REGISTER, {"Name": "ac-named", "TTL": "1h"})
    assert same_check(agent, "ac-named")["Name"] == "ac-named"


def test_reports_are_seen_at_once(agent: Differential) -> None:
    agent.arrange("PUT", REGISTER, {"Name": "ac-reported", "TTL": "1h", "ServiceID": "ac-service"})
    for path, body in (
        ("pass/ac-reported", None),
        ("pass/ac-reported?note=all%20%3Cwell%3E", None),
        ("warn/ac-reported?note=so-so", None),
        ("warn/ac-reported?note=still", None),
        ("fail/ac-reported", None),
        ("update/ac-reported", {"Status": "passing", "Output": "told"}),
        ("update/ac-reported", {"status": "critical"}),
        ("update/ac-reported", {"Status": "warning", "Output": "x" * 5000}),
    ):
        agent.same("PUT", f"/v1/agent/check/{path}", body)
        same_check(agent, "ac-reported")
        # The catalog is told of a status at once, and of an output alone some minutes later.
        agent.same("GET", "/v1/health/checks/ac-service", pick=lambda rows: [row["Status"] for row in rows])


def test_it_keeps_its_status_when_it_comes_again(agent: Differential) -> None:
    agent.arrange("PUT", REGISTER, {"Name": "ac-again", "TTL": "1h"})
    agent.arrange("PUT", "/v1/agent/check/pass/ac-again?note=well")
    again = {
        "Name": "ac-again",
        "TCP": "127.0.0.1:1",
        "Interval": "24h",
        "Status": "warning",
        "ServiceID": "ac-service",
    }
    agent.arrange("PUT", REGISTER, again)
    found = same_check(agent, "ac-again")
    assert (found["Status"], found["Output"], found["Type"], found["ServiceName"]) == (
        "passing",
        "well",
        "tcp",
        "ac-service",
    )


def test_it_is_removed(agent: Differential) -> None:
    agent.arrange("PUT", REGISTER, {"Name": "ac-gone", "TTL": "1h"})
    agent.same("PUT", "/v1/agent/check/deregister/ac-gone")
    for answer in agent.send("GET", "/v1/agent/checks"):
        assert "ac-gone" not in answer.value


def test_the_health_of_the_node_is_not_the_agents_to_report(agent: Differential) -> None:
    for answer in agent.send("GET", "/v1/agent/checks"):
        assert "serfHealth" not in answer.value
    _, ours = agent.send("PUT", "/v1/agent/check/deregister/serfHealth")
    assert ours.status == 404
    agent.same("PUT", "/v1/agent/check/fail/serfHealth")


def test_an_alias_follows_its_service(agent: Differential) -> None:
    agent.arrange(
        "PUT", REGISTER, {"Name": "ac-of-service", "TTL": "1h", "ServiceID": "ac-service", "Status": "passing"}
    )
    # An alias of the node itself would count among the checks that it follows.
    alias = {"CheckID": "ac-alias", "AliasService": "ac-service"}
    agent.arrange("PUT", "/v1/agent/service/register", {"Name": "ac-follower", "Check": alias})
    for report, status in (("warn", "warning"), ("pass", "passing")):
        agent.arrange("PUT", f"/v1/agent/check/{report}/ac-of-service")
        for side in (agent.consul, agent.homeport):
            index, found = 0, ""
            while found != status:  # it follows a moment later
                answer = side.send("GET", f"/v1/health/checks/ac-follower?index={index}&wait=10s")
                index, found = answer.index, answer.value[0]["Status"]


def test_checks_are_filtered(agent: Differential) -> None:
    for name, status in (("ac-f1", "passing"), ("ac-f2", "warning")):
        agent.arrange("PUT", REGISTER, {"Name": name, "TTL": "1h", "Status": status})
    for text in ("Status+==+passing", "Status+!=+passing", "ServiceID+==+%22ac-service%22"):
        agent.same("GET", f"/v1/agent/checks?filter={text}+and+CheckID+matches+%22^ac-f%22")
