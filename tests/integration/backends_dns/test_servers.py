"""Which server is asked: the configured one, the next one, that of a pattern, or the system's."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from dns.rcode import Rcode

from homeport import BackendUnavailable, Refused
from homeport.backends.dns import open_dns
from tests.integration.backends_dns.following import PATIENT, endpoints, url
from tests.integration.backends_dns.stand_in import Answers, StandInServer, reply
from tests.servers.bind import BindServer
from tests.servers.dnsmasq import DnsmasqServer
from tests.servers.ports import LOOPBACK, PortLease

ZONE = "services.test"


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port where nobody listens."""
    with PortLease() as lease:
        yield lease.ports[0]


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes every question and says nothing."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{taken.getsockname()[1]}"


async def places(backend: str, service: str, environ: dict[str, str] | None = None) -> list[str]:
    return endpoints((await open_dns(backend, environ or {}).fetch(service)).instances)


async def test_patterns_decide_who_is_asked(bind: BindServer, dnsmasq_factory: Callable[..., DnsmasqServer]) -> None:
    """The alias leads from one server to the other, and the longest pattern wins."""
    dnsmasq = dnsmasq_factory(
        "local=/other.test/",
        "address=/remote.other.test/10.0.1.1",
        f"local=/{ZONE}/",
        f"address=/wrong.{ZONE}/10.9.9.9",
    )
    bind.replace(ZONE, "alias", "CNAME", "remote.elsewhere.other.test.")
    bind.replace(ZONE, "srv", "SRV", "0 0 8080 remote.elsewhere.other.test.")
    bind.replace("other.test", "remote.elsewhere", "A", "10.0.1.2")
    bind.replace(ZONE, "to-dnsmasq", "SRV", "0 0 8080 remote.other.test.")
    resolvers = f"*.test={dnsmasq.address},*.{ZONE}={bind.address},*.elsewhere.other.test={bind.address}"
    backend = url(f"{LOOPBACK}:1", port=80, resolvers=resolvers)
    assert await places(backend, "alias") == ["10.0.1.2:80"]
    assert await places(backend, "srv") == ["10.0.1.2:8080"]
    assert await places(backend, "to-dnsmasq") == ["10.0.1.1:8080"]
    assert await places(backend, "remote.other.test.") == ["10.0.1.1:80"]
    assert await places(backend, "wrong") == []
    with pytest.raises(BackendUnavailable, match=r"answers at 127\.0\.0\.1:1 "):
        await places(backend, "billing.elsewhere.")


async def test_the_next_server_is_asked_when_one_is_away(
    bind: BindServer, free_port: int, stand_in: Callable[[Answers], StandInServer]
) -> None:
    bind.replace(ZONE, "failover", "A", "10.0.2.1")
    broken = stand_in(lambda query, _way: [reply(query, code=Rcode.SERVFAIL)])
    for first in (f"{LOOPBACK}:{free_port}", broken.address):
        backend = open_dns(url(f"{first},{bind.address}", port=1, record="a", family="ipv4", timeout=PATIENT), {})
        for _ in range(3):
            assert endpoints((await backend.fetch("failover")).instances) == ["10.0.2.1:1"]
    assert len(broken.asked) == 1  # afterwards the one that answers comes first


async def test_a_server_that_is_away_costs_time_only_once_for_each_domain(
    bind: BindServer, stand_in: Callable[[Answers], StandInServer]
) -> None:
    """Another one that answers for another domain does not bring it back to the front."""
    for zone in (ZONE, "other.test"):
        bind.replace(zone, "in-turn", "A", "10.0.2.5")
    first, second = (stand_in(lambda query, _way: [reply(query, code=Rcode.SERVFAIL)]) for _ in range(2))
    servers = {ZONE: (first.address, bind.address), "other.test": (second.address, f"[::1]:{bind.port}")}
    resolvers = ",".join(f"*.{zone}={server}" for zone in servers for server in servers[zone])
    backend = open_dns(
        url(f"{LOOPBACK}:1", port=1, record="a", family="ipv4", timeout=PATIENT, resolvers=resolvers), {}
    )
    for _ in range(3):
        for zone in servers:
            assert endpoints((await backend.fetch(f"in-turn.{zone}.")).instances) == ["10.0.2.5:1"]
    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_a_silent_server_is_followed_by_the_next(bind: BindServer, silent: str) -> None:
    bind.replace(ZONE, "silence", "A", "10.0.2.2")
    assert await places(url(f"{silent},{bind.address}", port=1, timeout=12), "silence") == ["10.0.2.2:1"]


async def test_when_all_are_away_each_one_is_told(free_port: int, silent: str) -> None:
    backend = f"dns://{LOOPBACK}:{free_port},{silent}/{ZONE}?timeout=6"
    with pytest.raises(BackendUnavailable) as caught:
        await places(backend, "billing")
    assert str(caught.value) == (
        f"no DNS server answers at {LOOPBACK}:{free_port} (connection refused); check the address, or name another; "
        f"no DNS server answers at {silent} (no answer within 6 s); check the address, or name another"
    )
    assert caught.value.backend == f"dns://{LOOPBACK}:{free_port},{silent}/{ZONE}"


async def test_a_server_that_is_not_responsible_is_told_apart(bind: BindServer) -> None:
    with pytest.raises(Refused) as caught:
        await places(url(bind.address, "somebody.example"), "billing")
    assert str(caught.value) == (
        f"the DNS server {bind.address} does not answer for billing.somebody.example (REFUSED); "
        "name one that knows that domain and lets this host ask"
    )
    assert caught.value.status == 5


async def test_the_servers_of_the_system(bind: BindServer, tmp_path: Path) -> None:
    bind.replace(ZONE, "system", "A", "10.0.2.3")
    resolv_conf = tmp_path / "resolv.conf"
    environ = {"DNS_PORT": str(bind.port)}
    backend = f"dns:///{ZONE}?port=1&timeout=30&resolv_conf={resolv_conf}"
    with pytest.raises(BackendUnavailable, match=r"this system names no DNS server in .*/resolv\.conf; name one"):
        await places(backend, "system", environ)
    resolv_conf.write_text("# mine\n")
    with pytest.raises(BackendUnavailable, match="this system names no DNS server"):
        await places(backend, "system", environ)
    resolv_conf.write_text("nameserver nobody\n")
    with pytest.raises(BackendUnavailable, match="this system names no DNS server"):
        await places(backend, "system", environ)
    resolv_conf.write_text("nameserver fe80::1%nowhere\n")
    with pytest.raises(BackendUnavailable, match=r"answers at \[fe80::1%nowhere\]:\d+ \([a-z ]+\); check") as caught:
        await places(backend, "system", environ)
    assert "unknown error" not in str(caught.value)
    resolv_conf.write_text(f"search example.com\nnameserver {LOOPBACK}\n")
    assert await places(backend, "system", environ) == ["10.0.2.3:1"]


async def test_a_server_may_have_a_name_or_an_ipv6_address(bind: BindServer) -> None:
    bind.replace(ZONE, "reached", "A", "10.0.2.4")
    assert await places(url(f"localhost:{bind.port}", port=1), "reached") == ["10.0.2.4:1"]
    assert await places(url(f"[::1]:{bind.port}", port=1), "reached") == ["10.0.2.4:1"]
    assert await places(url(f"[::1]:{bind.port}", port=1, tcp="true"), "reached") == ["10.0.2.4:1"]
    assert await places(url(f"nobody.invalid,{bind.address}", port=1), "reached") == ["10.0.2.4:1"]
    for impossible in ("x" * 64, "a..b"):
        with pytest.raises(BackendUnavailable, match="cannot be asked: its own name is not known to this system"):
            await places(url(impossible), "reached")
    with pytest.raises(BackendUnavailable, match=r"server nobody\.invalid:53 cannot be asked: its own name is not k"):
        await places(url("nobody.invalid"), "reached")
