"""What is wrong is refused with Consul's status and words, and nothing is written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.contract.protocols_consul.agent_differences import SERVICE as SERVICE_DIFFERENCES
from tests.contract.protocols_consul.differential import Differential
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer

SERVICE, CHECK = "/v1/agent/service/register", "/v1/agent/check/register"
ENTERPRISE = 'Invalid query parameter: "{}" - {} are a Consul Enterprise feature'
KINDS = "http, tcp, grpc, ttl, alias, script"


class Ours(NamedTuple):
    """What we answer where Consul 1.8.7, which is at hand, answers something else."""

    status: int
    text: str
    why: str


class Case(NamedTuple):
    """A request that is refused; by both in the same words, or by us as in ``ours``."""

    method: str
    path: str
    body: object = None
    ours: Ours | None = None


@pytest.fixture(scope="module")
def differential(consul_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Differential]:
    """Servers of this module's own: nothing else happens in them, and the odd names stay among themselves."""
    consul = ConsulServer(consul_binary, tmp_path_factory.mktemp("consul"))
    server = HomeportServer(tmp_path_factory.mktemp("homeport"))
    try:
        consul.start()
        server.start()
        yield Differential(consul, server)
    finally:
        consul.close()
        server.close()


def unknown_service(service_id: str) -> Ours:
    text = f'Unknown service ID "{service_id}". Ensure that the service ID is passed, not the service name.'
    return Ours(404, text, "since 1.11 and 1.12")


def unknown_check(check_id: str) -> Ours:
    text = f'Unknown check ID "{check_id}". Ensure that the check ID is passed, not the check name.'
    return Ours(404, text, "since 1.11 and 1.12")


def service(ours: Ours | None = None, **fields: object) -> Case:
    return Case("PUT", SERVICE, {"Name": "bad-input", **fields}, ours)


def check(ours: Ours | None = None, **fields: object) -> Case:
    return Case("PUT", CHECK, {"Name": "bad-input", **fields}, ours)


INTERVAL_TEXT = "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
CASES: dict[str, Case] = {
    "service: empty": Case("PUT", SERVICE, b""),
    "service: cut": Case("PUT", SERVICE, b'{"Name":"bad-input"'),
    "service: no json": Case("PUT", SERVICE, b"name=bad-input"),
    "service: trailing comma": Case("PUT", SERVICE, b'{"Name":"bad-input",}'),
    "service: null": Case("PUT", SERVICE, b"null"),
    "service: number for text": service(ID=5),
    "service: text for number": service(Port="80"),
    "service: fraction": service(Port=1.5),
    "service: number too large": service(Port=2**63),
    "service: text for switch": service(EnableTagOverride="true"),
    "service: number in tags": service(Tags=["a", 5]),
    "service: number in metadata": service(Meta={"a": 5}),
    "service: unknown field": service(Foo=1),
    "service: unknown field of the check": service(Check={"TTL": "10s", "Foo": 1}),
    "service: unknown field beside null": service(Check=None, Foo=None),
    "service: namespace": service(Namespace="default"),
    "service: no name": Case("PUT", SERVICE, {"ID": "x"}),
    "service: empty name": service(Name=""),
    "service: unspecified address": service(Address="0.0.0.0"),
    "service: unspecified IPv6 address": service(Address="::"),
    "service: weight of nothing": service(Weights={"Passing": 0, "Warning": 1}),
    "service: negative weight": service(Weights={"Passing": 1, "Warning": -1}),
    "service: large weight": service(Weights={"Passing": 65536, "Warning": 1}),
    "service: metadata key": service(Meta={"a b": "c"}),
    "service: empty metadata key": service(Meta={"": "c"}),
    "service: long metadata key": service(Meta={"a" * 129: "c"}),
    "service: long metadata value": service(Meta={"a": "c" * 513}),
    "service: reserved metadata": service(Meta={"consul-a": "c"}),
    "service: much metadata": service(Meta={f"k{n}": "" for n in range(65)}),
    "service: tagged address": service(TaggedAddresses={"lan_ipv4": {"Address": "x", "Port": 1}}),
    "service: tagged IPv6 address": service(TaggedAddresses={"lan_ipv6": {"Address": "x", "Port": 1}}),
    "service: check without unit": service(Check={"TTL": "10"}),
    "service: check without duration": service(Check={"TTL": "soon"}),
    "service: check with unknown unit": service(Check={"HTTP": "http://x", "Interval": "5y"}),
    "service: interval and ttl": service(Check={"TTL": "10s", "Interval": "10s"}),
    "service: no interval": service(Ours(400, INTERVAL_TEXT, "more kinds since 1.9"), Check={"HTTP": "http://x"}),
    "service: negative interval": service(
        Ours(400, INTERVAL_TEXT, "more kinds since 1.9"), Check={"HTTP": "http://x", "Interval": "-1s"}
    ),
    "service: negative ttl": service(Check={"TTL": "-1s"}),
    "service: one of two checks": service(Checks=[{"TTL": "10s"}, {"TTL": "0s"}]),
    "service: status": service(Check={"TTL": "10s", "Status": "fine"}),
    "service: alias with ttl": service(Check={"AliasService": "x", "TTL": "10s"}),
    "service: script": service(Check={"Args": ["true"], "Interval": "10s"}),
    "service: native": service(Connect={"Native": "yes"}),
    "service: proxy": service(Proxy={"Foo": 1}),
    "service: destination": service(Proxy={"DestinationServiceName": 5}),
    "service: ns": Case(
        "PUT",
        f"{SERVICE}?ns=a",
        {"Name": "bad-input"},
        Ours(400, ENTERPRISE.format("ns", "Namespaces"), 'without "Bad request: " since 1.9'),
    ),
    "service: wrong method": Case("GET", SERVICE),
    "service: POST": Case("POST", SERVICE, {"Name": "bad-input"}),
    "deregister: unknown": Case("PUT", "/v1/agent/service/deregister/nobody", ours=unknown_service("nobody")),
    "deregister: nothing": Case("PUT", "/v1/agent/service/deregister/", ours=unknown_service("")),
    "one: unknown": Case("GET", "/v1/agent/service/nobody"),
    "one: wait": Case("GET", "/v1/agent/service/nobody?hash=a&wait=soon"),
    "one: index": Case("GET", "/v1/agent/service/nobody?index=-1"),
    "services: filter": Case("GET", "/v1/agent/services?filter=Foo+==+1"),
    "services: unfinished filter": Case("GET", "/v1/agent/services?filter=Service+=="),
    "checks: filter": Case("GET", "/v1/agent/checks?filter=%20"),
    "members: filter": Case(
        "GET",
        "/v1/agent/members?filter=Foo+==+1",
        ours=Ours(500, 'Failed to create boolean expression evaluator: Selector "Foo" is not valid', "since 1.9"),
    ),
    "check: empty": Case("PUT", CHECK, b""),
    "check: no name": Case("PUT", CHECK, {}),
    "check: nothing to do": check(),
    "check: status": check(TTL="10s", Status="fine"),
    "check: interval and ttl": check(TTL="10s", Interval="10s"),
    "check: unknown field": check(TTL="10s", Output="x"),
    "check: id of a service's check": check(TTL="10s", CheckID="x"),
    "check: duration": check(TTL="10"),
    "check: script": check(ScriptArgs=["true"], Interval="10s"),
    "check: unknown service": check(
        Ours(404, 'ServiceID "nobody" does not exist', "500 before 1.11"), TTL="10s", ServiceID="nobody"
    ),
    "check: docker": check(
        Ours(400, f'checks of the kind "docker" are not executed here; use one of {KINDS}', "no such kind here"),
        DockerContainerID="x",
        Args=["x"],
        Interval="10s",
    ),
    "pass: unknown": Case("PUT", "/v1/agent/check/pass/nobody", ours=unknown_check("nobody")),
    "warn: unknown": Case("PUT", "/v1/agent/check/warn/nobody", ours=unknown_check("nobody")),
    "fail: nothing": Case("PUT", "/v1/agent/check/fail/", ours=unknown_check("")),
    "pass: no ttl": Case("PUT", "/v1/agent/check/pass/bad-input-alias"),
    "update: no ttl": Case("PUT", "/v1/agent/check/update/bad-input-alias", {"Status": "passing"}),
    "update: unknown": Case("PUT", "/v1/agent/check/update/nobody", {"Status": "passing"}, unknown_check("nobody")),
    "update: status": Case("PUT", "/v1/agent/check/update/nobody", {"Status": "fine"}),
    "update: no status": Case("PUT", "/v1/agent/check/update/nobody", {}),
    "update: empty": Case("PUT", "/v1/agent/check/update/nobody", b""),
    "update: unknown field": Case("PUT", "/v1/agent/check/update/nobody", {"Status": "passing", "Foo": 1}),
    "pass: GET": Case("GET", "/v1/agent/check/pass/nobody"),
    "check deregister: unknown": Case("PUT", "/v1/agent/check/deregister/nobody", ours=unknown_check("nobody")),
    "maintenance: unknown": Case(
        "PUT", "/v1/agent/service/maintenance/nobody?enable=true", ours=unknown_service("nobody")
    ),
    "maintenance: nothing": Case("PUT", "/v1/agent/service/maintenance/?enable=true"),
    "maintenance: no enable": Case("PUT", "/v1/agent/service/maintenance/nobody"),
    "maintenance: enable": Case("PUT", "/v1/agent/service/maintenance/nobody?enable=yes"),
    "node maintenance: no enable": Case("PUT", "/v1/agent/maintenance"),
    "node maintenance: enable": Case("PUT", "/v1/agent/maintenance?enable="),
    "metrics: prometheus": Case("GET", "/v1/agent/metrics?format=prometheus"),
}


@pytest.fixture(scope="module")
def prepared(differential: Differential) -> Iterator[Differential]:
    """Both have a check without a TTL."""
    differential.arrange("PUT", CHECK, {"Name": "bad-input-alias", "AliasNode": "{node}"})
    index = 0
    while True:  # an alias is judged a moment later; from then on nothing moves by itself
        path = f"/v1/health/node/{differential.homeport.node}?index={index}&wait=10s"
        answer = differential.homeport.send("GET", path)
        if all(row["Status"] == "passing" for row in answer.value):
            break
        index = answer.index
    yield differential
    differential.send("PUT", "/v1/agent/check/deregister/bad-input-alias")


def revision(differential: Differential) -> Any:
    """Where our store stands."""
    gauges = differential.homeport.send("GET", "/v1/agent/metrics").value["Gauges"]
    return next(gauge["Value"] for gauge in gauges if gauge["Name"] == "homeport.store.revision")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_is_refused_and_writes_nothing(prepared: Differential, case: Case) -> None:
    before = revision(prepared)
    theirs, ours = prepared.send(case.method, case.path, case.body)
    expected = (theirs.status, theirs.text) if case.ours is None else (case.ours.status, case.ours.text)
    assert (ours.status, ours.text) == expected
    assert ours.status >= 400
    assert ours.header("Content-Type") == "text/plain; charset=utf-8"
    assert ours.header("Allow") == theirs.header("Allow")
    assert revision(prepared) == before
    if case.ours is not None:
        assert (theirs.status, theirs.text) != expected, f"no difference any more: {case.ours.why}"


ODD = ["a b/c", "ünï-çödé", "tab\tnewline\n", "%2F", "..", "x" * 300, "<&>", "🦊", '"quoted"', "\ufffd"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_odd_names_and_ids_are_taken_as_they_are(prepared: Differential, odd: str) -> None:
    prepared.arrange("PUT", SERVICE, {"Name": odd, "ID": f"odd-{odd}"})
    prepared.same("GET", "/v1/agent/services", pick=lambda body: body[f"odd-{odd}"], allowed=SERVICE_DIFFERENCES)
    body = {"Node": f"odd-node-{odd}", "SkipNodeUpdate": True}
    prepared.arrange("PUT", "/v1/catalog/register", body)
    prepared.same("PUT", "/v1/catalog/deregister", body={"Node": f"odd-node-{odd}"})


def test_what_is_no_utf8_is_replaced(prepared: Differential) -> None:
    prepared.arrange("PUT", SERVICE, b'{"Name":"\xff\xfe","ID":"no-utf8"}')
    prepared.same("GET", "/v1/agent/services", pick=lambda body: body["no-utf8"], allowed=SERVICE_DIFFERENCES)


@pytest.mark.parametrize("port", [-1, 0, 65535, 65536])
def test_any_port_is_taken(prepared: Differential, port: int) -> None:
    prepared.arrange("PUT", SERVICE, {"Name": "ports", "Port": port})
    prepared.same("GET", "/v1/agent/services", pick=lambda body: body["ports"], allowed=SERVICE_DIFFERENCES)


def test_names_of_fields_have_any_case_and_null_is_nothing(prepared: Differential) -> None:
    body = {
        "NAME": "any-case",
        "tags": None,
        "check": None,
        "CHECKS": None,
        "meta": {"a": None},
        "enable_tag_override": True,
    }
    prepared.arrange("PUT", SERVICE, json.dumps(body).encode())
    prepared.same("GET", "/v1/agent/services", pick=lambda body: body["any-case"], allowed=SERVICE_DIFFERENCES)
