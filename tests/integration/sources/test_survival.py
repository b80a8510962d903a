"""Kills, outages, wipes and wrong tokens: the mirror ends up as the source is, and never serves less meanwhile."""

import threading
from pathlib import Path

import pytest

from tests.integration.sources.seeing import (
    deregister,
    instances,
    register,
    source,
    until_instances,
    until_source,
)
from tests.servers.consul import ConsulServer
from tests.servers.factory import ConsulFactory, HomeportFactory
from tests.servers.homeport import HomeportServer

ROOT = "5e7a4f2c-0000-4000-8000-000000000001"
ACL = {"primary_datacenter": "dc1", "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": ROOT}}}


def test_killed_while_it_mirrors(homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory(dev=True)
    for number in range(40):
        register(origin, f"s{number % 8}", f"i{number}")
    mirror = homeport_factory(arguments=["--source", f"{origin.backend_url}?removal_hold=0"])
    over = threading.Event()

    def change() -> None:
        port = 1000
        while not over.wait(0.005):
            port += 1
            register(origin, f"s{port % 8}", f"i{port % 40}", port=port)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(2):
            until_source(mirror, lambda row: row["Instances"] >= 20)
            mirror.kill()
            mirror.start()
    finally:
        over.set()
        changing.join()
    for number in range(8):
        expected = instances(origin, f"s{number}")
        found = until_instances(mirror, f"s{number}", *expected)
        last = {one: row["Service"]["Port"] for one, row in expected.items()}
        while {one: row["Service"]["Port"] for one, row in found.items()} != last:
            found = instances(mirror, f"s{number}")
    assert source(mirror)["Instances"] == 40


def test_the_source_is_away_and_comes_back_with_or_without_its_data(homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory()
    for number in range(4):
        register(origin, "web", f"web-{number}")
    everything = [f"web-{number}" for number in range(4)]
    mirror = homeport_factory(arguments=["--source", f"{origin.backend_url}?removal_hold=600"])
    until_instances(mirror, "web", *everything, passing=True)
    origin.kill()
    row = until_source(mirror, lambda row: row["State"] == "stale")
    assert row["StaleSince"] is not None
    assert "connection" in row["Reason"]
    mirror.restart()  # its own end is no gap either
    assert instances(mirror, "web", passing=True).keys() == set(everything)
    assert until_source(mirror, lambda row: "refused" in row["Reason"])["State"] == "connecting"
    origin.start()
    until_source(mirror, lambda row: row["State"] == "connected")
    until_instances(mirror, "web", *everything)
    origin.kill()
    origin.wipe()
    origin.start()
    register(origin, "web", "new", port=99)
    found = until_instances(mirror, "web", *everything, "new")
    store = origin.request("GET", "/v1/homeport/capabilities")["Store"]
    assert found["new"]["Service"]["Meta"]["homeport-source"] == store
    until_source(mirror, lambda row: row["State"] == "stale" and row["Reason"] == "reset")


def test_most_of_a_source_is_held(homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory(dev=True)
    for number in range(4):
        register(origin, "web", f"web-{number}")
    mirror = homeport_factory(dev=True, arguments=["--source", f"{origin.backend_url}?removal_hold=600"])
    until_instances(mirror, "web", *(f"web-{number}" for number in range(4)))
    for number in range(4):
        deregister(origin, f"web-{number}")
    row = until_source(mirror, lambda row: bool(row["Held"]))
    assert row["Held"][0]["Service"] == "web"
    assert instances(mirror, "web"), "those that are held are served"


def test_not_there_at_the_start(homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory()
    origin.stop()
    mirror = homeport_factory(dev=True, arguments=["--source", origin.backend_url])
    assert until_source(mirror, lambda row: "refused" in row["Reason"])["State"] == "connecting"
    register(mirror, "own", "own")
    origin.start()
    register(origin, "web", "web-1")
    until_instances(mirror, "web", "web-1", passing=True)


def test_a_source_that_is_taken_away(
    homeport_factory: HomeportFactory, homeport: HomeportServer, tmp_path: Path
) -> None:
    register(homeport, "taken-away", "taken-1")
    file = tmp_path / "sources.yaml"
    file.write_text(f"sources: ['{homeport.backend_url}?services=taken-away&name=far']\n", encoding="utf-8")
    mirror = homeport_factory(arguments=["--config", str(file)])
    until_instances(mirror, "taken-away", "taken-1")
    mirror.stop()
    file.write_text("sources: []\n", encoding="utf-8")
    mirror.start()
    assert not instances(mirror, "taken-away")
    assert [node["Node"] for node in mirror.request("GET", "/v1/catalog/nodes")] == ["homeport"]
    assert "no longer configured" in mirror.log_path.read_text()
    deregister(homeport, "taken-1")


@pytest.fixture
def guarded(consul_factory: ConsulFactory) -> ConsulServer:
    """A Consul that lets nobody do anything without a token."""
    server = consul_factory(config=ACL, start=False)
    server.token = ROOT
    server.start()
    return server


def test_a_wrong_token_is_told_and_everything_else_goes_on(
    guarded: ConsulServer, homeport_factory: HomeportFactory, tmp_path: Path
) -> None:
    register(guarded, "web", "web-1")
    file = tmp_path / "token"
    file.write_text("5e7a4f2c-0000-4000-8000-00000000dead", encoding="utf-8")
    mirror = homeport_factory(dev=True, arguments=["--source", f"{guarded.backend_url}?token_file={file}&wait=1s"])
    row = until_source(mirror, lambda row: "token" in row["Reason"])
    assert row["State"] == "connecting"
    assert "dead" not in str(row)
    register(mirror, "own", "own")
    assert instances(mirror, "own").keys() == {"own"}
    file.write_text(ROOT, encoding="utf-8")
    until_instances(mirror, "web", "web-1", passing=True)
    until_source(mirror, lambda row: row["State"] == "connected")
