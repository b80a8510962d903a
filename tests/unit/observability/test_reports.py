"""What the client tells is in the catalogue, with the labels of the catalogue."""

import math

import pytest

from homeport.client.measures import MEASURES, Measure
from homeport.client.reports import FailedOutcome, QueryType, Reports
from homeport.errors import BackendUnavailable, InvalidValue, NoInstances
from tests.unit.observability.recording import Recording

URL = "homeport://127.0.0.1:8500"


def told(observer: Recording, name: str) -> list[tuple[dict[str, str], object]]:
    """What was told of one measure."""
    return [(labels, value) for _, told_name, labels, value in observer.told if told_name == name]


def test_the_names_and_labels_of_document_004() -> None:
    catalogue = {measure.name: (measure.kind, measure.labels) for measure in MEASURES}
    assert catalogue["registered_services_total"] == ("gauge", ("backend", "datacenter"))
    assert catalogue["healthy_services_total"] == ("gauge", ("service", "backend"))
    assert catalogue["service_registration_duration"] == ("histogram", ("backend",))
    assert catalogue["service_discovery_duration"] == ("histogram", ("backend", "query_type"))
    assert catalogue["discovery_cache_hits_total"] == ("counter", ("backend",))


def test_every_measure_is_told_as_the_catalogue_says() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL, datacenter="dc1")
    with reports.registering("api"):
        pass
    reports.standing("api-1", stands=True)
    reports.lease_lost("api")
    with reports.discovering("resolve", service="api"):
        pass
    reports.looked_up(hit=True)
    reports.looked_up(hit=False)
    reports.believed("api", healthy=2, stale_since=None)
    reports.reconnecting("api")
    reports.failed("watch", BackendUnavailable("gone"))
    with reports.calling("api", "10.0.0.1:80"):
        pass
    reports.retried("api", "success")
    reports.hedged("api")
    reports.ejected("api", newly=1, now=2)
    reports.circuit("api", "half_open")

    by_name: dict[str, Measure] = {measure.name: measure for measure in MEASURES}
    assert {name for _, name, _, _ in observer.told} == set(by_name)
    ways = {"counter": "count", "gauge": "gauge", "age": "gauge", "histogram": "operation"}
    for way, name, labels, _ in observer.told:
        measure = by_name[name]
        assert way == ways[measure.kind], name
        added_by_observer = {"outcome"} if measure.kind == "histogram" else set()
        assert set(measure.labels) - added_by_observer <= set(labels), name
        measure.span.format_map(labels)


def test_registrations_are_counted_by_how_they_ended() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL)
    with reports.registering("api"):
        pass
    with pytest.raises(BackendUnavailable), reports.registering("api"):
        raise BackendUnavailable("nobody answers")
    with pytest.raises(InvalidValue), reports.registering("api"):
        raise InvalidValue("wrong")
    assert told(observer, "registrations_total") == [
        ({"backend": URL, "outcome": "success"}, 1.0),
        ({"backend": URL, "outcome": "failure"}, 1.0),
        ({"backend": URL, "outcome": "failure"}, 1.0),
    ]
    assert [outcome for _, outcome in told(observer, "service_registration_duration")] == [
        None,
        "BackendUnavailable",
        "InvalidValue",
    ]
    error = {"backend": URL, "operation": "register", "cause": "BackendUnavailable"}
    assert told(observer, "backend_errors_total") == [(error, 1.0)]


def test_standing_counts_registrations_by_id() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL, datacenter="dc1")
    for id_, stands in (("a", True), ("a", True), ("b", True), ("a", False), ("a", False), ("b", False)):
        reports.standing(id_, stands=stands)
    assert [value for _, value in told(observer, "registered_services_total")] == [1, 1, 2, 1, 1, 0]
    assert told(observer, "registered_services_total")[0][0] == {"backend": URL, "datacenter": "dc1"}


@pytest.mark.parametrize(
    ("query_type", "counted"), [("discover", False), ("resolve", False), ("fetch", True), ("services", True)]
)
def test_a_failure_is_counted_where_the_backend_was_asked(query_type: QueryType, *, counted: bool) -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL)
    with pytest.raises(BackendUnavailable), reports.discovering(query_type, service="api"):
        raise BackendUnavailable("nobody answers")
    assert len(told(observer, "backend_errors_total")) == counted
    assert told(observer, "service_discovery_duration") == [
        ({"backend": URL, "query_type": query_type, "service": "api"}, "BackendUnavailable")
    ]


def test_only_failures_of_the_backend_are_counted_as_such() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL)
    with pytest.raises(NoInstances), reports.asking("renew"):
        raise NoInstances("none")
    with pytest.raises(BackendUnavailable), reports.asking("renew"):
        raise BackendUnavailable("nobody answers")
    reports.failed("watch", BackendUnavailable("nobody answers"), backend="consul://b")
    assert [labels for labels, _ in told(observer, "backend_errors_total")] == [
        {"backend": URL, "operation": "renew", "cause": "BackendUnavailable"},
        {"backend": "consul://b", "operation": "watch", "cause": "BackendUnavailable"},
    ]


def test_a_watch_tells_its_health_and_since_when_it_is_stale() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL)
    reports.believed("api", healthy=3, stale_since=None)
    reports.believed("api", healthy=3, stale_since=1700.0, backend="consul://b")
    reports.forgotten("api")
    here, other = {"service": "api", "backend": URL}, {"service": "api", "backend": "consul://b"}
    healthy, stale = told(observer, "healthy_services_total"), told(observer, "watch_stale_seconds")
    assert healthy[:2] == [(here, 3.0), (other, 3.0)]
    assert stale[:2] == [(here, 0.0), (other, 1700.0)]
    for labels, value in (healthy[2], stale[2]):
        assert labels == here
        assert isinstance(value, float)
        assert math.isnan(value)


def test_ejections_are_counted_only_when_there_are_new_ones() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL)
    reports.ejected("api", newly=2, now=2)
    reports.ejected("api", newly=0, now=1)
    assert told(observer, "ejections_total") == [({"service": "api"}, 2.0)]
    assert [value for _, value in told(observer, "ejected_instances")] == [2.0, 1.0]


def test_the_states_of_a_circuit_are_numbers() -> None:
    observer = Recording()
    reports = Reports(observer, backend=URL)
    reports.circuit("api", "closed")
    reports.circuit("api", "half_open")
    reports.circuit("api", "open")
    assert [value for _, value in told(observer, "circuit_state")] == [0.0, 1.0, 2.0]


def test_a_call_may_fail_without_raising() -> None:
    observer = Recording()
    block = Reports(observer, backend=URL).calling("api", "10.0.0.1:80")
    block.__enter__()
    failure = FailedOutcome("HTTP 503")
    block.__exit__(type(failure), failure, None)
    assert observer.told == [
        ("operation", "call_duration", {"service": "api", "endpoint": "10.0.0.1:80"}, "FailedOutcome")
    ]


def test_without_an_observer_nothing_happens() -> None:
    reports = Reports(None, backend=URL)
    assert not reports.observed
    assert Reports(Recording(), backend=URL).observed
    with pytest.raises(BackendUnavailable), reports.registering("api"):
        raise BackendUnavailable("nobody answers")
    with pytest.raises(KeyError), reports.calling("api", "10.0.0.1:80"):
        raise KeyError
