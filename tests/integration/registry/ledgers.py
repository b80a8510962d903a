"""A ledger over a folder, and simple things to do with it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from homeport.registry.records import NODES, NodeRecord
from homeport.registry.store.ledger import Ledger
from homeport.registry.store.sqlite import SqliteStore
from homeport.registry.store.transaction import Transaction

Content = dict[str, tuple[object, int, int]]


@asynccontextmanager
async def ledger_in(folder: Path, *, max_bytes: int | None = None) -> AsyncIterator[Ledger]:
    """A ledger over the store in ``folder``."""
    ledger = Ledger(SqliteStore(folder, max_bytes=max_bytes), lambda *_: None)
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.aclose()


def put(name: str, size: int = 0) -> Callable[[Transaction], bool]:
    """Write a node whose record is a bit larger than ``size`` bytes."""
    return lambda transaction: transaction.put(NODES, NodeRecord(name=name, address="x" * size))


def delete(name: str) -> Callable[[Transaction], bool]:
    """Delete a node."""
    return lambda transaction: transaction.delete(NODES, name)


def content(ledger: Ledger) -> Content:
    """Every key in memory with its value, created and modified."""
    return {key: (entry.value, entry.created, entry.modified) for key, entry in ledger.image.entries.items()}


async def stored(folder: Path) -> Content:
    """What is read by whoever opens the folder now."""
    async with ledger_in(folder) as ledger:
        return content(ledger)
