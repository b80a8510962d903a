"""A transaction in execution: reads through everything not yet committed, collects its own effect.

What it read and wrote becomes an `Effect`. Writing what already stands there is no write: identical writes change no
revision and wake nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from ..records import Entry, Group, Record, Table, table_of
from .contract import Effect, Put
from .memory_image import MemoryImage

R = TypeVar("R", bound=Record)
PENDING = -1
"""The revision of an entry that is not committed yet."""
_ENCODER = msgspec.json.Encoder()


class Refusal(Exception):
    """A transaction's own, logical no: the caller's result, with nothing written.

    Protocols subclass or wrap it; ``status`` is the HTTP status that fits.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Overlay:
    """What the executed but uncommitted transactions of a group have changed, over a `MemoryImage`.

    An entry of None is a deletion.
    """

    __slots__ = ("_by_group", "changed", "image")

    def __init__(self, image: MemoryImage) -> None:
        self.image = image
        self.changed: dict[str, Entry | None] = {}
        self._by_group: dict[Group, dict[str, None]] = {}

    def entry(self, key: str) -> Entry | None:
        """The entry as the next transaction sees it."""
        if key in self.changed:
            return self.changed[key]
        return self.image.entries.get(key)

    def scan(self, group: Group) -> Iterator[Entry]:
        """All entries of a group as the next transaction sees them, in no order."""
        changed = self.changed
        for key, entry in self.image.group(group).items():
            if key not in changed:
                yield entry
        for key in self._by_group.get(group, ()):
            pending = changed[key]
            if pending is not None and group in table_of(key).groups(pending.value):
                yield pending

    def lay(self, key: str, value: Record | None) -> None:
        """Set the pending value of ``key`` (None deletes)."""
        if value is None:
            self.changed[key] = None
            return
        before = self.entry(key)
        self.changed[key] = Entry(key, value, before.created if before else PENDING, PENDING)
        for group in table_of(key).groups(value):
            self._by_group.setdefault(group, {})[key] = None


class Transaction:
    """What a transaction function is given. It must not await, and must not keep this object."""

    __slots__ = ("_cleared", "_overlay", "_reads", "_writes")

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._reads: dict[str, int] = {}
        self._writes: dict[str, Record | None] = {}
        self._cleared: dict[str, Group] = {}

    def entry(self, table: Table[Any], *parts: str) -> Entry | None:
        """The entry with these key parts, or None; its revisions may be `PENDING`. Counts as read."""
        return self._read(table.key(*parts))

    def get(self, table: Table[R], *parts: str) -> R | None:
        """The record with these key parts, or None. Counts as read."""
        found = self._read(table.key(*parts))
        return None if found is None else found.value

    def scan(self, group: Group) -> list[Entry]:
        """The entries of a group, in no order. Each counts as read; a record that joins the group later does not."""
        own = self._writes
        entries = []
        for entry in self._overlay.scan(group):
            if entry.key not in own:
                self._note(entry.key, entry)
                entries.append(entry)
        for key, value in own.items():
            if value is not None and group in table_of(key).groups(value):
                entries.append(Entry(key, value, PENDING, PENDING))
        return entries

    def put(self, table: Table[R], record: R) -> bool:
        """Write a record under its own key; False, and no write, when it stands there already."""
        key = table.key_of(record)
        before = self._read(key)
        if before is not None and before.value == record:
            return False
        self._write(key, record)
        return True

    def delete(self, table: Table[Any], *parts: str) -> bool:
        """Delete a record; False when there is none."""
        key = table.key(*parts)
        if self._read(key) is None:
            return False
        self._write(key, None)
        return True

    def clear(self, table: Table[Any], group: Group, *parts: str) -> int:
        """Delete all records whose key begins with these parts, and return how many there were.

        ``group`` must be the group that holds exactly these records.
        """
        found = self.scan(group)
        for entry in found:
            self._write(entry.key, None)
        if any(entry.key in self._writes for entry in found):  # there may have been none but this transaction's own
            self._cleared[table.key(*parts) + "/"] = group
        return len(found)

    def finish(self) -> Effect:
        """The net effect of what was done. Nothing else sees it before `lay`."""
        puts: dict[str, Put] = {}
        deletes: list[str] = []
        cleared = tuple(self._cleared)
        for key, value in self._writes.items():
            if value is not None:
                puts[key] = Put(_ENCODER.encode(value), value)
            elif not (cleared and key.startswith(cleared)):
                deletes.append(key)
        return Effect(self._reads, puts, frozenset(deletes), self._cleared)

    def lay(self) -> None:
        """Let the transactions after this one see what it wrote."""
        for key, value in self._writes.items():
            self._overlay.lay(key, value)

    def read_only(self) -> Effect:
        """The effect of a transaction that refused: only what it read, to be validated."""
        return Effect(self._reads, {})

    def _read(self, key: str) -> Entry | None:
        if key in self._writes:
            value = self._writes[key]
            return None if value is None else Entry(key, value, PENDING, PENDING)
        found = self._overlay.entry(key)
        self._note(key, found)
        return found

    def _write(self, key: str, value: Record | None) -> None:
        """Set what is to be written; a second write of a key that leads back to what stood there is no write at all."""
        if key in self._writes and not (self._cleared and key.startswith(tuple(self._cleared))):
            base = self._overlay.entry(key)
            if (None if base is None else base.value) == value:
                del self._writes[key]
                return
        self._writes[key] = value

    def _note(self, key: str, found: Entry | None) -> None:
        """Remember what was read, unless one before this in the group wrote it: that one answers for it."""
        if key not in self._overlay.changed:
            self._reads.setdefault(key, 0 if found is None else found.modified)
