"""What a source has, compared with what stands on its node: what is to be written so that it is here as it is there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from homeport.client.ledger import RESET
from homeport.model import Instance, Snapshot
from homeport.registry.mirroring import Row
from homeport.registry.source_status import HeldRemoval, NameConflict

from .description import doubts
from .findings import Findings
from .identifiers import Identifiers, Original
from .node import SourceNode
from .removals import Removals
from .rows import SOURCE_ID, SOURCE_NODE, Placement, path_of, row_of, unstorable
from .settings import SourceSettings

_log = logging.getLogger(__name__)
_SERVICES_A_TURN = 10
"""So many are compared before others have the loop."""

Path: TypeAlias = tuple[str, ...]


class Changes(msgspec.Struct, frozen=True):
    """What differs of some services: the rows that are to be written, and the ids of instances to be removed."""

    services: set[str]
    put: list[Row]
    remove: list[str]


class Comparison:
    """Remembers what a source said last of each of its services, and which of them are to be looked at again.

    A service that another node has is not mirrored, unless that is to be merged, or the node is one of those
    ``behind``, in lower case. Nor is an instance whose path contains ``registry``, the identity of this one.
    """

    def __init__(self, node: SourceNode, settings: SourceSettings, *, registry: str, behind: frozenset[str]) -> None:
        self.findings = Findings(node.owner.node)
        """What is not here as it is there, service by service."""
        self._node = node
        self._settings = settings
        self._registry = registry
        self._behind = behind
        self._latest: dict[str, Snapshot] = {}
        self._graced: set[str] = set()
        self._dirty: set[str] = set()
        self._named: dict[str, set[str]] = {}
        self._identifiers = Identifiers()
        self._removals = Removals(settings.removal_hold)
        self._holds = False

    def adopt(self) -> set[str]:
        """Take note of what stands on the node from before; the names at the source of what is still wanted."""
        stored: set[str] = set()
        for record in self._node.rows():
            name = record.name.removeprefix(self._settings.prefix)
            if self._is_wanted(record.name):
                original = Original(name, record.meta.get(SOURCE_NODE, ""), record.meta.get(SOURCE_ID, record.id))
                self._identifiers.keep(original, record.id)
                stored.add(name)
        return stored

    def unwanted(self) -> list[str]:
        """The ids of what was mirrored under other settings."""
        return [record.id for record in self._node.rows() if not self._is_wanted(record.name)]

    def _is_wanted(self, mirrored: str) -> bool:
        prefix = self._settings.prefix
        return mirrored.startswith(prefix) and self._settings.wants(mirrored.removeprefix(prefix))

    # What is to be looked at

    def take(self, name: str, snapshot: Snapshot) -> None:
        """Take in what the source says of a service."""
        before = self._latest.get(name)
        if not snapshot.stale and before is not None and before.reason == RESET:
            self._graced.add(name)  # what was missing was kept already
        self._latest[name] = snapshot
        self._named.setdefault((self._settings.prefix + name).lower(), set()).add(name)
        if before is None or before.instances != snapshot.instances:
            self._dirty.add(name)

    def noticed(self, lowered: str) -> bool:
        """Somebody else wrote about the service of that name, in lower case; whether that matters here."""
        names = self._named.get(lowered, set())
        self._dirty |= names
        return bool(names)

    def look_at_all(self) -> None:
        """Look at every service again."""
        self._dirty |= self._latest.keys()

    @property
    def due_at(self) -> float | None:
        """The time of the loop at which a removal that is held is due, None if none is."""
        return self._removals.due_at

    # What is to be written

    async def changes(self, *, element: str) -> Changes:
        """What differs of the services that are to be looked at, and whatever is due to go.

        ``element`` is the source's in the path of rows. `written` or `failed` takes what became of it.
        """
        services, self._dirty = self._dirty, set()
        changes = Changes(services, [], [])
        try:
            for looked, name in enumerate(sorted(services & self._latest.keys())):
                self._compare(name, element, changes)
                if looked % _SERVICES_A_TURN == _SERVICES_A_TURN - 1:
                    await asyncio.sleep(0)
        except Exception:
            self.failed(changes)
            raise
        due = self._removals.decide(mirrored=self._node.size, now=asyncio.get_running_loop().time())
        self._note_held(len(self._removals.held.difference(due)))
        changes.remove.extend(due)
        return changes

    def written(self, changes: Changes) -> None:
        """All of them are committed."""
        self._graced -= changes.services
        self._let_go(changes)

    def failed(self, changes: Changes) -> None:
        """Not all of them are; they are looked at again."""
        self._dirty |= changes.services
        self._let_go(changes)

    def _let_go(self, changes: Changes) -> None:
        """Forget the instances that are removed."""
        gone = [service_id for service_id in changes.remove if self._node.row(service_id) is None]
        self._removals.removed(gone, now=asyncio.get_running_loop().time())
        for service_id in gone:
            self._identifiers.release(service_id)

    def _compare(self, name: str, element: str, changes: Changes) -> None:
        mirrored = self._settings.prefix + name
        standing = {record.id.lower(): record for record in self._node.rows_of(mirrored)}
        chosen, looped = self._chosen(name)
        rival = None if self._settings.merge else self._node.rival(mirrored, but=self._behind)
        if rival is not None:
            # What only came from here is no clash: the service here is the very one that the source has.
            conflict = NameConflict(service=mirrored, node=rival) if chosen else None
            self.findings.note(name, conflict=conflict, looped=looped)
            for service_id, record in standing.items():
                self._removals.back(service_id)
                changes.remove.append(record.id)
            return
        wanted = self._wanted(name, chosen, element)
        flaws: dict[str, str] = {}
        for service_id, row in wanted.items():
            known = standing.get(service_id)
            if not self._node.has(row, known=known):
                if flaw := unstorable(row):
                    flaws[service_id] = flaw
                    if known is None:
                        self._identifiers.release(service_id)
                    continue
                changes.put.append(row)
            self._removals.back(service_id)
            standing.pop(service_id, None)
        unconfirmed = {instance.node: one for instance, _ in chosen for one in doubts(instance)}
        self.findings.note(name, looped=looped, unstorable=flaws, unconfirmed=unconfirmed)
        for service_id in standing:
            if name in self._graced:
                self._removals.back(service_id)
                changes.remove.append(service_id)
            else:
                self._removals.gone(service_id, now=asyncio.get_running_loop().time())

    def _chosen(self, name: str) -> tuple[list[tuple[Instance, Path]], int]:
        """The instances that are asked for, with the paths that they have come, and how many more came from here."""
        settings = self._settings
        selected = [
            (instance, path_of(instance))
            for instance in self._latest[name].instances
            if (instance.healthy or not settings.passing) and all(tag in instance.tags for tag in settings.tags)
        ]
        chosen = [(instance, path) for instance, path in selected if self._registry not in path]
        return chosen, len(selected) - len(chosen)

    def _wanted(self, name: str, chosen: Iterable[tuple[Instance, Path]], element: str) -> dict[str, Row]:
        """The rows of these instances by id, in lower case."""
        placement_of: dict[Path, Placement] = {}
        rows: dict[str, Row] = {}
        instances = self._latest[name].instances
        for instance, path in chosen:
            placement = placement_of.get(path)
            if placement is None:
                placement = placement_of[path] = Placement(
                    self._node.owner.node, self._settings.prefix + name, (*path, element)
                )
            service_id = self._identifiers.id_of(instance, among=instances)
            rows[service_id.lower()] = row_of(instance, service_id, placement)
        return rows

    def _note_held(self, held: int) -> None:
        if held and not self._holds:
            fields = {"source": self._node.owner.node, "instances": held, "of": self._node.size}
            _log.warning("most of a source is gone at once; it is kept for a while", extra=fields)
        self._holds = held > 0

    def needs(self, name: str) -> bool:
        """Whether a service that the source does not list is mirrored or was not looked at yet; else forget it."""
        latest = self._latest.get(name)
        mirrored = self._settings.prefix + name
        if latest is None or latest.stale or latest.registered or any(self._node.rows_of(mirrored)):
            return True
        del self._latest[name]
        self.findings.forget(name)
        self._dirty.discard(name)
        names = self._named[mirrored.lower()]
        names.discard(name)
        if not names:
            del self._named[mirrored.lower()]
        return False

    @property
    def held(self) -> list[HeldRemoval]:
        """What the source has no more and is kept for a while."""
        held: dict[str, list[float]] = {}
        for service_id in self._removals.held:
            record = self._node.row(service_id)
            if record is not None:
                held.setdefault(record.name, []).append(self._removals.until(service_id))
        from_loop = time.time() - asyncio.get_running_loop().time()
        return [
            HeldRemoval(service=name, instances=len(until), until=max(until) + from_loop)
            for name, until in sorted(held.items())
        ]
