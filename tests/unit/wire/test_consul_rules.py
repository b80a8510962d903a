"""What registrations must be and what is filled in; texts and filled-in values are those of Consul."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.wire import consul
from homeport.wire.consul import (
    AgentCheck,
    CatalogCheckBody,
    CatalogDeregistration,
    CatalogRegistration,
    CatalogServiceBody,
    CheckRegistration,
    CheckUpdate,
    HealthCheckDefinition,
    ServiceAddress,
    ServiceRegistration,
    Weights,
)
from homeport.wire.consul_decode import decode
from homeport.wire.consul_rules import (
    RuleBroken,
    check_kind,
    checked_catalog_deregistration,
    checked_catalog_registration,
    checked_check,
    checked_service,
    checked_update,
)

TTL = AgentCheck(ttl="10s")


def service(**fields: Any) -> ServiceRegistration:
    """A registration as a client would send it, since blocks of the mesh have their form from the decoder."""
    return decode(json.dumps({"Name": "x"} | fields).encode(), ServiceRegistration)


def mesh(*complaints: str) -> str:
    count = "1 error" if len(complaints) == 1 else f"{len(complaints)} errors"
    return f"Validation failed: {count} occurred:\n" + "".join(f"\t* {one}\n" for one in complaints) + "\n"


PAIR = "Invalid Service Meta: Couldn't load metadata pair"
UPSTREAM = {"DestinationName": "u", "LocalBindPort": 1}
OTHER_UPSTREAM = {"DestinationName": "v", "LocalBindPort": 2}
PROXY = {"Kind": "connect-proxy", "Port": 1}

REFUSED_SERVICES: list[tuple[dict[str, Any], int, str]] = [
    ({"Name": ""}, 400, "Missing service name"),
    ({"Address": "0.0.0.0"}, 400, "Invalid service address"),
    ({"Address": "::"}, 400, "Invalid service address"),
    ({"Address": "[::]"}, 400, "Invalid service address"),
    ({"Weights": {"Passing": 0, "Warning": 1}}, 400, "Invalid Weights: Passing must be greater than 0"),
    ({"Weights": {}}, 400, "Invalid Weights: Passing must be greater than 0"),
    ({"Weights": {"Passing": 1, "Warning": -1}}, 400, "Invalid Weights: Warning must be greater or equal than 0"),
    ({"Weights": {"Passing": 65_536}}, 400, "Invalid Weights: DNS Weight must be between 0 and 65535"),
    ({"Weights": {"Passing": 1, "Warning": 65_536}}, 400, "Invalid Weights: DNS Weight must be between 0 and 65535"),
    ({"Meta": {"": "v"}}, 400, f"{PAIR} ('', 'v'): Key cannot be blank"),
    (
        {"Meta": {"a b": "v"}},
        400,
        f"{PAIR} ('a b', 'v'): Key contains invalid characters",
    ),
    (
        {"Meta": {"consul-a": "v"}},
        400,
        f"{PAIR} ('consul-a', 'v'): Key prefix 'consul-' is reserved for internal use",
    ),
    (
        {"Meta": {"k" * 129: "v"}},
        400,
        f"{PAIR} ('{'k' * 129}', 'v'): Key is too long (limit: 128 characters)",
    ),
    (
        {"Meta": {"k": "é" * 257}},
        400,
        f"{PAIR} ('k', '{'é' * 257}'): Value is too long (limit: 512 characters)",
    ),
    (
        {"Meta": {str(number): "" for number in range(65)}},
        400,
        "Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs",
    ),
    ({"Check": {"Interval": "1s", "TTL": "1s"}}, 400, "Invalid check: Interval and TTL cannot both be specified"),
    (
        {"Check": {"HTTP": "http://x"}},
        400,
        "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
    ),
    ({"Check": {"Interval": "1s"}}, 400, "Invalid check: TTL must be > 0 for TTL checks"),
    ({"Check": {"TTL": "-1s"}}, 400, "Invalid check: TTL must be > 0 for TTL checks"),
    ({"Check": {"Status": "passing"}}, 400, "Invalid check: TTL must be > 0 for TTL checks"),
    ({"Checks": [{}]}, 400, "Invalid check: TTL must be > 0 for TTL checks"),
    ({"Check": {"AliasService": "y", "TTL": "1s"}}, 400, "Invalid check: TTL must be not be set for Alias checks"),
    (
        {"Check": {"AliasService": "y", "TCP": "a:1", "Interval": "1s"}},
        400,
        "Invalid check: Interval cannot be set for Alias checks",
    ),
    ({"Check": {"TTL": "1s", "OutputMaxSize": -1}}, 400, "Invalid check: MaxOutputMaxSize must be positive"),
    (
        {"Check": {"TTL": "1s", "FailuresBeforeWarning": 2, "FailuresBeforeCritical": 1}},
        400,
        "Invalid check: FailuresBeforeWarning can't be higher than FailuresBeforeCritical",
    ),
    ({"Check": {"TTL": "1s", "Status": "foo"}}, 400, "Status for checks must 'passing', 'warning', 'critical'"),
    (
        {"TaggedAddresses": {"lan_ipv4": {"Address": "foo"}}},
        500,
        'Service tagged address "lan_ipv4" must be a valid ipv4 address',
    ),
    (
        {"TaggedAddresses": {"wan_ipv4": {"Address": "::1"}}},
        500,
        'Service tagged address "wan_ipv4" must be a valid ipv4 address',
    ),
    (
        {"TaggedAddresses": {"lan_ipv6": {"Address": "::ffff:1.2.3.4"}}},
        500,
        'Service tagged address "lan_ipv6" must be a valid ipv6 address',
    ),
    # The first rule that is broken is named, in Consul's order.
    (
        {"Weights": {}, "Meta": {"": ""}, "Check": {"TTL": "-1s"}},
        400,
        "Invalid Weights: Passing must be greater than 0",
    ),
    ({"TaggedAddresses": {"lan_ipv4": {}}, "Checks": [{}]}, 400, "Invalid check: TTL must be > 0 for TTL checks"),
    # the mesh
    (
        {"Kind": "connect-proxy"},
        400,
        mesh(
            "Port or SocketPath must be set for a connect-proxy",
            "Proxy.DestinationServiceName must be non-empty for Connect proxy services",
        ),
    ),
    (
        PROXY | {"Proxy": {"DestinationServiceName": "*"}, "Connect": {"Native": True}},
        400,
        mesh(
            "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services",
            "A Proxy cannot also be Connect Native, only typical services",
        ),
    ),
    (
        PROXY | {"Proxy": {"DestinationServiceName": "a", "Upstreams": [UPSTREAM, UPSTREAM | {"LocalBindPort": 2}]}},
        400,
        mesh(
            'upstreams cannot contain duplicates of [type="service", name="u", partition="", namespace="", peer="",'
            ' datacenter=""]'
        ),
    ),
    (
        PROXY
        | {"Proxy": {"DestinationServiceName": "a", "Upstreams": [UPSTREAM, UPSTREAM | {"DestinationName": "v"}]}},
        400,
        mesh(
            "upstreams cannot contain duplicates by local bind address and port or unix path; "
            '"127.0.0.1:1" is specified twice'
        ),
    ),
    *(
        (PROXY | {"Proxy": {"DestinationServiceName": "a", "Upstreams": [UPSTREAM | change]}}, 400, mesh(complaint))
        for change, complaint in (
            ({"DestinationType": "q"}, 'unknown upstream destination type: "q"'),
            ({"DestinationName": ""}, "upstream destination name cannot be empty"),
            ({"DestinationName": "*"}, "upstream destination name cannot be a wildcard"),
            (
                {"DestinationPeer": "p", "Datacenter": "d"},
                "upstream cannot specify both destination peer and datacenter",
            ),
            ({"LocalBindPort": 0}, "upstream local bind port or local socket path must be defined and nonzero"),
            (
                {"LocalBindSocketPath": "/s"},
                "only one of upstream local bind port or local socket path can be defined and nonzero",
            ),
        )
    ),
    (
        PROXY
        | {
            "Proxy": {
                "DestinationServiceName": "a",
                "Expose": {
                    "Paths": [{"Path": "/a", "ListenerPort": 1, "Protocol": "TCP"}, {"ListenerPort": 1}, {"Path": "/c"}]
                },
            }
        },
        400,
        mesh(
            "protocol 'tcp' not supported for path: /a, must be in: [http http2]",
            "expose.paths: empty path exposed",
            "expose.paths: duplicate listener ports exposed",
            "expose.paths: invalid listener port: 0",
        ),
    ),
    ({"Kind": "mesh-gateway"}, 400, mesh("Port must be non-zero for a mesh-gateway")),
    (
        {
            "Kind": "api-gateway",
            "Proxy": {"DestinationServiceName": "a", "LocalServicePort": 3, "Upstreams": [UPSTREAM]},
            "Connect": {"SidecarService": {}},
        },
        400,
        mesh(
            "A api-gateway cannot have a sidecar service defined",
            "The Proxy.DestinationServiceName configuration is invalid for a api-gateway",
            "The Proxy.LocalServicePort configuration is invalid for a api-gateway",
            "The Proxy.Upstreams configuration is invalid for a api-gateway",
        ),
    ),
    (
        {"Connect": {"SidecarService": {"ID": "q", "Connect": {"SidecarService": {}}}}},
        400,
        mesh(
            "A SidecarService cannot specify an ID as this is managed by the agent",
            "A SidecarService cannot have a nested SidecarService",
        ),
    ),
    ({"Connect": {"Native": True}}, 400, mesh("Port or SocketPath must be set for a Connect native service.")),
]


@pytest.mark.parametrize(("fields", "status", "message"), REFUSED_SERVICES)
def test_a_service_that_breaks_a_rule_is_refused_in_consuls_words(
    fields: dict[str, Any], status: int, message: str
) -> None:
    with pytest.raises(RuleBroken) as broken:
        checked_service(service(**fields))
    assert (broken.value.status, str(broken.value)) == (status, message)


@pytest.mark.parametrize(
    "fields",
    [
        {"Address": "0"},
        {"Address": "not an address"},
        {"Port": -5},
        {"Port": 99_999},
        {"Kind": "whatever"},
        {"ID": " "},
        {"Meta": {"k" * 128: "é" * 256}},
        {"Meta": {str(number): "" for number in range(64)}},
        {"Weights": {"Passing": 65_535, "Warning": 0}},
        {"Kind": "mesh-gateway", "Port": 1, "Meta": {"consul-wan-federation": "1"}},
        {"Kind": "ingress-gateway"},
        {"TaggedAddresses": {"lan": {"Address": "0.0.0.0"}, "wan_ipv6": {"Address": "foo"}}},
        {"Check": {"AliasService": "y", "Interval": "1s"}},
        {"Connect": {"Native": True}, "SocketPath": "/s"},
        PROXY | {"Proxy": {"DestinationServiceName": "a", "Upstreams": [UPSTREAM, OTHER_UPSTREAM]}},
    ],
)
def test_what_consul_lets_pass_passes(fields: dict[str, Any]) -> None:
    assert checked_service(service(**fields)).name == "x"


def test_a_bare_name_gets_everything_else() -> None:
    assert checked_service(ServiceRegistration(name="web")) == ServiceRegistration(
        name="web", id="web", tags=[], meta={}, weights=Weights(passing=1, warning=1), checks=[]
    )


@pytest.mark.parametrize(
    ("address", "given", "expected"),
    [
        ("10.0.0.1", None, {"lan_ipv4": "10.0.0.1", "wan_ipv4": "10.0.0.1"}),
        ("fe80::1", None, {"lan_ipv6": "fe80::1", "wan_ipv6": "fe80::1"}),
        ("::ffff:1.2.3.4", None, {"lan_ipv4": "::ffff:1.2.3.4", "wan_ipv4": "::ffff:1.2.3.4"}),
        ("fe80::1%eth0", None, None),
        ("host.example", None, None),
        ("", {"lan": ServiceAddress(address="a")}, {"lan": "a"}),
    ],
)
def test_an_ip_address_is_tagged_too(
    address: str, given: dict[str, ServiceAddress] | None, expected: dict[str, str] | None
) -> None:
    body = ServiceRegistration(name="x", port=7, address=address, tagged_addresses=given)
    tagged = checked_service(body).tagged_addresses
    assert (None if tagged is None else {name: one.address for name, one in tagged.items()}) == expected


def test_a_tag_that_is_given_is_kept_and_what_is_added_has_the_port_of_the_service() -> None:
    mine = ServiceAddress(address="9.9.9.9", port=1)
    body = ServiceRegistration(name="x", port=7, address="10.0.0.1", tagged_addresses={"lan_ipv4": mine})
    assert checked_service(body).tagged_addresses == {
        "lan_ipv4": mine,
        "wan_ipv4": ServiceAddress(address="10.0.0.1", port=7),
    }
    assert body.tagged_addresses == {"lan_ipv4": mine}


def test_checks_are_numbered_when_there_are_several() -> None:
    body = ServiceRegistration(
        name="y",
        id="y1",
        check=TTL,
        checks=[AgentCheck(check_id="mine", ttl="10s"), AgentCheck(ttl="9s", name="nm", status="warning")],
    )
    checks = checked_service(body).checks or []
    assert [(check.check_id, check.name, check.status) for check in checks] == [
        ("service:y1:1", "Service 'y' check", "critical"),
        ("mine", "Service 'y' check", "critical"),
        ("service:y1:3", "nm", "warning"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        ServiceRegistration(name="y", check=TTL),
        ServiceRegistration(name="y", checks=[TTL]),
        ServiceRegistration(name="y", check=AgentCheck(), checks=[TTL]),
        ServiceRegistration(name="y", check=AgentCheck(service_id="ignored"), checks=[TTL]),
    ],
)
def test_one_check_has_no_number_and_an_empty_one_does_not_count(body: ServiceRegistration) -> None:
    assert [check.check_id for check in checked_service(body).checks or []] == ["service:y"]


def test_durations_get_gos_usual_form() -> None:
    check = AgentCheck(
        http="http://x", interval="60s", timeout="0.5s", deregister_critical_service_after="3600s", ttl="0s"
    )
    (checked,) = checked_service(ServiceRegistration(name="y", checks=[check])).checks or []
    assert (checked.interval, checked.timeout, checked.deregister_critical_service_after, checked.ttl) == (
        "1m0s",
        "500ms",
        "1h0m0s",
        "",
    )


@pytest.mark.parametrize(
    ("check", "uses_tls"),
    [
        (AgentCheck(h2ping="a:1", interval="1s"), True),
        (AgentCheck(h2ping="a:1", interval="1s", h2ping_use_tls=True), True),
        (AgentCheck(h2ping="a:1", interval="1s", h2ping_use_tls=False), False),
        (TTL, False),
    ],
)
def test_h2ping_uses_tls_unless_told_otherwise(check: AgentCheck, uses_tls: bool) -> None:
    (checked,) = checked_service(ServiceRegistration(name="y", checks=[check])).checks or []
    assert checked.h2ping_use_tls is uses_tls


def test_the_type_of_an_upstream_is_service_unless_told_otherwise() -> None:
    upstreams = [UPSTREAM, {"DestinationName": "q", "DestinationType": "prepared_query", "LocalBindPort": 2}]
    body = service(**PROXY, Proxy={"DestinationServiceName": "a", "Upstreams": upstreams})
    checked = checked_service(body).proxy or {}
    assert [upstream["DestinationType"] for upstream in checked["Upstreams"]] == ["service", "prepared_query"]


# ----- checks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (CheckRegistration(id="i"), "Missing check name"),
        (CheckRegistration(name="x", status="bad"), "Bad check status"),
        (CheckRegistration(name="x"), "Invalid check: TTL must be > 0 for TTL checks"),
        (
            CheckRegistration(name="x", udp="a:1"),
            "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks",
        ),
    ],
)
def test_a_check_that_breaks_a_rule_is_refused(body: CheckRegistration, message: str) -> None:
    with pytest.raises(RuleBroken) as broken:
        checked_check(body)
    assert (broken.value.status, str(broken.value)) == (400, message)


def test_a_check_gets_its_name_as_id_and_is_critical() -> None:
    assert checked_check(CheckRegistration(name="c", ttl="60s")) == CheckRegistration(
        name="c", id="c", status="critical", ttl="1m0s", h2ping_use_tls=False
    )
    assert checked_check(CheckRegistration(name="c", id="i", ttl="1s", status="warning")).status == "warning"


def test_an_update_has_one_of_three_statuses() -> None:
    for status in ("passing", "warning", "critical"):
        assert checked_update(CheckUpdate(status=status)).status == status
    for status in ("bad", "", "maintenance", "Passing"):
        with pytest.raises(RuleBroken) as broken:
            checked_update(CheckUpdate(status=status))
        assert (broken.value.status, str(broken.value)) == (400, f"Invalid check status: '{status}'")


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (AgentCheck(grpc="a", http="b", tcp="c", interval="1s"), "grpc"),
        (AgentCheck(http="b", tcp="c", interval="1s"), "http"),
        (AgentCheck(ttl="1s", alias_service="x"), "ttl"),
        (AgentCheck(tcp="c", udp="d", interval="1s"), "tcp"),
        (AgentCheck(udp="d", alias_node="n", interval="1s"), "udp"),
        (AgentCheck(alias_node="n", script_args=["x"], interval="1s"), "alias"),
        (AgentCheck(script_args=["x"], docker_container_id="d", interval="1s"), "docker"),
        (AgentCheck(script_args=["x"], docker_container_id="d"), "script"),
        (AgentCheck(script_args=["x"], h2ping="a", interval="1s"), "script"),
        (AgentCheck(h2ping="a", os_service="b", interval="1s"), "h2ping"),
        (AgentCheck(os_service="b", interval="1s"), "os_service"),
        (AgentCheck(tcp="c"), ""),
        (AgentCheck(), ""),
        (HealthCheckDefinition(ttl=1), "ttl"),
        (HealthCheckDefinition(http="x", interval="10s"), "http"),
        (HealthCheckDefinition(http="x"), ""),
    ],
)
def test_the_kind_of_a_check_is_the_first_in_consuls_order(
    check: AgentCheck | HealthCheckDefinition, kind: str
) -> None:
    assert check_kind(check) == kind


# ----- catalog --------------------------------------------------------------------------------------------------------


def on_node(**fields: Any) -> CatalogRegistration:
    return CatalogRegistration(node="e", address="1.1.1.1", **fields)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (CatalogRegistration(), "Must provide node"),
        (CatalogRegistration(node="e"), "Must provide address if SkipNodeUpdate is not set"),
        (CatalogRegistration(node="e", id="zz"), "Bad node ID: uuid string is wrong length"),
        (
            on_node(id="5648e1a8x3486-2076-8da5-8d5348de4c42"),
            "Bad node ID: uuid is improperly formatted",
        ),
        (
            on_node(id="5648e1zz-3486-2076-8da5-8d5348de4c42"),
            "Bad node ID: encoding/hex: invalid byte: U+007A 'z'",
        ),
        (
            on_node(service=CatalogServiceBody(id="x")),
            "Must provide service name (Service.Service) when service ID is provided",
        ),
        (
            on_node(service=CatalogServiceBody(service="x", address="::")),
            "Invalid service address",
        ),
        (
            on_node(service=CatalogServiceBody(service="x", meta={"a b": "c"})),
            (
                "failed inserting service: Invalid Service Meta for node e and serviceID x: Couldn't load metadata pair"
                " ('a b', 'c'): Key contains invalid characters"
            ),
        ),
        (
            on_node(service=CatalogServiceBody(service="x", kind="mesh-gateway")),
            "1 error occurred:\n\t* Port must be non-zero for a mesh-gateway\n\n",
        ),
        (on_node(check=CatalogCheckBody(node="o")), 'check node "o" does not match node "e"'),
        (
            on_node(check=CatalogCheckBody()),
            'failed inserting check: failed inserting check: object missing primary index on node "e"',
        ),
    ],
)
def test_a_catalog_entry_that_breaks_a_rule_is_refused_with_500(body: CatalogRegistration, message: str) -> None:
    with pytest.raises(RuleBroken) as broken:
        checked_catalog_registration(body)
    assert (broken.value.status, str(broken.value)) == (500, message)


def test_a_catalog_entry_is_completed() -> None:
    body = on_node(
        service=CatalogServiceBody(service="s", weights=Weights(passing=0, warning=9)),
        check=CatalogCheckBody(name="c", definition=HealthCheckDefinition(tcp="a:1", interval="60s")),
        checks=[CatalogCheckBody(check_id="d", node="E", status="odd", type="mine")],
    )
    checked = checked_catalog_registration(body)
    assert checked.service == CatalogServiceBody(service="s", id="s", tags=[], weights=consul.DEFAULT_WEIGHTS)
    assert checked.check is None
    assert checked.checks == [
        CatalogCheckBody(
            node="e",
            check_id="c",
            name="c",
            status="critical",
            type="tcp",
            definition=HealthCheckDefinition(tcp="a:1", interval="1m0s"),
        ),
        CatalogCheckBody(node="e", check_id="d", status="odd", type="mine"),
    ]


def test_a_catalog_entry_may_leave_its_node_alone() -> None:
    body = CatalogRegistration(node="e", skip_node_update=True)
    assert checked_catalog_registration(body) == CatalogRegistration(node="e", skip_node_update=True, checks=[])


def test_a_deregistration_names_a_node() -> None:
    assert checked_catalog_deregistration(CatalogDeregistration(node="e")).node == "e"
    with pytest.raises(RuleBroken) as broken:
        checked_catalog_deregistration(CatalogDeregistration(service_id="x"))
    assert (broken.value.status, str(broken.value)) == (500, "Must provide node")


# ----- rules ----------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(
    st.builds(
        ServiceRegistration,
        name=NAMES,
        id=st.just("") | NAMES,
        address=st.sampled_from(["", "10.0.0.1", "::1", "host"]),
        check=st.none() | st.just(TTL),
        checks=st.lists(
            st.builds(AgentCheck, ttl=st.sampled_from(["60s", "1.50s"]), check_id=st.just("") | NAMES), max_size=3
        ),
    )
)
def test_checking_twice_changes_nothing(body: ServiceRegistration) -> None:
    once = checked_service(body)
    assert checked_service(once) == once
    assert len(once.checks or []) == len(body.checks or []) + (body.check is not None)
