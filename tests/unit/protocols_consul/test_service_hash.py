"""The content hash of a service is the number that Consul computes."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from homeport.protocols.consul.service_hash import content_hash
from homeport.wire import consul

SERVICE = consul.AgentService(id="foo", service="foo", tags=["bar", "baz"], port=8000)


def test_is_the_constant_that_the_go_client_pins() -> None:
    assert content_hash(SERVICE) == "3e352f348d44f7eb"


def test_the_hash_itself_and_the_datacenter_do_not_count() -> None:
    shown = msgspec.structs.replace(
        SERVICE, content_hash="3e352f348d44f7eb", datacenter="dc1", locality=consul.Locality(zone="a")
    )
    assert content_hash(shown) == content_hash(SERVICE)


CHANGES = {
    "kind": "mesh-gateway",
    "id": "foo2",
    "service": "foo2",
    "tags": ["baz", "bar"],
    "meta": {"a": "b"},
    "port": 8001,
    "address": "10.0.0.1",
    "socket_path": "/run/x",
    "tagged_addresses": {"lan": consul.ServiceAddress(address="10.0.0.1", port=1)},
    "weights": consul.Weights(passing=2, warning=1),
    "enable_tag_override": True,
    "proxy": msgspec.Raw(b'{"Config":{"a":[1,null,true]}}'),
    "connect": msgspec.Raw(b'{"Native":true}'),
}


def test_every_field_counts() -> None:
    hashes = {content_hash(msgspec.structs.replace(SERVICE, **{name: value})) for name, value in CHANGES.items()}
    assert len(hashes | {content_hash(SERVICE)}) == len(CHANGES) + 1


@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_the_order_of_metadata_does_not_count(meta: dict[str, str]) -> None:
    backwards = dict(reversed(meta.items()))
    assert content_hash(msgspec.structs.replace(SERVICE, meta=meta)) == content_hash(
        msgspec.structs.replace(SERVICE, meta=backwards)
    )
