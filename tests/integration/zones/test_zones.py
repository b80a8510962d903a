"""`homeport serve` answers in DNS for zones whose services stand in any backend."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import dns.edns
import dns.flags
import dns.rcode
import pytest

from homeport import Discovery
from homeport.testing.contract.waiting import until as seen
from tests.integration.server.running import serve
from tests.integration.zones.asking import OWN, ask, put, said, until
from tests.servers.consul import ConsulServer
from tests.servers.dnsmasq import DnsmasqServer
from tests.servers.factory import ConsulFactory, HomeportFactory


def test_services_of_the_registry_itself(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(dev=True, dns=True, config=OWN)
    port = server.dns_port
    until(lambda: said(port, "api.company.local"), "NXDOMAIN")
    put(server, "api", 1, weight=3)
    put(server, "api", 2)
    until(lambda: said(port, "api.company.local"), ["10.0.0.1", "10.0.0.2"])
    assert said(port, "_api._tcp.company.local", "SRV", tcp=True) == [
        "1 1 8002 0a000002.addr.company.local.",
        "1 3 8001 0a000001.addr.company.local.",
    ]
    assert said(port, "0a000002.addr.company.local") == ["10.0.0.2"]
    assert ask(port, "api.company.local").answer[0].ttl == 5
    server.request("PUT", "/v1/agent/service/maintenance/api-1?enable=true")
    until(lambda: said(port, "api.company.local"), ["10.0.0.2"])
    server.request("PUT", "/v1/agent/service/deregister/api-2")
    until(lambda: said(port, "api.company.local"), "NOERROR")
    server.request("PUT", "/v1/agent/service/deregister/api-1")
    until(lambda: said(port, "api.company.local"), "NXDOMAIN")
    assert said(port, "api.elsewhere.test") == "REFUSED"
    assert server.stop() == 0


def test_more_than_fits_comes_by_tcp(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(dev=True, dns=True, config=OWN)
    for number in range(1, 101):
        put(server, "api", number)
    port = server.dns_port
    until(lambda: len(said(port, "api.company.local", tcp=True)), 100)
    by_udp = ask(port, "api.company.local")
    assert by_udp.flags & dns.flags.TC
    assert 50 < len(by_udp.answer[0]) < 100


KEYS = """
  caching: {ttl: 30s, negative_ttl: 10s}
  health_awareness: {unhealthy_weight: 2}
"""


def test_every_key_of_the_section_is_obeyed(homeport_factory: HomeportFactory) -> None:
    server = homeport_factory(dev=True, dns=True, config=OWN + KEYS)
    put(server, "api", 1, weight=9)
    put(server, "api", 2, weight=9)
    server.request("PUT", "/v1/agent/service/maintenance/api-2?enable=true")
    port, name = server.dns_port, "api.company.local"
    both = ["1 2 8002 0a000002.addr.company.local.", "1 9 8001 0a000001.addr.company.local."]
    until(lambda: said(port, name, "SRV"), both)
    assert said(port, name) == ["10.0.0.1"]
    assert ask(port, name).answer[0].ttl == 30
    assert ask(port, "no.company.local").authority[0].ttl == 10
    assert server.stop() == 0
    off = homeport_factory(
        dev=True, dns=True, config=OWN + "  caching: {enabled: false, ttl: 30s}\n  health_awareness: {enabled: false}\n"
    )
    put(off, "api", 2, weight=9)
    off.request("PUT", "/v1/agent/service/maintenance/api-2?enable=true")
    until(lambda: said(off.dns_port, name, "SRV"), ["1 9 8002 0a000002.addr.company.local."])
    assert ask(off.dns_port, name, "SRV").answer[0].ttl == 0
    assert ask(off.dns_port, "no.company.local").authority[0].ttl == 0


def test_services_of_consul_beside_those_of_its_own(homeport_factory: HomeportFactory, consul: ConsulServer) -> None:
    """The section of document 004 as it stands there, with another zone beside."""
    name = f"zone-{uuid4().hex[:8]}"
    config = (
        OWN + "    - {name: eu.company.local, type: consul}\n" + f"consul: {{server: {{address: '{consul.address}'}}}}"
    )
    server = homeport_factory(dev=True, dns=True, config=config)
    put(server, name, 1)
    consul.request("PUT", "/v1/agent/service/register", {"Name": name, "ID": name, "Address": "10.0.0.7", "Port": 77})
    try:
        until(lambda: said(server.dns_port, f"{name}.eu.company.local"), ["10.0.0.7"])
        until(lambda: said(server.dns_port, f"{name}.company.local"), ["10.0.0.1"])
        assert said(server.dns_port, f"{name}.eu.company.local", "SRV") == ["1 1 77 0a000007.addr.eu.company.local."]
    finally:
        consul.request("PUT", f"/v1/agent/service/deregister/{name}")
    until(lambda: said(server.dns_port, f"{name}.eu.company.local"), "NXDOMAIN")


def test_an_outage_of_the_backend_keeps_what_is_known(
    homeport_factory: HomeportFactory, consul_factory: ConsulFactory
) -> None:
    consul = consul_factory()
    server = homeport_factory(
        dev=True, dns=True, config=f"dns_discovery: {{zones: [{{name: c.test, type: 'consul://{consul.address}'}}]}}"
    )
    registration = {"Name": "api", "ID": "api", "Address": "10.0.0.7", "Port": 77}
    consul.request("PUT", "/v1/agent/service/register", registration)
    port = server.dns_port
    until(lambda: said(port, "api.c.test"), ["10.0.0.7"])
    consul.kill()

    def extended() -> list[int]:
        return [
            int(option.code) for option in ask(port, "api.c.test").options if isinstance(option, dns.edns.EDEOption)
        ]

    until(extended, [dns.edns.EDECode.STALE_ANSWER])
    assert said(port, "api.c.test") == ["10.0.0.7"]
    until(lambda: said(port, "web.c.test"), "SERVFAIL")  # the list of services is a second old at most
    assert server.stop() == 0


async def test_whoever_speaks_dns_finds_them_through_another_server(
    homeport_factory: HomeportFactory, dnsmasq_factory: Callable[..., DnsmasqServer]
) -> None:
    """dnsmasq asks us for the zone, and our own client asks dnsmasq."""
    server = await asyncio.to_thread(homeport_factory, dev=True, dns=True, config=OWN + "  caching: {ttl: 1s}")
    for number in (1, 2):
        await asyncio.to_thread(put, server, "api", number)
    await asyncio.to_thread(until, lambda: said(server.dns_port, "api.company.local"), ["10.0.0.1", "10.0.0.2"])
    front = await asyncio.to_thread(
        dnsmasq_factory, f"server=/company.local/127.0.0.1#{server.dns_port}", "cache-size=100"
    )

    def places(snapshot: object) -> list[str]:
        return sorted(one.endpoint for one in snapshot)  # type: ignore[attr-defined]

    async with (
        Discovery(f"dns://{front.address}/company.local?floor=1&timeout=30", environ={}) as discovery,
        discovery.watch("api") as watch,
    ):
        await seen(watch, lambda snapshot: places(snapshot) == ["10.0.0.1:8001", "10.0.0.2:8002"])
        await asyncio.to_thread(server.request, "PUT", "/v1/agent/service/deregister/api-1")
        await seen(watch, lambda snapshot: places(snapshot) == ["10.0.0.2:8002"])


class TestWhatCannotBe:
    def test_dns_without_a_zone(self) -> None:
        ended = serve("--dev", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")
        assert (ended.status, ended.out) == (2, "")
        assert ended.err == (
            "homeport: --dns says where zones are answered for, and there is none; name them in the settings file, in "
            "dns_discovery.zones\n"
        )

    @pytest.mark.parametrize(
        ("config", "arguments", "status", "message"),
        [
            (OWN, ("--dns", "nonsense"), 2, '--dns is "nonsense"; write HOST:PORT, for example 127.0.0.1:8500'),
            (OWN.replace("homeport", "consl"), (), 1, 'the zone company.local: "consl" is not a backend; there are'),
            (OWN.replace("company.local", "'.'"), (), 1, 'dns_discovery.zones[0].name is ".", no name in DNS'),
        ],
    )
    def test_settings(self, config: str, arguments: tuple[str, ...], status: int, message: str, tmp_path: Path) -> None:
        file = tmp_path / "homeport.yaml"
        file.write_text(config, encoding="utf-8")
        ended = serve("--dev", "--http", "127.0.0.1:0", "--config", str(file), *(arguments or ("--dns", "127.0.0.1:0")))
        assert (ended.status, ended.out) == (status, "")
        assert message in ended.err
        assert ended.err.count("\n") == 1

    def test_dnspython_is_missing(self, tmp_path: Path) -> None:
        file = tmp_path / "homeport.yaml"
        file.write_text(OWN, encoding="utf-8")
        blocked = tmp_path / "without" / "dns"
        blocked.mkdir(parents=True)
        (blocked / "__init__.py").write_text("raise ModuleNotFoundError(name='dns')\n", encoding="utf-8")
        ended = serve(
            "--dev", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--config", str(file),
            environment={"PYTHONPATH": str(blocked.parent)},
        )  # fmt: skip
        assert ended == (2, "", "homeport: a DNS zone needs an optional dependency: pip install 'homeport[dns]'\n")
