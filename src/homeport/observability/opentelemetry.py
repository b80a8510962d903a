"""What the library does, as metrics and spans of OpenTelemetry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import TracebackType

from homeport import __version__
from homeport.client.measures import MEASURES, Measure
from homeport.errors import MissingExtra

from .buckets import DURATION_BUCKETS
from .operations import outcome_of
from .readings import Readings, label_values

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation
    from opentelemetry.trace import Span, Status, StatusCode, TracerProvider
except ImportError as error:
    raise MissingExtra("homeport.observability.opentelemetry", "opentelemetry") from error

_SCOPE = "homeport"
_OPERATION = context.create_key("homeport operation")


class OpenTelemetryObserver:
    """Tells OpenTelemetry what a `Discovery` does.

    The metrics have the names and labels of `homeport.client.measures`, the durations the unit ``s``. Registrations,
    lookups and calls are spans too (``homeport.register``, ``homeport.discover``, ``homeport.resolve``,
    ``homeport.call``, …), parents of whatever is traced within; one that failed has the exception and the status of an
    error. The providers are those of the process when they are None.
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        self._timer = timer
        self._readings = Readings(clock=clock)
        self._gauges = {measure.name: measure for measure in MEASURES if measure.kind in ("gauge", "age")}
        for measure in self._gauges.values():
            meter.create_observable_gauge(
                measure.name,
                [partial(self._read, measure)],
                unit="s" if measure.kind == "age" else "",
                description=measure.help,
            )
        self._counters = {
            measure.name: (measure, meter.create_counter(measure.name, description=measure.help))
            for measure in MEASURES
            if measure.kind == "counter"
        }
        self._histograms = {
            measure.name: (
                measure,
                meter.create_histogram(
                    measure.name,
                    unit="s",
                    description=measure.help,
                    explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
                ),
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
        return _Traced(measure, labels, histogram=histogram, tracer=self._tracer, timer=self._timer)

    def count(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        """See `homeport.spi.Observer`."""
        known = self._counters.get(name)
        if known is not None:
            measure, counter = known
            counter.add(amount, _attributes(measure, label_values(measure, labels)))

    def gauge(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """See `homeport.spi.Observer`."""
        measure = self._gauges.get(name)
        if measure is not None:
            self._readings.take(measure, labels, value)

    def _read(self, measure: Measure, _options: CallbackOptions) -> Iterable[Observation]:
        for values, value in self._readings.of(measure).items():
            yield Observation(value, _attributes(measure, values))


class _Traced(AbstractContextManager[None]):
    """A block that is timed, and a span.

    Blocks may overlap and end in another task or thread than they began in, since a call ends with the body of its
    answer. Therefore a context is not detached by its token, which is good for one place and order only.
    """

    __slots__ = ("_before", "_began_at", "_ended", "_histogram", "_labels", "_measure", "_span", "_timer", "_tracer")

    _span: Span
    _before: context.Context
    _began_at: float

    def __init__(
        self,
        measure: Measure,
        labels: Mapping[str, str],
        *,
        histogram: Histogram,
        tracer: trace.Tracer,
        timer: Callable[[], float],
    ) -> None:
        self._measure = measure
        self._labels = labels
        self._histogram = histogram
        self._tracer = tracer
        self._timer = timer
        self._ended = False

    def __enter__(self) -> None:
        name = self._measure.span.format_map(self._labels)
        attributes = {f"homeport.{label}": value for label, value in self._labels.items() if value}
        self._before = _without_ended(context.get_current())
        outer = context.get_value(_OPERATION, self._before)
        if isinstance(outer, _Traced):  # so that those that overlap for ever do not keep all those before them
            outer._before = _without_ended(outer._before)
        self._span = self._tracer.start_span(name, context=self._before, attributes=attributes)
        context.attach(context.set_value(_OPERATION, self, trace.set_span_in_context(self._span)))
        self._began_at = self._timer()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = max(0.0, self._timer() - self._began_at)
        outcome = outcome_of(kind)
        self._ended = True
        if trace.get_current_span() is self._span:  # elsewhere nothing is to be restored
            context.attach(_without_ended(self._before))
        values = label_values(self._measure, {"outcome": outcome, **self._labels})
        # Recorded in the context of the span, so that an exemplar leads to it.
        self._histogram.record(
            duration, _attributes(self._measure, values), context=trace.set_span_in_context(self._span, self._before)
        )
        if outcome == "failure" and error is not None:
            self._span.record_exception(error)
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.set_status(Status(StatusCode.ERROR, str(error)))
        self._span.end()


def _without_ended(found: context.Context) -> context.Context:
    """A context, or, if it is that of an operation which has ended since, the one before."""
    while (
        isinstance(operation := context.get_value(_OPERATION, found), _Traced)
        and operation._ended
        and trace.get_current_span(found) is operation._span
    ):
        found = operation._before
    return found


def _attributes(measure: Measure, values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(measure.labels, values, strict=True))
