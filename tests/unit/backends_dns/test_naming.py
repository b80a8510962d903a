"""Which names stand for a service, and who knows them."""

import dns.name
import pytest

from homeport.backends.dns.naming import in_datacenter, names, servers_for
from homeport.backends.dns.settings import Resolver
from homeport.connections.backend_url import HostPort
from homeport.errors import InvalidValue, Unsupported


@pytest.mark.parametrize(
    ("service", "domain", "srv", "srv_name", "host"),
    [
        ("billing", "service.consul", "", "billing.service.consul.", "billing.service.consul."),
        ("web.default", "svc.cluster.local", "_http._tcp", "_http._tcp.web.default.svc.cluster.local.",
         "web.default.svc.cluster.local."),
        ("_billing._tcp", "service.consul", "_http._tcp", "_billing._tcp.service.consul.",
         "_billing._tcp.service.consul."),
        ("db.example.com.", "service.consul", "", "db.example.com.", "db.example.com."),
        ("db.example.com.", "service.consul", "_pg._tcp", "_pg._tcp.db.example.com.", "db.example.com."),
        ("db.example.com", "", "", "db.example.com.", "db.example.com."),
    ],
)  # fmt: skip
def test_names(service: str, domain: str, srv: str, srv_name: str, host: str) -> None:
    found = names(service, domain, srv=srv)
    assert (found.srv.to_text(), found.host.to_text()) == (srv_name, host)


@pytest.mark.parametrize("service", ["x" * 64, ".".join(["x" * 60] * 5), "a..b", "\\9"])
def test_what_cannot_be_a_name(service: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be a name in DNS: "):
        names(service, "service.consul", srv="")


@pytest.mark.parametrize(
    ("domain", "datacenter", "expected"),
    [
        ("service.consul", "", "service.consul"),
        ("svc.cluster.local", "", "svc.cluster.local"),
        ("service.consul", "dc2", "service.dc2.consul"),
        ("service.dc1.consul", "dc2", "service.dc2.consul"),
    ],
)
def test_datacenters_of_consul(domain: str, datacenter: str, expected: str) -> None:
    assert in_datacenter(domain, datacenter, backend="") == expected


@pytest.mark.parametrize("domain", ["", "node.consul", "svc.cluster.local", "service.a.b.consul", "service.example"])
def test_other_domains_have_no_datacenters(domain: str) -> None:
    with pytest.raises(Unsupported, match=r"has no names for the datacenter .* \(Consul's is service\.dc2\.consul\)"):
        in_datacenter(domain, "dc2", backend="")


def test_the_longest_pattern_wins_and_may_name_several_servers() -> None:
    table = [
        Resolver("*.consul", HostPort("a", 1)),
        Resolver("*.service.consul", HostPort("b", 2)),
        Resolver("*.Service.Consul.", HostPort("c", 3)),
    ]

    def hosts(name: str) -> list[str]:
        return [server.host for server in servers_for(dns.name.from_text(name), table)]

    assert hosts("billing.service.consul") == ["b", "c"]
    assert hosts("BILLING.SERVICE.CONSUL") == ["b", "c"]
    assert hosts("service.consul") == ["b", "c"]
    assert hosts("xservice.consul") == ["a"]
    assert hosts("consul.example") == []


def test_a_pattern_that_only_looks_like_a_name() -> None:
    """What its length is in DNS shows when it is encoded."""
    with pytest.raises(InvalidValue, match="cannot be a name in DNS: "):
        servers_for(dns.name.from_text("a.test"), [Resolver(f"*.{'ü' * 60}", HostPort("a", 1))])
