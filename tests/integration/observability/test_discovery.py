"""What a `Discovery` tells its observer, on a real registry."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from homeport import BackendUnavailable, Call, CircuitOpen, ClientSettings, Discovery, blocking
from homeport.client.resilience.settings import CircuitSettings
from homeport.observability import combined
from homeport.observability.opentelemetry import OpenTelemetryObserver
from homeport.observability.prometheus import PrometheusObserver
from tests.integration.observability.scraping import PATIENCE, sample, samples, scraped
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer

QUICK = ClientSettings(first_retry_interval=0.05, longest_retry_interval=0.1)


@pytest.fixture
def metrics() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def discovery(homeport: HomeportServer, metrics: CollectorRegistry) -> AsyncIterator[Discovery]:
    async with Discovery(
        homeport.backend_url, observer=PrometheusObserver(metrics), handle_signals=False, settings=QUICK
    ) as discovery:
        yield discovery


async def test_registrations_are_measured(
    discovery: Discovery, homeport: HomeportServer, metrics: CollectorRegistry
) -> None:
    backend = homeport.backend_url
    registration = await discovery.register("observed-registration", address="127.0.0.1", port=1)
    assert sample(metrics, "registrations_total", backend=backend, outcome="success") == 1
    assert sample(metrics, "service_registration_duration_count", backend=backend) == 1
    assert sample(metrics, "registered_services_total", backend=backend, datacenter="") == 1
    await registration.close()
    assert sample(metrics, "registered_services_total", backend=backend, datacenter="") == 0
    assert sample(metrics, "lease_losses_total", backend=backend, service="observed-registration") is None


async def test_lookups_are_measured(discovery: Discovery, homeport: HomeportServer, metrics: CollectorRegistry) -> None:
    backend = homeport.backend_url
    async with discovery.register("observed-lookup", address="127.0.0.1", port=1):
        await discovery.discover("observed-lookup")
        assert sample(metrics, "discovery_cache_misses_total", backend=backend) == 1
        await discovery.discover("observed-lookup")
        await discovery.resolve("observed-lookup")
        await discovery.discover("observed-lookup", use_cache=False)
        await discovery.services()
        assert sample(metrics, "discovery_cache_hits_total", backend=backend) == 2
        for query_type, count in (("discover", 2), ("resolve", 1), ("fetch", 1), ("services", 1)):
            assert sample(metrics, "service_discovery_duration_count", backend=backend, query_type=query_type) == count
        labels = {"backend": backend, "service": "observed-lookup"}
        assert sample(metrics, "healthy_services_total", **labels) == 1
        assert sample(metrics, "watch_stale_seconds", **labels) == 0


async def test_a_watch_that_is_closed_is_not_shown_any_more(
    discovery: Discovery, homeport: HomeportServer, metrics: CollectorRegistry
) -> None:
    labels = {"backend": homeport.backend_url, "service": "observed-watch"}
    async with discovery.watch("observed-watch"):
        assert sample(metrics, "healthy_services_total", **labels) == 0
    assert sample(metrics, "healthy_services_total", **labels) is None
    assert sample(metrics, "watch_stale_seconds", **labels) is None


async def test_calls_are_measured_by_how_they_end(discovery: Discovery, metrics: CollectorRegistry) -> None:
    async with (
        discovery.register("observed-call", address="127.0.0.1", port=1),
        discovery.watch("observed-call") as watch,
    ):
        async with watch.call():
            pass
        with watch.call() as call:
            call.observe(status=503)
        with pytest.raises(KeyError):
            async with watch.call():
                raise KeyError
        with pytest.raises(asyncio.CancelledError), watch.call():
            raise asyncio.CancelledError
        for outcome, count in (("success", 1), ("failure", 2), ("cancelled", 1)):
            assert sample(metrics, "call_duration_count", service="observed-call", outcome=outcome) == count


async def test_ejections_are_measured(discovery: Discovery, metrics: CollectorRegistry) -> None:
    async with (
        discovery.register("observed-ejection", id="observed-ejection-1", address="127.0.0.1", port=1),
        discovery.register("observed-ejection", id="observed-ejection-2", address="127.0.0.1", port=2),
        discovery.watch("observed-ejection") as watch,
    ):
        bad = watch.current[0]
        for _ in range(5):
            watch.observe(bad, error=ConnectionError())
        assert sample(metrics, "ejections_total", service="observed-ejection") == 1
        assert sample(metrics, "ejected_instances", service="observed-ejection") == 1


async def test_calls_that_are_made_again_are_measured(discovery: Discovery, metrics: CollectorRegistry) -> None:
    service = "observed-retries"
    async with (
        discovery.register(service, id=f"{service}-1", address="127.0.0.1", port=1),
        discovery.register(service, id=f"{service}-2", address="127.0.0.1", port=2),
        discovery.watch(service) as watch,
    ):
        ports: list[int] = []

        async def fail_first(call: Call) -> None:
            ports.append(call.instance.port)
            if len(ports) == 1:
                raise ConnectionError

        await watch.perform(fail_first, idempotent=True)
        assert set(ports) == {1, 2}
        assert sample(metrics, "retries_total", service=service, outcome="success") == 1

        async def fail_always(call: Call) -> None:
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await watch.perform(fail_always, idempotent=True)
        failed = sample(metrics, "retries_total", service=service, outcome="failure")
        assert failed is not None
        assert failed > 0

        first = asyncio.Event()

        async def hang_first(call: Call) -> None:
            if not first.is_set():
                first.set()
                await asyncio.Event().wait()

        await watch.perform(hang_first, idempotent=True, hedge_after=0.01)
        assert sample(metrics, "hedges_total", service=service) == 1


async def test_the_circuit_is_measured(homeport: HomeportServer, metrics: CollectorRegistry) -> None:
    settings = ClientSettings(circuit=CircuitSettings(minimum_calls=2, open_time=0.01, closing_successes=1))
    async with (
        Discovery(
            homeport.backend_url, observer=PrometheusObserver(metrics), handle_signals=False, settings=settings
        ) as discovery,
        discovery.register("observed-circuit", address="127.0.0.1", port=1),
        discovery.watch("observed-circuit") as watch,
    ):
        for _ in range(2):
            with pytest.raises(KeyError):
                async with watch.call():
                    raise KeyError
        assert sample(metrics, "circuit_state", service="observed-circuit") == 2
        async with asyncio.timeout(PATIENCE):
            while sample(metrics, "circuit_state", service="observed-circuit") != 0:
                with contextlib.suppress(CircuitOpen):
                    async with watch.call():
                        assert sample(metrics, "circuit_state", service="observed-circuit") == 1
                await asyncio.sleep(0.001)


async def test_an_outage_is_measured(homeport_factory: HomeportFactory, metrics: CollectorRegistry) -> None:
    server = homeport_factory()
    backend = server.backend_url
    labels = {"backend": backend, "service": "api"}
    async with (
        Discovery(backend, observer=PrometheusObserver(metrics), handle_signals=False, settings=QUICK) as discovery,
        discovery.register("api", address="127.0.0.1", port=1, ttl=1.0),
        discovery.watch("api"),
    ):
        await asyncio.to_thread(server.stop)
        await scraped(metrics, lambda value: value > 0, "watch_stale_seconds", **labels)
        away = {"backend": backend, "cause": "BackendUnavailable"}
        await scraped(metrics, lambda value: value > 0, "backend_errors_total", operation="watch", **away)
        await scraped(metrics, lambda value: value > 0, "backend_errors_total", operation="renew", **away)
        await scraped(metrics, lambda value: value > 0, "watch_reconnects_total", **labels)
        await scraped(metrics, lambda value: value == 0, "registered_services_total", backend=backend, datacenter="")
        await scraped(metrics, lambda value: value > 0, "lease_losses_total", **labels)
        server.wipe()
        await asyncio.to_thread(server.start)
        await scraped(metrics, lambda value: value == 0, "watch_stale_seconds", **labels)
        await scraped(metrics, lambda value: value == 1, "registered_services_total", backend=backend, datacenter="")
        losses = sample(metrics, "lease_losses_total", **labels)  # a machine that stood still for a second has had more
        assert losses is not None
        assert sample(metrics, "registrations_total", backend=backend, outcome="success") == 1 + losses


async def test_a_registration_that_fails_is_counted_as_such(metrics: CollectorRegistry) -> None:
    backend = "homeport://127.0.0.1:1"
    async with Discovery(backend, observer=PrometheusObserver(metrics), handle_signals=False) as discovery:
        with pytest.raises(BackendUnavailable):
            await discovery.register("api", address="127.0.0.1", port=1).begin()
        assert sample(metrics, "registrations_total", backend=backend, outcome="failure") == 1
        error = {"backend": backend, "operation": "register", "cause": "BackendUnavailable"}
        assert sample(metrics, "backend_errors_total", **error) == 1


async def test_operations_are_spans_beside_metrics(homeport: HomeportServer, metrics: CollectorRegistry) -> None:
    spans, tracing = InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    observer = combined(PrometheusObserver(metrics), OpenTelemetryObserver(MeterProvider(), tracing))
    async with (
        Discovery(homeport.backend_url, observer=observer, handle_signals=False) as discovery,
        discovery.register("observed-spans", address="127.0.0.1", port=1),
    ):
        await discovery.resolve("observed-spans")
        async with discovery.call("observed-spans") as call:
            assert call.instance.port == 1
    by_name = {span.name: dict(span.attributes or {}) for span in spans.get_finished_spans()}
    assert by_name["homeport.register"]["homeport.service"] == "observed-spans"
    assert by_name["homeport.resolve"]["homeport.service"] == "observed-spans"
    assert by_name["homeport.call"]["homeport.endpoint"] == "127.0.0.1:1"
    assert sample(metrics, "call_duration_count", service="observed-spans", outcome="success") == 1


def test_the_blocking_twin_tells_as_much(homeport: HomeportServer, metrics: CollectorRegistry) -> None:
    observer = PrometheusObserver(metrics)
    with (
        blocking.Discovery(homeport.backend_url, observer=observer, handle_signals=False) as discovery,
        discovery.register("observed-twin", address="127.0.0.1", port=1),
    ):
        discovery.resolve("observed-twin")
        with discovery.call("observed-twin"):
            pass
        told = {name for name, _ in samples(metrics)}
        assert {"registrations_total", "service_discovery_duration_count", "call_duration_count"} <= told


async def test_an_observer_that_raises_disturbs_nothing(
    homeport: HomeportServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def operation(self, name: str, labels: object) -> None:
            raise RuntimeError("broken")

        count = gauge = operation

    async with (
        Discovery(homeport.backend_url, observer=Broken(), handle_signals=False) as discovery,  # type: ignore[arg-type]
        discovery.register("observed-broken", address="127.0.0.1", port=1),
    ):
        await discovery.resolve("observed-broken")
        async with discovery.call("observed-broken") as call:
            assert call.instance.port == 1
    assert [record.message for record in caplog.records if "observer" in record.message] == [
        "an observer failed; what it measures is incomplete, and its further failures are not logged"
    ]
