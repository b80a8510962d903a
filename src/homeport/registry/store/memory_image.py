"""All records in memory, by key and by group: what transactions read and catalogs are built on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from ..records import Entry, Group, table_of
from .contract import Commit, Image, Stored, StoreDamaged

_EMPTY: Mapping[str, Entry] = MappingProxyType({})


class Change(msgspec.Struct, frozen=True, gc=False):
    """One record before and after a commit; None is absence."""

    before: Entry | None
    after: Entry | None


class MemoryImage:
    """The records of a store at ``revision``."""

    __slots__ = ("_groups", "entries", "revision")

    def __init__(self) -> None:
        self.revision = 0
        self.entries: dict[str, Entry] = {}
        self._groups: dict[Group, dict[str, Entry]] = {}

    def group(self, group: Group) -> Mapping[str, Entry]:
        """The entries of a group by key; a live view, not to be kept over an await."""
        return self._groups.get(group, _EMPTY)

    def groups(self, kind: str) -> Iterator[Group]:
        """All groups that have entries and whose first part is ``kind``; looks at every group there is."""
        return (group for group in self._groups if group[0] == kind)

    def apply(self, commit: Commit) -> list[Change]:
        """Apply a commit and return what changed."""
        effect, revision = commit.effect, commit.revision
        changes: list[Change] = []
        for group in effect.cleared.values():
            gone = [entry for key, entry in self.group(group).items() if key not in effect.puts]
            changes.extend(Change(entry, None) for entry in gone)
        for key in effect.deletes:
            before = self.entries.get(key)
            if before is not None:
                changes.append(Change(before, None))
        for key, put in effect.puts.items():
            before = self.entries.get(key)
            created = revision if before is None else before.created
            changes.append(Change(before, Entry(key, put.value, created, revision)))
        self.take_in(changes, revision)
        return changes

    def differences(self, image: Image) -> Iterator[Change | None]:
        """Compare with ``image``: for each record of either the `Change` that leads there, or None if there is none.

        Lazy, so that whoever iterates can make pauses, while which this must not change.

        Raises:
            StoreDamaged: a record cannot be read.
        """
        stood: set[str] = set()
        for stored in image.records:
            before = self.entries.get(stored.key)
            if before is not None:
                stood.add(stored.key)
                if before.modified == stored.modified:
                    yield None
                    continue
            yield Change(before, _decoded(stored))
        for key, entry in self.entries.items():
            yield None if key in stood else Change(entry, None)

    def take_in(self, changes: Iterable[Change], revision: int) -> None:
        """Make ``changes``, all at once, and be at ``revision`` (or stay where this is, if that is later)."""
        for change in changes:
            if change.after is not None:
                self._place(change.before, change.after)
            elif change.before is not None:
                self._remove(change.before)
        self.revision = max(self.revision, revision)

    def _place(self, before: Entry | None, after: Entry) -> None:
        key = after.key
        groups_of = table_of(key).groups
        groups = groups_of(after.value)
        if before is not None:
            for group in groups_of(before.value):
                if group not in groups:
                    self._leave(group, key)
        self.entries[key] = after
        for group in groups:
            members = self._groups.get(group)
            if members is None:
                members = self._groups[group] = {}
            members[key] = after

    def _remove(self, before: Entry) -> None:
        if self.entries.pop(before.key, None) is not None:
            for group in table_of(before.key).groups(before.value):
                self._leave(group, before.key)

    def _leave(self, group: Group, key: str) -> None:
        members = self._groups.get(group)
        if members is not None:
            members.pop(key, None)
            if not members:
                del self._groups[group]


def _decoded(stored: Stored) -> Entry:
    # A store that has no types of its own can hold anything once it is damaged.
    if type(stored.key) is not str or type(stored.created) is not int or type(stored.modified) is not int:
        raise StoreDamaged(f"the record {stored.key!r} cannot be read: its key or its revisions are of another kind")
    try:
        value = table_of(stored.key).decode(stored.raw)
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreDamaged(f'the record "{stored.key}" cannot be read: {error!r}') from error
    return Entry(stored.key, value, stored.created, stored.modified)
