"""What the library does, as metrics for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from homeport.client.measures import MEASURES, Measure
from homeport.errors import MissingExtra

from .buckets import DURATION_BUCKETS
from .operations import Outcome, TimedOperation
from .readings import Readings, label_values

try:
    from prometheus_client import REGISTRY, Counter, Histogram
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingExtra("homeport.observability.prometheus", "prometheus") from error

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class PrometheusObserver:
    """Tells a registry of prometheus-client what a `Discovery` does.

    >>> from homeport import Discovery
    >>> from homeport.observability.prometheus import PrometheusObserver
    >>> discovery = Discovery(observer=PrometheusObserver())

    The names are those of `homeport.client.measures`, with ``namespace`` and "_" before them if one is given.
    ``registry`` is that of the process when it is None. One observer may serve several `Discovery` objects on
    different backends. ``buckets`` are the upper bounds of the histograms, in seconds.

    With several processes in one (``PROMETHEUS_MULTIPROC_DIR``) counters and histograms are summed by
    prometheus-client; gauges are then not shown, since those of the processes cannot be told apart.

    Raises:
        ValueError: the registry has metrics of these names already, such as those of another observer.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        namespace: str = "",
        buckets: tuple[float, ...] = DURATION_BUCKETS,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        registry = REGISTRY if registry is None else registry
        self._timer = timer
        self._readings = Readings(clock=clock)
        gauges = tuple(measure for measure in MEASURES if measure.kind in ("gauge", "age"))
        # First, since it is what fails as a whole when the names are taken.
        registry.register(_Gauges(self._readings, gauges, namespace=namespace))
        self._gauges = {measure.name: measure for measure in gauges}
        self._counters = {
            measure.name: (measure, Counter(measure.name, measure.help, measure.labels, namespace, registry=registry))
            for measure in MEASURES
            if measure.kind == "counter"
        }
        self._histograms = {
            measure.name: (
                measure,
                Histogram(measure.name, measure.help, measure.labels, namespace, registry=registry, buckets=buckets),
            )
            for measure in MEASURES
            if measure.kind == "histogram"
        }

    def operation(self, name: str, labels: Mapping[str, str]) -> AbstractContextManager[None]:
        """See `homeport.spi.Observer`."""
        known = self._histograms.get(name)
        if known is None:
            return nullcontext()
        measure, histogram = known

        def ended(duration: float, outcome: Outcome) -> None:
            values = label_values(measure, {"outcome": outcome, **labels})
            histogram.labels(*values).observe(duration)

        return TimedOperation(ended, clock=self._timer)

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        """See `homeport.spi.Observer`."""
        known = self._counters.get(name)
        if known is not None:
            measure, counter = known
            counter.labels(*label_values(measure, labels)).inc(amount)

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """See `homeport.spi.Observer`."""
        measure = self._gauges.get(name)
        if measure is not None:
            self._readings.take(measure, labels, value)


class _Gauges(Collector):
    """Shows the gauges as they are at the moment of a scrape."""

    def __init__(self, readings: Readings, measures: tuple[Measure, ...], *, namespace: str) -> None:
        self._readings = readings
        self._measures = measures
        self._prefix = f"{namespace}_" if namespace else ""

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The names, so that the registry notices when they are taken."""
        for measure in self._measures:
            yield self._family(measure)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The values."""
        for measure in self._measures:
            family = self._family(measure)
            for values, value in self._readings.of(measure).items():
                family.add_metric(values, value)
            yield family

    def _family(self, measure: Measure) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._prefix + measure.name, measure.help, labels=measure.labels)
