"""Between Consul's shapes and the model."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.consul import mapping, native
from homeport.errors import InvalidAnswer, InvalidValue, Unsupported
from homeport.model import (
    AliasCheck,
    CheckState,
    GRPCCheck,
    HealthCheck,
    HTTPCheck,
    ScriptCheck,
    Service,
    TCPCheck,
    TTLCheck,
)
from homeport.spi import CheckTransition, Cursor, ServiceSummary
from homeport.wire import consul as wire


def body(service: Service, *, ttl: float = 15.0, expectations: bool = False) -> Any:
    """What is sent, as JSON."""
    shape = mapping.registration(service, ttl=ttl, incarnation="inc", expectations=expectations)
    return msgspec.json.decode(msgspec.json.encode(shape))


def test_a_registration_carries_everything_and_its_lease() -> None:
    service = Service(
        name="api",
        id="api-1",
        version="2.1",
        environment="live",
        address="10.0.0.1",
        port=80,
        tags=("a", "b"),
        meta={"team": "x"},
        weight=3,
    )
    assert body(service, ttl=15.0) == {
        "ID": "api-1",
        "Name": "api",
        "Tags": ["a", "b"],
        "Address": "10.0.0.1",
        "Meta": {"team": "x", "version": "2.1", "environment": "live", "homeport-incarnation": "inc"},
        "Port": 80,
        "Weights": {"Passing": 3, "Warning": 1},
        "Checks": [
            {
                "CheckID": "service:api-1:homeport-lease:inc",
                "Name": "Homeport lease",
                "Status": "passing",
                "Notes": "Renewed by the program that registered the service; critical when it no longer runs.",
                "TTL": "15s",
                "DeregisterCriticalServiceAfter": "1m0s",
            }
        ],
    }


@pytest.mark.parametrize(
    ("check", "sent"),
    [
        (HTTPCheck(url="http://x/h"), {"HTTP": "http://x/h", "Interval": "10s", "Timeout": "5s"}),
        (
            HTTPCheck(
                url="https://x/h",
                method="POST",
                headers={"A": ("1", "2")},
                body="b",
                interval=1.5,
                timeout=0.5,
                follow_redirects=False,
                tls_server_name="n",
                tls_skip_verify=True,
            ),
            {
                "HTTP": "https://x/h",
                "Method": "POST",
                "Header": {"A": ["1", "2"]},
                "Body": "b",
                "Interval": "1.5s",
                "Timeout": "500ms",
                "DisableRedirects": True,
                "TLSServerName": "n",
                "TLSSkipVerify": True,
            },
        ),
        (TCPCheck(target="h:1"), {"TCP": "h:1", "Interval": "10s", "Timeout": "3s"}),
        (
            GRPCCheck(target="h:1/s", tls=True, tls_skip_verify=True),
            {"GRPC": "h:1/s", "GRPCUseTLS": True, "TLSSkipVerify": True, "Interval": "10s", "Timeout": "5s"},
        ),
        (ScriptCheck(command=("/c", "x")), {"ScriptArgs": ["/c", "x"], "Interval": "30s", "Timeout": "10s"}),
        (TTLCheck(ttl=90.0), {"TTL": "1m30s"}),
        (AliasCheck(service="other"), {"AliasService": "other"}),
        (
            TTLCheck(
                ttl=1.0,
                notes="n",
                status="warning",
                success_before_passing=2,
                failures_before_warning=1,
                failures_before_critical=3,
                deregister_after=120.0,
            ),
            {
                "TTL": "1s",
                "Notes": "n",
                "Status": "warning",
                "SuccessBeforePassing": 2,
                "FailuresBeforeWarning": 1,
                "FailuresBeforeCritical": 3,
                "DeregisterCriticalServiceAfter": "2m0s",
            },
        ),
    ],
)
def test_each_kind_of_check(check: HealthCheck, sent: dict[str, Any]) -> None:
    first, lease = body(Service(name="api", id="a", checks=(check,)))["Checks"]
    assert first.pop("CheckID") == "service:a:1"
    assert first.pop("Name")
    assert first == sent
    assert lease["Name"] == "Homeport lease"


def test_checks_have_ids_that_begin_with_the_service_s_and_names() -> None:
    checks = (TCPCheck(target="h:1"), TCPCheck(target="h:2", id="live"), TTLCheck(name="Beat"))
    sent = body(Service(name="api", id="a", checks=checks))["Checks"][:-1]
    assert [(check["CheckID"], check["Name"]) for check in sent] == [
        ("service:a:1", "tcp check 1"),
        ("a:live", "live"),
        ("service:a:3", "Beat"),
    ]


def test_expectations_are_sent_where_they_are_understood_and_refused_elsewhere() -> None:
    service = Service(name="api", id="a", checks=(HTTPCheck(url="http://u", expected_status=204, expected_body="ok"),))
    sent = body(service, expectations=True)["Checks"][0]
    assert (sent["ExpectedStatus"], sent["ExpectedBody"], sent["HTTP"]) == (204, "ok", "http://u")
    with pytest.raises(Unsupported, match='Consul cannot expect a status or a body \\("http check 1" of "api"\\)'):
        body(service)


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"weight": 0}, Unsupported, 'Consul takes no weight of 0 for "api"'),
        ({"meta": {"a b": "1"}}, InvalidValue, '"a b" cannot be a metadata key'),
        ({"meta": {"consul-x": "1"}}, InvalidValue, '"consul-x" cannot be a metadata key'),
        ({"meta": {"k" * 129: "1"}}, InvalidValue, "cannot be a metadata key"),
        ({"meta": {"k": "v" * 513}}, InvalidValue, 'the metadata "k" is 513 characters long; Consul takes 512'),
        ({"meta": {f"k{n}": "" for n in range(64)}}, InvalidValue, '"api" has 64 pairs of metadata; Consul takes 63'),
        ({"version": "1", "meta": {"version": "2"}}, InvalidValue, 'has the version "1", but its metadata says "2"'),
    ],
)
def test_what_consul_would_refuse_is_refused_before(fields: dict[str, Any], error: Any, text: str) -> None:
    with pytest.raises(error) as caught:
        body(Service(name="api", id="a", **fields))
    assert text in str(caught.value)


def entry(**service: Any) -> Any:
    """A row of ``health/service`` as JSON."""
    return {
        "Node": {"Node": "n1", "Address": "10.0.0.9", "Datacenter": "dc1", "Meta": None},
        "Service": {"ID": "api-1", "Service": "api", "Tags": ["a"], "Address": "", "Meta": None, **service},
        "Checks": [
            {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "passing", "Output": "alive"},
            {"CheckID": "c", "Name": "C", "Status": "warning", "Output": "o", "Notes": "n", "Type": "http"},
        ],
    }


def decoded(row: Any) -> wire.ServiceEntry:
    return msgspec.convert(row, wire.ServiceEntry)


def test_an_instance_is_read_with_its_node_and_checks() -> None:
    row = entry(
        Port=80,
        Meta={"version": "2", "environment": "live", "started_at": "t", "homeport-incarnation": "x", "region": "r"},
        Weights={"Passing": 4, "Warning": 1},
    )
    one = mapping.instance(decoded(row))
    assert (one.id, one.service, one.endpoint, one.tags, one.weight) == ("api-1", "api", "10.0.0.9:80", ("a",), 4)
    assert (one.version, one.environment, one.started_at, one.region) == ("2", "live", "t", "r")
    assert (one.node, one.datacenter, one.status) == ("n1", "dc1", "warning")
    assert "homeport-incarnation" not in one.meta
    assert one.checks[1] == CheckState(id="c", name="C", status="warning", output="o", notes="n", kind="http")


def test_the_service_s_own_address_and_locality_win() -> None:
    row = entry(Address="10.1.1.1", Locality={"Region": "eu", "Zone": "eu-1"}, Meta={"region": "us"})
    row["Node"]["Locality"] = {"Region": "xx"}
    one = mapping.instance(decoded(row))
    assert (one.address, one.region, one.zone) == ("10.1.1.1", "eu", "eu-1")


def test_no_checks_at_all_pass() -> None:
    row = entry()
    row["Checks"] = []
    assert mapping.instance(decoded(row)).healthy


@pytest.mark.parametrize("check_id", ["_node_maintenance", "_service_maintenance:api-1"])
def test_maintenance_is_told_from_critical(check_id: str) -> None:
    row = entry()
    row["Checks"][1] |= {"CheckID": check_id, "Status": "critical"}
    assert mapping.instance(decoded(row)).status == "maintenance"


def test_what_cannot_be_is_not_believed() -> None:
    row = entry()
    row["Node"]["Address"] = ""
    with pytest.raises(InvalidAnswer, match='lists the instance "api-1" without any address'):
        mapping.instance(decoded(row))
    row = entry()
    row["Checks"][0]["Status"] = "splendid"
    with pytest.raises(InvalidAnswer, match='"serfHealth" is "splendid", which is no status'):
        mapping.instance(decoded(row))


texts = st.text("abcdefgh-", min_size=1, max_size=12)


@given(
    st.builds(
        Service,
        name=texts,
        id=texts,
        version=st.sampled_from(["", "1.2"]),
        environment=st.sampled_from(["", "live"]),
        address=st.sampled_from(["10.0.0.1", "::1", "host.local"]),
        port=st.integers(1, 65535),
        tags=st.lists(texts, max_size=3).map(tuple),
        meta=st.dictionaries(texts.map(lambda key: f"k{key}"), texts, max_size=3),
        weight=st.integers(1, 100),
    )
)
def test_what_is_registered_comes_back(service: Service) -> None:
    sent = body(service)
    row: dict[str, Any] = {
        "Node": {"Node": "n", "Address": "10.0.0.9", "Datacenter": "dc1"},
        "Service": {name: value for name, value in sent.items() if name not in ("Name", "Checks")}
        | {"Service": sent["Name"]},
        "Checks": [],
    }
    row["Service"].setdefault("Tags", [])
    one = mapping.instance(decoded(row))
    assert (one.service, one.id, one.address, one.port) == (service.name, service.id, service.address, service.port)
    assert (one.tags, one.weight) == (service.tags, service.weight)
    assert (one.version, one.environment) == (service.version, service.environment)
    assert service.meta.items() <= one.meta.items()


def check(check_id: str, name: str = "", service_id: str = "a", kind: str = "ttl") -> wire.HealthCheck:
    return wire.HealthCheck(check_id=check_id, name=name, service_id=service_id, type=kind)


CHECKS = [
    check("service:a:homeport-lease:i", "Homeport lease"),
    check("a:beat", "Heartbeat"),
    check("service:a:2", "beat", kind="http"),
    check("b:beat", "Heartbeat", service_id="b"),
]


@pytest.mark.parametrize(
    ("service_id", "wanted", "found"),
    [
        ("a", "beat", "a:beat"),
        ("a", "a:beat", "a:beat"),
        ("a", "Heartbeat", "a:beat"),
        ("a", "service:a:2", "service:a:2"),
        ("a", "", "a:beat"),
        ("b", "", "b:beat"),
        ("b", "Heartbeat", "b:beat"),
        ("c", "", None),
        ("a", "Homeport lease", None),
        ("a", "nix", None),
    ],
)
def test_a_check_is_found_by_id_or_name_and_the_lease_is_none(service_id: str, wanted: str, found: str | None) -> None:
    one = mapping.find_check(CHECKS, service_id, wanted)
    assert (one.check_id if one else None) == found


def test_without_a_name_two_ttl_checks_are_ambiguous() -> None:
    assert mapping.find_check([check("a:1"), check("a:2")], "a", "") is None


@pytest.mark.parametrize(("header", "position"), [("7", 7), ("1", 1), ("0", 1), ("18446744073709551615", 2**64 - 1)])
def test_where_an_answer_stands(header: str, position: int) -> None:
    assert mapping.cursor(header, "s") == Cursor(position=position, store="s")


@pytest.mark.parametrize("header", [None, "", "-1", "abc", "1.5", "٣"])
def test_an_answer_without_a_readable_index_is_not_believed(header: str | None) -> None:
    with pytest.raises(InvalidAnswer, match="no X-Consul-Index"):
        mapping.cursor(header, "")


@pytest.mark.parametrize(
    ("known", "now", "reset"),
    [
        (None, (5, ""), False),
        ((5, ""), (6, ""), False),
        ((5, ""), (5, ""), False),
        ((5, ""), (4, ""), True),
        ((5, "x"), (6, "x"), False),
        ((5, "x"), (6, "y"), True),
        ((5, "x"), (4, "x"), True),
        ((5, ""), (6, "y"), False),
        ((5, "x"), (6, ""), False),
    ],
)
def test_what_does_not_continue_is_a_reset(known: tuple[int, str] | None, now: tuple[int, str], reset: bool) -> None:
    before = None if known is None else Cursor(position=known[0], store=known[1])
    assert mapping.is_reset(before, Cursor(position=now[0], store=now[1])) is reset


@pytest.mark.parametrize(
    ("known", "now", "reset"),
    [
        ((5, "x"), (4, "x"), False),
        ((5, "x"), (4, "y"), True),
        ((5, ""), (4, ""), True),
        ((5, "x"), (4, ""), True),
    ],
)
def test_an_answer_that_may_lag_is_a_reset_only_of_other_data(
    known: tuple[int, str], now: tuple[int, str], reset: bool
) -> None:
    before, after = (Cursor(position=position, store=store) for position, store in (known, now))
    assert mapping.is_reset(before, after, may_lag=True) is reset


def test_lists_of_services_are_sorted() -> None:
    assert mapping.summaries({"b": ("y", "x"), "a": ()}) == (
        ServiceSummary(name="a"),
        ServiceSummary(name="b", tags=("x", "y")),
    )


def test_the_native_rows_are_read() -> None:
    row = msgspec.json.decode(
        b'{"Name":"api","Tags":null,"Instances":3,"Passing":2,"Warning":0,"Critical":1}', type=native.ServiceRow
    )
    assert row.summary() == ServiceSummary(name="api", instances=3, passing=2)
    state = msgspec.json.decode(
        b'{"Node":"n","Service":"api","ServiceID":"a","CheckID":"c","Name":"C","Type":"ttl","Status":"critical",'
        b'"Output":"o","Notes":"","CheckedAt":5.5,"CriticalSince":5.0,"Flapping":true}',
        type=native.CheckRow,
    )
    assert state.state() == CheckState(
        id="c", name="C", status="critical", output="o", kind="ttl", checked_at=5.5, flapping=True
    )
    change = msgspec.json.decode(
        b'{"Service":"api","ServiceID":"a","CheckID":"c","At":7.5,"Status":"passing","Output":"o"}',
        type=native.TransitionRow,
    )
    assert change.transition() == CheckTransition(instance="a", check="c", at=7.5, status="passing", output="o")
    about = msgspec.json.decode(
        b'{"Product":"homeport","Version":"0.1.0","Store":"s","Node":"n","Datacenter":"dc1","Features":["x"]}',
        type=native.Capabilities,
    )
    assert (about.product, about.store, about.features) == ("homeport", "s", ("x",))


@pytest.mark.parametrize(("said", "expected"), [({}, 0), ({"HTTPMaxConnsPerClient": 40}, 40)])
def test_the_connections_that_an_agent_allows(said: dict[str, object], expected: int) -> None:
    assert mapping.connections_of_a_client(said) == expected


def test_an_agent_without_a_limit_allows_more_than_anybody_has() -> None:
    assert mapping.connections_of_a_client({"HTTPMaxConnsPerClient": 0}) > 10_000
