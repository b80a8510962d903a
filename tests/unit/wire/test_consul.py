"""The shapes of Consul's API: which fields are written, in which order, and what a client tolerates.

The expected answers are those of Consul 1.8.7 with what 1.21 added.
"""

import json
from typing import Any

import msgspec
import pytest

from homeport.wire import consul, consul_mesh, golang
from homeport.wire.consul_decode import DecodeError, decode_answer

EMPTY = {
    consul.Node: (
        '{"ID":"","Node":"","Address":"","Datacenter":"","TaggedAddresses":null,"Meta":null,'
        '"CreateIndex":0,"ModifyIndex":0}'
    ),
    consul.NodeService: (
        '{"ID":"","Service":"","Tags":[],"Address":"","Meta":null,"Weights":{"Passing":1,"Warning":1},'
        '"EnableTagOverride":false,"Proxy":{"Mode":"","MeshGateway":{},"Expose":{}},"Connect":{},"PeerName":"",'
        '"CreateIndex":0,"ModifyIndex":0}'
    ),
    consul.CatalogService: (
        '{"ID":"","Node":"","Address":"","Datacenter":"","TaggedAddresses":null,"NodeMeta":null,"ServiceKind":"",'
        '"ServiceID":"","ServiceName":"","ServiceTags":[],"ServiceAddress":"",'
        '"ServiceWeights":{"Passing":1,"Warning":1},"ServiceMeta":{},"ServicePort":0,"ServiceSocketPath":"",'
        '"ServiceEnableTagOverride":false,"ServiceProxy":{"Mode":"","MeshGateway":{},"Expose":{}},'
        '"ServiceConnect":{},"ServiceLocality":null,"CreateIndex":0,"ModifyIndex":0}'
    ),
    consul.HealthCheck: (
        '{"Node":"","CheckID":"","Name":"","Status":"","Notes":"","Output":"","ServiceID":"","ServiceName":"",'
        '"ServiceTags":[],"Type":"","Interval":"","Timeout":"","ExposedPort":0,"Definition":{},'
        '"CreateIndex":0,"ModifyIndex":0}'
    ),
    consul.AgentService: (
        '{"ID":"","Service":"","Tags":[],"Meta":{},"Port":0,"Address":"","Weights":{"Passing":1,"Warning":1},'
        '"EnableTagOverride":false}'
    ),
    consul.AgentServiceHealth: '{"AggregatedStatus":"","Service":null,"Checks":null}',
    consul.AgentHealthCheckDefinition: (
        '{"Interval":"0s","Timeout":"0s","DeregisterCriticalServiceAfter":"0s","HTTP":"","Header":null,"Method":"",'
        '"Body":"","TLSServerName":"","TLSSkipVerify":false,"TCP":"","TCPUseTLS":false,"UDP":"","GRPC":"",'
        '"OSService":"","GRPCUseTLS":false}'
    ),
    consul.NodeServiceList: '{"Node":null,"Services":null}',
    consul.Member: (
        '{"Name":"","Addr":"","Port":0,"Tags":{},"Status":0,"ProtocolMin":0,"ProtocolMax":0,"ProtocolCur":0,'
        '"DelegateMin":0,"DelegateMax":0,"DelegateCur":0}'
    ),
    consul.KeyValuePair: '{"LockIndex":0,"Key":"","Flags":0,"Value":null,"CreateIndex":0,"ModifyIndex":0}',
    consul.Session: (
        '{"ID":"","Name":"","Node":"","LockDelay":0,"Behavior":"","TTL":"","NodeChecks":null,"ServiceChecks":null,'
        '"CreateIndex":0,"ModifyIndex":0}'
    ),
    consul.ServiceRegistration: "{}",
    consul.CheckRegistration: "{}",
    consul.CatalogRegistration: "{}",
    consul.CatalogDeregistration: "{}",
    consul_mesh.Proxy: '{"Mode":"","MeshGateway":{},"Expose":{}}',
}


@pytest.mark.parametrize("shape", EMPTY, ids=lambda shape: shape.__name__)
def test_exactly_the_fields_that_go_always_writes_are_written(shape: type[msgspec.Struct]) -> None:
    assert golang.encode(shape()).decode() == EMPTY[shape]


def test_no_proxy_is_what_an_empty_proxy_block_is() -> None:
    assert bytes(consul.NO_PROXY) == golang.encode(consul_mesh.Proxy())


def test_what_may_be_left_out_stands_in_its_place_when_it_says_something() -> None:
    service = consul.NodeService(
        kind="connect-proxy",
        id="i",
        service="s",
        tags=["t"],
        address="a",
        tagged_addresses={"lan": consul.ServiceAddress(address="b", port=2)},
        meta={"k": "v"},
        port=1,
        socket_path="/s",
        weights=consul.Weights(passing=3, warning=0),
        enable_tag_override=True,
        locality=consul.Locality(region="r"),
        proxy=msgspec.Raw(b'{"Mode":"x"}'),
        connect=msgspec.Raw(b'{"Native":true}'),
        peer_name="p",
        create_index=4,
        modify_index=5,
    )

    text = golang.encode(service)

    assert text == (
        b'{"Kind":"connect-proxy","ID":"i","Service":"s","Tags":["t"],"Address":"a",'
        b'"TaggedAddresses":{"lan":{"Address":"b","Port":2}},"Meta":{"k":"v"},"Port":1,"SocketPath":"/s",'
        b'"Weights":{"Passing":3,"Warning":0},"EnableTagOverride":true,"Locality":{"Region":"r"},'
        b'"Proxy":{"Mode":"x"},"Connect":{"Native":true},"PeerName":"p","CreateIndex":4,"ModifyIndex":5}'
    )
    assert decode_answer(text, consul.NodeService) == service


def test_the_names_that_follow_no_rule() -> None:
    text = golang.encode(
        consul.HealthCheckDefinition(
            h2ping="h",
            h2ping_use_tls=True,
            tcp_use_tls=True,
            grpc_use_tls=True,
            os_service="o",
            session_name="s",
            ttl=3,
        )
    )
    assert text == (
        b'{"TCPUseTLS":true,"H2PING":"h","OSService":"o","H2PingUseTLS":true,"GRPCUseTLS":true,"TTL":3,'
        b'"SessionName":"s"}'
    )


# What Consul 1.8.7 answered to GET /v1/health/service/web.
OLD_ENTRY: dict[str, Any] = {
    "Node": {
        "ID": "5648e1a8-3486-2076-8da5-8d5348de4c42",
        "Node": "n",
        "Address": "127.0.0.1",
        "Datacenter": "dc1",
        "TaggedAddresses": {"lan": "127.0.0.1"},
        "Meta": {"consul-network-segment": ""},
        "CreateIndex": 11,
        "ModifyIndex": 12,
    },
    "Service": {
        "ID": "web",
        "Service": "web",
        "Tags": ["a"],
        "Address": "10.0.0.1",
        "TaggedAddresses": {"lan_ipv4": {"Address": "10.0.0.1", "Port": 80}},
        "Meta": None,
        "Port": 0,
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Proxy": {"MeshGateway": {}, "Expose": {}},
        "Connect": {},
        "CreateIndex": 14,
        "ModifyIndex": 14,
    },
    "Checks": [
        {
            "Node": "n",
            "CheckID": "serfHealth",
            "Name": "Serf Health Status",
            "Status": "passing",
            "Notes": "",
            "Output": "Agent alive and reachable",
            "ServiceID": "",
            "ServiceName": "",
            "ServiceTags": [],
            "Type": "",
            "Definition": {"Interval": "10s", "TTL": 3_000_000_000},
            "CreateIndex": 11,
            "ModifyIndex": 11,
        }
    ],
}


def test_a_client_reads_the_answers_of_an_older_consul() -> None:
    (entry,) = decode_answer(_compact([OLD_ENTRY]), list[consul.ServiceEntry])

    assert (entry.node.node, entry.service.id, entry.service.meta) == ("n", "web", None)
    assert entry.service.tagged_addresses == {"lan_ipv4": consul.ServiceAddress(address="10.0.0.1", port=80)}
    assert entry.checks[0].definition == consul.HealthCheckDefinition(interval="10s", ttl=3_000_000_000)


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _without(name: str) -> dict[str, Any]:
    return OLD_ENTRY | {"Service": {key: value for key, value in OLD_ENTRY["Service"].items() if key != name}}


@pytest.mark.parametrize("name", sorted(OLD_ENTRY["Service"].keys() - {"Proxy", "Connect"}))
def test_a_client_tolerates_a_missing_and_a_null_field(name: str) -> None:
    missing = decode_answer(_compact(_without(name)), consul.ServiceEntry)
    service = OLD_ENTRY["Service"] | {name: None}
    null = decode_answer(_compact(OLD_ENTRY | {"Service": service}), consul.ServiceEntry)

    assert missing == null
    assert missing.node.node == "n"


def test_a_client_tolerates_fields_that_it_does_not_know_at_any_depth() -> None:
    service = OLD_ENTRY["Service"] | {"New": 1, "Weights": {"Passing": 2, "Warning": 3, "Failing": 4}}
    body = _compact(OLD_ENTRY | {"Service": service, "Extra": [{}]})

    entry = decode_answer(body, consul.ServiceEntry)

    assert entry.service.weights == consul.Weights(passing=2, warning=3)
    assert entry.service.proxy == msgspec.Raw(b'{"MeshGateway":{},"Expose":{}}')


@pytest.mark.parametrize("body", [b"null", b"[]"])
def test_no_list_is_an_empty_list(body: bytes) -> None:
    assert decode_answer(body, list[consul.ServiceEntry]) == []


def test_null_is_an_empty_struct() -> None:
    assert decode_answer(b"null", consul.NodeServices) == consul.NodeServices()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "invalid character '<' looking for beginning of value"),
        (b"", "EOF"),
        (
            b'{"Node":{"Address":5}}',
            "json: cannot unmarshal number into Go struct field Node.Node.Address of type string",
        ),
        (b"[]", "json: cannot unmarshal array into Go value of type structs.ServiceEntry"),
    ],
)
def test_what_a_client_cannot_understand_is_said(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_answer(body, consul.ServiceEntry)
    assert str(refused.value) == message


def test_flags_have_sixty_four_unsigned_bits() -> None:
    text = b'[{"Key":"k","Flags":18446744073709551615,"Value":"eA=="}]'
    (pair,) = decode_answer(text, list[consul.KeyValuePair])
    assert (pair.flags, pair.value) == (2**64 - 1, b"x")
    assert b"18446744073709551615" in golang.encode(pair)
