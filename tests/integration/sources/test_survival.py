"""Kills, outages, wipes and wrong tokens: the mirror ends up as the source is, and never serves less meanwhile."""

import contextlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from homeport.testing import FaultProxy
from tests.e2e.cli.command_line import CommandLine
from tests.integration.registry.mounts import small_disk
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
WRONG = "5e7a4f2c-0000-4000-8000-00000000dead"
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


def test_killed_amid_the_first_mirror_of_thousands(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    services = {f"s{number}": [f"10.0.{number}.{one}:80" for one in range(30)] for number in range(100)}
    file = tmp_path / "services.yaml"
    file.write_text(json.dumps({"services": services}), encoding="utf-8")
    mirror = homeport_factory(arguments=["--source", f"static://{file}?removal_hold=0"])
    until_source(mirror, lambda row: row["Instances"] > 0)
    mirror.kill()
    mirror.start()
    until_source(mirror, lambda row: (row["Services"], row["Instances"]) == (100, 3000))
    for name in ("s0", "s57", "s99"):
        found = {f"{row['Service']['Address']}:80" for row in instances(mirror, name, passing=True).values()}
        assert found == set(services[name])


def test_the_disk_is_full_and_has_space_again(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    services = {f"s{number}": [f"10.0.{number}.{one}:80" for one in range(20)] for number in range(100)}
    file = tmp_path / "services.yaml"
    file.write_text(json.dumps({"services": services}), encoding="utf-8")
    with small_disk(tmp_path / "disk", kib=16 << 10) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(15 << 20))
        mirror = homeport_factory(arguments=["--data-dir", str(disk / "data"), "--source", f"static://{file}"])
        try:
            row = until_source(mirror, lambda row: row["State"] == "stale" and "no space left for " in row["Reason"])
            reached = mirror.log_path.stat().st_size
            assert row["Instances"] < 2000
            ballast.unlink()
            until_source(mirror, lambda row: (row["State"], row["Instances"]) == ("connected", 2000))
            (check,) = [one for one in mirror.request("GET", f"/v1/health/node/{row['Node']}") if not one["ServiceID"]]
            assert check["Output"] == f"mirrored from {row['URL']}"
            assert b"a source is not confirmed" not in mirror.log_path.read_bytes()[reached:], (
                "it was there all the time"
            )
        finally:
            mirror.kill()


def test_what_cannot_be_stored_is_left_out_and_told(homeport_factory: HomeportFactory, tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text('services: {web: ["10.0.0.1:80"], "bad\\ud800": ["10.0.0.2:80"]}\n', encoding="utf-8")

    def leaves_out(row: dict[str, Any]) -> bool:
        return row["State"] == "connected" and bool(row["Reason"])

    mirror = homeport_factory(arguments=["--source", f"static://{file}?name=far"])
    until_source(mirror, lambda row: row["Instances"] == 1)
    row = until_source(mirror, leaves_out)
    assert row["Reason"].startswith("the instance 'bad\\ud800-10.0.0.2-80' of ")
    mirror.restart()
    assert len(instances(mirror, "web", passing=True)) == 1
    until_source(mirror, leaves_out)
    with contextlib.closing(CommandLine(tmp_path, {"HOMEPORT_BACKEND": mirror.backend_url})) as cli:
        told = cli("source", "status", "far")
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in told.out.splitlines())
    assert (told.code, lines["state"]) == (0, "connected")
    assert lines["left out"] == row["Reason"]


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
    register(origin, "web", "web-again")
    everything.append("web-again")
    until_instances(mirror, "web", *everything)  # so it has heard of this service itself, and not only of the list
    origin.kill()
    origin.wipe()
    origin.start()
    register(origin, "web", "new", port=99)
    found = until_instances(mirror, "web", *everything, "new")
    store = origin.request("GET", "/v1/homeport/capabilities")["Store"]
    assert found["new"]["Service"]["Meta"]["homeport-source"] == store
    until_source(mirror, lambda row: row["State"] == "stale" and "lost its data or was replaced" in row["Reason"])


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
    name: str, homeport_factory: HomeportFactory, homeport: HomeportServer, tmp_path: Path
) -> None:
    register(homeport, name, f"{name}-1")
    file = tmp_path / "sources.yaml"
    file.write_text(f"sources: ['{homeport.backend_url}?services={name}&name=far']\n", encoding="utf-8")
    mirror = homeport_factory(arguments=["--config", str(file)])
    until_instances(mirror, name, f"{name}-1")
    mirror.stop()
    file.write_text("sources: []\n", encoding="utf-8")
    mirror.start()
    assert not instances(mirror, name)
    assert [node["Node"] for node in mirror.request("GET", "/v1/catalog/nodes")] == ["homeport"]
    assert "no longer configured" in mirror.log_path.read_text()
    deregister(homeport, f"{name}-1")


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
    file.write_text(WRONG, encoding="utf-8")
    mirror = homeport_factory(dev=True, arguments=["--source", f"{guarded.backend_url}?token_file={file}&wait=1s"])
    row = until_source(mirror, lambda row: "token" in row["Reason"])
    assert row["State"] == "connecting"
    assert WRONG.rpartition("-")[2] not in str(row)
    register(mirror, "own", "own")
    assert instances(mirror, "own").keys() == {"own"}
    file.write_text(ROOT, encoding="utf-8")
    until_instances(mirror, "web", "web-1", passing=True)
    until_source(mirror, lambda row: row["State"] == "connected")
    file.write_text(WRONG, encoding="utf-8")
    until_source(mirror, lambda row: row["State"] == "stale" and "Give a token that may" in row["Reason"])
    assert instances(mirror, "web", passing=True).keys() == {"web-1"}


def test_a_source_that_is_half_open(homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory(dev=True)
    register(origin, "web", "web-1")
    with FaultProxy(origin.address) as proxy:
        url = f"homeport://{proxy.address}?timeout=1&wait=1s&removal_hold=0"
        mirror = homeport_factory(dev=True, arguments=["--source", url])
        until_instances(mirror, "web", "web-1", passing=True)
        proxy.stall()
        row = until_source(mirror, lambda row: row["State"] == "stale")
        assert "no answer within" in row["Reason"]
        deregister(origin, "web-1")
        register(origin, "web", "web-2")
        assert instances(mirror, "web", passing=True).keys() == {"web-1"}
        proxy.resume()
        until_instances(mirror, "web", "web-2", passing=True)
        until_source(mirror, lambda row: row["State"] == "connected")
