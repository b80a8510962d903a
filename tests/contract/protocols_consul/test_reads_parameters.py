"""What a real Consul says to parameters that cannot be, and what we say."""

import pytest

from tests.contract.protocols_consul.differential import Allowed, Differential

ENTERPRISE = Allowed("body", "the words 'Bad request: ' stood before it until 1.12")
TARGETS = ("health/service/c1-p", "catalog/nodes", "catalog/services", "catalog/node/c1-p", "health/state/any")


@pytest.mark.parametrize(
    "query",
    [
        "index=x",
        "index=-1",
        "index=%2B1",
        "index=0x10",
        "index=18446744073709551616",
        "wait=10",
        "wait=x",
        "wait=x&index=y",
        "max_stale=5",
        "max_stale=j%22&wait=x&stale&consistent",
        "stale&consistent",
        "stale=&consistent=&wait=x&index=y",
        "max_stale=5s&consistent",
        "cached&consistent",
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_options_that_cannot_be(differential: Differential, target: str, query: str) -> None:
    answers = differential.same("GET", f"/v1/{target}?{query}")
    assert [answer.status for answer in answers] == [400, 400]


@pytest.mark.parametrize(
    "target",
    [
        "health/service/c1-p?passing=junk",
        "health/service/c1-p?passing=yes",
        "health/service/",
        "health/service/?dc=elsewhere",
        "health/connect/",
        "health/checks/",
        "health/node/",
        "health/state/",
        "catalog/service/",
        "catalog/connect/",
        "catalog/node/",
        "catalog/node-services/",
        "catalog/node/?wait=x",
        "status/leader?wait=x",
        "status/peers?stale&consistent",
    ],
)
def test_names_that_are_missing_and_switches_that_are_none(differential: Differential, target: str) -> None:
    answers = differential.same("GET", f"/v1/{target}")
    assert [answer.status for answer in answers] == [400, 400]


@pytest.mark.parametrize(
    "value", ["max-age=x", "max-age=", "max-age=1.5", "foo, MAX-AGE=1m", "stale-if-error=x", "max-age=9" + "9" * 18]
)
@pytest.mark.parametrize("target", ["catalog/nodes", "health/state/any"])
def test_cache_controls_that_cannot_be(differential: Differential, target: str, value: str) -> None:
    answers = differential.same("GET", f"/v1/{target}", headers={"Cache-Control": value})
    assert [answer.status for answer in answers] == [400, 400]


@pytest.mark.parametrize("value", ["max-age=-1", "max-age=1, stale-if-error=5", "max-age = x", "must-revalidate"])
def test_cache_controls_that_can_be(differential: Differential, value: str) -> None:
    path = "/v1/health/node/c1-unknown"
    answers = differential.same("GET", path, headers={"Cache-Control": value})
    assert [answer.status for answer in answers] == [200, 200]


@pytest.mark.parametrize("query", ["ns=x", "ns=default", "ns=x&wait=x"])
@pytest.mark.parametrize("target", [target for target in TARGETS if target != "catalog/nodes"])
def test_namespaces_are_refused(differential: Differential, target: str, query: str) -> None:
    theirs, ours = differential.same("GET", f"/v1/{target}?{query}", allowed=[ENTERPRISE])
    assert (ours.status, "Bad request: " + ours.text) == (400, theirs.text)


def test_nodes_are_in_no_namespace(differential: Differential) -> None:
    differential.same("GET", "/v1/catalog/nodes?ns=x&node-meta=none", headers={"X-Consul-Namespace": "x"})


def test_namespaces_are_refused_as_a_header(differential: Differential) -> None:
    theirs, ours = differential.same(
        "GET", "/v1/catalog/services", headers={"X-Consul-Namespace": "x"}, allowed=[ENTERPRISE]
    )
    assert (ours.status, "Bad request: " + ours.text) == (400, theirs.text)


@pytest.mark.parametrize("target", [*TARGETS, "health/service/c1-p?passing=junk", "health/checks/x?filter=%20"])
@pytest.mark.parametrize("datacenter", ["elsewhere", "DC1"])
def test_there_is_no_path_to_another_datacenter(differential: Differential, target: str, datacenter: str) -> None:
    path = f"/v1/{target}{'&' if '?' in target else '?'}dc={datacenter}"
    answers = differential.same("GET", path)
    assert [answer.status for answer in answers] == [500, 500]
    # The index would be made equal otherwise.
    assert [answer.index for answer in answers] == [1, 1]


@pytest.mark.parametrize("target", ["status/leader", "status/peers"])
def test_status_of_another_datacenter(differential: Differential, target: str) -> None:
    answers = differential.same("GET", f"/v1/{target}?dc=elsewhere")
    assert [answer.status for answer in answers] == [500, 500]


@pytest.mark.parametrize(
    "target",
    [
        "catalog/nodes?filter=Foo",
        "catalog/nodes?filter=%20",
        "catalog/nodes?filter=Foo==x",
        "catalog/service/c1-p?filter=Service.Port==1",
        "catalog/node/{node}?filter=Foo==x",
        "health/service/c1-p?filter=ServicePort==1",
        "health/service/c1-p?filter=Service.Port==x",
        "health/connect/c1-p?filter=Foo",
        "health/checks/c1-p?filter=Definition.HTTP==1",
        "health/state/any?filter=Foo",
        "health/node/{node}?filter=Name+matches+%22(%22",
    ],
)
def test_filters_that_cannot_be(differential: Differential, target: str) -> None:
    answers = differential.same("GET", f"/v1/{target}")
    assert [answer.status for answer in answers] == [500, 500]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "health/service/c1-p"),
        ("POST", "catalog/nodes"),
        ("DELETE", "catalog/services"),
        ("HEAD", "health/state/any"),
        ("OPTIONS", "catalog/node/c1-p"),
        ("OPTIONS", "status/leader"),
    ],
)
def test_other_methods(differential: Differential, method: str, target: str) -> None:
    differential.same(method, f"/v1/{target}")
