"""A store that keeps its records in memory only: ``homeport serve --dev``, and the measure for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .contract import Commit, CommitConflict, Effect, Image, Limits, Stored, Subscriber, first_revision


class MemoryStore:
    """Records in a dictionary; lost when the process ends. Opening it again gives a new subscriber everything."""

    limits = Limits()
    description = "memory"

    def __init__(self) -> None:
        self._records: dict[str, Stored] = {}
        self._revision = first_revision()
        self._subscriber: Subscriber | None = None

    async def open(self, subscriber: Subscriber) -> None:
        """Give the subscriber what is there."""
        await subscriber.reset(self._image())
        self._subscriber = subscriber

    async def commit(self, effects: Sequence[Effect]) -> Sequence[int]:
        """Apply all effects, or none. Never fails but for a conflict."""
        # A real store answers later; yielding here lets waiting transactions gather into the next group as they do
        # there.
        await asyncio.sleep(0)
        assert self._subscriber is not None, "open() comes first"
        if not self._hold(effects):
            # Nobody else writes, so it is the subscriber's memory that is wrong; it would conflict for ever.
            await self._subscriber.reset(self._image())
            raise CommitConflict(self._revision)
        revisions = []
        for effect in effects:
            if not effect.empty:
                self._revision += 1
                self._apply(effect, self._revision)
                self._subscriber.committed(Commit(self._revision, effect))
            revisions.append(self._revision)
        return revisions

    async def aclose(self) -> None:
        """Forget the subscriber."""
        self._subscriber = None

    def _image(self) -> Image:
        return Image(self._revision, tuple(self._records.values()))

    def _hold(self, effects: Sequence[Effect]) -> bool:
        return all(self._modified(key) == revision for effect in effects for key, revision in effect.reads.items())

    def _modified(self, key: str) -> int:
        stored = self._records.get(key)
        return 0 if stored is None else stored.modified

    def _apply(self, effect: Effect, revision: int) -> None:
        for prefix in effect.cleared:
            for key in [key for key in self._records if key.startswith(prefix) and key not in effect.puts]:
                del self._records[key]
        for key in effect.deletes:
            self._records.pop(key, None)
        for key, put in effect.puts.items():
            before = self._records.get(key)
            self._records[key] = Stored(key, put.raw, revision if before is None else before.created, revision)
