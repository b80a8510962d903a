"""Bodies of requests as records."""

from typing import Any

import msgspec
import pytest

from homeport.protocols.consul.mapping import (
    SCRIPTS_DISABLED,
    check_record,
    checked,
    service_checks,
    service_record,
    with_address_of,
)
from homeport.registry.records import CheckDefinition
from homeport.wire import consul
from homeport.wire.consul_decode import decode
from homeport.wire.consul_rules import checked_check, checked_service
from homeport.wire.http import HTTPError


def service(**fields: object) -> consul.ServiceRegistration:
    body = decode(msgspec.json.encode({"Name": "web", **fields}), consul.ServiceRegistration)
    return checked(body, checked_service)


def check(**fields: object) -> consul.CheckRegistration:
    body = decode(msgspec.json.encode({"Name": "alive", **fields}), consul.CheckRegistration)
    return checked(body, checked_check)


ADDRESSES = {
    "127.0.0.1": "",
    "127.9.9.9": "",
    "::1": "",
    "::ffff:127.0.0.1": "",
    "10.0.0.7": "10.0.0.7",
    "::ffff:10.0.0.7": "10.0.0.7",
    "2001:db8::1": "2001:db8::1",
    "fe80::1%eth0": "",
    "": "",
    "no address": "",
}


@pytest.mark.parametrize(("client", "address"), ADDRESSES.items())
def test_an_empty_address_is_the_one_of_the_clients_host(client: str, address: str) -> None:
    body = with_address_of(consul.ServiceRegistration(name="web", port=80), client)
    assert body.address == address


@pytest.mark.parametrize("given", [{"address": "web.local"}, {"socket_path": "/run/web"}])
def test_an_address_that_is_given_stays(given: dict[str, Any]) -> None:
    body = consul.ServiceRegistration(name="web", **given)
    assert with_address_of(body, "10.0.0.7") is body


def test_a_service_becomes_a_record() -> None:
    body = service(
        ID="web-1",
        Address="10.0.0.1",
        Port=80,
        Tags=["a", "b"],
        Meta={"v": "1"},
        TaggedAddresses={"lan": {"Address": "x", "Port": 9}},
        Weights={"Passing": 3, "Warning": 2},
        EnableTagOverride=True,
        SocketPath="",
        Kind="",
        Connect={"native": True, "Unknown": 1},
        Locality={"Region": "eu", "Zone": "a"},
        Token="ignored",
    )
    record = service_record(body, node="agent")
    assert (record.node, record.id, record.name, record.address, record.port) == (
        "agent",
        "web-1",
        "web",
        "10.0.0.1",
        80,
    )
    assert (record.tags, record.meta, record.weights) == (("a", "b"), {"v": "1"}, (3, 2))
    assert record.tagged_addresses == {"lan": ("x", 9), "lan_ipv4": ("10.0.0.1", 80), "wan_ipv4": ("10.0.0.1", 80)}
    assert record.enable_tag_override
    assert record.connect == b'{"Native":true}'
    assert record.locality == b'{"Region":"eu","Zone":"a"}'
    assert record.proxy == b""


def test_a_proxy_block_is_kept_under_consuls_names_in_its_order() -> None:
    upstreams = [{"DestinationName": "db", "LocalBindPort": 5}]
    body = service(
        Kind="connect-proxy",
        Port=80,
        Proxy={"upstreams": upstreams, "Config": {"b": 1, "A": None}, "destination_service_name": "web"},
    )
    assert msgspec.json.decode(service_record(body, node="n").proxy) == {
        "DestinationServiceName": "web",
        "Mode": "",
        "Config": {"A": None, "b": 1},
        "Upstreams": [{**upstreams[0], "DestinationType": "service", "Datacenter": "", "MeshGateway": {}}],
        "MeshGateway": {},
        "Expose": {},
    }
    assert service_record(body, node="n").proxy.startswith(b'{"DestinationServiceName":"web","Mode":"","Config":')


REFUSED_SERVICES = {
    "sidecar": (
        {"Connect": {"SidecarService": {}}},
        "Connect.SidecarService is not supported yet: register the sidecar proxy as a service of its own",
    ),
    "sidecar by its other name": (
        {"Connect": {"sidecar_service": {"Port": 1}}},
        "Connect.SidecarService is not supported yet: register the sidecar proxy as a service of its own",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED_SERVICES.values(), ids=REFUSED_SERVICES.keys())
def test_what_is_not_supported_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(HTTPError) as refused:
        service_record(service(**fields), node="n")
    assert (refused.value.status, refused.value.message) == (400, message)


def test_no_sidecar_is_no_reason_to_refuse() -> None:
    assert service_record(service(Connect={"SidecarService": None}), node="n").connect == b""


def test_checks_of_a_service_become_records() -> None:
    body = service(
        ID="web-1",
        Check={"HTTP": "http://x/", "Interval": "10s", "Timeout": "90s", "Header": {"A": ["b", "c"]}, "Notes": "n"},
        Checks=[{"CheckID": "beat", "Name": "Beat", "TTL": 5_000_000_000, "Status": "passing"}],
    )
    http, beat = service_checks(body, node="agent", allows_scripts=False)
    assert (http.node, http.id, http.name, http.status) == (
        "agent",
        "service:web-1:1",
        "Service 'web' check",
        "critical",
    )
    assert (http.service_id, http.service_name, http.type, http.notes) == ("web-1", "web", "http", "n")
    assert http.executed
    assert http.definition == CheckDefinition(
        kind="http", http="http://x/", interval=10.0, timeout=90.0, header={"A": ("b", "c")}, output_max_bytes=0
    )
    # A check that comes with its service tells no times.
    assert (http.interval, http.timeout) == ("", "")
    assert (beat.id, beat.name, beat.status, beat.type) == ("beat", "Beat", "passing", "ttl")
    assert beat.definition == CheckDefinition(kind="ttl", ttl=5.0, output_max_bytes=0)


DEFINITIONS: dict[str, tuple[dict[str, Any], CheckDefinition]] = {
    "tcp": (
        {"TCP": "x:1", "Interval": "1s", "TCPUseTLS": True},
        CheckDefinition(kind="tcp", tcp="x:1", tcp_use_tls=True),
    ),
    "grpc": (
        {"GRPC": "x:1/s", "Interval": "1s", "GRPCUseTLS": True, "TLSServerName": "n", "TLSSkipVerify": True},
        CheckDefinition(kind="grpc", grpc="x:1/s", grpc_use_tls=True, tls_server_name="n", tls_skip_verify=True),
    ),
    "http": (
        {"HTTP": "http://x", "Interval": "1s", "Method": "POST", "Body": "b", "DisableRedirects": True},
        CheckDefinition(kind="http", http="http://x", method="POST", body="b", disable_redirects=True),
    ),
    "script": ({"Args": ["a", "b"], "Interval": "1s"}, CheckDefinition(kind="script", script=("a", "b"))),
    "thresholds": (
        {
            "HTTP": "http://x",
            "Interval": "1s",
            "SuccessBeforePassing": 2,
            "FailuresBeforeWarning": 3,
            "FailuresBeforeCritical": 4,
            "OutputMaxSize": 99,
            "DeregisterCriticalServiceAfter": "1h",
        },
        CheckDefinition(
            kind="http",
            http="http://x",
            success_before_passing=2,
            failures_before_warning=3,
            failures_before_critical=4,
            output_max_bytes=99,
            deregister_after=3600.0,
        ),
    ),
}


@pytest.mark.parametrize(("fields", "definition"), DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_how_a_check_is_executed(fields: dict[str, Any], definition: CheckDefinition) -> None:
    record = check_record(check(**fields), node="n", allows_scripts=True)
    limit = definition.output_max_bytes if "OutputMaxSize" in fields else 0
    assert record.definition == msgspec.structs.replace(definition, interval=1.0, output_max_bytes=limit)
    assert record.type == definition.kind


def test_an_alias_follows_a_service_or_a_node() -> None:
    record = check_record(check(AliasService="db", AliasNode="other"), node="n", allows_scripts=False)
    assert record.type == "alias"
    assert record.definition == CheckDefinition(
        kind="alias", alias_service="db", alias_node="other", output_max_bytes=0
    )


def test_a_check_of_its_own_tells_its_times() -> None:
    tcp = check_record(check(ID="c", TCP="x:1", Interval="90s", ServiceID="web-1"), node="n", allows_scripts=False)
    assert (tcp.id, tcp.name, tcp.service_id) == ("c", "alive", "web-1")
    assert (tcp.interval, tcp.timeout) == ("1m30s", "0s")
    ttl = check_record(check(TTL="1h"), node="n", allows_scripts=False)
    assert (ttl.id, ttl.interval) == ("alive", "0s")


REFUSED_CHECKS = {
    "udp": ({"UDP": "x:1", "Interval": "1s"}, 400, 'checks of the kind "udp" are not executed here; use one of '),
    "h2ping": ({"H2PING": "x:1", "Interval": "1s"}, 400, 'checks of the kind "h2ping" are not executed here'),
    "os_service": ({"OSService": "x", "Interval": "1s"}, 400, 'checks of the kind "os_service" are not executed here'),
    "docker": (
        {"DockerContainerID": "x", "Args": ["a"], "Interval": "1s"},
        400,
        'checks of the kind "docker" are not executed here; use one of http, tcp, grpc, ttl, alias, script',
    ),
    "script": ({"Args": ["a"], "Interval": "1s"}, 500, SCRIPTS_DISABLED),
    "the agent's own": ({"ID": "SerfHealth", "TTL": "1s"}, 400, 'the check id "serfHealth" is the agent\'s own'),
}


@pytest.mark.parametrize(("fields", "status", "message"), REFUSED_CHECKS.values(), ids=REFUSED_CHECKS.keys())
def test_a_check_that_is_not_executed_is_refused(fields: dict[str, Any], status: int, message: str) -> None:
    with pytest.raises(HTTPError) as refused:
        check_record(check(**fields), node="n", allows_scripts=False)
    assert refused.value.status == status
    assert refused.value.message.startswith(message)
