"""Eureka's instances as Homeport's, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.eureka import mapping
from homeport.errors import InvalidValue, Unsupported
from homeport.model import Instance, Service, TTLCheck
from homeport.wire import eureka as wire

UP_AT = 1795283105773
SPRING = wire.InstanceInfo(
    instance_id="h:orders:8080",
    host_name="h.example",
    app="ORDERS",
    ip_addr="10.0.0.7",
    vip_address="orders,Orders-v2",
    secure_vip_address="orders",
    port=wire.Port(number=8080, enabled=True),
    secure_port=wire.Port(number=443, enabled=False),
    lease_info=wire.LeaseInfo(registered_at=UP_AT + 5, up_at=UP_AT),
    metadata={"version": "2.3.1", "zone": "z1", "management.port": "8081", "tags": "eu, blue,", "weight": "7"},
)


def read(*, prefer_ip: bool = False, **fields: Any) -> Instance:
    info = wire.InstanceInfo(**{name: getattr(SPRING, name) for name in SPRING.__struct_fields__} | fields)
    return mapping.instance(info, "orders", prefer_ip=prefer_ip)


def registered(service: Service, *, ttl: float | None = 15.0) -> wire.InstanceInfo:
    return mapping.registration(service, ttl=ttl, incarnation="mine", dirty_at=7)


def test_what_a_spring_program_registers_is_read() -> None:
    assert read() == Instance(
        id="h:orders:8080",
        service="orders",
        address="h.example",
        port=8080,
        tags=("eu", "blue"),
        meta={"version": "2.3.1", "zone": "z1", "management.port": "8081"},
        weight=7,
        version="2.3.1",
        node="h.example",
        zone="z1",
        started_at="2026-11-21T17:45:05.773Z",
    )


def test_the_status_decides_and_what_nobody_knows_is_not_healthy() -> None:
    statuses = {status: read(status=status).status for status in (*mapping.STATUSES, "DRAINING", None)}
    assert statuses == {
        "UP": "passing",
        "DOWN": "critical",
        "STARTING": "warning",
        "OUT_OF_SERVICE": "maintenance",
        "UNKNOWN": "critical",
        "DRAINING": "critical",
        None: "critical",
    }


def test_the_status_that_a_server_made_of_an_override_counts() -> None:
    assert read(status="DOWN", overridden_status="UP").status == "critical"


@pytest.mark.parametrize(
    ("fields", "endpoint", "scheme"),
    [
        ({}, "h.example:8080", "http"),
        ({"prefer_ip": True}, "10.0.0.7:8080", "http"),
        ({"prefer_ip": True, "ip_addr": None}, "h.example:8080", "http"),
        ({"host_name": ""}, "10.0.0.7:8080", "http"),
        ({"secure_port": wire.Port(number=8443, enabled=True)}, "h.example:8443", "https"),
        ({"secure_port": wire.Port(number=8443)}, "h.example:8080", "http"),
        ({"secure_port": wire.Port(number=0, enabled=True)}, "h.example:8080", "http"),
        ({"secure_port": 8443}, "h.example:8443", "https"),
        ({"port": wire.Port(number=80)}, "h.example:80", "http"),
        ({"port": wire.Port(number=80, enabled=False)}, "h.example:80", "http"),
        ({"port": 80}, "h.example:80", "http"),
        ({"port": None}, "h.example:0", "http"),
        ({"port": wire.Port(number=70000, enabled=True)}, "h.example:0", "http"),
        ({"metadata": {"scheme": "grpc"}, "secure_port": 8443}, "h.example:8443", "grpc"),
    ],
)
def test_where_it_is_called(fields: dict[str, Any], endpoint: str, scheme: str) -> None:
    found = read(**fields)
    assert (found.endpoint, found.url().partition(":")[0]) == (endpoint, scheme)


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({"metadata": None}, "meta", {}),
        ({"metadata": {"homeport.incarnation": "x"}}, "meta", {}),
        ({"metadata": {"environment": "live"}}, "environment", "live"),
        ({"metadata": {"region": "r1"}}, "region", "r1"),
        ({"metadata": {"datacenter": "dc2"}}, "datacenter", "dc2"),
        ({"metadata": {"weight": "heavy"}}, "weight", 1),
        ({"metadata": {"weight": "heavy"}}, "meta", {"weight": "heavy"}),
        ({"metadata": {"weight": "70000"}}, "weight", 1),
        ({"metadata": {"weight": "0"}}, "weight", 0),
        ({"metadata": {"started_at": "2026"}}, "started_at", "2026"),
        ({"lease_info": None}, "started_at", ""),
        ({"lease_info": wire.LeaseInfo(registered_at=UP_AT)}, "started_at", "2026-11-21T17:45:05.773Z"),
        ({"lease_info": wire.LeaseInfo(up_at=2**60)}, "started_at", ""),
        (
            {"data_center_info": wire.DataCenterInfo(metadata={"availability-zone": "a1"}), "metadata": None},
            "zone",
            "a1",
        ),
        ({"instance_id": None}, "id", "h.example"),
    ],
)
def test_fields(fields: dict[str, Any], attribute: str, expected: object) -> None:
    assert getattr(read(**fields), attribute) == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host_name": None, "ip_addr": None}, "it has neither a host name nor an IP address"),
        ({"instance_id": None, "host_name": None}, "it has no id"),
    ],
)
def test_what_cannot_be_called_or_told_apart(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(mapping.Nowhere, match=words):
        read(**fields)


def test_services_are_applications_or_vip_addresses() -> None:
    assert mapping.services_of(SPRING, "app") == ("orders",)
    assert mapping.services_of(SPRING, "vip") == ("orders", "orders-v2")
    assert mapping.services_of(wire.InstanceInfo(app="X", host_name="h"), "vip") == ()


def test_a_registration_has_what_other_readers_need() -> None:
    info = registered(Service(name="Orders", id="o:1", address="10.0.0.7", port=8080, version="2", tags=("b", "a")))
    assert info == wire.InstanceInfo(
        instance_id="o:1",
        host_name="10.0.0.7",
        app="ORDERS",
        ip_addr="10.0.0.7",
        vip_address="Orders",
        secure_vip_address="Orders",
        status="UP",
        overridden_status="UNKNOWN",
        port=wire.Port(number=8080, enabled=True),
        secure_port=wire.Port(number=443, enabled=False),
        country_id=1,
        data_center_info=wire.DataCenterInfo(name="MyOwn"),
        lease_info=wire.LeaseInfo(renewal_interval=5, duration=8),
        metadata={"version": "2", "tags": "b,a", "homeport.incarnation": "mine"},
        home_page_url="http://10.0.0.7:8080/",
        last_updated_timestamp=7,
        last_dirty_timestamp=7,
        action_type="ADDED",
    )
    assert mapping.incarnation_of(info) == "mine"


def test_a_program_that_speaks_tls_has_the_secure_port() -> None:
    info = registered(Service(name="a", id="1", address="::1", port=8443, meta={"scheme": "https"}))
    assert (info.port, info.secure_port) == (
        wire.Port(number=80, enabled=False),
        wire.Port(number=8443, enabled=True),
    )
    assert info.home_page_url == "https://[::1]:8443/"


@pytest.mark.parametrize(
    ("ttl", "renewal_interval", "duration"), [(1.0, 1, 1), (2.0, 1, 1), (15.0, 5, 8), (15.5, 5, 8), (90.0, 30, 45)]
)
def test_a_server_doubles_the_duration_that_is_asked_for(ttl: float, renewal_interval: int, duration: int) -> None:
    lease = registered(Service(name="a", id="1", address="h"), ttl=ttl).lease_info
    assert lease is not None
    assert (lease.renewal_interval, lease.duration) == (renewal_interval, duration)


@pytest.mark.parametrize(
    ("service", "ttl", "error", "words"),
    [
        (Service(name="a", id="1", checks=(TTLCheck(),)), 15.0, Unsupported, "Eureka runs no health checks"),
        (Service(name="a", id="1"), None, Unsupported, 'so "a" cannot be registered there without a ttl'),
        (Service(name="a", id="1"), 1e9, InvalidValue, "a ttl in Eureka is at most 4000000 s"),
        (Service(name="a", id="1", tags=("x,y",)), 15.0, InvalidValue, "the tag 'x,y' of \"a\" cannot be written"),
        (Service(name="a", id="1", tags=("",)), 15.0, InvalidValue, "the tag '' of"),
        (Service(name="a", id="1", tags=(" x",)), 15.0, InvalidValue, "white space"),
        (Service(name="a", id="1", version="1", meta={"version": "2"}), 15.0, InvalidValue, 'the version "1", but'),
        (Service(name="a", id="1", tags=("x",), meta={"tags": "y"}), 15.0, InvalidValue, 'the tags "x", but'),
        (Service(name="a/b", id="1"), 15.0, InvalidValue, "'a/b' cannot be a service in Eureka"),
        (Service(name="a", id="b%c"), 15.0, InvalidValue, "'b%c' cannot be an instance in Eureka"),
        (Service(name="a", id=""), 15.0, InvalidValue, "'' cannot be an instance"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    service: Service, ttl: float | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        registered(service, ttl=ttl)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a;b", "a%b", "a\nb"])
def test_a_name_that_servers_refuse_in_a_path(name: str) -> None:
    with pytest.raises(InvalidValue):
        mapping.app_of(name)


words = st.text(
    st.characters(codec="utf-8", exclude_characters=",", exclude_categories=("C", "Z")), min_size=1, max_size=9
)
name = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1).filter(
    lambda text: text.strip(".") and not set(text) & set("/\\;%")
)


@given(
    name=name,
    instance_id=name,
    address=words,
    port=st.integers(1, 65535),
    tags=st.lists(words).map(tuple),
    meta=st.dictionaries(words.filter(lambda key: key not in ("tags", "weight", "@class")), st.text()),
    weight=st.integers(0, 65535),
)
def test_whatever_is_registered_comes_back(
    name: str, instance_id: str, address: str, port: int, tags: tuple[str, ...], meta: dict[str, str], weight: int
) -> None:
    service = Service(name=name, id=instance_id, address=address, port=port, tags=tags, meta=meta, weight=weight)
    found = mapping.instance(registered(service), name.lower(), prefer_ip=False)
    assert (found.id, found.address, found.port) == (instance_id, address, port)
    assert (found.tags, found.meta, found.weight) == (tags, meta, weight)
    assert mapping.services_of(registered(service), "app") == (name.lower(),)
