"""Which servers a DNS backend asks, for which names, and how often."""

import subprocess
import sys

import pytest

from homeport.backends import backend_names, open_backend
from homeport.backends.dns import DNSBackend, DNSSettings, Resolver
from homeport.connections.backend_url import HostPort
from homeport.errors import SettingsError

EVERYTHING = {
    "DNS_SERVER": "10.0.0.9, [fd00::9]:5353",
    "DNS_PORT": "8600",
    "DNS_DOMAIN": "a.test,b.test",
    "DNS_REFRESH_TTL": "12s",
}


def test_it_can_be_opened_by_its_name() -> None:
    assert "dns" in backend_names()
    backend = open_backend("dns", {})
    assert isinstance(backend, DNSBackend)
    assert (backend.url, repr(backend)) == ("dns:///service.consul", "DNSBackend('dns:///service.consul')")


def test_the_defaults_are_those_of_document_001() -> None:
    settings = DNSSettings.from_url("dns://", {})
    assert settings == DNSSettings()
    assert (settings.servers, settings.system_port) == ((), 53)
    assert (settings.domains, settings.refresh) == (("service.consul",), 30.0)


def test_the_environment_completes() -> None:
    settings = DNSSettings.from_url("dns://", EVERYTHING)
    assert settings.servers == (HostPort("10.0.0.9", 8600), HostPort("fd00::9", 5353))
    assert (settings.domains, settings.refresh, settings.system_port) == (("a.test", "b.test"), 12.0, 8600)
    assert settings.url == "dns://10.0.0.9:8600,[fd00::9]:5353/a.test,b.test"


def test_the_url_wins_over_the_environment() -> None:
    settings = DNSSettings.from_url("dns://h:53,i/c.test.?refresh=20", EVERYTHING)
    assert settings.servers == (HostPort("h", 53), HostPort("i", 8600))
    assert (settings.domains, settings.refresh) == (("c.test",), 20.0)
    assert DNSSettings.from_url("dns:///c.test", {"DNS_DOMAIN": "d.test"}).domains == ("c.test",)
    assert DNSSettings.from_url("dns://h/.", {}).url == "dns://h:53/."


def test_every_parameter() -> None:
    url = (
        "dns://h/?port=80&record=a&srv=_http._tcp.&family=both&refresh=40&floor=1&negative_floor=2s&timeout=3&tcp=true"
        "&resolv_conf=/r&resolvers=*.service.consul=127.0.0.1:8600,*.Cluster.local=10.96.0.10,*.Cluster.local=[::1]:5"
    )
    assert DNSSettings.from_url(url, {}) == DNSSettings(
        servers=(HostPort("h", 53),),
        port=80,
        record="a",
        srv="_http._tcp",
        family="both",
        refresh=40.0,
        floor=1.0,
        negative_floor=2.0,
        timeout=3.0,
        tcp=True,
        resolv_conf="/r",
        resolvers=(
            Resolver("*.service.consul", HostPort("127.0.0.1", 8600)),
            Resolver("*.Cluster.local", HostPort("10.96.0.10", 53)),
            Resolver("*.Cluster.local", HostPort("::1", 5)),
        ),
    )


@pytest.mark.parametrize(
    ("url", "environ", "message"),
    [
        ("dns://h?prt=1", {}, "dns://h:53: prt is not a parameter of a dns backend; did you mean port?"),
        ("dns://h?port=http", {}, 'dns://h:53: port is "http"; it must lie between 0 and 65535'),
        ("dns://h?record=mx", {}, 'dns://h:53/service.consul: record is "mx"; give auto, srv or a'),
        ("dns://h?record=a", {}, "record=a tells no ports; add port=… for the port of every instance"),
        ("dns://h?family=ipv5", {}, 'family is "ipv5"; give auto, ipv4, ipv6 or both'),
        ("dns://h?refresh=61", {}, "refresh is 61 s; it can be 60 at most"),
        ("dns://h?refresh=4", {}, "floor is 5 s, more than refresh with its 4 s; change one"),
        ("dns://h?refresh=4&floor=1", {}, "negative_floor is 5 s, more than refresh"),
        ("dns://h?floor=0", {}, 'floor is "0"; give a number of seconds above 0'),
        ("dns://h?tcp=perhaps", {}, 'tcp is "perhaps"; give true or false'),
        ("dns://h?resolvers=consul", {}, 'resolvers has "consul"; write PATTERN=SERVER, for example'),
        ("dns://h?resolvers=consul=h", {}, 'resolvers names the pattern "consul"; write for example *.service.consul'),
        ("dns://h?resolvers=*.=h", {}, 'resolvers names the pattern "*."'),
        ("dns://h?resolvers=*.a.*.b=h", {}, 'resolvers names the pattern "*.a.*.b"'),
        ("dns://h?resolvers=*.a..b=h", {}, 'resolvers names the pattern "*.a..b"'),
        (f"dns://h?resolvers=*.{'x' * 64}=h", {}, f'resolvers names the pattern "*.{"x" * 64}"'),
        ("dns://h?resolvers=*.a=h:x", {}, 'resolvers, *.a: the address names the port "x"'),
        ("dns://", {"DNS_PORT": "0"}, 'DNS_PORT is "0"; it must lie between 1 and 65535'),
        ("dns://", {"DNS_SERVER": "a b"}, 'DNS_SERVER: the address names "a b"'),
        ("dns://", {"DNS_REFRESH_TTL": "soon"}, 'DNS_REFRESH_TTL: "soon" is not a duration'),
        ("dns://", {"DNS_REFRESH_TTL": "0"}, 'DNS_REFRESH_TTL is "0"; give a time above 0'),
        ("dns://", {"DNS_REFRESH_TTL": "5m"}, "refresh is 300 s; it can be 60 at most"),
    ],
)
def test_what_cannot_be_right_is_refused(url: str, environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        DNSSettings.from_url(url, environ)
    assert message in str(caught.value)


def test_settings_from_code_are_checked_too() -> None:
    with pytest.raises(SettingsError, match="there is no domain; name one, such as"):
        DNSSettings(domains=())
    with pytest.raises(SettingsError, match="port is 65536; it must lie between 0 and 65535"):
        DNSSettings(port=65536)


def test_without_its_extra_it_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['dns'] = None\n"
        "from homeport import MissingExtra\n"
        "from homeport.backends import open_backend\n"
        "try:\n    open_backend('dns://', {})\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "homeport.backends.dns needs an optional dependency: pip install 'homeport[dns]'\n"
