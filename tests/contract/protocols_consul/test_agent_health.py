"""The health of a service as a status code, and maintenance mode."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.protocols_consul.agent_differences import HEALTH
from tests.contract.protocols_consul.differential import Allowed, Differential

BY_ID, BY_NAME = "/v1/agent/health/service/id", "/v1/agent/health/service/name"


@pytest.fixture
def agent(differential: Differential) -> Iterator[Differential]:
    """Both servers, with two instances of a service, one of which has a TTL check."""
    register = "/v1/agent/service/register"
    differential.arrange("PUT", register, {"Name": "ah", "ID": "ah-1", "Check": {"TTL": "1h", "Status": "passing"}})
    differential.arrange("PUT", register, {"Name": "ah", "ID": "ah-2", "Port": 2})
    yield differential
    for service_id in ("ah-1", "ah-2"):
        differential.send("PUT", f"/v1/agent/service/deregister/{service_id}")


def needed(agent: Differential, path: str, *excuses: Allowed) -> list[Allowed]:
    """Those of the excuses that this answer needs."""
    found = list(agent.differences(*agent.send("GET", path), pick=own))
    return [excuse for excuse in excuses if any(map(excuse.covers, found))]


def own(body: Any) -> Any:
    """Consul lists checks and instances in no order; node checks are other tests' business."""
    if isinstance(body, list):
        return sorted((own(entry) for entry in body), key=lambda entry: str(entry["Service"]["ID"]))
    if not isinstance(body, dict) or not body.get("Checks"):
        return body
    checks = [check for check in body["Checks"] if check["ServiceID"]]
    return {**body, "Checks": sorted(checks, key=lambda check: str(check["CheckID"]))}


@pytest.mark.parametrize(("report", "code"), [("pass", 200), ("warn", 429), ("fail", 503)])
def test_the_code_tells_the_worst_status(agent: Differential, report: str, code: int) -> None:
    agent.arrange("PUT", f"/v1/agent/check/{report}/service:ah-1?note=told")
    for path in (f"{BY_ID}/ah-1", f"{BY_ID}/ah-2", f"{BY_NAME}/ah"):
        theirs, ours = agent.same("GET", path, allowed=needed(agent, path, *HEALTH), pick=own)
        assert theirs.status == (200 if path.endswith("ah-2") else code)
        agent.same("GET", f"{path}?format=text")
        agent.same("GET", path, headers={"Accept": "text/plain"})
        assert ours.header("X-Consul-Reason") == theirs.header("X-Consul-Reason")


def test_json_is_what_is_not_asked_for_as_text(agent: Differential) -> None:
    for path, headers in ((f"{BY_ID}/ah-1?format=xml", {}), (f"{BY_ID}/ah-1", {"Accept": "application/json"})):
        _, ours = agent.send("GET", path, headers=headers)
        assert ours.header("Content-Type") == "application/json"
        assert ours.value["AggregatedStatus"] == "passing"


def test_what_is_unknown_is_not_found(agent: Differential) -> None:
    agent.same("GET", f"{BY_ID}/nobody")
    agent.same("GET", f"{BY_NAME}/nobody")
    agent.same("GET", f"{BY_NAME}/nobody?format=text")
    theirs, ours = agent.send("GET", f"{BY_ID}/nobody?format=text")
    assert (theirs.status, theirs.value) == (404, "ServiceId nobody not found"), "1.8 put the text into JSON"
    assert (ours.status, ours.text, ours.header("Content-Type")) == (404, "ServiceId nobody not found", "text/plain")


@pytest.mark.parametrize(("path", "text"), [(BY_ID, "Missing serviceID"), (BY_NAME, "Missing service Name")])
def test_nothing_asked_for_is_a_bad_request(agent: Differential, path: str, text: str) -> None:
    theirs, ours = agent.send("GET", f"{path}/")
    assert (theirs.status, theirs.text) == (500, f"Bad request: {text}"), "1.8 said it so"
    assert (ours.status, ours.text) == (400, text)


def test_maintenance_comes_before_everything(agent: Differential) -> None:
    path = "/v1/agent/service/maintenance/ah-1"
    agent.arrange("PUT", "/v1/agent/check/fail/service:ah-1")
    agent.same("PUT", f"{path}?enable=true&reason=first")
    agent.same("PUT", f"{path}?enable=T&reason=second")
    agent.same("GET", "/v1/health/checks/ah")
    agent.same("GET", f"{BY_ID}/ah-1?format=text")
    agent.same("GET", f"{BY_NAME}/ah?format=text")
    agent.same("PUT", f"{path}?enable=0")
    agent.same("GET", f"{BY_ID}/ah-1?format=text")
    agent.same("PUT", f"{path}?enable=false")
    agent.same("PUT", f"{path}?enable=true")
    agent.same("GET", "/v1/health/checks/ah")


def test_maintenance_of_the_node_takes_all_services_along(agent: Differential) -> None:
    agent.same("PUT", "/v1/agent/maintenance?enable=true&reason=")
    try:
        agent.same("GET", "/v1/agent/checks", pick=lambda checks: checks["_node_maintenance"])
        _, ours = agent.same("GET", f"{BY_ID}/ah-2?format=text")
        assert ours.text == "maintenance"
    finally:
        agent.same("PUT", "/v1/agent/maintenance?enable=false")
    for answer in agent.send("GET", "/v1/agent/checks"):
        assert "_node_maintenance" not in answer.value
