"""`serve --source` and `source list|status`, as a person uses them."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.cli.command_line import PATIENCE, CommandLine, Outcome
from tests.integration.sources.seeing import deregister, register, until_instances, until_source
from tests.servers.consul import ConsulServer
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer


@pytest.fixture
def service(homeport: HomeportServer) -> Any:
    """A service of the shared registry that no other test uses."""
    name = f"s{uuid4().hex}"
    register(homeport, name, f"{name}-1")
    yield name
    deregister(homeport, f"{name}-1")


def until(ask: Callable[[], Outcome], condition: Callable[[Outcome], bool]) -> Outcome:
    """Ask until the outcome fulfils a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition(outcome := ask()):
        assert time.monotonic() < deadline, outcome
    return outcome


def test_a_source_is_listed_and_its_status_told(
    cli: CommandLine, homeport: HomeportServer, service: str, homeport_factory: HomeportFactory
) -> None:
    url = f"{homeport.backend_url}?services={service}&name=far&token=secret"
    mirror = homeport_factory(dev=True, arguments=["--source", url])
    until_instances(mirror, service, f"{service}-1")
    until_source(mirror, lambda row: row["State"] == "connected")
    cli.environment["HOMEPORT_BACKEND"] = mirror.backend_url
    listed = cli("source", "list")
    assert listed.code == 0
    assert listed.out.splitlines()[0].split() == ["SOURCE", "URL", "STATE", "SERVICES", "INSTANCES"]
    assert listed.out.splitlines()[1].split() == ["far", homeport.backend_url, "connected", "1", "1"]
    told = cli("source", "status", "FAR")
    assert told.code == 0
    lines = dict(line.split(maxsplit=1) for line in told.out.splitlines())
    assert (lines["source"], lines["state"], lines["mirrored"]) == ("far", "connected", "1 service, 1 instance")
    (row,) = cli("source", "status", "--format", "json").json
    assert (row["url"], row["held"], row["conflicts"], row["looped"]) == (homeport.backend_url, [], [], 0)
    assert "secret" not in f"{listed.out}{told.out}{row}{mirror.log_path.read_text()}"
    unknown = cli("source", "status", "near")
    assert (unknown.code, unknown.err) == (
        1, 'homeport: there is no source "near"; "homeport source list" names them\n'
    )  # fmt: skip


def test_a_conflict_and_an_outage_are_told(cli: CommandLine, homeport_factory: HomeportFactory) -> None:
    origin = homeport_factory(dev=True)
    register(origin, "web", "web-1")
    register(origin, "db", "db-1")
    mirror = homeport_factory(dev=True, environment={"HOMEPORT_SOURCES": f"{origin.backend_url}?name=far"})
    end = homeport_factory(dev=True, arguments=["--source", mirror.backend_url])
    until_instances(mirror, "web", "web-1")
    until_instances(end, "db", "db-1")
    register(mirror, "web", "own")
    until_instances(mirror, "web", "own")
    cli.environment["HOMEPORT_BACKEND"] = mirror.backend_url
    told = cli("source", "status")
    assert "conflict web" in told.out
    assert '"homeport" has it; it is not mirrored' in told.out
    origin.kill()
    outage = until(lambda: cli("source", "status", "--format", "ndjson"), lambda one: one.code == 1)
    (row,) = outage.ndjson
    assert row["state"] == "stale"
    assert row["stale_since"].endswith("Z")
    assert "no registry answers" in row["reason"] or "failed" in row["reason"]
    doubt = until(lambda: cli("source", "status", "--backend", end.backend_url), lambda one: one.code == 1)
    lines = dict(line.split(maxsplit=1) for line in doubt.out.splitlines())
    assert lines["state"] == "connected"
    assert lines["unconfirmed"].startswith(f"far  there: mirrored from {origin.backend_url}, not confirmed since ")


def test_without_sources_nothing_is_listed(ours: CommandLine) -> None:
    for command in ("list", "status"):
        outcome = ours("source", command)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err.startswith("homeport: the registry mirrors nothing;")
    programs = ours("source", "status", "--format", "json")
    assert (programs.json, programs.err) == ([], "")


def test_consul_has_no_sources(cli: CommandLine, consul: ConsulServer) -> None:
    outcome = cli("source", "list", "--backend", consul.backend_url)
    assert outcome.code == 1
    assert outcome.err == "homeport: Consul mirrors nothing; use a Homeport registry (homeport://)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "consl://h"], '"consl" is not a backend'),
        (["--source", "consul://h?merge=maybe"], '--source.merge is "maybe"; give true or false'),
        (["--source", "consul://h", "--source", "consul://h?services=a"], 'two sources have the name "consul-h-8500"'),
    ],
)
def test_a_source_that_cannot_be_right_ends_it(cli: CommandLine, arguments: list[str], said: str) -> None:
    outcome = cli("serve", "--dev", "--http", "127.0.0.1:0", *arguments)
    assert outcome.code == 1
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1 or '"level"' in outcome.err
    assert "ready" not in outcome.out
