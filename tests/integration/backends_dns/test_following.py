"""Following DNS through `Discovery`: changes, absence, outages, and what stays behind."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport import BackendUnavailable, Discovery, NoInstances, blocking
from homeport.backends.dns import open_dns
from homeport.testing.contract.leaks import Left
from homeport.testing.contract.waiting import fresh, stale, until
from tests.integration.backends_dns.conftest import BindFactory
from tests.integration.backends_dns.following import EAGER, endpoints, has, opened, url
from tests.plugins.following import PATIENCE
from tests.servers.bind import BindServer
from tests.servers.dnsmasq import DnsmasqServer
from tests.servers.process import clean_environment

ZONE = "services.test"
EXAMPLE = Path(__file__).parents[3] / "examples" / "find_by_dns.py"


async def test_changes_arrive_when_the_ttl_has_run_out(bind: BindServer) -> None:
    async with opened(url(bind.address, port=80)) as discovery, discovery.watch("moving") as watch:
        assert endpoints(watch.current) == []
        with pytest.raises(NoInstances):
            watch.pick()
        bind.replace(ZONE, "moving", "A", "10.0.0.1")
        await until(watch, has("10.0.0.1:80"))
        bind.replace(ZONE, "moving", "A", "10.0.0.1", "10.0.0.2")
        await until(watch, has("10.0.0.1:80", "10.0.0.2:80"))
        bind.replace(ZONE, "moving", "SRV", "0 1 8080 moving.services.test.", ttl=0)
        await until(watch, has("10.0.0.1:8080", "10.0.0.2:8080"))
        bind.replace(ZONE, "moving", "SRV")
        bind.replace(ZONE, "moving", "A", "10.0.0.3")
        await until(watch, has("10.0.0.3:80"))
        assert watch.pick().endpoint == "10.0.0.3:80"
        bind.replace(ZONE, "moving", "A")
        gone = await until(watch, has())
        assert not gone.stale


async def test_a_server_that_is_away_is_stale_and_heals(bind_factory: BindFactory) -> None:
    bind = bind_factory({ZONE: ["billing IN A 10.0.0.1"]})
    async with opened(url(bind.address, port=80)) as discovery, discovery.watch("billing") as watch:
        await asyncio.to_thread(bind.stop)
        away = await until(watch, stale)
        assert endpoints(away) == ["10.0.0.1:80"]
        assert away.reason == (
            f"no DNS server answers at {bind.address} (connection refused); check the address, or name another"
        )
        assert watch.pick().port == 80
        with pytest.raises(BackendUnavailable):
            await discovery.discover("another")
        await asyncio.to_thread(bind.start)
        back = await until(watch, fresh)
        assert endpoints(back) == ["10.0.0.1:80"]
        bind.replace(ZONE, "billing", "A", "10.0.0.2")
        await until(watch, has("10.0.0.2:80"))


async def test_dnsmasq_is_followed_over_a_restart(dnsmasq_factory: Callable[..., DnsmasqServer]) -> None:
    server = dnsmasq_factory(
        f"local=/{ZONE}/", f"srv-host=billing.{ZONE},web.{ZONE},8080,3,7", f"address=/web.{ZONE}/10.0.0.1"
    )
    async with opened(url(server.address, port=80)) as discovery, discovery.watch("billing") as watch:
        (one,) = watch.current
        assert (one.endpoint, one.weight, one.meta["dns_priority"]) == ("10.0.0.1:8080", 7, "3")
        assert endpoints(await discovery.discover("web")) == ["10.0.0.1:80"]  # an SRV record of it does not exist
        assert endpoints(await discovery.discover("nobody")) == []  # without a SOA record
        await asyncio.to_thread(server.stop)
        assert endpoints(await until(watch, stale)) == ["10.0.0.1:8080"]
        server.options[-1] = f"address=/web.{ZONE}/10.0.0.2"
        await asyncio.to_thread(server.start)
        await until(watch, has("10.0.0.2:8080"))
        assert not watch.current.stale


def test_without_an_event_loop(bind: BindServer) -> None:
    bind.replace(ZONE, "blocking", "SRV", "0 1 81 blocking.services.test.")
    bind.replace(ZONE, "blocking", "A", "10.0.0.4")
    with blocking.Discovery(url(bind.address), settings=EAGER, environ={}, handle_signals=False) as discovery:
        assert discovery.resolve("blocking").endpoint == "10.0.0.4:81"


async def test_the_environment_of_document_001(bind: BindServer) -> None:
    host, _, port = bind.address.partition(":")
    bind.replace("other.test", "named", "SRV", "0 1 82 named.other.test.")
    bind.replace("other.test", "named", "A", "10.0.0.5")
    environ = {"DISCOVERY_PROVIDER": "dns", "DNS_SERVER": host, "DNS_PORT": port, "DNS_DOMAIN": "other.test"}
    async with Discovery(environ=environ, handle_signals=False) as discovery:
        assert discovery.backend.url == f"dns://{bind.address}/other.test"
        assert (await discovery.resolve("named")).endpoint == "10.0.0.5:82"


async def test_nothing_is_left_behind(bind: BindServer) -> None:
    bind.replace(ZONE, "leaving", "SRV", *(f"0 1 {port} leaving-{port}.services.test." for port in range(1, 6)))
    for port in range(1, 6):
        bind.replace(ZONE, f"leaving-{port}", "A", "10.0.0.6")

    async def use(tcp: str = "false") -> None:
        async with opened(url(bind.address, tcp=tcp)) as discovery, discovery.watch("leaving") as watch:
            await until(watch, lambda snapshot: len(snapshot) == 5)
            await discovery.discover("leaving", use_cache=False)

    await use()
    before = Left()
    for tcp in ("false", "true"):
        await use(tcp)
        backend = open_dns(url(bind.address, tcp=tcp, family="both"), {})
        for steps in range(12):
            asked = asyncio.create_task(backend.fetch("leaving"))
            watching = asyncio.create_task(anext(backend.watch("leaving")))
            for _ in range(steps):
                await asyncio.sleep(0)
            asked.cancel()
            watching.cancel()
            await asyncio.wait([asked, watching])
            assert asked.cancelled()
            assert watching.cancelled()
        await backend.aclose()
        await backend.aclose()
    await before.returns()


def test_the_example(bind: BindServer) -> None:
    bind.replace(ZONE, "billing", "SRV", "1 30 8080 example-1.services.test.", "1 70 8080 example-2.services.test.")
    bind.replace(ZONE, "example-1", "A", "10.0.9.1")
    bind.replace(ZONE, "example-2", "A", "10.0.9.2")
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), f"dns://{bind.address}/{ZONE}"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second, asked, refused = done.stdout.splitlines()
    assert (first, second) == ("10.0.9.1:8080 weight 30", "10.0.9.2:8080 weight 70")
    assert asked in {f"call http://10.0.9.{number}:8080/v1/invoices" for number in (1, 2)}
    assert refused.startswith("refused: DNS has no list of services")
