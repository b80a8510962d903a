"""Effects written by hand, as the ledger would make them."""

import msgspec

from homeport.registry.records import NODES, SERVICES, Group, NodeRecord, ServiceRecord
from homeport.registry.store.contract import Effect, Put


def node_key(name: str) -> str:
    return NODES.key(name)


def node_put(name: str, address: str = "") -> dict[str, Put]:
    """A node's record under its key."""
    record = NodeRecord(name=name, address=address)
    return {NODES.key_of(record): Put(msgspec.json.encode(record), record)}


def service_put(node: str, service_id: str, port: int = 0) -> dict[str, Put]:
    """An instance's record under its key."""
    record = ServiceRecord(node=node, id=service_id, name="web", port=port)
    return {SERVICES.key_of(record): Put(msgspec.json.encode(record), record)}


def services_of(node: str) -> dict[str, Group]:
    """What clears all instances of a node."""
    return {SERVICES.key(node) + "/": ("svc", node)}


def write(*puts: dict[str, Put], delete: tuple[str, ...] = (), clear: dict[str, Group] | None = None) -> Effect:
    """An effect that depends on nothing."""
    merged = {key: put for each in puts for key, put in each.items()}
    return Effect({}, merged, frozenset(delete), clear or {})


def only_reads(reads: dict[str, int]) -> Effect:
    """What a transaction leaves that only looked."""
    return Effect(reads, {})
