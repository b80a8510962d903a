"""From what a file lists to instances."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.backends.static.mapping import instances, services, summaries
from homeport.errors import InvalidValue
from homeport.model import Instance
from homeport.settings.shapes import Place


def read(*listed: Any) -> tuple[Instance, ...]:
    return services({"services": {"billing": list(listed)}}, source="f.yaml")["billing"]


def test_every_key_arrives() -> None:
    given = {
        "id": "b-1",
        "address": "10.0.0.1",
        "port": 8080,
        "tags": ["eu", "blue"],
        "meta": {"team": "x", "canary": True, "n": 3},
        "weight": 5,
        "version": "2.1.0",
        "environment": "live",
        "zone": "z",
        "region": "r",
        "datacenter": "d",
        "node": "n",
        "status": "warning",
    }
    assert read(given) == (
        Instance(
            id="b-1",
            service="billing",
            address="10.0.0.1",
            port=8080,
            tags=("eu", "blue"),
            meta={"team": "x", "canary": "true", "n": "3"},
            weight=5,
            version="2.1.0",
            environment="live",
            zone="z",
            region="r",
            datacenter="d",
            node="n",
            status="warning",
        ),
    )


def test_only_the_address_is_needed_and_the_id_is_made_of_what_is_unique() -> None:
    (bare,) = read({"address": "db.example"})
    assert bare == Instance(id="billing-db.example-0", service="billing", address="db.example")


@pytest.mark.parametrize(
    ("text", "address", "port", "name"),
    [
        ("10.0.0.1:80", "10.0.0.1", 80, "billing-10.0.0.1-80"),
        ("db.example:5432", "db.example", 5432, "billing-db.example-5432"),
        ("[fd00::1]:80", "fd00::1", 80, "billing-fd00--1-80"),
    ],
)
def test_an_instance_may_be_host_and_port(text: str, address: str, port: int, name: str) -> None:
    assert read(text) == (Instance(id=name, service="billing", address=address, port=port),)


NOTHING = 'there must be "services:" in it, with the name of each service and its instances below; services: {} is none'
NO_ADDRESS = "give host:port, for example 10.0.0.1:8080 or [fd00::1]:8080"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, NOTHING),
        ({}, NOTHING),
        ([], NOTHING),
        ({"servces": {}}, 'servces is no key of this file, which has "services" alone; did you mean services?'),
        ({"services": {}, "x": 1}, 'x is no key of this file, which has "services" alone.'),
        ({"services": ["a"]}, "services is a list; give the name of each service with its instances below it"),
        ({"services": None}, "services is empty; give the name of each service with its instances below it"),
        ({"services": {"": []}}, "services.: a service needs a name"),
        ({"services": {"a": None}}, "services.a is empty; give a list of instances"),
        ({"services": {"a": "x:1"}}, 'services.a is "x:1"; give a list of instances'),
        ({"services": {"a": {"address": "x"}}}, "services.a is a mapping; give a list of instances"),
    ],
)
def test_a_file_of_another_shape_is_told_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        services(document, source="f.yaml")
    assert str(caught.value) == f"f.yaml: {message}"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, " is 7; give host:port, or the keys of an instance"),
        ("x", f' is "x"; {NO_ADDRESS}'),
        ("fd00::1:80", f' is "fd00::1:80"; {NO_ADDRESS}'),
        ("x:70000", ': the address names the port "70000"; it must lie between 1 and 65535'),
        ({"addres": "x"}, ".addres is no key of an instance; did you mean address?"),
        ({"qqq": "x"}, ".qqq is no key of an instance."),
        ({"port": 1}, ".address is missing"),
        ({"address": ""}, '.address is ""; give text, not shorter than 1'),
        ({"address": "x", "port": 70000}, ".port is 70000; give a whole number, at least 0 and at most 65535"),
        ({"address": "x", "version": 2.1}, ".version is 2.1; give text, in quotes"),
        ({"address": "x", "tags": "eu"}, '.tags is "eu"; give a list'),
        ({"address": "x", "meta": {"k": []}}, ': metadata "k" is a list; give text, a number or a boolean'),
        ({"address": "x", "status": "up"}, '.status is "up"; give critical, maintenance, passing or warning'),
        ({"address": "h", "port": 1}, ': there is another instance with the id "billing-h-1"; give each its own'),
    ],
)
def test_an_instance_that_cannot_be_right_is_told_with_its_place(entry: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read("h:1", entry)
    assert str(caught.value) == f"f.yaml: services.billing[1]{message}"


def test_an_instance_of_another_service_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r'billing\[0\] is an instance of "api", not of "billing"'):
        instances("billing", [Instance(id="x", service="api", address="y")], Place("", "billing"))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.one_of(JUNK, st.builds(lambda one: {"services": {"a": [one]}}, JUNK)))
def test_anything_at_all_is_either_read_or_refused(document: Any) -> None:
    try:
        known = services(document, source="f.yaml")
    except InvalidValue:
        return
    assert all(isinstance(one, Instance) for found in known.values() for one in found)


def test_summaries_count_and_are_sorted() -> None:
    known = services(
        {
            "services": {
                "b": [{"address": "x", "tags": ["2", "1"]}, {"address": "y", "tags": ["1"], "status": "critical"}],
                "a": [],
            }
        },
        source="",
    )
    assert [(one.name, one.tags, one.instances, one.passing) for one in summaries(known)] == [
        ("a", (), 0, 0),
        ("b", ("1", "2"), 2, 1),
    ]
