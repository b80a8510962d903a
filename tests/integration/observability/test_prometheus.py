"""The adapter for Prometheus, by the text that a scrape gets."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from homeport.client.measures import MEASURES
from homeport.client.reports import FailedOutcome, Reports
from homeport.errors import BackendUnavailable
from homeport.observability.prometheus import PrometheusObserver
from tests.integration.observability.scraping import sample, samples

URL = "homeport://127.0.0.1:8500"


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_every_measure_is_shown_under_its_exact_name_and_kind() -> None:
    registry = CollectorRegistry()
    PrometheusObserver(registry)
    text = generate_latest(registry).decode()
    shown = {"counter": "counter", "gauge": "gauge", "age": "gauge", "histogram": "histogram"}
    for measure in MEASURES:
        assert f"# TYPE {measure.name} {shown[measure.kind]}\n" in text
        assert f"# HELP {measure.name} {measure.help}\n" in text


def test_what_the_client_reports_is_scraped() -> None:
    registry, timer = CollectorRegistry(), Clock(0.0)
    reports = Reports(PrometheusObserver(registry, timer=timer), backend=URL, datacenter="dc1")
    with reports.registering("api"):
        timer.now += 0.2
    reports.standing("api-1", stands=True)
    with pytest.raises(BackendUnavailable), reports.discovering("services"):
        raise BackendUnavailable("nobody answers")
    reports.looked_up(hit=True)
    reports.looked_up(hit=True)
    reports.looked_up(hit=False)
    reports.believed("billing", healthy=3, stale_since=None)
    reports.ejected("billing", newly=2, now=2)

    assert sample(registry, "service_registration_duration_count", backend=URL) == 1
    assert sample(registry, "service_registration_duration_sum", backend=URL) == pytest.approx(0.2)
    assert sample(registry, "service_registration_duration_bucket", backend=URL, le="0.1") == 0
    assert sample(registry, "service_registration_duration_bucket", backend=URL, le="0.25") == 1
    assert sample(registry, "registrations_total", backend=URL, outcome="success") == 1
    assert sample(registry, "registered_services_total", backend=URL, datacenter="dc1") == 1
    assert sample(registry, "service_discovery_duration_count", backend=URL, query_type="services") == 1
    assert sample(registry, "backend_errors_total", backend=URL, operation="services", cause="BackendUnavailable") == 1
    assert sample(registry, "discovery_cache_hits_total", backend=URL) == 2
    assert sample(registry, "discovery_cache_misses_total", backend=URL) == 1
    assert sample(registry, "healthy_services_total", backend=URL, service="billing") == 3
    assert sample(registry, "ejections_total", service="billing") == 2
    assert sample(registry, "ejected_instances", service="billing") == 2


def test_calls_are_told_apart_by_how_they_ended() -> None:
    registry = CollectorRegistry()
    reports = Reports(PrometheusObserver(registry), backend=URL)
    with reports.calling("billing", "10.0.0.1:80"):
        pass
    with pytest.raises(KeyError), reports.calling("billing", "10.0.0.1:80"):
        raise KeyError
    with pytest.raises(asyncio.CancelledError), reports.calling("billing", "10.0.0.1:80"):
        raise asyncio.CancelledError
    answered_503 = reports.calling("billing", "10.0.0.1:80")
    answered_503.__enter__()
    answered_503.__exit__(FailedOutcome, FailedOutcome("HTTP 503"), None)
    for outcome, calls in (("success", 1), ("failure", 2), ("cancelled", 1)):
        assert sample(registry, "call_duration_count", service="billing", outcome=outcome) == calls


def test_staleness_grows_without_being_told_and_ends() -> None:
    registry, clock = CollectorRegistry(), Clock(1000.0)
    reports = Reports(PrometheusObserver(registry, clock=clock), backend=URL)

    def stale() -> float | None:
        return sample(registry, "watch_stale_seconds", backend=URL, service="billing")

    reports.believed("billing", healthy=1, stale_since=None)
    clock.now = 1005.0
    assert stale() == 0
    reports.believed("billing", healthy=1, stale_since=1004.0)
    assert stale() == 1
    clock.now = 1034.0
    assert stale() == 30
    clock.now = 900.0  # a clock that was set back
    assert stale() == 0
    reports.believed("billing", healthy=1, stale_since=None)
    clock.now = 2000.0
    assert stale() == 0


def test_a_watch_that_ended_is_not_shown_any_more() -> None:
    registry = CollectorRegistry()
    reports = Reports(PrometheusObserver(registry), backend=URL)
    for service in ("billing", "orders"):
        reports.believed(service, healthy=1, stale_since=None)
    reports.forgotten("billing")
    for name in ("healthy_services_total", "watch_stale_seconds"):
        assert sample(registry, name, backend=URL, service="billing") is None
        assert sample(registry, name, backend=URL, service="orders") is not None


def test_a_namespace_stands_before_every_name() -> None:
    registry = CollectorRegistry()
    reports = Reports(PrometheusObserver(registry, namespace="shop"), backend=URL)
    reports.looked_up(hit=True)
    reports.circuit("billing", "open")
    with reports.calling("billing", "10.0.0.1:80"):
        pass
    assert sample(registry, "shop_discovery_cache_hits_total", backend=URL) == 1
    assert sample(registry, "shop_circuit_state", service="billing") == 2
    assert sample(registry, "shop_call_duration_count", service="billing", outcome="success") == 1
    assert all(name.startswith("shop_") for name, _ in samples(registry))


def test_the_buckets_may_be_others() -> None:
    registry = CollectorRegistry()
    reports = Reports(PrometheusObserver(registry, buckets=(1.0, 2.0)), backend=URL)
    with reports.calling("billing", "10.0.0.1:80"):
        pass
    bounds = {dict(labels)["le"] for name, labels in samples(registry) if name == "call_duration_bucket"}
    assert bounds == {"1.0", "2.0", "+Inf"}


def test_a_second_observer_of_one_registry_is_refused_and_leaves_the_first_alone() -> None:
    registry = CollectorRegistry()
    reports = Reports(PrometheusObserver(registry), backend=URL)
    with pytest.raises(ValueError, match="registered_services_total"):
        PrometheusObserver(registry)
    reports.looked_up(hit=True)
    assert sample(registry, "discovery_cache_hits_total", backend=URL) == 1
    reports = Reports(PrometheusObserver(registry, namespace="other"), backend=URL)
    reports.looked_up(hit=True)
    assert sample(registry, "other_discovery_cache_hits_total", backend=URL) == 1


def test_what_it_does_not_know_is_ignored() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    before = samples(registry)
    with observer.operation("unknown", {}):
        pass
    observer.count("unknown", {})
    observer.gauge("unknown", {}, 1.0)
    assert samples(registry) == before


def test_openmetrics_readers_are_served_too() -> None:
    registry = CollectorRegistry()
    reports = Reports(PrometheusObserver(registry), backend=URL)
    reports.looked_up(hit=True)
    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    text = encode(registry).decode()
    assert f'discovery_cache_hits_total{{backend="{URL}"}} 1.0' in text.splitlines()
    assert text.endswith("# EOF\n")


def test_several_processes_are_summed_but_for_gauges(tmp_path: Path) -> None:
    program = """
from homeport.client.reports import Reports
from homeport.observability.prometheus import PrometheusObserver
reports = Reports(PrometheusObserver(), backend="b")
reports.looked_up(hit=True)
reports.circuit("billing", "open")
with reports.calling("billing", "10.0.0.1:80"):
    pass
"""
    for _ in range(2):
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]  # it has no types
    assert sample(registry, "discovery_cache_hits_total", backend="b") == 2
    assert sample(registry, "call_duration_count", service="billing", outcome="success") == 2
    assert not [name for name, _ in samples(registry) if name == "circuit_state"]
