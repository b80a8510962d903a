"""How often memory was enough."""

from __future__ import annotations

import msgspec

from .reports import Reports


class CacheStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Questions asked by `discover` and `resolve`, but those that bypassed the cache.

    ``hits`` were answered from memory; ``negative_hits`` are those among them for a service that has no instances at
    all. ``misses`` had to ask a backend: first questions, those after the time for which a polled answer counts as
    fresh, those that had to see a write of this process, and all of them while the cache is switched off. ``watched``
    is the number of services that are followed now.
    """

    hits: int = 0
    misses: int = 0
    negative_hits: int = 0
    watched: int = 0

    @property
    def ratio(self) -> float:
        """The share of hits among all, 0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class CacheCounter:
    """Counts for `CacheStatistics`."""

    __slots__ = ("_hits", "_misses", "_negative_hits", "_reports")

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._hits = 0
        self._misses = 0
        self._negative_hits = 0

    def hit(self, *, negative: bool) -> None:
        """A question was answered from memory; ``negative`` that there are no instances."""
        self._hits += 1
        self._reports.looked_up(hit=True)
        self._negative_hits += negative

    def missed(self) -> None:
        """A question had to ask a backend."""
        self._misses += 1
        self._reports.looked_up(hit=False)

    def statistics(self, *, watched: int) -> CacheStatistics:
        """What was counted so far."""
        return CacheStatistics(hits=self._hits, misses=self._misses, negative_hits=self._negative_hits, watched=watched)
