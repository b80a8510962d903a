"""`health` and its relatives on real registries."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.cli.command_line import CommandLine
from tests.e2e.cli.conftest import Registry
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.factory import HomeportFactory
from tests.servers.homeport import HomeportServer


def instance(registry: Registry, name: str, number: int, status: str = "passing", **check: object) -> str:
    """Register an instance with one check, a TTL check of that status unless it says otherwise; its id."""
    id_ = f"{name}-{number}"
    probe = {"CheckID": f"c-{id_}", "Name": "probe", "Status": status, **(check or {"TTL": "1h"})}
    body = {"Name": name, "ID": id_, "Address": "127.0.0.1", "Port": number, "Check": probe}
    call(registry.url, "PUT", "/v1/agent/service/register", body)
    return id_


class Health(http.server.ThreadingHTTPServer):
    """Answers every request with `status`."""

    status = 200


@pytest.fixture
def checked() -> Iterator[Health]:
    """A program with a health endpoint."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, Health)
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with Health(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestHealth:
    def test_a_service_that_passes(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1)
        outcome = both("health", name)
        assert outcome.code == 0
        lines = outcome.out.splitlines()
        assert lines[0] == f'"{name}" is passing: 1 of 1 instances pass.'
        assert lines[3].split() == [f"{name}-1", "127.0.0.1:1", "passing", "-"]

    @pytest.mark.parametrize("worst", ["warning", "critical"])
    def test_the_worst_instance_decides(self, both: CommandLine, registry: Registry, name: str, worst: str) -> None:
        instance(registry, name, 1)
        instance(registry, name, 2, worst)
        outcome = both("health", name)
        assert outcome.code == 1
        assert outcome.out.splitlines()[0] == f'"{name}" is {worst}: 1 of 2 instances pass.'
        assert outcome.out.splitlines()[4].split() == [f"{name}-2", "127.0.0.1:2", worst, "probe"]
        assert outcome.err == ""

    def test_for_programs(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1, "warning")
        outcome = both("health", name, "--format", "json")
        assert outcome.code == 1
        details = outcome.json.pop("details")
        assert [one["id"] for one in details] == [f"{name}-1"]
        (line,) = both("health", name, "--format", "ndjson").ndjson
        counts = {key: line[key] for key in ("status", "instances", "passing", "warning", "critical", "maintenance")}
        assert counts == {
            "status": "warning", "instances": 1, "passing": 0, "warning": 1, "critical": 0, "maintenance": 0,
        }  # fmt: skip

    def test_maintenance_is_a_status_of_its_own(self, both: CommandLine, registry: Registry, name: str) -> None:
        id_ = instance(registry, name, 1)
        call(registry.url, "PUT", f"/v1/agent/service/maintenance/{id_}?enable=true&reason=update")
        assert both("health", name, "--format", "json").json["status"] == "maintenance"

    def test_an_unknown_service(self, both: CommandLine, registry: Registry, name: str) -> None:
        outcome = both("health", name)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == f'homeport: "{name}" has no instances on {registry.backend_url}.\n'


class TestHealthCheck:
    def test_a_check_runs_now(self, ours: CommandLine, homeport: HomeportServer, name: str, checked: Health) -> None:
        url = f"http://127.0.0.1:{checked.server_port}/"
        id_ = instance(homeport, name, 1, "critical", HTTP=url, Interval="1h")
        outcome = ours("health-check", name, "--check-name", "probe")
        assert outcome.code == 0
        assert outcome.out.splitlines()[1].split()[:4] == [name, id_, "probe", "passing"]
        checked.status = 500
        again = ours("health-check", name, "--check-name", f"c-{id_}", "--format", "json")
        assert again.code == 1
        (row,) = again.json
        assert (row["instance"], row["name"], row["status"]) == (id_, "probe", "critical")
        assert row["output"].startswith(f"HTTP GET {url}: 500")

    def test_all_that_can_be_run_run_unless_one_is_named(
        self, ours: CommandLine, homeport: HomeportServer, name: str, checked: Health
    ) -> None:
        target = f"127.0.0.1:{checked.server_port}"
        instance(homeport, name, 1, "critical", TCP=target, Interval="1h")
        instance(homeport, name, 2, "critical", TCP=target, Interval="1h")
        instance(homeport, name, 3)
        every = ours("health-check", name, "--format", "ndjson").ndjson
        assert [(row["instance"], row["status"]) for row in every] == [
            (f"{name}-1", "passing"),
            (f"{name}-2", "passing"),
        ]
        one = ours("health-check", name, "--service-id", f"{name}-2", "--format", "ndjson").ndjson
        assert [row["instance"] for row in one] == [f"{name}-2"]

    def test_a_check_that_is_not_there(self, ours: CommandLine, homeport: HomeportServer, name: str) -> None:
        instance(homeport, name, 1)
        outcome = ours("health-check", name, "--check-name", "prob")
        assert (outcome.code, outcome.err) == (1, f'homeport: "{name}" has no check "prob"; it has "probe".\n')
        nothing = ours("health-check", name)
        assert nothing.err == f'homeport: "{name}" has no check that the registry runs; it has "probe".\n'

    def test_consul_cannot_be_asked(self, consuls: CommandLine, consul: ConsulServer, name: str) -> None:
        instance(consul, name, 1, "critical", TCP="127.0.0.1:1", Interval="1h")
        outcome = consuls("health-check", name)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err == (
            "homeport: Consul cannot be asked to run a check, and runs each at its interval; "
            "use a Homeport registry (homeport://)\n"
        )


class TestHealthUpdate:
    def test_a_status_with_its_reason(self, both: CommandLine, registry: Registry, name: str) -> None:
        id_ = instance(registry, name, 1, "critical")
        outcome = both("health-update", name, "--status", "warning", "--output", "slow disk")
        assert (outcome.code, outcome.out) == (0, f"the TTL check of {id_} is warning\n")
        (entry,) = call(registry.url, "GET", f"/v1/health/service/{name}")
        (check,) = [one for one in entry["Checks"] if one["Name"] == "probe"]
        assert (check["Status"], check["Output"]) == ("warning", "slow disk")

    def test_by_name_and_for_programs(self, both: CommandLine, registry: Registry, name: str) -> None:
        id_ = instance(registry, name, 1, "critical")
        outcome = both("health-update", name, "--status", "passing", "--check-name", "probe", "--format", "json")
        assert outcome.json == {
            "service": name, "instance": id_, "check": "probe", "status": "passing", "output": "",
        }  # fmt: skip
        assert both("health", name).code == 0

    def test_several_instances_are_listed_and_none_is_changed(
        self, both: CommandLine, registry: Registry, name: str
    ) -> None:
        instance(registry, name, 1, "critical")
        instance(registry, name, 2, "critical")
        outcome = both("health-update", name, "--status", "passing")
        assert outcome.code == 2
        assert [line.split()[0] for line in outcome.out.splitlines()] == ["ID", f"{name}-1", f"{name}-2"]
        assert (
            outcome.err
            == f'homeport: "{name}" has 2 instances on {registry.backend_url}; name one with --service-id.\n'
        )
        assert both("health", name, "--format", "json").json["critical"] == 2
        assert both("health-update", name, "--status", "passing", "--service-id", f"{name}-2").code == 0
        assert both("health", name, "--format", "json").json["passing"] == 1

    def test_what_the_registry_checks_itself_cannot_be_set(
        self, both: CommandLine, registry: Registry, name: str
    ) -> None:
        id_ = instance(registry, name, 1, "critical", TCP="127.0.0.1:1", Interval="1h")
        outcome = both("health-update", name, "--status", "passing", "--check-name", "probe")
        assert outcome.code == 1
        assert f'the check "probe" of "{id_}" is run by the registry; only a TTL check can be set' in outcome.err


class TestHealthList:
    @pytest.mark.parametrize(
        ("status", "found"),
        [
            (None, {"1", "2", "3"}), ("failing", {"2", "3"}), ("passing", {"1"}),
            ("warning", {"2"}), ("critical", {"3"}),
        ],
    )  # fmt: skip
    def test_by_status(
        self, ours: CommandLine, homeport: HomeportServer, name: str, status: str | None, found: set[str]
    ) -> None:
        for number, state in enumerate(("passing", "warning", "critical"), 1):
            instance(homeport, name, number, state)
        wish = ("--status", status) if status else ()
        rows = ours("health-list", *wish, "--format", "ndjson").ndjson
        assert {row["instance"].removeprefix(f"{name}-") for row in rows if row["service"] == name} == found

    def test_for_people(self, homeport_factory: HomeportFactory, cli: CommandLine) -> None:
        server = homeport_factory(dev=True)
        cli.environment["HOMEPORT_BACKEND"] = server.backend_url
        nothing = cli("health-list", "--status", "failing")
        assert (nothing.code, nothing.out, nothing.err) == (0, "", "homeport: no check is failing.\n")
        instance(server, "api", 1, "critical")
        call(server.url, "PUT", "/v1/agent/check/update/c-api-1", {"Status": "critical", "Output": "x" * 300})
        assert cli("health-list").out == (
            f"SERVICE  INSTANCE  CHECK  STATUS    OUTPUT\napi      api-1     probe  critical  {'x' * 79}…\n"
        )


class TestHealthHistory:
    def test_changes_oldest_first(self, ours: CommandLine, homeport: HomeportServer, name: str) -> None:
        id_ = instance(homeport, name, 1)
        for word in ("warn", "fail", "pass"):
            call(homeport.url, "PUT", f"/v1/agent/check/{word}/c-{id_}?note={word}ed")
        rows = ours("health-history", name, "--since", "1h", "--format", "json").json
        assert [row["status"] for row in rows][-3:] == ["warning", "critical", "passing"]
        assert {(row["service"], row["instance"], row["check"]) for row in rows} == {(name, id_, f"c-{id_}")}
        table = ours("health-history", name).out.splitlines()
        assert table[0].split() == ["AT", "INSTANCE", "CHECK", "STATUS", "OUTPUT"]
        assert table[-1].split()[1:] == [id_, f"c-{id_}", "passing", "passed"]

    def test_how_far_back_decides(self, ours: CommandLine, homeport: HomeportServer, name: str) -> None:
        instance(homeport, name, 1)
        outcome = ours("health-history", name, "--since", "0")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == f'homeport: no check of "{name}" changed its status in the last 0.\n'
        assert ours("health-history", name, "--since", "0", "--format", "json").out == "[]\n"

    def test_an_unknown_service_and_a_wrong_time(self, ours: CommandLine, homeport: HomeportServer, name: str) -> None:
        outcome = ours("health-history", name)
        assert (outcome.code, outcome.err) == (1, f'homeport: "{name}" has no instances on {homeport.backend_url}.\n')
        wrong = ours("health-history", name, "--since", "yesterday")
        assert wrong.code == 2
        assert wrong.err.startswith('homeport: --since: "yesterday" is not a duration; write for example 10s')

    def test_consul_keeps_none(self, consuls: CommandLine, name: str) -> None:
        outcome = consuls("health-history", name)
        assert (outcome.code, outcome.err) == (
            1, "homeport: Consul keeps no history of checks; use a Homeport registry (homeport://)\n",
        )  # fmt: skip


class TestHealthSummary:
    def test_of_all_services(self, homeport_factory: HomeportFactory, cli: CommandLine) -> None:
        server = homeport_factory(dev=True)
        cli.environment["HOMEPORT_BACKEND"] = server.backend_url
        assert cli("health-summary").err == "homeport: no services are registered.\n"
        instance(server, "api", 1)
        instance(server, "billing", 1)
        instance(server, "billing", 2, "critical")
        outcome = cli("health-summary")
        assert outcome.code == 0
        assert [line.split() for line in outcome.out.splitlines()] == [
            ["SERVICE", "STATUS", "INSTANCES", "PASSING", "WARNING", "CRITICAL", "MAINTENANCE"],
            ["api", "passing", "1", "1", "0", "0", "0"],
            ["billing", "critical", "2", "1", "0", "1", "0"],
            [],
            ["overall", "critical:", "2", "of", "3", "instances", "pass."],
        ]
        whole = cli("health-summary", "--format", "json").json
        assert (whole["status"], whole["instances"], whole["passing"]) == ("critical", 3, 2)
        assert [row["service"] for row in whole["services"]] == ["api", "billing"]

    def test_of_one_service(self, both: CommandLine, registry: Registry, name: str) -> None:
        instance(registry, name, 1, "warning")
        outcome = both("health-summary", "--service", name)
        assert (outcome.code, len(outcome.out.splitlines())) == (0, 2)
        (row,) = both("health-summary", "--service", name, "--format", "ndjson").ndjson
        assert (row["service"], row["warning"]) == (name, 1)
        assert both("health-summary", "--service", f"{name}x" * 2).code == 1
