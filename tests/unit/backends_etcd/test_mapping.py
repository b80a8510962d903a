"""Keys and values of etcd as instances, and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.etcd import mapping
from homeport.backends.etcd.mapping import Unreadable
from homeport.errors import InvalidValue, Unsupported
from homeport.model import Instance, Service, TTLCheck

PREFIX = "/services/"
GO: dict[str, Any] = {  # as the Go program of document 000 writes it
    "id": "1",
    "name": "order-service",
    "address": "10.0.0.7",
    "port": 8080,
    "metadata": {"version": "v2.3.1", "region": "us-east-1"},
    "start_time": "2026-01-02T03:04:05.000000006Z",
}


def read(value: object, key: str = "/services/order-service/1") -> Instance:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return mapping.instance(key.encode(), content, PREFIX)


def written(service: Service, incarnation: str = "mine") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(mapping.value_of(service, incarnation=incarnation))
    return value


def test_what_a_go_program_writes_is_read() -> None:
    assert read(GO) == Instance(
        id="1",
        service="order-service",
        address="10.0.0.7",
        port=8080,
        meta={"version": "v2.3.1", "region": "us-east-1"},
        version="v2.3.1",
        region="us-east-1",
        started_at="2026-01-02T03:04:05.000000006Z",
    )


def test_what_a_go_program_reads_is_written() -> None:
    service = Service(
        name="order-service",
        id="1",
        address="10.0.0.7",
        port=8080,
        version="v2.3.1",
        meta={"region": "us-east-1", "started_at": "2026-01-02T03:04:05Z"},
    )
    assert written(service) == {
        **GO,
        "start_time": "2026-01-02T03:04:05Z",
        "metadata": {**GO["metadata"], "started_at": "2026-01-02T03:04:05Z"},
        "homeport_incarnation": "mine",
    }


def test_a_start_that_is_no_time_is_left_to_the_metadata() -> None:
    value = written(Service(name="a", id="1", address="h", meta={"started_at": "yesterday"}))
    assert "start_time" not in value
    assert read(value, "/services/a/1").started_at == "yesterday"


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({}, "port", 0),
        ({}, "status", "passing"),
        ({"healthy": True}, "status", "passing"),
        ({"healthy": None}, "status", "passing"),
        ({"healthy": False}, "status", "critical"),
        ({"weight": 0}, "weight", 0),
        ({"tags": None}, "tags", ()),
        ({"tags": ["b", "a"]}, "tags", ("b", "a")),
        ({"metadata": None}, "meta", {}),
        (
            {"metadata": {"n": 3, "t": True, "x": None, "d": {"k": [1]}}},
            "meta",
            {"n": "3", "t": "true", "d": '{"k":[1]}'},
        ),
        ({"metadata": {"environment": "live"}}, "environment", "live"),
        ({"metadata": {"zone": "z1"}}, "zone", "z1"),
        ({"metadata": {"datacenter": "dc2"}}, "datacenter", "dc2"),
        ({"start_time": "0001-01-01T00:00:00Z"}, "started_at", ""),
        ({"start_time": None, "metadata": {"started_at": "2026"}}, "started_at", "2026"),
        ({"id": "other", "name": "other"}, "id", "1"),
        ({"later": {"unknown": 1}}, "address", "h"),
    ],
)
def test_fields(fields: dict[str, Any], attribute: str, expected: object) -> None:
    assert getattr(read({"address": "h", **fields}), attribute) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"", b"{", b"\xff", b"[]", b"null", {}, {"address": ""}, {"address": 1}, {"address": "h", "port": "80"},
        {"address": "h", "port": 65536}, {"address": "h", "weight": -1}, {"address": "h", "tags": "a"},
        {"address": "h", "metadata": []}, {"address": "h", "healthy": "no"},
    ],
)  # fmt: skip
def test_a_value_that_is_no_service(value: object) -> None:
    with pytest.raises(Unreadable):
        read(value)


@pytest.mark.parametrize("key", ["/services/", "/services/a", "/services/a/", "/services//1"])
def test_a_key_that_is_no_place(key: str) -> None:
    with pytest.raises(Unreadable, match="the key is not /services/SERVICE/ID"):
        read(GO, key)


def test_a_key_that_is_no_text() -> None:
    with pytest.raises(Unreadable, match="the key is not text"):
        mapping.instance(b"/services/a/\xff", b"{}", PREFIX)


def test_an_id_may_have_slashes_a_service_may_not() -> None:
    key = mapping.instance_key(PREFIX, "a", "b/c")
    assert mapping.place_of(key.encode(), PREFIX) == ("a", "b/c")
    for name in ("", "a/b"):
        with pytest.raises(InvalidValue, match="a slash ends the name"):
            mapping.instance_key(PREFIX, name, "1")
    with pytest.raises(InvalidValue, match="needs an id"):
        mapping.instance_key(PREFIX, "a", "")


def test_what_contradicts_itself_or_cannot_be_kept_is_refused() -> None:
    with pytest.raises(InvalidValue, match='has the version "1", but its metadata says "2"'):
        written(Service(name="a", id="1", address="h", version="1", meta={"version": "2"}))
    with pytest.raises(Unsupported, match='etcd runs no health checks, so "a" cannot have any'):
        written(Service(name="a", id="1", address="h", checks=(TTLCheck(),)))


@pytest.mark.parametrize(("value", "incarnation"), [(b'{"homeport_incarnation": "x"}', "x"), (b"{}", ""), (b"nix", "")])
def test_by_whom_a_value_is(value: bytes, incarnation: str) -> None:
    assert mapping.incarnation_of(value) == incarnation


text = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    name=text.filter(lambda name: name and "/" not in name),
    instance_id=text.filter(bool),
    address=text.filter(bool),
    port=st.integers(0, 65535),
    tags=st.lists(text).map(tuple),
    meta=st.dictionaries(text, text),
    weight=st.integers(0, 65535),
)
def test_whatever_is_registered_comes_back(
    name: str, instance_id: str, address: str, port: int, tags: tuple[str, ...], meta: dict[str, str], weight: int
) -> None:
    service = Service(name=name, id=instance_id, address=address, port=port, tags=tags, meta=meta, weight=weight)
    found = mapping.instance(
        mapping.instance_key(PREFIX, name, instance_id).encode(), mapping.value_of(service, incarnation="x"), PREFIX
    )
    assert (found.service, found.id, found.address, found.port) == (name, instance_id, address, port)
    assert (found.tags, found.meta, found.weight) == (tags, meta, weight)


@given(prefix=st.binary(min_size=1, max_size=4), rest=st.binary(max_size=4), other=st.binary(max_size=6))
def test_the_range_of_a_prefix_is_exactly_the_keys_that_begin_with_it(prefix: bytes, rest: bytes, other: bytes) -> None:
    end = mapping.prefix_end(prefix)

    def inside(key: bytes) -> bool:
        return key >= prefix and (end == b"\0" or key < end)  # etcd: "\0" is the end of all keys

    assert inside(prefix + rest)
    if not other.startswith(prefix):
        assert not inside(other) or end == b"\0"
