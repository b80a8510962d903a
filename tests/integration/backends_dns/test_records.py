"""Which instances DNS records are, on a real BIND."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from homeport import Discovery, Instance, InvalidAnswer, InvalidValue, Unsupported
from homeport.backends.dns import open_dns
from tests.integration.backends_dns.conftest import BindFactory
from tests.integration.backends_dns.following import endpoints, opened, url
from tests.servers.bind import BindServer

ZONE = "services.test"


async def found(server: str, service: str, domain: str = ZONE, **parameters: object) -> tuple[Instance, ...]:
    """What a new backend finds."""
    return (await open_dns(url(server, domain, **parameters), {}).fetch(service)).instances


@asynccontextmanager
async def discovery(bind: BindServer, domain: str = ZONE, **parameters: object) -> AsyncIterator[Discovery]:
    async with opened(url(bind.address, domain, **parameters)) as opened_discovery:
        yield opened_discovery


async def test_srv_records_and_their_hosts_are_instances(bind: BindServer) -> None:
    bind.replace(ZONE, "billing", "SRV", "10 30 8080 web-1.services.test.", "10 70 8081 WEB-2.services.test.")
    bind.replace(ZONE, "web-1", "A", "10.0.0.1")
    bind.replace(ZONE, "web-2", "A", "10.0.0.2")
    async with discovery(bind) as dns:
        snapshot = await dns.discover("billing")
    assert snapshot.instances == (
        Instance(
            id="10.0.0.1:8080", service="billing", address="10.0.0.1", port=8080, weight=30,
            node="web-1.services.test", meta={"dns_priority": "10"},
        ),
        Instance(
            id="10.0.0.2:8081", service="billing", address="10.0.0.2", port=8081, weight=70,
            node="web-2.services.test", meta={"dns_priority": "10"},
        ),
    )  # fmt: skip
    assert snapshot.backend == f"dns://{bind.address}/{ZONE}"
    assert not snapshot.stale


async def test_hosts_that_do_not_come_along_are_asked_for(bind_factory: BindFactory) -> None:
    records = [f"many IN SRV 0 1 {port} h{port}.services.test." for port in range(1, 31)]
    records += [f"h{port} IN A 10.0.1.{port}" for port in range(1, 31)]
    bind = bind_factory({ZONE: records}, minimal=True)
    assert endpoints(await found(bind.address, "many")) == sorted(f"10.0.1.{port}:{port}" for port in range(1, 31))


async def test_only_the_first_priority_is_used_until_it_is_gone(bind: BindServer) -> None:
    first, second = "1 0 1 prio-1.services.test.", "2 0 2 prio-2.services.test."
    bind.replace(ZONE, "prio", "SRV", second, first)
    bind.replace(ZONE, "prio-1", "A", "10.0.2.1")
    bind.replace(ZONE, "prio-2", "A", "10.0.2.2")
    assert endpoints(await found(bind.address, "prio")) == ["10.0.2.1:1"]
    bind.replace(ZONE, "prio", "SRV", second)
    (backup,) = await found(bind.address, "prio")
    assert (backup.endpoint, backup.meta) == ("10.0.2.2:2", {"dns_priority": "2"})
    bind.replace(ZONE, "prio", "SRV", second, first)
    bind.replace(ZONE, "prio-1", "A")  # a host without an address cannot be used
    assert endpoints(await found(bind.address, "prio")) == ["10.0.2.2:2"]


async def test_the_statement_that_a_service_is_not_there_is_believed(bind: BindServer) -> None:
    bind.replace(ZONE, "decided", "SRV", "0 0 0 .")
    assert await found(bind.address, "decided", port=80) == ()


async def test_srv_records_of_hosts_that_do_not_exist_are_no_empty_set(bind: BindServer) -> None:
    bind.replace(ZONE, "dangling", "SRV", "0 0 1 nobody.services.test.")
    with pytest.raises(InvalidAnswer, match=r'"dangling" name nobody\.services\.test: none of them has an address in'):
        await found(bind.address, "dangling")


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("auto", ["10.0.3.1:80", "10.0.3.2:80", "[fd00::3]:80"]),
        ("ipv4", ["10.0.3.1:80", "10.0.3.2:80"]),
        ("ipv6", ["[fd00::1]:80", "[fd00::3]:80"]),
        ("both", ["10.0.3.1:80", "10.0.3.2:80", "[fd00::1]:80", "[fd00::3]:80"]),
    ],
)
async def test_ipv6_is_used_where_there_is_no_ipv4_or_as_is_asked_for(
    bind: BindServer, family: str, expected: list[str]
) -> None:
    bind.replace(ZONE, "dual", "SRV", *(f"0 1 80 dual-{number}.services.test." for number in (1, 2, 3)))
    bind.replace(ZONE, "dual-1", "A", "10.0.3.1")
    bind.replace(ZONE, "dual-1", "AAAA", "fd00::1")
    bind.replace(ZONE, "dual-2", "A", "10.0.3.2")
    bind.replace(ZONE, "dual-3", "AAAA", "fd00::3")
    assert endpoints(await found(bind.address, "dual", family=family)) == expected


async def test_addresses_without_srv_records_have_the_port_that_is_given(bind: BindServer) -> None:
    bind.replace(ZONE, "plain", "A", "10.0.4.1", "10.0.4.2")
    for record in ("auto", "a"):
        instances = await found(bind.address, "plain", port=8080, record=record)
        assert endpoints(instances) == ["10.0.4.1:8080", "10.0.4.2:8080"]
        assert {(one.weight, one.node) for one in instances} == {(1, "")}
    assert endpoints(await found(bind.address, "plain", port=0)) == ["10.0.4.1:0", "10.0.4.2:0"]
    assert await found(bind.address, "plain", port=8080, record="srv") == ()
    with pytest.raises(InvalidAnswer, match=r"plain\.services\.test has addresses and no SRV records.*add port=…"):
        await found(bind.address, "plain")


async def test_where_there_are_both_the_setting_decides(bind: BindServer) -> None:
    bind.replace(ZONE, "mixed", "A", "10.0.5.1")
    bind.replace(ZONE, "mixed", "SRV", "0 0 9000 mixed.services.test.")
    assert endpoints(await found(bind.address, "mixed", port=80)) == ["10.0.5.1:9000"]
    assert endpoints(await found(bind.address, "mixed", port=80, record="a")) == ["10.0.5.1:80"]


async def test_aliases_are_followed(bind: BindServer) -> None:
    bind.replace(ZONE, "alias-a", "CNAME", "alias-b.services.test.")
    bind.replace(ZONE, "alias-b", "CNAME", "target.other.test.")
    bind.replace("other.test", "target", "SRV", "0 0 80 alias-host.services.test.")
    bind.replace(ZONE, "alias-host", "CNAME", "host.other.test.")  # which RFC 2782 forbids, and which happens
    bind.replace("other.test", "host", "A", "10.0.6.1")
    assert endpoints(await found(bind.address, "alias-a")) == ["10.0.6.1:80"]
    bind.replace(ZONE, "alias-c", "CNAME", "nothing.other.test.")
    assert await found(bind.address, "alias-c") == ()


async def test_more_records_than_fit_into_udp_come_by_tcp(bind: BindServer) -> None:
    expected = [f"10.1.0.{number}:1" for number in range(95)]  # 1.5 KB; BIND takes a hundred records for a name
    bind.replace(ZONE, "large", "A", *(one.removesuffix(":1") for one in expected))
    assert endpoints(await found(bind.address, "large", port=1)) == sorted(expected)


async def test_names_of_rfc_2782_and_of_kubernetes(bind: BindServer) -> None:
    bind.replace("svc.cluster.local", "_http._tcp.web.default", "SRV", "0 50 80 web-0.web.default.svc.cluster.local.")
    bind.replace("svc.cluster.local", "_grpc._tcp.web.default", "SRV", "0 50 90 web-0.web.default.svc.cluster.local.")
    bind.replace("svc.cluster.local", "web-0.web.default", "A", "10.0.7.1")
    bind.replace("svc.cluster.local", "web.default", "A", "10.0.7.1")

    async def ports(service: str, **parameters: object) -> list[int]:
        return [one.port for one in await found(bind.address, service, "svc.cluster.local", **parameters)]

    assert await ports("web.default", srv="_http._tcp") == [80]
    assert await ports("web.default", srv="_grpc._tcp") == [90]
    assert await ports("_grpc._tcp.web.default") == [90]
    assert await ports("_grpc._tcp.web.default", srv="_http._tcp") == [90]
    assert await ports("web.default", srv="_https._tcp", port=1) == [1]  # no such port: the addresses of the host
    assert [one.port for one in await found(bind.address, "web", "default.svc.cluster.local", srv="_http._tcp")] == [80]


async def test_domains_are_searched_in_order(bind: BindServer) -> None:
    bind.replace(ZONE, "first", "A", "10.0.8.1")
    bind.replace("other.test", "first", "A", "10.0.8.2")
    bind.replace("other.test", "second", "A", "10.0.8.3")
    for domains, service, expected in [
        (f"{ZONE},other.test", "first", ["10.0.8.1:1"]),
        (f"other.test,{ZONE}", "first", ["10.0.8.2:1"]),
        (f"{ZONE},other.test", "second", ["10.0.8.3:1"]),
        (f"{ZONE},other.test", "third", []),
        (ZONE, "second", []),
        (ZONE, "second.other.test.", ["10.0.8.3:1"]),  # a whole name needs no domain
        (".", "second.other.test", ["10.0.8.3:1"]),
    ]:
        assert endpoints(await found(bind.address, service, domains, port=1)) == expected, (domains, service)


async def test_what_dns_cannot_do_is_said_together_with_who_can(bind: BindServer) -> None:
    async with discovery(bind) as dns:
        with pytest.raises(Unsupported, match=r"no list of services; ask for one by its name, or use "):
            await dns.services()
        with pytest.raises(Unsupported, match="takes no registrations"):
            _ = await dns.register("billing", port=1)
        with pytest.raises(Unsupported, match=r'services\.test has no names for the datacenter "dc1"; name the domain'):
            await dns.discover("billing", datacenter="dc1")
        with pytest.raises(InvalidValue, match="cannot be a name in DNS"):
            await dns.discover("x" * 64)


async def test_a_ping_tells_who_answers(bind: BindServer) -> None:
    facts = dict(await open_dns(url(bind.address), {}).ping())
    assert facts.pop("latency").endswith(" ms")
    assert facts == {"product": "dns", "server": bind.address, "domain": ZONE, "domain_exists": "yes"}
    missing = open_dns(url(bind.address, f"nowhere.{ZONE}"), {})
    assert (await missing.ping())["domain_exists"] == "no"
