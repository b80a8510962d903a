"""What the names of a zone mean."""

import ipaddress

import dns.name
import pytest

from homeport.errors import SettingsError
from homeport.protocols.dns.zone import Apex, Host, Meaning, Nothing, ServiceName, whole_seconds, zone_name
from tests.unit.protocols_dns.asking import a_zone

LONG = "20010db8000000000000000000000006"


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("", Apex()),
        ("api.", ServiceName("api", srv_only=False)),
        ("API.", ServiceName("api", srv_only=False)),
        ("_api._tcp.", ServiceName("api", srv_only=True)),
        ("_API._TCP.", ServiceName("api", srv_only=True)),
        ("api._tcp.", ServiceName("api._tcp", srv_only=False)),
        ("_api._udp.", ServiceName("_api._udp", srv_only=False)),
        ("api.shop.", ServiceName("api.shop", srv_only=False)),  # Kubernetes: a service of another namespace
        ("ns.", ServiceName("ns", srv_only=False)),
        ("_tcp.", Nothing(exists=True)),
        ("addr.", Nothing(exists=True)),
        ("ns.addr.", Host((ipaddress.ip_address("192.0.2.53"),))),
        ("0A000001.addr.", Host((ipaddress.ip_address("10.0.0.1"),))),
        (f"{LONG}.addr.", Host((ipaddress.ip_address("2001:db8::6"),))),
        ("0a00001.addr.", Nothing(exists=False)),
        ("0a0000011.addr.", Nothing(exists=False)),
        ("0g000001.addr.", Nothing(exists=False)),
        (" a00001 .addr.", Nothing(exists=False)),
        ("a.0a000001.addr.", Nothing(exists=False)),
        (r"caf\195\169.", Nothing(exists=False)),
    ],
)
def test_names(name: str, meaning: Meaning) -> None:
    assert a_zone().meaning(dns.name.from_text(f"{name}Company.local")) == meaning


def test_the_name_of_an_address_means_that_address() -> None:
    for text in ("10.0.0.1", "255.255.255.255", "::", "2001:db8::6"):
        address = ipaddress.ip_address(text)
        assert a_zone().meaning(a_zone().address_name(address)) == Host((address,))


def test_the_name_of_a_zone() -> None:
    assert zone_name(" Company.Local. ", place="x") == dns.name.from_text("company.local")
    with pytest.raises(SettingsError, match=r'^x is "\.", which would claim every name; write for example company'):
        zone_name(".", place="x")
    with pytest.raises(SettingsError, match=r'^x is "a\.\.b", no name in DNS: a dns label is empty$'):
        zone_name("a..b", place="x")


def test_seconds() -> None:
    assert [whole_seconds(one) for one in (0, 0.9, 1.9, 30.0, 1e12)] == [0, 0, 1, 30, 2**31 - 1]
