"""What is below a prefix, kept up to date by the events of a watch; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from homeport.model import Instance

from . import mapping
from .shapes import Event, KeyValue, RangeAnswer

Report = Callable[[KeyValue, str], None]
"""Told of a key that stands for no instance, and why."""


class Contents:
    """All keys below a prefix at ``revision`` of the cluster ``store``, and the instances among them by key.

    A key that cannot be read is reported and left out, but known to be there.
    """

    def __init__(self, answer: RangeAnswer, prefix: str, report: Report) -> None:
        self.revision = answer.header.revision
        self.store = answer.header.cluster_id
        self._prefix = prefix
        self._report = report
        self._revisions: dict[bytes, int] = {}
        self._instances: dict[bytes, Instance] = {}
        for found in answer.kvs:
            self._put(found)

    def __iter__(self) -> Iterator[Instance]:
        """The instances in the order of their keys."""
        return (self._instances[key] for key in sorted(self._instances))

    def apply(self, events: Iterable[Event]) -> None:
        """Take over what happened since; what happened until `revision` is known, and passed over."""
        known = self.revision
        for event in events:
            if event.kv.mod_revision <= known:
                continue
            if event.type == "DELETE":
                self._revisions.pop(event.kv.key, None)
                self._instances.pop(event.kv.key, None)
            else:
                self._put(event.kv)
            self.revision = max(self.revision, event.kv.mod_revision)

    def confirmed_until(self, revision: int) -> None:
        """Nothing else happened up to this revision."""
        self.revision = max(self.revision, revision)

    def confirmed_by(self, answer: RangeAnswer) -> bool:
        """Whether a range over the same prefix, limited to the key that was written last, finds nothing else than this.

        What was written since has a higher revision than all that is here; without such, what is gone shows in the
        count.
        """
        newest = max((found.mod_revision for found in answer.kvs), default=0)
        return (
            answer.header.cluster_id == self.store
            and answer.header.revision >= self.revision
            and answer.count == len(self._revisions)
            and newest == max(self._revisions.values(), default=0)
        )

    def _put(self, found: KeyValue) -> None:
        self._revisions[found.key] = found.mod_revision
        try:
            self._instances[found.key] = mapping.instance(found.key, found.value, self._prefix)
        except mapping.Unreadable as error:
            self._instances.pop(found.key, None)
            self._report(found, str(error))
