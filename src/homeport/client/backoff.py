"""How long to wait after a failure."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Pauses that grow: each is random between 0 and a limit that doubles with every failure ("full jitter").

    The randomness keeps many clients that lost the same server from coming back at once.
    """

    __slots__ = ("_failures", "_first", "_longest", "_random")

    def __init__(self, *, first: float, longest: float, random: Callable[[], float]) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._failures = 0

    def next_pause(self) -> float:
        """Count a failure and say how many seconds to wait."""
        limit = min(self._longest, self._first * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return self._random() * limit

    def reset(self) -> None:
        """Begin anew after a success."""
        self._failures = 0
