"""Looking at a registry until it is as expected."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.plugins.following import PATIENCE
from tests.servers.homeport import HomeportServer


def instances(server: HomeportServer, service: str, *, passing: bool = False) -> dict[str, dict[str, Any]]:
    """The instances of a service by id."""
    rows = server.request("GET", f"/v1/health/service/{service}{'?passing' if passing else ''}")
    return {row["Service"]["ID"]: row for row in rows}


def until_instances(
    server: HomeportServer, service: str, *ids: str, passing: bool = False
) -> dict[str, dict[str, Any]]:
    """Wait, by blocking queries, until a service has just these instances, and return them."""
    path = f"{server.url}/v1/health/service/{service}?wait=10s{'&passing' if passing else ''}"
    deadline, index = time.monotonic() + PATIENCE, "0"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    found: dict[str, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        with opener.open(f"{path}&index={index}", timeout=PATIENCE) as answer:
            index = answer.headers["X-Consul-Index"]
            found = {row["Service"]["ID"]: row for row in json.load(answer)}
        if found.keys() == set(ids):
            return found
    raise AssertionError(
        f"{service} has {sorted(found)} instead of {sorted(ids)}; {server.log_path.read_text()[-2000:]}"
    )


def source(server: HomeportServer, place: int = 0) -> dict[str, Any]:
    """The status of a source."""
    row: dict[str, Any] = server.request("GET", "/v1/homeport/sources")[place]
    return row


def until_source(server: HomeportServer, condition: Callable[[dict[str, Any]], bool], place: int = 0) -> dict[str, Any]:
    """Wait until the status of a source fulfils a condition, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not condition(row := source(server, place)):
        if time.monotonic() > deadline:
            raise AssertionError(f"the source stays at {row}; {server.log_path.read_text()[-2000:]}")
        time.sleep(0.02)  # its status cannot be waited for
    return row


def register(server: Any, name: str, service_id: str, *, port: int = 80, status: str = "passing") -> None:
    """Register an instance at a registry or an agent, with a check of that status."""
    check = {"CheckID": f"{service_id}-alive", "TTL": "1h", "Status": status}
    body = {"ID": service_id, "Name": name, "Address": "10.0.0.1", "Port": port, "Check": check}
    server.request("PUT", "/v1/agent/service/register?replace-existing-checks=true", body)


def deregister(server: Any, service_id: str) -> None:
    """Remove an instance."""
    server.request("PUT", f"/v1/agent/service/deregister/{service_id}")
