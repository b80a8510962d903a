"""Bodies of requests: what is accepted in which forms, and Consul's words for what is not.

The messages of refusals are those that Consul 1.8.7 answered to the same bodies.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.wire import consul, golang
from homeport.wire.consul import (
    AgentCheck,
    CatalogDeregistration,
    CatalogRegistration,
    CheckRegistration,
    CheckUpdate,
    ServiceRegistration,
)
from homeport.wire.consul_decode import DecodeError, decode

REFUSED: list[tuple[type[msgspec.Struct], str, str]] = [
    (ServiceRegistration, "", "EOF"),
    (ServiceRegistration, "  ", "EOF"),
    (ServiceRegistration, "x", "invalid character 'x' looking for beginning of value"),
    (ServiceRegistration, '{"Name":"x"', "unexpected EOF"),
    (ServiceRegistration, '{"Name":"x",}', "invalid character '}' looking for beginning of object key string"),
    (ServiceRegistration, '{"Name":"a\tb"}', "invalid character '\\t' in string literal"),
    (ServiceRegistration, '{"Name":"x","Foo":"y"}', 'json: unknown field "Foo"'),
    (ServiceRegistration, '{"Name":"x","Namespace":"y"}', 'json: unknown field "Namespace"'),
    (ServiceRegistration, '{"Foo\\u0001é\\"":1}', 'json: unknown field "Foo\\x01é\\""'),
    (ServiceRegistration, '{"Name":1}', "json: cannot unmarshal number into Go struct field .Name of type string"),
    (ServiceRegistration, '{"PORT":"80"}', "json: cannot unmarshal string into Go struct field .Port of type int"),
    (ServiceRegistration, '{"Port":80.5}', "json: cannot unmarshal number 80.5 into Go struct field .Port of type int"),
    (ServiceRegistration, '{"Port":80.0}', "json: cannot unmarshal number 80.0 into Go struct field .Port of type int"),
    (
        ServiceRegistration,
        '{"Port":9223372036854775808}',
        "json: cannot unmarshal number 9223372036854775808 into Go struct field .Port of type int",
    ),
    (ServiceRegistration, '{"Port":true}', "json: cannot unmarshal bool into Go struct field .Port of type int"),
    (
        ServiceRegistration,
        '{"Kind":1}',
        "json: cannot unmarshal number into Go struct field .Kind of type structs.ServiceKind",
    ),
    (ServiceRegistration, '{"Tags":"a"}', "json: cannot unmarshal string into Go struct field .Tags of type []string"),
    (ServiceRegistration, '{"Tags":[1]}', "json: cannot unmarshal number into Go struct field .Tags of type string"),
    (
        ServiceRegistration,
        '{"Tags":{"a":1}}',
        "json: cannot unmarshal object into Go struct field .Tags of type []string",
    ),
    (
        ServiceRegistration,
        '{"Meta":{"a":1}}',
        "json: cannot unmarshal number into Go struct field .Meta of type string",
    ),
    (
        ServiceRegistration,
        '{"Meta":[]}',
        "json: cannot unmarshal array into Go struct field .Meta of type map[string]string",
    ),
    (
        ServiceRegistration,
        '{"EnableTagOverride":"yes"}',
        "json: cannot unmarshal string into Go struct field .EnableTagOverride of type bool",
    ),
    (
        ServiceRegistration,
        '{"Weights":{"Passing":"1"}}',
        "json: cannot unmarshal string into Go struct field Weights.Weights.Passing of type int",
    ),
    (ServiceRegistration, '{"Weights":{"Foo":1}}', 'json: unknown field "Foo"'),
    (
        ServiceRegistration,
        '{"TaggedAddresses":{"lan":{"Address":1}}}',
        "json: cannot unmarshal number into Go struct field ServiceAddress.TaggedAddresses.Address of type string",
    ),
    (
        ServiceRegistration,
        '{"tagged_addresses":{"lan":{"Address":1}}}',
        "json: cannot unmarshal number into Go struct field ServiceAddress.tagged_addresses.Address of type string",
    ),
    (ServiceRegistration, '{"TaggedAddresses":{"lan":{"Addressx":1}}}', 'json: unknown field "Addressx"'),
    (ServiceRegistration, '{"Check":{"Foo":1}}', 'json: unknown field "Foo"'),
    (
        ServiceRegistration,
        '{"Check":{"HTTP":1}}',
        "json: cannot unmarshal number into Go struct field .Check of type string",
    ),
    (
        ServiceRegistration,
        '{"Checks":[{"HTTP":1}]}',
        "json: cannot unmarshal number into Go struct field .Checks of type string",
    ),
    (
        ServiceRegistration,
        '{"Checks":{}}',
        "json: cannot unmarshal object into Go struct field .Checks of type structs.CheckTypes",
    ),
    (ServiceRegistration, '{"Check":{"TTL":"10"}}', 'time: missing unit in duration "10"'),
    (ServiceRegistration, '{"Check":{"TTL":"10s","Interval":""}}', 'time: invalid duration ""'),
    (ServiceRegistration, '{"Check":{"TTL":"99999999h"}}', 'time: invalid duration "99999999h"'),
    (
        ServiceRegistration,
        '{"Check":{"deregister_critical_service_after":"1d"}}',
        'time: unknown unit "d" in duration "1d"',
    ),
    # A duration is read last, in the order of Consul's fields; everything else in the order of the body.
    (ServiceRegistration, '{"Check":{"TTL":"q","Foo":1}}', 'json: unknown field "Foo"'),
    (ServiceRegistration, '{"Check":{"TTL":"q","Interval":"z"}}', 'time: invalid duration "z"'),
    (
        ServiceRegistration,
        '{"Port":"a","Foo":1}',
        "json: cannot unmarshal string into Go struct field .Port of type int",
    ),
    (ServiceRegistration, '{"Foo":1,"Port":"a"}', 'json: unknown field "Foo"'),
    (ServiceRegistration, '{"Proxy":{"Foo":1}}', 'json: unknown field "Foo"'),
    (
        ServiceRegistration,
        '{"Proxy":{"Upstreams":[{"DestinationName":1}]}}',
        "json: cannot unmarshal number into Go struct field .Proxy of type string",
    ),
    (
        ServiceRegistration,
        '{"Connect":{"Native":"yes"}}',
        "json: cannot unmarshal string into Go struct field .Connect of type bool",
    ),
    (ServiceRegistration, '{"Connect":{"SidecarService":{"Foo":1}}}', 'json: unknown field "Foo"'),
    (CheckRegistration, "", "EOF"),
    (CheckRegistration, '{"Name":"c","CheckID":"x"}', 'json: unknown field "CheckID"'),
    (CheckRegistration, '{"ID":1}', "json: cannot unmarshal number into Go struct field .ID of type types.CheckID"),
    (
        CheckRegistration,
        '{"ScriptArgs":[1]}',
        "json: cannot unmarshal number into Go struct field .ScriptArgs of type string",
    ),
    (CheckRegistration, '{"Args":"x"}', "json: cannot unmarshal string into Go struct field .args of type []string"),
    (
        CheckUpdate,
        '{"Status":1}',
        "json: cannot unmarshal number into Go struct field checkUpdate.Status of type string",
    ),
    (
        CatalogRegistration,
        '{"Node":1}',
        "json: cannot unmarshal number into Go struct field RegisterRequest.Node of type string",
    ),
    (
        CatalogRegistration,
        '{"Namespace":""}',
        'json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature',
    ),
    (
        CatalogRegistration,
        '{"Service":{"Port":"x"}}',
        "json: cannot unmarshal string into Go struct field NodeService.Service.Port of type int",
    ),
    (
        CatalogRegistration,
        '{"Service":{"Proxy":{"DestinationServiceName":1}}}',
        "json: cannot unmarshal number into Go struct field NodeService.Service.Proxy of type string",
    ),
    (
        CatalogRegistration,
        '{"Checks":[{"CheckID":3}]}',
        "json: cannot unmarshal number into Go struct field HealthCheck.Checks.CheckID of type types.CheckID",
    ),
    (
        CatalogRegistration,
        '{"Check":{"Definition":{"HTTP":1}}}',
        "json: cannot unmarshal number into Go struct field HealthCheck.Check.Definition of type string",
    ),
    (CatalogRegistration, '{"Check":{"Definition":{"TTL":"x"}}}', 'time: invalid duration "x"'),
    (
        CatalogDeregistration,
        '{"Namespace":"x"}',
        'json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature',
    ),
    (CatalogDeregistration, '{"Node":3}', "json: cannot unmarshal number into Go struct field .Node of type string"),
]


@pytest.mark.parametrize(("shape", "body", "message"), REFUSED)
def test_what_consul_refuses_is_refused_in_its_words(shape: type[msgspec.Struct], body: str, message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(body.encode(), shape)
    assert str(refused.value) == f"Request decode failed: {message}"


def test_names_match_without_regard_to_case() -> None:
    body = b'{"name":"web","PORT":80,"tags":["a"],"cHeCk":{"http":"http://x","INTERVAL":"10s"}}'
    assert decode(body, ServiceRegistration) == ServiceRegistration(
        name="web", port=80, tags=["a"], check=AgentCheck(http="http://x", interval="10s")
    )


def test_null_is_not_given_wherever_it_stands() -> None:
    names = ServiceRegistration.__struct_encode_fields__
    assert decode(json.dumps(dict.fromkeys(names)).encode(), ServiceRegistration) == ServiceRegistration()
    assert decode(b"null", ServiceRegistration) == ServiceRegistration()


def test_null_inside_of_lists_and_maps_is_gos_zero_value() -> None:
    body = b'{"Tags":[null,"a"],"Meta":{"k":null},"Checks":[null,{"TTL":"1s"}],"TaggedAddresses":{"lan":null}}'
    assert decode(body, ServiceRegistration) == ServiceRegistration(
        tags=["", "a"],
        meta={"k": ""},
        checks=[AgentCheck(ttl="1s")],
        tagged_addresses={"lan": consul.ServiceAddress()},
    )


@pytest.mark.parametrize(
    ("given_as", "attribute", "value"),
    [
        ("args", "script_args", ["x"]),
        ("script_args", "script_args", ["x"]),
        ("deregister_critical_service_after", "deregister_critical_service_after", "1m"),
        ("docker_container_id", "docker_container_id", "x"),
        ("tls_server_name", "tls_server_name", "x"),
        ("tls_skip_verify", "tls_skip_verify", True),
        ("tcp_use_tls", "tcp_use_tls", True),
        ("grpc_use_tls", "grpc_use_tls", True),
        ("h2ping_use_tls", "h2ping_use_tls", False),
        ("disable_redirects", "disable_redirects", True),
        ("service_id", "service_id", "x"),
    ],
)
@pytest.mark.parametrize("shape", [AgentCheck, CheckRegistration])
def test_a_check_has_second_names(shape: type[AgentCheck], given_as: str, attribute: str, value: Any) -> None:
    assert decode(json.dumps({given_as: value}).encode(), shape) == shape(**{attribute: value})


def test_the_first_name_of_a_field_wins_over_its_second() -> None:
    assert decode(b'{"args":["b"],"ScriptArgs":["a"]}', AgentCheck).script_args == ["a"]
    assert decode(b'{"ScriptArgs":[],"args":["b"]}', AgentCheck).script_args == ["b"]


def test_a_service_has_second_names() -> None:
    body = b'{"enable_tag_override":true,"tagged_addresses":{"wan":{"address":"a","port":1}}}'
    assert decode(body, ServiceRegistration) == ServiceRegistration(
        enable_tag_override=True, tagged_addresses={"wan": consul.ServiceAddress(address="a", port=1)}
    )


@pytest.mark.parametrize(
    ("given_as", "text"),
    [
        ('"10s"', "10s"),
        ('"1h2m3.5s"', "1h2m3.5s"),
        ('"1m1m"', "1m1m"),
        ('"-1s"', "-1s"),
        ("10000000000", "10s"),
        ("1500000000.9", "1.5s"),
        ("0", ""),
        ("true", ""),
        ("[]", ""),
        ("1e30", "2562047h47m16.854775807s"),
    ],
)
def test_a_duration_is_a_text_or_a_number_of_nanoseconds(given_as: str, text: str) -> None:
    assert decode(f'{{"TTL":{given_as}}}'.encode(), AgentCheck).ttl == text


def test_the_ttl_of_a_definition_becomes_nanoseconds() -> None:
    body = '{"Check":{"Definition":{"TTL":"3s","Interval":5000000000,"New":1}}}'
    registration = decode(body.encode(), CatalogRegistration)
    assert registration.check is not None
    assert registration.check.definition == consul.HealthCheckDefinition(ttl=3_000_000_000, interval="5s")


def test_what_follows_the_body_and_bytes_that_are_no_text_are_tolerated() -> None:
    assert decode(b'{"Name":"a\xff\\ud800"} trailing', ServiceRegistration).name == "a\ufffd\ufffd"


def test_a_registration_may_be_wrapped() -> None:
    body = {
        "service": {
            "id": "user-service-1",
            "name": "user-service",
            "address": "192.168.1.100",
            "port": 8080,
            "tags": ["primary"],
            "meta": {"version": "1.2.3"},
            "checks": [{"http": "http://192.168.1.100:8080/health", "interval": "10s", "timeout": "1s"}],
        }
    }
    assert decode(json.dumps(body).encode(), ServiceRegistration) == ServiceRegistration(
        id="user-service-1",
        name="user-service",
        address="192.168.1.100",
        port=8080,
        tags=["primary"],
        meta={"version": "1.2.3"},
        checks=[AgentCheck(http="http://192.168.1.100:8080/health", interval="10s", timeout="1s")],
    )


@pytest.mark.parametrize("body", ['{"service":{"name":"a"},"Name":"b"}', '{"service":"a"}'])
def test_only_a_whole_body_is_a_wrapper(body: str) -> None:
    with pytest.raises(DecodeError, match='unknown field "service"'):
        decode(body.encode(), ServiceRegistration)
    with pytest.raises(DecodeError, match='unknown field "service"'):
        decode(b'{"service":{"name":"a"}}', CheckRegistration)


def test_blocks_of_the_mesh_come_in_one_form() -> None:
    body = {
        "Proxy": {
            "destination_service_name": "a",
            "config": {"Any_Key": 1.5},
            "upstreams": [{"destination_name": "u", "local_bind_port": 1}],
            "mesh_gateway": {"mode": "local"},
            "expose": {"paths": [{"path": "/m", "listener_port": 4, "local_path_port": 5}]},
            "EnvoyExtensions": None,
        },
        "Connect": {"native": True, "Unknown": 1},
    }
    registration = decode(json.dumps(body).encode(), ServiceRegistration)
    assert registration.proxy == {
        "DestinationServiceName": "a",
        "Mode": "",
        "Config": {"Any_Key": 1.5},
        "Upstreams": [
            {
                "DestinationType": "",
                "DestinationName": "u",
                "Datacenter": "",
                "LocalBindPort": 1,
                "MeshGateway": {},
            }
        ],
        "MeshGateway": {"Mode": "local"},
        "Expose": {"Paths": [{"Path": "/m", "ListenerPort": 4, "LocalPathPort": 5}]},
    }
    assert registration.connect == {"Native": True}


# ----- rules ----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DURATION = st.sampled_from(["", "10s", "1h0m0s", "1.5s", "250ms"])
NUMBER = st.integers(-(2**63), 2**63 - 1)
ADDRESSES = st.dictionaries(TEXT, st.builds(consul.ServiceAddress, address=TEXT, port=NUMBER), max_size=2)
CHECKS = st.builds(
    AgentCheck,
    check_id=TEXT,
    name=TEXT,
    script_args=st.none() | st.lists(TEXT, min_size=1, max_size=2),
    header=st.none() | st.dictionaries(TEXT, st.lists(TEXT, max_size=2), max_size=2),
    h2ping=TEXT,
    tls_skip_verify=st.booleans(),
    interval=DURATION,
    ttl=DURATION,
    output_max_size=NUMBER,
)
SERVICES = st.builds(
    ServiceRegistration,
    id=TEXT,
    name=TEXT,
    tags=st.none() | st.lists(TEXT, max_size=3),
    tagged_addresses=st.none() | ADDRESSES,
    meta=st.none() | st.dictionaries(TEXT, TEXT, max_size=3),
    port=NUMBER,
    check=st.none() | CHECKS,
    checks=st.none() | st.lists(CHECKS, max_size=2),
    weights=st.none() | st.builds(consul.Weights, passing=NUMBER, warning=NUMBER),
    enable_tag_override=st.booleans(),
    locality=st.none() | st.builds(consul.Locality, region=TEXT),
)


@given(SERVICES)
def test_what_a_client_sends_is_what_the_server_reads(registration: ServiceRegistration) -> None:
    assert decode(golang.encode(registration), ServiceRegistration) == registration


@given(SERVICES, st.randoms(use_true_random=False))
def test_case_and_order_of_names_make_no_difference(registration: ServiceRegistration, random: Any) -> None:
    assert decode(
        json.dumps(_mangled(json.loads(golang.encode(registration)), random)).encode(), ServiceRegistration
    ) == (registration)


def _mangled(value: Any, random: Any, *, names_are_free: bool = False) -> Any:
    """The same object with its members in another order and its names in another case, except for keys of maps."""
    if isinstance(value, list):
        return [_mangled(item, random) for item in value]
    if not isinstance(value, dict):
        return value
    members = list(value.items())
    random.shuffle(members)
    return {
        (name if names_are_free else "".join(random.choice((letter.upper(), letter.lower())) for letter in name)): (
            _mangled(member, random, names_are_free=name in ("Meta", "Header", "TaggedAddresses"))
        )
        for name, member in members
    }


@given(st.binary(max_size=40) | st.text(max_size=30).map(str.encode))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    try:
        decode(body, ServiceRegistration)
    except DecodeError as error:
        refusal: str | None = str(error)
    else:
        refusal = None
    assert refusal is None or refusal.startswith("Request decode failed: ")


@given(
    st.dictionaries(
        st.sampled_from([*ServiceRegistration.__struct_encode_fields__, "service", "Foo"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
            max_leaves=4,
        ),
        max_size=3,
    )
)
def test_any_json_is_decoded_or_refused(body: dict[str, Any]) -> None:
    try:
        decode(json.dumps(body).encode(), ServiceRegistration)
    except DecodeError as error:
        refusal: str | None = str(error)
    else:
        refusal = None
    assert refusal is None or refusal.startswith(("Request decode failed: json: ", "Request decode failed: time: "))
