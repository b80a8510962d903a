"""Eureka's JSON: what is read in whatever form it comes, and the one form that is written."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.wire import eureka as wire

NETFLIX: dict[str, Any] = {  # as Netflix' legacy codec writes it
    "instanceId": "h:orders:1",
    "hostName": "h.example",
    "app": "ORDERS",
    "ipAddr": "10.0.0.1",
    "status": "UP",
    "overriddenStatus": "UNKNOWN",
    "port": {"$": 8080, "@enabled": "true"},
    "securePort": {"$": 8443, "@enabled": "false"},
    "countryId": 1,
    "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
    "leaseInfo": {
        "renewalIntervalInSecs": 10,
        "durationInSecs": 30,
        "registrationTimestamp": 1795283105773,
        "lastRenewalTimestamp": 1795283135773,
        "evictionTimestamp": 0,
        "serviceUpTimestamp": 1795283105000,
    },
    "metadata": {"version": "2.1.0"},
    "homePageUrl": "http://h.example:8080/",
    "vipAddress": "orders",
    "secureVipAddress": "orders",
    "isCoordinatingDiscoveryServer": "false",
    "lastUpdatedTimestamp": "1795283105774",
    "lastDirtyTimestamp": "1795283105000",
    "actionType": "ADDED",
}
SPRING: dict[str, Any] = {  # the same as Spring's client sends it
    **NETFLIX,
    "port": {"$": "8080", "@enabled": True},
    "securePort": {"$": "8443", "@enabled": False},
    "countryId": "1",
    "appGroupName": None,
    "asgName": None,
    "sid": "na",
    "statusPageUrl": None,
    "healthCheckUrl": None,
    "secureHealthCheckUrl": None,
    "leaseInfo": {name: str(value) for name, value in NETFLIX["leaseInfo"].items()},
    "isCoordinatingDiscoveryServer": False,
    "lastUpdatedTimestamp": 1795283105774,
    "lastDirtyTimestamp": 1795283105000,
}


def read(fields: object) -> wire.InstanceInfo:
    return wire.decode_instance(json.dumps(fields).encode())


def registry(*instances: object, **fields: object) -> bytes:
    application = [{"name": "ORDERS", "instance": list(instances)}]
    content = {"versions__delta": "7", "apps__hashcode": "UP_1_", "application": application, **fields}
    return json.dumps({"applications": content}).encode()


def test_what_netflix_writes_is_read_and_written_alike() -> None:
    assert json.loads(wire.encode_instance(read({"instance": NETFLIX}))) == {"instance": NETFLIX}


def test_what_spring_sends_means_the_same() -> None:
    assert json.loads(wire.encode_instance(msgspec.structs.replace(read(SPRING), sid=None))) == {"instance": NETFLIX}


def test_every_field_that_readers_need_is_written_whatever_is_missing() -> None:
    written = json.loads(wire.encode_instance(wire.InstanceInfo(instance_id="1")))["instance"]
    assert written == {
        "instanceId": "1",
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 7001, "@enabled": "true"},
        "securePort": {"$": 7002, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": NETFLIX["dataCenterInfo"],
        "leaseInfo": {
            "renewalIntervalInSecs": 30,
            "durationInSecs": 90,
            "registrationTimestamp": 0,
            "lastRenewalTimestamp": 0,
            "evictionTimestamp": 0,
            "serviceUpTimestamp": 0,
        },
        "metadata": {"@class": "java.util.Collections$EmptyMap"},
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": "0",
        "lastDirtyTimestamp": "0",
        "actionType": "ADDED",
    }


def test_an_instance_at_amazon_keeps_its_metadata_and_another_one_has_none_there() -> None:
    amazon = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon", "metadata": {"instance-id": "i-1"}}
    info = read({**NETFLIX, "dataCenterInfo": amazon, "instanceId": None})
    assert info.id == "i-1"
    assert json.loads(wire.encode_instance(info))["instance"]["dataCenterInfo"] == amazon
    own = read({**NETFLIX, "dataCenterInfo": {"name": "MyOwn", "metadata": {"a": "b"}}})
    assert json.loads(wire.encode_instance(own))["instance"]["dataCenterInfo"] == NETFLIX["dataCenterInfo"]


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({"instanceId": None}, "id", "h.example"),
        ({"instanceId": None, "dataCenterInfo": None}, "id", "h.example"),
        ({"overriddenStatus": None, "overriddenstatus": "DOWN"}, "override", "DOWN"),
        ({"overriddenStatus": None}, "override", "UNKNOWN"),
        ({"status": None}, "status", None),
        ({"status": "DRAINING"}, "status", "DRAINING"),
        ({"port": 80}, "port", 80),
        ({"port": "80"}, "port", 80),
        ({"port": {"$": 80}}, "port", wire.Port(number=80)),
        ({"metadata": {"@class": "java.util.Collections$EmptyMap"}}, "properties", {}),
        ({"metadata": None}, "properties", {}),
        (
            {"metadata": {"n": 3, "t": True, "x": None, "d": {"k": [1]}}},
            "properties",
            {"n": "3", "t": "true", "d": '{"k":[1]}'},
        ),
        ({"later": [{"unknown": 1}]}, "app", "ORDERS"),
        ({"isCoordinatingDiscoveryServer": "true"}, "is_coordinating_discovery_server", True),
    ],
)
def test_fields(fields: dict[str, Any], attribute: str, expected: object) -> None:
    assert getattr(read({**NETFLIX, **fields}), attribute) == expected


def test_a_missing_status_is_up_as_netflix_reads_it() -> None:
    assert read({"hostName": "h"}).status == "UP"


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"\xff", b"[]", b"{}", b'{"instance":[]}', b'{"application":{}}'])
def test_what_is_no_instance(body: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        wire.decode_instance(body)


def test_a_registry_is_read_with_its_version_and_hash() -> None:
    found = wire.decode_applications(registry(NETFLIX, {**NETFLIX, "app": None, "instanceId": "2"}))
    assert [(info.app, info.id) for info in found.instances] == [("ORDERS", "h:orders:1"), ("ORDERS", "2")]
    assert (found.version, found.hashcode, found.unreadable) == (7, "UP_1_", ())


@pytest.mark.parametrize(
    "body",
    [
        registry(application={"name": "ORDERS", "instance": NETFLIX}),
        registry(application=[{"name": "ORDERS", "instance": NETFLIX}]),
        registry(application=[{"name": "ORDERS", "instance": [NETFLIX]}, {"name": "EMPTY"}, {"instance": None}]),
        registry(NETFLIX, versions__delta=7, later={"more": 1}),
    ],
)
def test_one_object_in_place_of_a_list_is_one(body: bytes) -> None:
    found = wire.decode_applications(body)
    assert [info.id for info in found.instances] == ["h:orders:1"]
    assert found.version == 7


def test_an_empty_registry_is_a_statement() -> None:
    assert wire.decode_applications(b'{"applications":{"apps__hashcode":"","application":[]}}').hashcode == ""
    assert wire.decode_applications(b'{"applications":{"application":null,"versions__delta":"1"}}').instances == ()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"{}", b'{"hello":1}', b'{"applications":[]}', b'{"applications":{}}',
        b'{"applications":{"application":[1]}}', b'{"applications":null}', b'{"application":[]}',
    ],
)  # fmt: skip
def test_what_is_no_registry(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_applications(body)


def test_one_instance_that_cannot_be_read_leaves_the_others() -> None:
    broken = {**NETFLIX, "instanceId": "bad", "port": [], "status": "DOWN", "actionType": "DELETED"}
    found = wire.decode_applications(registry(NETFLIX, broken, "nothing", versions__delta="new"))
    assert [info.id for info in found.instances] == ["h:orders:1"]
    first, second = found.unreadable
    assert (first.app, first.id, first.status, first.action_type) == ("ORDERS", "bad", "DOWN", "DELETED")
    assert "$.port" in first.reason
    assert (second.app, second.id, second.status) == ("ORDERS", "", "UNKNOWN")
    assert found.version is None
    assert found.hashcode == "UP_1_"


def test_one_application() -> None:
    body = json.dumps({"application": {"name": "ORDERS", "instance": NETFLIX}}).encode()
    assert [info.id for info in wire.decode_application(body).instances] == ["h:orders:1"]
    for other in (b"{}", b"[]", b'{"applications":{"application":[]}}', b'{"application":[]}'):
        with pytest.raises(msgspec.DecodeError):
            wire.decode_application(other)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [({}, ""), ({"UP": 3, "DOWN": 1}, "DOWN_1_UP_3_"), ({"UP": 0, "STARTING": 2}, "STARTING_2_")],
)
def test_a_hash_counts_every_status_by_name(statuses: dict[str, int], expected: str) -> None:
    assert wire.hashcode(statuses) == expected


text = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.integers(0, 2**53)


@given(
    st.lists(
        st.builds(
            wire.InstanceInfo,
            instance_id=text.filter(bool),
            host_name=text.filter(bool),
            app=st.sampled_from(["A", "B"]),
            status=st.sampled_from(["UP", "DOWN", "STARTING"]),
            overridden_status=st.sampled_from(["UNKNOWN", "OUT_OF_SERVICE"]),
            port=st.builds(wire.Port, number=st.integers(0, 65535), enabled=st.booleans()),
            secure_port=st.builds(wire.Port, number=st.integers(0, 65535), enabled=st.booleans()),
            data_center_info=st.just(wire.DataCenterInfo(java_class=wire.DEFAULT_DATA_CENTER_CLASS, name=wire.MY_OWN)),
            lease_info=st.builds(wire.LeaseInfo, duration=st.integers(1, 900), registered_at=numbers, up_at=numbers),
            metadata=st.dictionaries(text.filter(lambda key: key != "@class"), text, min_size=1, max_size=3),
            is_coordinating_discovery_server=st.booleans(),
            last_updated_timestamp=numbers,
            last_dirty_timestamp=numbers,
            action_type=st.sampled_from(["ADDED", "MODIFIED", "DELETED"]),
        ),
        max_size=4,
    ),
    st.integers(-1, 2**40),
)
def test_what_is_written_is_read_as_the_same(instances: list[wire.InstanceInfo], version: int) -> None:
    found = wire.decode_applications(wire.encode_applications(instances, version=version, hashcode="UP_1_"))
    assert sorted(found.instances, key=repr) == sorted(instances, key=repr)
    assert (found.version, found.hashcode, found.unreadable) == (version, "UP_1_", ())
