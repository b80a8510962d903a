"""A catalog folded from commits written by hand, and what each of them moved."""

from typing import Any

from homeport.registry.catalog import Catalog
from homeport.registry.records import (
    CHECKS,
    HISTORY,
    NODES,
    SERVICES,
    CheckRecord,
    HistoryRecord,
    NodeRecord,
    Record,
    ServiceRecord,
    Table,
)
from homeport.registry.store.contract import Commit, Effect, Put
from homeport.registry.store.memory_image import Change, MemoryImage
from homeport.registry.topics import Topic, Wakeups

START = 100
"""The revision at which a world begins."""


def table_for(record: Record) -> Table[Any]:
    """The table that a record belongs to."""
    tables: dict[type[Record], Table[Any]] = {
        NodeRecord: NODES, ServiceRecord: SERVICES, CheckRecord: CHECKS, HistoryRecord: HISTORY,
    }  # fmt: skip
    return tables[type(record)]


def key_for(record: Record) -> str:
    """The key of a record."""
    return table_for(record).key_of(record)


class World:
    """An image and its catalog."""

    def __init__(self) -> None:
        self.image = MemoryImage()
        self.catalog = Catalog(self.image, Wakeups())
        self.image.revision = START
        self.catalog.fold(START, [])

    def commit(self, *puts: Record, delete: tuple[Record, ...] = ()) -> int:
        """Write and delete records at one revision, and return it."""
        keyed = {key_for(record): Put(b"", record) for record in puts}
        return self.take(Effect({}, keyed, frozenset(key_for(record) for record in delete)))

    def take(self, effect: Effect) -> int:
        """Fold an effect at the next revision, and return that."""
        revision = self.image.revision + 1
        self.fold(self.image.apply(Commit(revision, effect)))
        return revision

    def take_in_order(self, *changes: Change) -> int:
        """Fold changes in just this order at the next revision."""
        revision = self.image.revision + 1
        self.image.take_in(changes, revision)
        self.fold(list(changes))
        return revision

    def fold(self, changes: list[Change]) -> None:
        self.catalog.fold(self.image.revision, changes)

    def topics(self, *, services: tuple[str, ...] = ("web", "api"), nodes: tuple[str, ...] = ("n", "m")) -> "Topics":
        """The topics of these names, whether they exist or not; hold on to the answer."""
        return Topics(self.catalog, services, nodes)


class Topics:
    """Topics by name, kept alive."""

    def __init__(self, catalog: Catalog, services: tuple[str, ...], nodes: tuple[str, ...]) -> None:
        self.by_name: dict[str, Topic] = {
            "nodes": catalog.nodes,
            "services": catalog.services,
            "checks": catalog.checks,
            "extinction": catalog.extinction,
        }
        self._held: list[object] = []
        for status in ("passing", "warning", "critical"):
            self.by_name[f"state {status}"] = catalog.state(status)
        for name in services:
            service = catalog.service_index(name)
            self._held.append(service)
            self.by_name[f"{name} everything"] = service.everything
            self.by_name[f"{name} rows"] = service.rows
            self.by_name[f"{name} checks"] = service.checks
        for name in nodes:
            node = catalog.node_index(name)
            self._held.append(node)
            self.by_name[f"node {name} rows"] = node.rows
            self.by_name[f"node {name} checks"] = node.checks

    def moved_at(self, revision: int) -> set[str]:
        """The names of those that moved at this revision, and have not since."""
        return {name for name, topic in self.by_name.items() if topic.revision == revision}
