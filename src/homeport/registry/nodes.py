"""Transactions on nodes."""

from __future__ import annotations

from .records import CHECKS, HISTORY, NODES, SERVICES, NodeRecord
from .store.transaction import Transaction


def put_node(transaction: Transaction, node: NodeRecord) -> None:
    """Create or replace a node.

    A node id that is known under another name renames that node: the old name goes, with all on it.
    """
    if node.id:
        for entry in transaction.scan(("nodeid", node.id.lower())):
            if entry.value.name.lower() != node.name.lower():
                remove_node(transaction, entry.value.name)
    transaction.put(NODES, node)


def remove_node(transaction: Transaction, name: str) -> bool:
    """Remove a node with its services and checks; False when there is none."""
    lowered = name.lower()
    transaction.clear(SERVICES, ("svc", lowered), name)
    transaction.clear(CHECKS, ("chk", lowered), name)
    transaction.clear(HISTORY, ("hist", lowered), name)
    return transaction.delete(NODES, name)
