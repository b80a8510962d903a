"""What the objects of a cluster are as instances, and how changes are taken over."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.kubernetes import EndpointRules, KubernetesSettings, LabelKeys, facts, mapping
from homeport.backends.kubernetes.facts import LeaseFacts, PodFacts, ServiceFacts, SliceFacts
from homeport.backends.kubernetes.lease_clock import LeaseClock
from homeport.backends.kubernetes.mirror import Facts, Mirror
from homeport.model import Instance, Service
from tests.unit.backends_kubernetes.objects import endpoint, endpoint_slice, lease, pod, service

NAME, VERSION, ENVIRONMENT = "app.kubernetes.io/name", "app.kubernetes.io/version", "app.kubernetes.io/environment"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def mirror(*present: Facts, clock: Clock | None = None, **settings: Any) -> Mirror:
    made = Mirror(KubernetesSettings(**settings), LeaseClock(clock or Clock()), home="default")
    for one in present:
        made.put(one)
    return made


def by_id(made: Mirror, name: str) -> dict[str, Instance]:
    instances = made.instances(name)
    assert len({one.id for one in instances}) == len(instances)
    return {one.id: one for one in instances}


def only(made: Mirror, name: str) -> Instance:
    (instance,) = made.instances(name)
    return instance


def test_everything_that_is_known_of_an_endpoint() -> None:
    made = mirror(
        service("api", labels={ENVIRONMENT: "production", VERSION: "1"}, annotations={"homeport/health-path": "/up"}),
        endpoint_slice(
            "api-x",
            "api",
            [endpoint("10.1.0.1", pod="api-0", nodeName="node-7", zone="eu-1a")],
            ports=[{"name": "metrics", "port": 9090}, {"name": "http", "port": 8080}],
        ),
        pod(
            "api-0",
            labels={VERSION: "2.1.0", "team": "x", "topology.kubernetes.io/region": "eu", "pod-template-hash": "z"},
            annotations={
                "homeport/metrics-path": "/metrics",
                "homeport/tags": "blue, eu,",
                "homeport/weight": "7",
                "homeport/meta": '{"tier": "front"}',
                "somebody/else": "x",
            },
        ),
    )
    assert only(made, "api") == Instance(
        id="api-0",
        service="api",
        address="10.1.0.1",
        port=8080,
        tags=("blue", "eu"),
        meta={
            VERSION: "2.1.0",
            "team": "x",
            "topology.kubernetes.io/region": "eu",
            "tier": "front",
            "health_path": "/up",
            "metrics_path": "/metrics",
            "port.metrics": "9090",
        },
        weight=7,
        version="2.1.0",
        environment="production",
        node="node-7",
        region="eu",
        zone="eu-1a",
        started_at="2026-01-02T03:04:05Z",
    )


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({}, "passing"),
        ({"ready": None, "serving": None, "terminating": None}, "passing"),
        ({"ready": True, "serving": True, "terminating": False}, "passing"),
        ({"ready": False, "serving": False, "terminating": False}, "critical"),
        ({"ready": False, "serving": True, "terminating": True}, "maintenance"),
        ({"ready": False, "serving": False, "terminating": True}, "maintenance"),
        ({"ready": True, "serving": False}, "passing"),  # publishNotReadyAddresses
    ],
)
def test_conditions(conditions: dict[str, bool | None], status: str) -> None:
    one = endpoint("10.1.0.1", pod="a")
    one["conditions"] = conditions
    assert only(mirror(endpoint_slice("s", "api", [one])), "api").status == status
    ready_only = mirror(endpoint_slice("s", "api", [one]), endpoints=EndpointRules(ready_only=True))
    assert len(ready_only.instances("api")) == (status == "passing")


@pytest.mark.parametrize(
    ("ports", "annotation", "port", "rest"),
    [
        ([{"port": 80}], "", 80, {}),
        ([{"name": "grpc", "port": 50051}], "", 50051, {}),
        ([{"name": "metrics", "port": 9090}, {"name": "http", "port": 80}], "", 80, {"port.metrics": "9090"}),
        ([{"name": "a", "port": 1}, {"name": "http-x", "port": 2}, {"name": "http-y", "port": 3}], "", 2, None),
        ([{"name": "a", "port": 1}, {"name": "b", "port": 2}], "", 1, {"port.b": "2"}),
        ([{"name": "a", "port": 1}, {"name": "http", "port": 2}], "a", 1, {"port.http": "2"}),
        ([{"name": "a", "port": 1}, {"name": "http", "port": 2}], "1", 1, {"port.http": "2"}),
        ([{"name": "a", "port": 1}], "4711", 4711, {"port.a": "1"}),
        ([{"name": "a", "port": 1}], "nix", 1, {}),
        ([{"name": "a", "port": 1}], "70000", 1, {}),
        ([{"name": "http", "port": 80}, {"name": "https", "port": 443}], "https", 443, None),
        ([{"name": "web", "port": 443, "appProtocol": "https"}], "", 443, {"scheme": "https"}),
        ([], "", 0, {}),
        (None, "", 0, {}),
        ([{"name": "any", "port": None}], "", 0, {}),
    ],
)
def test_ports(ports: Any, annotation: str, port: int, rest: dict[str, str] | None) -> None:
    found = endpoint_slice(
        "s", "api", [endpoint("10.1.0.1", pod="a")], ports=ports, annotations={"homeport/port": annotation}
    )
    instance = only(mirror(found), "api")
    assert instance.port == port
    if rest is not None:
        assert instance.meta == rest
    if port == 443:
        assert instance.url().startswith("https://")


def test_keys_are_those_of_the_settings() -> None:
    labels = LabelKeys(service_name="app", service_version="v", environment="env")
    made = mirror(pod("p", labels={"app": "api", "v": "3", "env": "test"}), labels=labels)
    instance = only(made, "api")
    assert (instance.version, instance.environment) == ("3", "test")
    assert not mirror(pod("p", labels={"app": "api"})).instances("api")


@pytest.mark.parametrize("text", ["", "x", "-1", "65536", "1.5", "²"])
def test_weights_that_are_none_count_as_one(text: str) -> None:
    made = mirror(endpoint_slice("s", "api", [endpoint("10.1.0.1")], annotations={"homeport/weight": text}))
    assert only(made, "api").weight == 1


@pytest.mark.parametrize("text", ["", "x", "[]", '{"a": 1}'])
def test_metadata_that_are_none_are_left_out(text: str) -> None:
    made = mirror(endpoint_slice("s", "api", [endpoint("10.1.0.1")], annotations={"homeport/meta": text}))
    assert "a" not in only(made, "api").meta


def test_an_endpoint_without_a_pod_is_known_by_its_host_name_or_its_address() -> None:
    found = endpoint_slice(
        "s", "db", [endpoint("10.1.0.1", hostname="db-0"), endpoint("10.1.0.2")], labels={VERSION: "15", "x": "y"}
    )
    six = endpoint_slice("s6", "db", [endpoint("fd00::1")], family="IPv6")
    made = by_id(mirror(found, six), "db")
    assert list(made) == ["10.1.0.2:8080", "[fd00::1]:8080", "db-0"]
    assert made["db-0"].version == "15"
    assert made["db-0"].meta["x"] == "y"
    assert made["[fd00::1]:8080"].endpoint == "[fd00::1]:8080"


def test_dual_stack_is_one_instance_of_the_family_that_the_service_prefers() -> None:
    four = endpoint_slice("a4", "api", [endpoint("10.1.0.1", pod="a")])
    six = endpoint_slice("a6", "api", [endpoint("fd00::1", pod="a"), endpoint("fd00::2", pod="b")], family="IPv6")
    assert {key: one.address for key, one in by_id(mirror(four, six), "api").items()} == {
        "a": "10.1.0.1",
        "b": "fd00::2",
    }
    preferring = mirror(four, six, service("api", ipFamilies=["IPv6", "IPv4"]))
    assert by_id(preferring, "api")["a"].address == "fd00::1"


def test_a_slice_that_comes_back_with_another_family_gives_way() -> None:
    first, second = [endpoint("10.1.0.1", pod="a")], [endpoint("10.1.0.2", pod="a")]
    made = mirror(endpoint_slice("s1", "api", first), endpoint_slice("s2", "api", second))
    assert only(made, "api").address == "10.1.0.1"
    made.put(endpoint_slice("s1", "api", first, family="IPv6"))
    assert only(made, "api").address == "10.1.0.2"


def test_an_endpoint_in_two_slices_is_one_instance_the_better_one() -> None:
    old = endpoint_slice("s1", "api", [endpoint("10.1.0.1", pod="a", ready=False)])
    new = endpoint_slice("s2", "api", [endpoint("10.1.0.1", pod="a"), endpoint("10.1.0.2", pod="b")])
    made = mirror(old, new)
    assert {one.id: one.status for one in made.instances("api")} == {"a": "passing", "b": "passing"}
    made.remove(SliceFacts, new.key)
    assert {one.id: one.status for one in made.instances("api")} == {"a": "critical"}


def test_slices_without_endpoints_or_addresses_are_no_instances() -> None:
    assert not mirror(endpoint_slice("s", "api", None)).instances("api")
    nothing = endpoint("10.1.0.1")
    nothing["addresses"] = []
    assert not mirror(endpoint_slice("s", "api", [nothing])).instances("api")


def test_a_name_is_first_that_of_a_service_then_a_label_of_services_then_of_pods() -> None:
    by_pod = pod("p", labels={NAME: "api"}, address="10.1.0.9")
    by_label = (
        service("api-svc", labels={NAME: "api"}),
        endpoint_slice("s1", "api-svc", [endpoint("10.1.0.1", pod="a")]),
    )
    by_name = (service("api"), endpoint_slice("s2", "api", [endpoint("10.1.0.2", pod="b")]))
    assert list(by_id(mirror(by_pod), "api")) == ["p"]
    assert list(by_id(mirror(by_pod, *by_label), "api")) == ["a"]
    assert only(mirror(*by_label), "api").service == "api"
    assert only(mirror(*by_label), "api-svc").service == "api-svc"
    assert list(by_id(mirror(by_pod, *by_label, *by_name), "api")) == ["b"]
    made = mirror(by_pod, *by_label, *by_name)
    assert [row.name for row in made.summaries()] == ["api", "api-svc"]
    made.remove(ServiceFacts, by_name[0].key)
    made.remove(SliceFacts, by_name[1].key)
    assert list(by_id(made, "api")) == ["a"]
    made.remove(ServiceFacts, by_label[0].key)
    assert list(by_id(made, "api")) == ["p"]
    assert [row.name for row in made.summaries()] == ["api", "api-svc"]  # a slice whose Service is gone


def test_with_a_label_selector_pods_are_instances_beside_the_endpoints_of_services_that_match() -> None:
    # What does not match is not sent by the API server; slices are.
    present = (
        service("api"),
        endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="a")]),
        endpoint_slice("other", "hidden", [endpoint("10.1.0.5", pod="h")]),
        pod("a", labels={NAME: "api"}),
        pod("b", labels={NAME: "api"}, address="10.1.0.2"),
    )
    assert list(by_id(mirror(*present), "api")) == ["a"]
    narrowed = mirror(*present, label_selector="tier=web")
    assert list(by_id(narrowed, "api")) == ["a", "b"]
    assert not narrowed.instances("hidden")
    assert [row.name for row in narrowed.summaries()] == ["api"]


def test_without_endpoints_only_pods_count() -> None:
    present = (
        service("api"),
        endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="a")]),
        pod("b", labels={NAME: "api"}, address="10.1.0.2"),
    )
    made = mirror(*present, endpoints=EndpointRules(enabled=False))
    assert list(by_id(made, "api")) == ["b"]
    assert [(row.name, row.instances) for row in made.summaries()] == [("api", 1)]


@pytest.mark.parametrize(
    ("given_pod", "status"),
    [
        (pod("p", labels={NAME: "api"}), "passing"),
        (pod("p", labels={NAME: "api"}, ready=False), "critical"),
        (pod("p", labels={NAME: "api"}, deleted=True), "maintenance"),
        (pod("p", labels={NAME: "api"}, address=""), None),
        (pod("p", labels={NAME: "api"}, phase="Succeeded"), None),
        (pod("p", labels={NAME: "api"}, phase="Failed"), None),
    ],
)
def test_pods_as_instances(given_pod: PodFacts, status: str | None) -> None:
    assert [one.status for one in mirror(given_pod).instances("api")] == ([status] if status else [])
    if status:
        assert only(mirror(given_pod), "api").port == 8080


def test_what_is_outside_the_home_namespace_says_so_in_its_id() -> None:
    made = mirror(
        endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="api-0")]),
        endpoint_slice("s", "api", [endpoint("10.2.0.1", hostname="api-0")], namespace="staging"),
        pod("w-0", namespace="staging", labels={NAME: "web"}),
    )
    assert list(by_id(made, "api")) == ["api-0", "staging/api-0"]
    assert list(by_id(made, "web")) == ["staging/w-0"]


def test_the_datacenter_is_that_of_the_settings() -> None:
    assert only(mirror(endpoint_slice("s", "a", [endpoint("10.1.0.1")]), datacenter="eu"), "a").datacenter == "eu"


def test_what_does_not_matter_touches_nobody() -> None:
    found = endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="a")])
    made = mirror(service("api"), found, pod("a", labels={NAME: "x"}))
    before = made.instances("api")
    assert made.put(pod("a", labels={NAME: "x"}, version="99")) == set()
    assert made.put(endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="a")])) == set()
    assert made.put(service("api")) == set()
    assert made.instances("api") is before
    assert made.put(pod("stranger", labels={NAME: "other"})) == {"other"}
    assert made.instances("api") is before


def test_a_change_maps_only_the_slice_that_it_concerns(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = [
        endpoint_slice(
            f"s{number:03}", "api", [endpoint(f"10.1.{number}.{one}", pod=f"p{number}-{one}") for one in range(100)]
        )
        for number in range(100)
    ]
    made = mirror(service("api"), *slices)
    before = made.instances("api")
    assert len(before) == 10_000
    mapped: list[str] = []
    real = mapping.endpoint_instances

    def counted(name: str, found: SliceFacts, *rest: Any, **more: Any) -> dict[str, Instance]:
        mapped.append(found.key[1])
        return real(name, found, *rest, **more)

    monkeypatch.setattr(mapping, "endpoint_instances", counted)
    changed = [endpoint(f"10.1.7.{one}", pod=f"p7-{one}", ready=one != 3) for one in range(100)]
    assert made.put(endpoint_slice("s007", "api", changed)) == {"api"}
    after = made.instances("api")
    assert mapped == ["s007"]
    assert [new.id for old, new in zip(before, after, strict=True) if old is not new] == ["p7-3"]
    assert made.put(pod("p7-4", labels={VERSION: "2"})) == {"api"}
    made.instances("api")
    assert mapped == ["s007", "s007"]


def test_a_change_of_a_pod_that_is_an_instance_itself_maps_only_that_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mirror(*(pod(f"p{number:02}", labels={NAME: "api"}, address=f"10.1.0.{number}") for number in range(50)))
    before = made.instances("api")
    mapped: list[str] = []
    real = mapping.pod_instance

    def counted(name: str, found: PodFacts, *rest: Any, **more: Any) -> Instance:
        mapped.append(found.key[1])
        return real(name, found, *rest, **more)

    monkeypatch.setattr(mapping, "pod_instance", counted)
    assert made.put(pod("p07", labels={NAME: "api"}, address="10.1.0.7", ready=False)) == {"api"}
    after = made.instances("api")
    assert mapped == ["p07"]
    assert [new.id for old, new in zip(before, after, strict=True) if old is not new] == ["p07"]
    made.remove(PodFacts, ("default", "p08"))
    assert [one.id for one in made.instances("api")] == [one.id for one in before if one.id != "p08"]
    assert mapped == ["p07"]


def test_a_service_that_is_not_followed_any_more_is_whole_when_it_is_asked_for_again() -> None:
    made = mirror(service("api", labels={NAME: "shop"}), endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="a")]))
    assert list(by_id(made, "shop")) == ["a"]
    made.put(service("api", labels={NAME: "other"}))
    made.put(endpoint_slice("s", "api", [endpoint("10.1.0.1", pod="b")]))
    made.put(service("api", labels={NAME: "shop"}))
    assert list(by_id(made, "shop")) == ["b"]


def registered(name: str, number: int, *, ttl: float | None, address: str = "10.0.0.1", **fields: Any) -> SliceFacts:
    made = mapping.registered_slice(
        Service(name=name, id=f"{name}-{number}", address=address, port=number, **fields),
        namespace="default",
        incarnation="me",
        ttl=ttl,
        owners=(),
        labels=LabelKeys(),
    )
    return facts.slice_facts(made, KubernetesSettings().annotations)


def test_a_registration_comes_back_whole() -> None:
    meta = {"zone": "z", "region": "r", "datacenter": "d", "started_at": "2026-01-02T03:04:05Z"}
    found = registered("api", 1, ttl=None, tags=("b", "a"), version="1", environment="e", weight=3, meta=meta)
    assert only(mirror(found), "api") == Instance(
        id="api-1", service="api", address="10.0.0.1", port=1, tags=("b", "a"), meta=meta, weight=3,
        version="1", environment="e", datacenter="d", region="r", zone="z", started_at="2026-01-02T03:04:05Z",
    )  # fmt: skip


def test_a_registration_without_renewals_is_critical_on_the_own_clock() -> None:
    clock = Clock()
    found = registered("api", 1, ttl=15.0)
    made = mirror(found, lease(found.key[1], renewed="1970-01-01T00:00:00Z"), clock=clock)
    assert made.expire() == (set(), 15.0)
    clock.now += 14.0
    assert made.put(lease(found.key[1], renewed="x")) == set()  # a renewal wakes nobody
    clock.now += 14.0
    assert made.expire() == (set(), 1.0)
    assert only(made, "api").healthy
    clock.now += 1.0
    assert made.expire()[0] == {"api"}
    assert only(made, "api").status == "critical"
    assert made.expire() == (set(), float("inf"))
    assert made.put(lease(found.key[1], renewed="y")) == {"api"}
    assert only(made, "api").healthy
    assert made.remove(LeaseFacts, found.key) == {"api"}
    assert only(made, "api").status == "critical"


def test_a_registration_whose_lease_was_not_seen_yet_is_given_time() -> None:
    clock = Clock()
    found = registered("api", 1, ttl=2.5)
    made = mirror(found, clock=clock)
    assert only(made, "api").healthy
    assert made.expire() == (set(), 3.0)
    clock.now += 3.0
    assert made.expire()[0] == {"api"}
    assert only(made, "api").status == "critical"


def test_registrations_without_a_lease_or_without_a_look_at_leases_do_not_run_out() -> None:
    clock = Clock()
    made = mirror(registered("api", 1, ttl=None), clock=clock)
    blind = mirror(registered("api", 1, ttl=1.0), clock=clock)
    blind.sees_leases = False
    clock.now += 1e6
    assert made.expire() == (set(), float("inf"))
    assert blind.expire() == (set(), float("inf"))
    assert only(made, "api").healthy
    assert only(blind, "api").healthy


def test_a_registration_that_an_operator_marks_is_as_marked() -> None:
    found = registered("api", 1, ttl=None)
    body = json.loads('{"ready": false, "terminating": true}')
    marked = SliceFacts(
        **{name: getattr(found, name) for name in found.__struct_fields__ if name != "endpoints"},
        endpoints=endpoint_slice("s", "api", [{"addresses": ["10.0.0.1"], "conditions": body}]).endpoints,
    )
    assert only(mirror(marked), "api").status == "maintenance"


def test_an_annotation_of_somebody_else_is_no_registration() -> None:
    text = '{"id": "x", "name": "api", "address": "10.9.9.9"}'
    stranger = endpoint_slice("s", "api", [endpoint("10.1.0.1")], annotations={"homeport/registration": text})
    assert only(mirror(stranger), "api").address == "10.1.0.1"
    mine = {"endpointslice.kubernetes.io/managed-by": "homeport"}
    broken = endpoint_slice("s", "api", [], labels=mine, annotations={"homeport/registration": '{"id": 1}'})
    assert not mirror(broken).instances("api")


def test_a_list_takes_the_place_of_all_that_was_there_in_its_namespace() -> None:
    made = mirror(
        endpoint_slice("s1", "a", [endpoint("10.1.0.1")]),
        endpoint_slice("s2", "b", [endpoint("10.1.0.2")]),
        endpoint_slice("s3", "c", [endpoint("10.1.0.3")], namespace="other"),
    )
    now = [endpoint_slice("s2", "b", [endpoint("10.1.0.2")]), endpoint_slice("s4", "d", [endpoint("10.1.0.4")])]
    assert made.replace(SliceFacts, "default", now) == {"a", "d"}
    assert [row.name for row in made.summaries()] == ["b", "c", "d"]
    assert made.replace(SliceFacts, "*", now) == {"c"}
    assert made.replace(SliceFacts, "default", []) == {"b", "d"}


_NAMES = st.sampled_from(["a", "b", "c"])
_PODS = st.sampled_from([f"p{number}" for number in range(4)])
_OBJECTS = st.one_of(
    st.builds(lambda name, label: service(name, labels={NAME: label}), _NAMES, _NAMES),
    st.builds(lambda name, version: pod(name, labels={NAME: version, VERSION: version}), _PODS, _NAMES),
    st.builds(
        lambda name, of, pods, ready, six: endpoint_slice(
            f"s{name}",
            of,
            [endpoint("10.1.0.1", pod=one, ready=ready) for one in sorted(pods)],
            family="IPv6" if six else "IPv4",
        ),
        st.integers(0, 3),
        _NAMES,
        st.sets(_PODS),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda number, ttl: registered("a", number, ttl=ttl), st.integers(1, 2), st.sampled_from([None, 5.0])),
)


@given(st.lists(st.tuples(_OBJECTS, st.booleans())), st.booleans(), st.booleans(), st.integers())
def test_changes_in_any_order_lead_to_what_a_new_list_would_say(
    changes: list[tuple[Facts, bool]],
    selector: bool,
    ready_only: bool,
    seed: int,
) -> None:
    """And whoever is not told of a change has the same as before."""
    settings: dict[str, Any] = {"label_selector": "x=y"} if selector else {}
    settings["endpoints"] = EndpointRules(ready_only=ready_only)
    made = mirror(**settings)
    present: dict[tuple[type[Facts], tuple[str, str]], Facts] = {}
    seen = {name: made.instances(name) for name in "abc"}
    for one, gone in changes:
        if gone:
            touched = made.remove(type(one), one.key)
            present.pop((type(one), one.key), None)
        else:
            touched = made.put(one)
            present[type(one), one.key] = one
        for name in "abc":
            now = made.instances(name)
            assert now is seen[name] or name in touched
            seen[name] = now
    remaining = list(present.values())
    random.Random(seed).shuffle(remaining)
    anew = mirror(*remaining, **settings)
    for name in "abc":
        assert made.instances(name) == anew.instances(name)
    assert made.summaries() == anew.summaries()
