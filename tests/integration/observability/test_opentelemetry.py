"""The adapter for OpenTelemetry, on its real SDK."""

import asyncio
import contextvars
import gc
import logging
import threading
import weakref
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from homeport.client.measures import MEASURES
from homeport.client.reports import Reports
from homeport.errors import BackendUnavailable
from homeport.observability.opentelemetry import OpenTelemetryObserver

URL = "homeport://127.0.0.1:8500"


class Telemetry:
    """An observer with an SDK that keeps everything in memory."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.elapsed = 0.0
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.meter_provider = MeterProvider([self._reader])
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.observer = OpenTelemetryObserver(
            self.meter_provider, self.tracer_provider, clock=lambda: self.now, timer=lambda: self.elapsed
        )
        self.reports = Reports(self.observer, backend=URL)

    def metrics(self) -> dict[str, Metric]:
        """Every metric that has a value, by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> dict[tuple[tuple[str, object], ...], object]:
        """The values of a metric by its attributes; of a histogram the number and the sum."""
        metric = self.metrics().get(name)
        if metric is None:
            return {}
        return {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "value", None)
            if hasattr(point, "value")
            else (point.count, point.sum)
            for point in metric.data.data_points
        }

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Every span that has ended."""
        return self._spans.get_finished_spans()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.meter_provider.shutdown()
    telemetry.tracer_provider.shutdown()


def test_every_measure_is_a_metric_of_its_exact_name(telemetry: Telemetry) -> None:
    for measure in MEASURES:
        labels = dict.fromkeys([*measure.labels, "query_type"], "x")
        if measure.kind == "counter":
            telemetry.observer.count(measure.name, labels)
        elif measure.kind == "histogram":
            with telemetry.observer.operation(measure.name, labels):
                pass
        else:
            telemetry.observer.gauge(measure.name, labels, 1.0)
    metrics = telemetry.metrics()
    assert set(metrics) == {measure.name for measure in MEASURES}
    for measure in MEASURES:
        (point,) = metrics[measure.name].data.data_points
        assert set(point.attributes or {}) == set(measure.labels)
        assert metrics[measure.name].description == measure.help
        assert metrics[measure.name].unit == ("s" if measure.kind in {"histogram", "age"} else "")


def test_what_the_client_reports_is_measured(telemetry: Telemetry) -> None:
    reports = telemetry.reports
    with reports.registering("api"):
        telemetry.elapsed += 0.2
    reports.looked_up(hit=True)
    reports.looked_up(hit=True)
    reports.believed("billing", healthy=3, stale_since=990.0)
    assert telemetry.points("service_registration_duration") == {(("backend", URL),): (1, pytest.approx(0.2))}
    assert telemetry.points("registrations_total") == {(("backend", URL), ("outcome", "success")): 1}
    assert telemetry.points("discovery_cache_hits_total") == {(("backend", URL),): 2}
    billing = (("backend", URL), ("service", "billing"))
    assert telemetry.points("healthy_services_total") == {billing: 3}
    assert telemetry.points("watch_stale_seconds") == {billing: 10}
    telemetry.now += 20
    assert telemetry.points("watch_stale_seconds") == {billing: 30}
    reports.forgotten("billing")
    assert telemetry.points("healthy_services_total") == {}
    assert telemetry.points("watch_stale_seconds") == {}


def test_durations_are_sorted_into_fitting_buckets(telemetry: Telemetry) -> None:
    with telemetry.reports.calling("billing", "10.0.0.1:80"):
        telemetry.elapsed += 0.003
    (point,) = telemetry.metrics()["call_duration"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert point.explicit_bounds[0] == 0.0005
    assert point.explicit_bounds[-1] == 10.0
    assert point.bucket_counts[point.explicit_bounds.index(0.005)] == 1


def test_operations_are_spans(telemetry: Telemetry) -> None:
    reports = telemetry.reports
    with reports.registering("api"):
        pass
    with reports.discovering("discover", service="billing"):
        pass
    with reports.discovering("resolve", service="billing"):
        pass
    with reports.calling("billing", "10.0.0.1:80"):
        pass
    spans = telemetry.spans()
    assert [span.name for span in spans] == [
        "homeport.register",
        "homeport.discover",
        "homeport.resolve",
        "homeport.call",
    ]
    assert dict(spans[0].attributes or {}) == {"homeport.backend": URL, "homeport.service": "api"}
    assert dict(spans[3].attributes or {}) == {"homeport.service": "billing", "homeport.endpoint": "10.0.0.1:80"}
    assert all(span.status.status_code is StatusCode.UNSET for span in spans)


def test_what_is_traced_within_belongs_to_the_operation(telemetry: Telemetry) -> None:
    tracer = telemetry.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("request"):
        with telemetry.reports.calling("billing", "10.0.0.1:80"), tracer.start_as_current_span("http"):
            pass
        with tracer.start_as_current_span("after"):
            pass
    by_name = {span.name: span for span in telemetry.spans()}

    def parent_of(name: str) -> str | None:
        parent = by_name[name].parent
        ids = {span.context.span_id: name for name, span in by_name.items() if span.context is not None}
        return None if parent is None else ids[parent.span_id]

    assert parent_of("http") == "homeport.call"
    assert parent_of("homeport.call") == "request"
    assert parent_of("after") == "request"


def test_a_failure_is_recorded(telemetry: Telemetry) -> None:
    with pytest.raises(BackendUnavailable), telemetry.reports.discovering("discover", service="billing"):
        raise BackendUnavailable("nobody answers")
    (span,) = telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "nobody answers"
    assert (span.attributes or {})["error.type"] == "BackendUnavailable"
    assert [event.name for event in span.events] == ["exception"]


def test_a_cancelled_call_is_no_failure(telemetry: Telemetry) -> None:
    with pytest.raises(asyncio.CancelledError), telemetry.reports.calling("billing", "10.0.0.1:80"):
        raise asyncio.CancelledError
    (span,) = telemetry.spans()
    assert span.status.status_code is StatusCode.UNSET
    assert set(telemetry.points("call_duration")) == {(("outcome", "cancelled"), ("service", "billing"))}


def test_an_operation_may_end_in_another_thread_or_task(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    async def in_a_task() -> None:
        block = telemetry.reports.calling("billing", "10.0.0.1:80")
        block.__enter__()

        async def end() -> None:
            block.__exit__(None, None, None)

        await asyncio.create_task(end())

    block = telemetry.reports.calling("billing", "10.0.0.1:80")

    def begin_and_end_here() -> None:
        block.__exit__(None, None, None)

    def in_a_thread() -> None:
        block.__enter__()
        thread = threading.Thread(target=begin_and_end_here)
        thread.start()
        thread.join()

    beginner = threading.Thread(target=in_a_thread)
    beginner.start()
    beginner.join()
    asyncio.run(in_a_task())
    assert [span.name for span in telemetry.spans()] == ["homeport.call", "homeport.call"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_operations_may_overlap(telemetry: Telemetry) -> None:
    tracer = telemetry.tracer_provider.get_tracer("test")
    with tracer.start_as_current_span("request") as request:
        blocks = [telemetry.reports.calling("billing", f"10.0.0.{number}:80") for number in range(3)]
        for block in blocks:
            block.__enter__()
        for block in blocks:  # in the order in which they began
            block.__exit__(None, None, None)
        assert trace.get_current_span() is request
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_operations_that_overlap_for_ever_keep_nothing(telemetry: Telemetry) -> None:
    def in_a_context() -> None:
        before = telemetry.reports.calling("billing", "10.0.0.1:80")
        before.__enter__()
        first = weakref.ref(trace.get_current_span())
        for _ in range(3):
            after = telemetry.reports.calling("billing", "10.0.0.1:80")
            after.__enter__()
            before.__exit__(None, None, None)
            before = after
        gc.collect()
        assert first() is None
        before.__exit__(None, None, None)
        assert trace.get_current_span() is trace.INVALID_SPAN

    contextvars.copy_context().run(in_a_context)


def test_a_span_within_an_operation_that_has_ended_stays(telemetry: Telemetry) -> None:
    tracer = telemetry.tracer_provider.get_tracer("test")

    def in_a_context() -> None:
        outer = telemetry.reports.calling("billing", "10.0.0.1:80")
        inner = telemetry.reports.calling("billing", "10.0.0.2:80")
        outer.__enter__()
        with tracer.start_as_current_span("request") as request:
            inner.__enter__()
            outer.__exit__(None, None, None)
            inner.__exit__(None, None, None)
            assert trace.get_current_span() is request
        with telemetry.reports.calling("billing", "10.0.0.3:80"):
            pass
        assert telemetry.spans()[-1].parent is None  # not the one that has ended

    contextvars.copy_context().run(in_a_context)


def test_what_it_does_not_know_is_ignored(telemetry: Telemetry) -> None:
    with telemetry.observer.operation("unknown", {}):
        pass
    telemetry.observer.count("unknown", {})
    telemetry.observer.gauge("unknown", {}, 1.0)
    assert telemetry.metrics() == {}
    assert telemetry.spans() == ()
