"""The keys that programs rely on."""

from homeport.cli.discover import description
from homeport.cli.views import (
    event_view,
    health_view,
    instance_view,
    registration_view,
    summary_view,
    timestamp,
    transition_view,
)
from homeport.model import CheckState, Instance, Service, diff
from homeport.spi import CheckTransition, ServiceSummary

CHECK = CheckState(id="c1", name="port", kind="tcp", status="critical", output="refused\nagain", checked_at=0.0)
INSTANCE = Instance(
    id="api-1", service="api", address="::1", port=80, tags=("a",), meta={"k": "v"}, status="critical", checks=(CHECK,),
    node="n1",
)  # fmt: skip
BARE = Instance(id="api-2", service="api", address="h")


def test_an_instance() -> None:
    assert instance_view(INSTANCE) == {
        "service": "api", "id": "api-1", "address": "::1", "port": 80, "endpoint": "[::1]:80", "status": "critical",
        "healthy": False, "version": "", "environment": "", "tags": ["a"], "meta": {"k": "v"}, "weight": 1,
        "node": "n1", "datacenter": "", "region": "", "zone": "", "started_at": None,
        "last_check": "1970-01-01T00:00:00Z",
        "checks": [{
            "id": "c1", "name": "port", "kind": "tcp", "status": "critical", "output": "refused\nagain", "notes": "",
            "checked_at": "1970-01-01T00:00:00Z", "flapping": False,
        }],
    }  # fmt: skip


def test_every_key_is_there_also_when_nothing_is_known() -> None:
    assert instance_view(BARE).keys() == instance_view(INSTANCE).keys()
    assert instance_view(BARE)["last_check"] is None


def test_a_time_is_utc() -> None:
    assert timestamp(1_700_000_000.9) == "2023-11-14T22:13:20Z"
    assert timestamp(None) is None


def test_a_service_is_as_ill_as_its_worst_instance() -> None:
    assert health_view("api", [INSTANCE, BARE]) == {
        "service": "api", "status": "critical", "instances": 2, "passing": 1, "warning": 0, "critical": 1,
        "maintenance": 0,
    }  # fmt: skip
    assert health_view("api", [])["status"] == "passing"


def test_a_summary_keeps_unknown_counts_unknown() -> None:
    assert summary_view(ServiceSummary(name="api")) == {"name": "api", "instances": None, "passing": None, "tags": []}


def test_an_event_has_both_sides() -> None:
    (event,) = diff([], [BARE])
    assert event_view(event, at=0.0) == {
        "at": "1970-01-01T00:00:00Z", "event": "registered", "service": "api", "id": "api-2",
        "instance": instance_view(BARE), "previous": None,
    }  # fmt: skip


def test_a_transition() -> None:
    moved = CheckTransition(instance="api-1", check="c1", at=1.0, status="warning", output="slow")
    assert transition_view("api", moved) == {
        "at": "1970-01-01T00:00:01Z", "service": "api", "instance": "api-1", "check": "c1", "status": "warning",
        "output": "slow",
    }  # fmt: skip


def test_a_registration() -> None:
    view = registration_view(Service(name="api", id="i", address="::1", port=1), backend="homeport://h:1")
    assert view == {
        "service": "api", "id": "i", "address": "::1", "port": 1, "endpoint": "[::1]:1", "tags": [],
        "backend": "homeport://h:1",
    }  # fmt: skip


def test_a_description_for_people() -> None:
    assert description(instance_view(INSTANCE)).splitlines() == [
        "api-1  [::1]:80",
        "  status      critical",
        "  tags        a",
        "  meta        k=v",
        "  weight      1",
        "  node        n1",
        "  check       critical: port (tcp), 1970-01-01T00:00:00Z",
        "              refused again",
    ]
