"""Consul's own DNS interface, without Consul's HTTP API."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from homeport import Unsupported
from homeport.backends.dns import open_dns
from homeport.testing.contract.waiting import until
from tests.integration.backends_dns.following import endpoints, has, opened
from tests.servers.consul import ConsulServer

PARAMETERS = "floor=0.05&negative_floor=0.05&timeout=30"


def register(consul: ConsulServer, name: str, number: int, *, status: str = "passing", weight: int = 1) -> None:
    body = {
        "ID": f"{name}-{number}", "Name": name, "Address": f"10.0.0.{number}", "Port": 8000 + number,
        "Weights": {"Passing": weight, "Warning": 1},
        "Check": {"TTL": "1h", "Status": status},
    }  # fmt: skip
    consul.request("PUT", "/v1/agent/service/register", body)


@pytest.fixture
def name(consul: ConsulServer) -> Iterator[str]:
    """A service name of this test's own."""
    service = f"dns-{uuid4().hex[:8]}"
    yield service
    for number in (1, 2, 3):
        consul.request("PUT", f"/v1/agent/service/deregister/{service}-{number}")


async def test_consul_is_followed_by_its_dns(consul: ConsulServer, name: str) -> None:
    backend = f"dns://127.0.0.1:{consul.dns_port}?{PARAMETERS}"
    async with opened(backend) as discovery, discovery.watch(name) as watch:
        assert endpoints(watch.current) == []
        register(consul, name, 1, weight=5)
        (one,) = await until(watch, has("10.0.0.1:8001"))
        assert one.weight == 5
        register(consul, name, 2)
        register(consul, name, 3, status="critical")  # Consul leaves it out
        await until(watch, has("10.0.0.1:8001", "10.0.0.2:8002"))
        consul.request("PUT", f"/v1/agent/service/deregister/{name}-1")
        await until(watch, has("10.0.0.2:8002"))
        assert (await discovery.backend.ping())["domain"] == "service.consul"


async def test_names_of_rfc_2782_and_datacenters(consul: ConsulServer, name: str) -> None:
    register(consul, name, 1)
    backend = open_dns(f"dns://127.0.0.1:{consul.dns_port}/service.consul?{PARAMETERS}", {})
    assert endpoints((await backend.fetch(f"_{name}._tcp")).instances) == ["10.0.0.1:8001"]
    (one,) = (await backend.fetch(name, datacenter=consul.datacenter)).instances
    assert (one.endpoint, one.datacenter) == ("10.0.0.1:8001", consul.datacenter)
    assert (await backend.fetch(name, datacenter="elsewhere")).instances == ()
    other = open_dns(f"dns://127.0.0.1:{consul.dns_port}/node.consul", {})
    with pytest.raises(Unsupported, match=r"node\.consul has no names for the datacenter"):
        await other.fetch(name, datacenter=consul.datacenter)


@pytest.mark.parametrize("parameters", ["record=srv", "record=a&port=80&family=ipv4"])
async def test_all_instances_are_found_though_consul_cuts_answers_off_without_a_word(
    consul: ConsulServer, name: str, parameters: str
) -> None:
    """By UDP it leaves out what does not fit, without the flag for that, unless ``enable_truncate`` is set."""
    numbers = range(1, 100)
    for number in numbers:
        entry = {"ID": f"{name}-{number}", "Service": name, "Address": f"10.0.1.{number}", "Port": 80}
        body = {"Node": name, "Address": "10.0.1.1", "SkipNodeUpdate": number > 1, "Service": entry}
        consul.request("PUT", "/v1/catalog/register", body)
    try:
        backend = open_dns(f"dns://127.0.0.1:{consul.dns_port}?{parameters}&timeout=30", {})
        assert endpoints((await backend.fetch(name)).instances) == sorted(f"10.0.1.{number}:80" for number in numbers)
    finally:
        consul.request("PUT", "/v1/catalog/deregister", {"Node": name})
