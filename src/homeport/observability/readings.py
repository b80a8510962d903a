"""The present values of gauges and ages, as they are when somebody looks."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping

from homeport.client.measures import Measure

LabelValues = tuple[str, ...]


class Readings:
    """Values by measure and label values; safe to use from any thread.

    A value of NaN removes the series. ``clock`` tells the Unix time, from which ages are counted.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[Measure, dict[LabelValues, float]] = {}

    def take(self, measure: Measure, labels: Mapping[str, str], value: float) -> None:
        """Note the value of one series."""
        key = label_values(measure, labels)
        with self._lock:
            series = self._values.setdefault(measure, {})
            if math.isnan(value):
                series.pop(key, None)
            else:
                series[key] = value

    def of(self, measure: Measure) -> dict[LabelValues, float]:
        """Every series of a measure as it is now."""
        with self._lock:
            values = dict(self._values.get(measure, {}))
        if measure.kind != "age":
            return values
        now = self._clock()
        return {key: max(0.0, now - since) if since else 0.0 for key, since in values.items()}


def label_values(measure: Measure, labels: Mapping[str, str]) -> LabelValues:
    """The values of the labels that are kept apart, in their order; a missing one is empty, others are left out."""
    return tuple(labels.get(label, "") for label in measure.labels)
