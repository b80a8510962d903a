"""Whether a watch told everything, by what etcd counts; pure."""

from __future__ import annotations

from collections.abc import Iterable

from .shapes import Event, RangeAnswer


class Tally:
    """How many keys there are below a prefix by the events of a watch, and up to which revision these were heard.

    It begins with, and is compared to, a range over the prefix that is limited to the key that was written last. Events
    come in the order of their revisions, and may come later than such an answer. So what is compared is how things
    stood at the revision of the answer, before the first event after it.
    """

    def __init__(self, begun: RangeAnswer) -> None:
        self._store = begun.header.cluster_id
        self._count = begun.count
        self._revision = begun.header.revision
        self._expected: RangeAnswer | None = None
        self.verdict: bool | None = None
        """Whether all was heard that the expected answer counts; None as long as that may still come."""

    @property
    def expects(self) -> bool:
        """Whether there is an answer to be compared with."""
        return self._expected is not None

    def expect(self, answer: RangeAnswer) -> None:
        """Compare with an answer to what was asked after all that was heard until now."""
        self._expected = answer
        if answer.header.cluster_id != self._store or answer.header.revision < self._revision:
            self.verdict = False  # the data are others, or older ones
        else:
            self.verdict = True if self._agrees() else None

    def reached(self) -> int:
        """Expect nothing more; the revision up to which everything was heard."""
        assert self._expected is not None, "there is a verdict"
        self._revision = max(self._revision, self._expected.header.revision)
        self._expected = self.verdict = None
        return self._revision

    def hear(self, events: Iterable[Event]) -> None:
        """Take in what happened."""
        for event in events:
            if self._expected is not None and event.kv.mod_revision > self._expected.header.revision:
                self._judge(final=True)
            if event.type == "DELETE":
                self._count -= 1
            elif event.kv.create_revision == event.kv.mod_revision:
                self._count += 1
            self._revision = max(self._revision, event.kv.mod_revision)
        if self._expected is not None:
            self._judge(final=False)

    def _judge(self, *, final: bool) -> None:
        if self.verdict is None and (final or self._agrees()):
            self.verdict = self._agrees()

    def _agrees(self) -> bool:
        assert self._expected is not None
        newest = max((found.mod_revision for found in self._expected.kvs), default=0)
        return self._expected.count == self._count and self._revision >= newest
