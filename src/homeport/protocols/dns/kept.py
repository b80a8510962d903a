"""Answers that are kept as bytes until what they were made of moves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

_VARIANTS = 8
"""How many orders of its records an answer is kept in; each is given in turn."""
_OF_ENTRY = 200  # bytes beside the answers, about


class _Entry:
    __slots__ = ("current", "size_bytes", "turn", "variants", "wanted")

    def __init__(self, current: Callable[[], bool], *, wanted: int) -> None:
        self.current = current
        self.wanted = wanted
        self.variants: list[bytes] = []
        self.turn = 0
        self.size_bytes = _OF_ENTRY


class KeptAnswers:
    """Answers by question, at most ``most_bytes`` of them; the longest unused go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0

    def find(self, key: bytes) -> bytes | None:
        """An answer to such a question; None if none is kept, or another order of the same records is to be made."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not entry.current():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        if len(entry.variants) < entry.wanted:
            return None
        entry.turn = (entry.turn + 1) % entry.wanted
        return entry.variants[entry.turn]

    def keep(self, key: bytes, answer: bytes, *, current: Callable[[], bool], ordered: bool) -> None:
        """Keep an answer as long as ``current()``; if it is ``ordered``, its records could stand in another order."""
        entry = self._entries.get(key)
        if entry is None or not entry.current():
            if entry is not None:
                self._drop(key)
            entry = self._entries[key] = _Entry(current, wanted=_VARIANTS if ordered else 1)
            self._bytes += entry.size_bytes
        if len(entry.variants) < entry.wanted:
            entry.variants.append(answer)
            entry.size_bytes += len(answer)
            self._bytes += len(answer)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        self._bytes -= self._entries.pop(key).size_bytes
