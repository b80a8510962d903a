"""Where a store of each kind can be, for the suite: a new kind adds a class and a line in `PLACES`."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from homeport.registry.store.contract import Store
from homeport.registry.store.memory import MemoryStore
from homeport.registry.store.sqlite import SqliteStore
from tests.contract.store.replicated import Backing, ReplicaStore


class Place(Protocol):
    """What outlives a store: it can be opened again, and it can be wiped."""

    def store(self) -> Store:
        """A store of what is here; close the one before, unless it can be shared."""
        ...

    def wipe(self) -> None:
        """Lose everything, while no store is open."""
        ...


class Memory:
    """The records live as long as the object."""

    def __init__(self, _folder: Path) -> None:
        self.wipe()

    def store(self) -> Store:
        return self._store

    def wipe(self) -> None:
        self._store = MemoryStore()


class Sqlite:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"

    def store(self) -> Store:
        return SqliteStore(self._folder)

    def wipe(self) -> None:
        shutil.rmtree(self._folder)


class StandInForEtcd:
    """A backing that replicas share."""

    def __init__(self, _folder: Path) -> None:
        self.wipe()

    def store(self) -> Store:
        return ReplicaStore(self._backing)

    def wipe(self) -> None:
        self._backing = Backing()


PLACES: dict[str, Callable[[Path], Place]] = {
    "memory": Memory,
    "sqlite": Sqlite,
    "stand_in_for_etcd": StandInForEtcd,
}
