"""Registries that mirror each other: everything is everywhere once, and goes when it goes at home."""

from collections.abc import Iterator, Sequence

import pytest

from homeport.testing import FaultProxy
from tests.integration.sources.seeing import deregister, instances, register, until_instances, until_source
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer
from tests.servers.ports import LOOPBACK, PortLease


@pytest.fixture
def lease() -> Iterator[PortLease]:
    """Three addresses, known before anybody listens there."""
    lease = PortLease(3)
    yield lease
    lease.release()


def ring(factory: HomeportFactory, ports: Sequence[int], *, merge: bool = True) -> list[HomeportServer]:
    """Servers of which each mirrors the next one."""
    addresses = [f"{LOOPBACK}:{port}" for port in ports]
    after = [*addresses[1:], addresses[0]]
    settings = f"removal_hold=0&merge={str(merge).lower()}"
    return [
        factory(http=one, dev=True, arguments=["--source", f"homeport://{other}?{settings}"])
        for one, other in zip(addresses, after, strict=True)
    ]


def test_two_that_mirror_each_other(homeport_factory: HomeportFactory, lease: PortLease) -> None:
    a, b = ring(homeport_factory, lease.ports[:2])
    register(a, "web", "a-1")
    register(b, "web", "b-1")
    until_instances(a, "web", "a-1", "b-1")
    until_instances(b, "web", "a-1", "b-1")
    until_source(a, lambda row: row["Looped"] == 1)
    until_source(b, lambda row: row["Looped"] == 1)
    deregister(a, "a-1")
    until_instances(b, "web", "b-1")
    until_instances(a, "web", "b-1")
    assert instances(b, "web").keys() == {"b-1"}


@pytest.mark.parametrize("size", [2, 3])
def test_what_only_goes_round_is_no_conflict(size: int, homeport_factory: HomeportFactory, lease: PortLease) -> None:
    servers = ring(homeport_factory, lease.ports[:size], merge=False)
    for place, server in enumerate(servers):
        register(server, f"s{place}", f"{place}")
    for server in servers:
        for place in range(size):
            until_instances(server, f"s{place}", f"{place}", passing=True)
    for server in servers:
        row = until_source(server, lambda row: (row["State"], row["Looped"]) == ("connected", 1))
        assert (row["Conflicts"], row["Instances"]) == ([], size - 1)
    register(servers[0], "s1", "own")  # now there are two of one name
    row = until_source(servers[0], lambda row: bool(row["Conflicts"]))
    assert row["Conflicts"] == [{"Service": "s1", "Node": "homeport"}]
    until_instances(servers[0], "s1", "own")


def test_three_in_a_ring(homeport_factory: HomeportFactory, lease: PortLease) -> None:
    servers = ring(homeport_factory, lease.ports)
    for place, server in enumerate(servers):
        register(server, "web", f"{place}")
    for server in servers:
        until_instances(server, "web", "0", "1", "2")
    first, second, third = (server.request("GET", "/v1/homeport/capabilities")["Store"] for server in servers)
    # The first mirrors the second, which mirrors the third.
    assert instances(servers[0], "web")["2"]["Service"]["Meta"]["homeport-source"] == f"{third} {second}"
    assert not instances(servers[0], "web")["0"]["Service"]["Meta"]
    assert first not in instances(servers[0], "web")["1"]["Service"]["Meta"]["homeport-source"]
    for place, server in enumerate(servers):
        deregister(server, f"{place}")
    for server in servers:
        until_instances(server, "web")


def test_a_registry_does_not_mirror_itself(homeport_factory: HomeportFactory, lease: PortLease) -> None:
    (server,) = ring(homeport_factory, lease.ports[:1])
    register(server, "web", "1")
    row = until_source(server, lambda row: row["State"] == "refused")
    assert row["Reason"] == f"homeport://{server.address} is this registry itself"
    assert instances(server, "web").keys() == {"1"}


def test_who_mirrors_a_mirror_learns_that_what_is_behind_it_is_away(homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory(dev=True)
    register(origin, "web", "web-1")
    with FaultProxy(origin.address) as proxy:
        middle = homeport_factory(dev=True, arguments=["--source", f"homeport://{proxy.address}?name=origin"])
        end = homeport_factory(dev=True, arguments=["--source", f"{middle.backend_url}?name=middle"])
        until_instances(end, "web", "web-1", passing=True)
        until_source(end, lambda row: row["State"] == "connected" and not row["Unconfirmed"])
        proxy.stop()
        row = until_source(end, lambda row: bool(row["Unconfirmed"]))
        assert (row["State"], [one["Node"] for one in row["Unconfirmed"]]) == ("connected", ["origin"])
        assert f"homeport://{proxy.address}, not confirmed since" in row["Unconfirmed"][0]["Reason"]
        assert instances(end, "web", passing=True).keys() == {"web-1"}
        proxy.start()
        until_source(end, lambda row: not row["Unconfirmed"])
