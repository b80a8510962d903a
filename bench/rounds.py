"""Alternating rounds: every system once a round, so that a drift of the machine's speed hits all alike."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Spread(msgspec.Struct, frozen=True):
    """Several measurements of one figure."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(min(values), statistics.median(values), max(values))

    def text(self, unit: str = "", *, digits: int = 3) -> str:
        """``median unit (low–high)`` with as many significant digits."""
        return f"{number(self.median, digits)}{unit} ({number(self.low, digits)}–{number(self.high, digits)})"


def number(value: float, digits: int = 3) -> str:
    """A figure with so many significant digits, thousands set apart."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{digits}g}"


def alternate(systems: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Measure every system once a round, the order turned round each time."""
    taken: dict[str, list[T]] = {name: [] for name in systems}
    names = list(systems)
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            taken[name].append(systems[name]())
    return taken


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, round by round."""
    return Spread.of([our / their for our, their in zip(ours, theirs, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0…1) of the values lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, int(share * len(ordered) + 0.999999) - 1))]
