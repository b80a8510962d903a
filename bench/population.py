"""What the systems are filled with, alike for both: services whose instances stand on nodes of their own."""

import asyncio
import json
import urllib.request
from collections.abc import Iterable
from typing import Any

from .raw_client import put_all

NODES = 100


def registration(service: int, instance: int, *, port: int = 8080) -> dict[str, Any]:
    """One instance with one passing check, for ``catalog/register``; another port is a change."""
    name = f"service-{service}"
    node = f"node-{(service * 7 + instance) % NODES}"
    service_id = f"{name}-{instance}"
    return {
        "Node": node,
        "Address": f"10.0.{NODES}.{int(node.rpartition('-')[2]) + 1}",
        "Service": {
            "ID": service_id,
            "Service": name,
            "Tags": ["production", "v2"],
            "Address": f"10.1.{service % 250}.{instance + 1}",
            "Port": port,
            "Meta": {"version": "2.1.0", "team": "platform"},
        },
        "Check": {
            "Node": node,
            "CheckID": f"service:{service_id}",
            "Name": "HTTP",
            "Status": "passing",
            "Output": "HTTP GET http://10.1.0.1:8080/health: 200 OK",
            "ServiceID": service_id,
        },
    }


def fill(address: str, *, services: int, instances: int) -> None:
    """Register ``services`` × ``instances``."""
    requests: list[tuple[str, object]] = [
        ("/v1/catalog/register", registration(service, instance))
        for service in range(services)
        for instance in range(instances)
    ]
    asyncio.run(put_all(address, requests))


class DifferentAnswersError(Exception):
    """The systems do not give the same answer, so their figures cannot be compared."""


def check_same(addresses: Iterable[str], target: str) -> int:
    """Both systems must list the same instances with the same state at ``target``; returns how many."""
    answers = [_essence(address, target) for address in addresses]
    if any(answer != answers[0] for answer in answers):
        raise DifferentAnswersError(f"{target}: {answers}")
    return len(answers[0])


def _essence(address: str, target: str) -> list[Any]:
    with urllib.request.urlopen(f"http://{address}{target}", timeout=10) as response:
        rows = json.loads(response.read())
    return [
        (
            row["Node"]["Node"], row["Node"]["Address"], row["Service"]["ID"], row["Service"]["Address"],
            row["Service"]["Port"], row["Service"]["Tags"], row["Service"]["Meta"],
            [(check["CheckID"], check["Status"], check["Output"], check["ServiceTags"]) for check in row["Checks"]],
        )
        for row in rows
    ]  # fmt: skip
