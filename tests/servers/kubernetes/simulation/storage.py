"""The objects, their revision, their history, and the journal by which they outlive the process."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str]  # namespace and name
Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One commit: what there was before and is afterwards; both carry the resourceVersion of their state."""

    revision: int
    key: Key
    before: Object | None
    after: Object | None


class Storage:
    """All objects by the plural of their kind. A commit is in the journal before it is seen by anybody."""

    def __init__(self, journal: Path) -> None:
        self.revision = 1
        self._objects: defaultdict[str, dict[Key, Object]] = defaultdict(dict)
        self._history: defaultdict[str, list[Change]] = defaultdict(list)
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        if journal.exists():
            whole, newline, _ = journal.read_text(encoding="utf-8").rpartition("\n")
            # What a kill cut off was never answered.
            journal.write_text(whole + newline, encoding="utf-8")
            for line in whole.splitlines():
                self._replay(json.loads(line))
        # What a restarted API server does not know any more: everything before its start.
        self.oldest = self.revision
        self._journal = journal.open("a", encoding="utf-8")

    def _replay(self, entry: Mapping[str, Any]) -> None:
        key = (entry["namespace"], entry["name"])
        self.revision = entry["revision"]
        if entry["object"] is None:
            self._objects[entry["plural"]].pop(key, None)
        else:
            self._objects[entry["plural"]][key] = entry["object"]

    def get(self, plural: str, key: Key) -> Object | None:
        """The object, not to be changed."""
        return self._objects[plural].get(key)

    def all(self, plural: str) -> Mapping[Key, Object]:
        """All objects of a kind as they are now."""
        return self._objects[plural]

    def at(self, plural: str, revision: int) -> Mapping[Key, Object]:
        """All objects of a kind as they were at a revision that is not forgotten."""
        then = dict(self._objects[plural])
        for change in reversed(self._history[plural]):
            if change.revision <= revision:
                break
            if change.before is None:
                del then[change.key]
            else:
                then[change.key] = change.before
        return then

    def since(self, plural: str, revision: int) -> list[Change]:
        """The changes of a kind after a revision, in their order."""
        history = self._history[plural]
        start = len(history)
        while start and history[start - 1].revision > revision:
            start -= 1
        return history[start:]

    def commit(self, plural: str, key: Key, after: Object | None) -> Object:
        """Write an object, or remove it with None; the object as it is now, or as it was last."""
        self.revision += 1
        before = self._objects[plural].get(key)
        source = before if after is None else after
        assert source is not None
        stamped = {**source, "metadata": {**source["metadata"], "resourceVersion": str(self.revision)}}
        entry = {"revision": self.revision, "plural": plural, "namespace": key[0], "name": key[1]}
        self._journal.write(json.dumps({**entry, "object": None if after is None else stamped}) + "\n")
        self._journal.flush()
        if after is None:
            del self._objects[plural][key]
        else:
            self._objects[plural][key] = stamped
        self._history[plural].append(Change(self.revision, key, before, None if after is None else stamped))
        for event in self._watchers[plural]:
            event.set()
        return stamped

    def compact(self) -> None:
        """Refuse to tell what was before now; watches that run go on."""
        self.oldest = self.revision

    def watch(self, plural: str) -> asyncio.Event:
        """An event that is set by every commit to a kind, until `unwatch`."""
        event = asyncio.Event()
        self._watchers[plural].add(event)
        return event

    def unwatch(self, plural: str, event: asyncio.Event) -> None:
        """The event is not needed any more."""
        self._watchers[plural].discard(event)
