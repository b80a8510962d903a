"""The nouns: what they refuse, how they compare, what they say."""

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport import errors
from homeport.errors import InvalidValue, NoInstances
from homeport.model import (
    STATUSES,
    CheckState,
    Event,
    HealthCheck,
    HTTPCheck,
    Instance,
    Query,
    Service,
    Snapshot,
    TTLCheck,
    diff,
    frozen_meta,
    worst_status,
)


def instance(id: str = "a", **fields: Any) -> Instance:  # noqa: A002 - the field's word
    return Instance(id=id, service="s", address=fields.pop("address", "10.0.0.1"), **fields)


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ([], "passing"),
        (["passing", "passing"], "passing"),
        (["passing", "warning"], "warning"),
        (["critical", "warning"], "critical"),
        (["critical", "maintenance", "passing"], "maintenance"),
    ],
)
def test_the_worst_status_wins(statuses: list[str], worst: str) -> None:
    assert worst_status(statuses) == worst


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": ""}, "a service needs a name"),
        ({"name": "s", "port": -1}, 'the port of "s" is -1'),
        ({"name": "s", "port": 65536}, "must lie between 0 and 65535"),
        ({"name": "s", "port": "80"}, "the port of \"s\" is '80'; give a whole number"),
        ({"name": "s", "weight": -1}, 'the weight of "s" is -1'),
    ],
)
def test_a_service_that_cannot_be_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        Service(**fields)


def test_checks_survive_a_file() -> None:
    checks: list[HealthCheck] = [HTTPCheck(url="http://x", headers={"A": ("1",)}), TTLCheck(ttl=3.0)]
    text = msgspec.json.encode(checks)
    assert msgspec.json.decode(text, type=list[HealthCheck]) == checks
    assert b'"type":"http"' in text


@pytest.mark.parametrize(
    ("address", "port", "endpoint"),
    [("10.0.0.1", 80, "10.0.0.1:80"), ("::1", 80, "[::1]:80"), ("host.local", 8080, "host.local:8080")],
)
def test_an_endpoint_has_ipv6_in_brackets(address: str, port: int, endpoint: str) -> None:
    assert instance(address=address, port=port).endpoint == endpoint


@pytest.mark.parametrize(
    ("meta", "path", "scheme", "url"),
    [
        ({}, "/v1", None, "http://10.0.0.1:80/v1"),
        ({}, "v1", None, "http://10.0.0.1:80/v1"),
        ({"scheme": "https"}, "/", None, "https://10.0.0.1:80/"),
        ({"scheme": "https"}, "/", "ws", "ws://10.0.0.1:80/"),
    ],
)
def test_the_url_of_an_instance(meta: dict[str, str], path: str, scheme: str | None, url: str) -> None:
    assert instance(port=80, meta=meta).url(path, scheme=scheme) == url


@pytest.mark.parametrize("status", STATUSES)
def test_healthy_is_passing_alone(status: Any) -> None:
    assert instance(status=status).healthy == (status == "passing")


def test_the_last_check_is_the_newest() -> None:
    checks = (CheckState(id="a", checked_at=5.0), CheckState(id="b"), CheckState(id="c", checked_at=7.0))
    assert instance(checks=checks).last_check == 7.0
    assert instance(checks=(CheckState(id="b"),)).last_check is None


@pytest.mark.parametrize(
    ("wishes", "selected"),
    [
        ({}, True),
        ({"tags": ("eu",)}, True),
        ({"tags": ("eu", "us")}, False),
        ({"version": "^2"}, True),
        ({"version": "^3"}, False),
        ({"environment": "live"}, True),
        ({"environment": "test"}, False),
        ({"meta": {"team": "x"}}, True),
        ({"meta": {"team": "y"}}, False),
        ({"meta": {"other": "x"}}, False),
    ],
)
def test_a_query_selects(wishes: dict[str, Any], selected: bool) -> None:
    one = instance(tags=("eu", "blue"), version="2.1", environment="live", meta={"team": "x"}, status="critical")
    query = Query(service="s", **wishes)
    assert query.selects(one) is selected
    assert query.matches(one) is False
    assert Query(service="s", healthy=False, **wishes).matches(one) is selected


def test_a_query_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(InvalidValue, match="needs the name of a service"):
        Query(service="")
    with pytest.raises(InvalidValue, match="is not a version range"):
        Query(service="s", version=">>1")


def test_a_snapshot_is_a_sequence_of_its_instances() -> None:
    one, other = instance("a"), instance("b")
    snapshot = Snapshot(service="s", instances=(one, other))
    assert list(snapshot) == [one, other]
    assert (len(snapshot), snapshot[1], bool(snapshot)) == (2, other, True)
    assert not Snapshot(service="s")
    assert not snapshot.stale
    assert Snapshot(service="s", stale_since=0.0).stale


def test_metadata_becomes_text() -> None:
    assert frozen_meta({"a": 1, "b": True, "c": False, "d": 1.5, "e": "x"}) == {
        "a": "1",
        "b": "true",
        "c": "false",
        "d": "1.5",
        "e": "x",
    }
    assert frozen_meta(None) == {}
    impossible: tuple[object, ...] = (None, [], {}, b"x")
    for value in impossible:
        with pytest.raises(InvalidValue, match='metadata "k" is a'):
            frozen_meta({"k": value})


def test_differences_have_a_kind() -> None:
    old = instance("a", status="passing")
    sick = instance("a", status="critical", checks=(CheckState(id="c"),))
    moved = instance("a", status="critical", address="10.0.0.2")
    noted = instance("a", checks=(CheckState(id="c", status="passing"),))
    assert [event.kind for event in diff([], [old])] == ["registered"]
    assert [event.kind for event in diff([old], [])] == ["deregistered"]
    assert [event.kind for event in diff([old], [sick])] == ["health_changed"]
    assert [event.kind for event in diff([old], [moved])] == ["changed"]
    assert [event.kind for event in diff([old], [noted])] == ["changed"]
    assert diff([old], [old]) == ()
    assert diff([old], [sick]) == (Event(kind="health_changed", service="s", id="a", previous=old, current=sick),)


instances = st.builds(
    Instance,
    id=st.sampled_from("abcd"),
    service=st.just("s"),
    address=st.just("10.0.0.1"),
    node=st.sampled_from(["n1", "n2"]),
    status=st.sampled_from(STATUSES),
    tags=st.lists(st.sampled_from("xy"), max_size=1).map(tuple),
)
sets = st.lists(instances, unique_by=lambda one: (one.node, one.id))


@given(sets, sets)
def test_applying_the_differences_gives_exactly_the_new_set(before: list[Instance], after: list[Instance]) -> None:
    held = {(one.node, one.id): one for one in before}
    for event in diff(before, after):
        if event.previous is not None:
            assert held.pop((event.previous.node, event.previous.id)) == event.previous
        if event.current is not None:
            assert (event.current.node, event.current.id) not in held
            held[event.current.node, event.current.id] = event.current
    assert held == {(one.node, one.id): one for one in after}


@pytest.mark.parametrize(
    "error",
    [
        errors.BackendUnavailable("down", backend="consul://h"),
        errors.Refused("no", backend="consul://h", status=400),
        NoInstances("none", service="s", registered=3),
        errors.SettingsError("wrong"),
    ],
)
@pytest.mark.parametrize("through", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_survive_copying_and_pickling(error: Exception, through: Any) -> None:
    again = through(error)
    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_the_tree_of_errors_is_drawn_completely() -> None:
    drawn = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert f" {name} " in f"{drawn} ".replace("\n", " "), name
