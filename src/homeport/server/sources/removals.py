"""When an instance that is gone at the source goes here too. Pure, given the times.

What is counted is the source as a whole, not a service: that all instances of one service go is everyday life (it has
one instance, or a new version takes the place of an old one), and holding that back would serve dead addresses for a
minute. That most of a whole source goes at once is rather a wiped store, a lost permission or a network cut in two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

_EVERYDAY = 2
"""So many instances may always go: of a source that has hardly more, any departure is most of it."""


class Removals:
    """Decides about removals. ``hold`` is how long, in seconds, a removal of more than half is put off.

    What is put off stays so until it is back or its time has come, whatever else comes back meanwhile. All removals
    within the last ``hold`` seconds count together, but for those that were put off themselves.
    """

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._missing: dict[str, float] = {}
        self._put_off: set[str] = set()
        self._recent: deque[tuple[float, int]] = deque()

    @property
    def held(self) -> frozenset[str]:
        """What is gone at the source and put off."""
        return frozenset(self._put_off)

    @property
    def due_at(self) -> float | None:
        """When the next one that is put off goes, None if none is."""
        return min(self._missing.values()) + self._hold if self._missing else None

    def until(self, one: str) -> float:
        """When this one goes, unless it comes back."""
        return self._missing[one] + self._hold

    def gone(self, one: str, *, now: float) -> None:
        """The source says that it is no more; what it said first counts."""
        self._missing.setdefault(one, now)

    def back(self, one: str) -> None:
        """It is there, or no longer ours to remove."""
        self._missing.pop(one, None)
        self._put_off.discard(one)

    def decide(self, *, mirrored: int, now: float) -> list[str]:
        """What is to be removed now, of ``mirrored`` instances in all; `removed` takes note that it was."""
        while self._recent and self._recent[0][0] <= now - self._hold:
            self._recent.popleft()
        due = [one for one, since in self._missing.items() if now >= since + self._hold]
        new = self._missing.keys() - self._put_off - set(due)
        recent = sum(number for _, number in self._recent)
        leaving = len(self._missing) - len(due) + recent
        if leaving > _EVERYDAY and 2 * leaving > mirrored + recent:
            self._put_off |= new
        else:
            due.extend(new)
        return due

    def removed(self, ones: Collection[str], *, now: float) -> None:
        """These are here no more, whether that was decided here or not."""
        decided = [one for one in ones if one in self._missing]
        new = sum(one not in self._put_off for one in decided)
        if new:
            self._recent.append((now, new))
        for one in decided:
            self.back(one)
