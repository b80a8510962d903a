"""`list`, `find`, `describe` on real registries."""

import pytest

from tests.e2e.cli.command_line import CommandLine
from tests.e2e.cli.conftest import Registry
from tests.e2e.cli.in_process import InProcess
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer


def instance(registry: Registry, name: str, number: int, *, status: str = "passing", **fields: object) -> str:
    """Register an instance with one check of that status; its id."""
    id_ = f"{name}-{number}"
    body = {
        "Name": name, "ID": id_, "Address": f"10.0.0.{number}", "Port": 8000 + number,
        "Check": {"CheckID": f"c-{id_}", "Name": "probe", "TTL": "1h", "Status": status}, **fields,
    }  # fmt: skip
    call(registry.url, "PUT", "/v1/agent/service/register", body)
    return id_


class TestList:
    def test_an_empty_registry_is_no_error(self, homeport_factory: HomeportFactory, cli: CommandLine) -> None:
        server = homeport_factory(dev=True)
        outcome = cli("list", "--backend", server.backend_url)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == f"homeport: no services are registered on {server.backend_url}.\n"
        assert cli("list", "--backend", server.backend_url, "--format", "json").out == "[]\n"
        quiet = cli("list", "--backend", server.backend_url, "--format", "ndjson")
        assert (quiet.code, quiet.out, quiet.err) == (0, "", "")

    def test_services_with_their_counts(self, homeport_factory: HomeportFactory, cli: CommandLine) -> None:
        server = homeport_factory(dev=True)
        cli.environment["HOMEPORT_BACKEND"] = server.backend_url
        instance(server, "billing", 1, Tags=["eu", "blue"])
        instance(server, "billing", 2, status="critical")
        instance(server, "api", 1)
        assert cli("list").out == (
            "NAME     INSTANCES  PASSING  TAGS\napi      1          1        -\nbilling  2          1        blue,eu\n"
        )
        assert cli("list", "--format", "json", "--tag", "eu", "--tag", "blue").json == [
            {"name": "billing", "instances": 2, "passing": 1, "tags": ["blue", "eu"]}
        ]
        assert cli("list", "--format", "ndjson", "--tag", "us").ndjson == []

    def test_of_consul_the_counts_are_read(self, here: InProcess, consul: ConsulServer, name: str) -> None:
        tag = f"only-{name}"  # other tests leave services there
        instance(consul, name, 1, Tags=[tag])
        instance(consul, name, 2, Tags=[tag], status="critical")
        listing = ("list", "--tag", tag, "--backend", consul.backend_url)
        outcome = here(*listing)
        assert (outcome.code, outcome.err) == (0, "")
        assert [line.split() for line in outcome.out.splitlines()[1:]] == [[name, "2", "1", tag]]
        assert here(*listing, "--format", "json").json == [{"name": name, "instances": 2, "passing": 1, "tags": [tag]}]


class TestFind:
    def test_by_name(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1, Tags=["eu"], Meta={"version": "2.1.0"})
        instance(registry, name, 2, status="critical")
        outcome = both("find", name)
        assert outcome.code == 0
        assert [line.split() for line in outcome.out.splitlines()] == [
            ["ID", "ADDRESS", "STATUS", "VERSION", "TAGS"],
            [f"{name}-1", "10.0.0.1:8001", "passing", "2.1.0", "eu"],
            [f"{name}-2", "10.0.0.2:8002", "critical", "-", "-"],
        ]
        assert [row["id"] for row in both("find", name, "--healthy-only", "--format", "json").json] == [f"{name}-1"]

    @pytest.mark.parametrize(
        ("wish", "found"),
        [
            (("--tag", "eu"), ["1", "2"]),
            (("--tag", "eu", "--tag", "blue"), ["2"]),
            (("--version", ">=2,<3"), ["2"]),
            (("--environment", "production"), ["1"]),
            (("--meta", "team=platform"), ["2"]),
        ],
    )
    def test_by_what_it_is(
        self, ours: CommandLine, homeport: HomeportServer, name: str, wish: tuple[str, ...], found: list[str]
    ) -> None:
        instance(homeport, name, 1, Tags=["eu"], Meta={"version": "1.9", "environment": "production"})
        instance(homeport, name, 2, Tags=["eu", "blue"], Meta={"version": "2.0", "team": "platform"})
        rows = ours("find", name, *wish, "--format", "ndjson").ndjson
        assert [row["id"].removeprefix(f"{name}-") for row in rows] == found

    def test_in_all_services_by_tag(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1, Tags=[name])
        instance(registry, name, 2)
        instance(registry, f"{name}b", 3, Tags=[name], status="warning")
        rows = both("find", "--tag", name, "--format", "json").json
        assert [(row["service"], row["id"]) for row in rows] == [(name, f"{name}-1"), (f"{name}b", f"{name}b-3")]
        assert both("find", "--tag", name).out.split()[:2] == ["SERVICE", "ID"]
        healthy = both("find", "--tag", name, "--healthy-only", "--format", "json").json
        assert [row["service"] for row in healthy] == [name]

    def test_nothing_anywhere(self, both: CommandLine, registry: Registry, name: str) -> None:
        outcome = both("find", "--tag", name, "--format", "json")
        assert (outcome.code, outcome.json) == (1, [])
        assert outcome.err == f"homeport: no instance of any service on {registry.backend_url} is as asked.\n"

    def test_an_unknown_name_with_a_near_miss(self, consuls: CommandLine, consul: ConsulServer, name: str) -> None:
        for number in (1, 2, 3):
            instance(consul, f"billing{name}", number)
        outcome = consuls("find", f"bilings{name}")
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == (
            f'homeport: "bilings{name}" has no instances on consul://{consul.address}. '
            f'Did you mean "billing{name}" (3)?\n'
        )

    def test_an_unknown_name_without_one(self, ours: CommandLine, homeport: HomeportServer, name: str) -> None:
        outcome = ours("find", name)
        assert (outcome.code, outcome.err) == (1, f'homeport: "{name}" has no instances on {homeport.backend_url}.\n')
        assert ours("find", name, "--format", "json").out == "[]\n"

    def test_none_passing(self, both: CommandLine, registry: Registry, name: str) -> None:
        for number in (1, 2, 3):
            instance(registry, name, number, status="critical")
        outcome = both("find", name, "--healthy-only")
        assert (outcome.code, outcome.err) == (
            1,
            f'homeport: "{name}" has 3 instances, none passing; "homeport describe {name}" says why.\n',
        )

    def test_none_with_that_tag(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1, Tags=["eu"])
        outcome = both("find", name, "--tag", "us")
        assert (outcome.code, outcome.err) == (
            1, f'homeport: "{name}" has 1 instance on {registry.backend_url}, none with the tag "us".\n',
        )  # fmt: skip


class TestDescribe:
    def test_for_people(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1, Tags=["eu"], Meta={"version": "2.1.0", "team": "platform"})
        call(registry.url, "PUT", f"/v1/agent/check/warn/c-{name}-1?note=slow%1b%5b31m%0adisk")
        outcome = both("describe", name)
        assert outcome.code == 0
        lines = outcome.out.splitlines()
        assert lines[0] == f"{name}-1  10.0.0.1:8001"
        assert "  status      warning" in lines
        assert "  version     2.1.0" in lines
        assert "  tags        eu" in lines
        place = next(number for number, line in enumerate(lines) if "probe" in line)
        assert lines[place].startswith("  check       warning: probe (ttl)")
        assert lines[place + 1].strip() == "slow\N{REPLACEMENT CHARACTER}[31m disk"

    def test_for_programs_and_by_id(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1)
        instance(registry, name, 2, status="critical")
        everything = both("describe", name, "--format", "json").json
        assert [row["id"] for row in everything] == [f"{name}-1", f"{name}-2"]
        (one,) = both("describe", name, "--service-id", f"{name}-2", "--format", "ndjson").ndjson
        assert one == everything[1]
        (check,) = [check for check in one["checks"] if check["name"] == "probe"]
        assert (check["kind"], check["status"]) == ("ttl", "critical")

    def test_an_id_that_is_not_there(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1)
        outcome = both("describe", name, "--service-id", "other")
        assert (outcome.code, outcome.err) == (
            1, f'homeport: "{name}" has no instance "other" on {registry.backend_url}; it has {name}-1.\n',
        )  # fmt: skip

    def test_an_unknown_service(self, both: CommandLine, registry: Registry, name: str) -> None:
        outcome = both("describe", name)
        assert (outcome.code, outcome.err) == (1, f'homeport: "{name}" has no instances on {registry.backend_url}.\n')


def test_another_datacenter_is_asked_for(ours: CommandLine, name: str) -> None:
    for command in (("list",), ("find", name), ("describe", name)):
        outcome = ours(*command, "--datacenter", "elsewhere")
        assert outcome.code == 1, command
        assert "knows no such datacenter" in outcome.err, command
