"""`register` without COMMAND, and `deregister`, on real registries."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.command_line import PATIENCE, CommandLine
from tests.e2e.cli.conftest import Registry
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until


def entries(registry: Registry, name: str) -> list[Any]:
    """The health entries of a service, as the registry itself gives them."""
    found: list[Any] = call(registry.url, "GET", f"/v1/health/service/{name}")
    return found


class TestOnce:
    def test_everything_that_can_be_said(self, both: CommandLine, registry: Registry, name: str) -> None:
        outcome = both(
            "register", name, "--address", "10.0.1.100", "--port", "8080", "--tags", "api, v2.1.0", "--tag", "eu",
            "--health-check", "http://10.0.1.100:8080/health", "--check-name", "front", "--check-interval", "1m",
            "--check-timeout", "3s", "--deregister-after", "90s", "--meta", "team=platform", "--version", "2.1.0",
            "--environment", "production", "--id", f"{name}-x", "--weight", "7",
        )  # fmt: skip
        assert outcome.code == 0, outcome
        assert outcome.out == f"registered {name}-x at 10.0.1.100:8080 on {registry.backend_url}\n"
        assert outcome.err == ""
        (entry,) = entries(registry, name)
        service = entry["Service"]
        assert (service["ID"], service["Address"], service["Port"]) == (f"{name}-x", "10.0.1.100", 8080)
        assert sorted(service["Tags"]) == ["api", "eu", "v2.1.0"]
        assert service["Weights"]["Passing"] == 7
        assert {"team": "platform", "version": "2.1.0", "environment": "production"}.items() <= service["Meta"].items()
        checks = call(registry.url, "GET", "/v1/agent/checks")
        (check,) = [one for one in checks.values() if one["ServiceID"] == f"{name}-x" and one["Name"] == "front"]
        assert check["Type"] == "http"
        (shown,) = [
            one for one in both("describe", name, "--format", "json").json[0]["checks"] if one["name"] == "front"
        ]
        assert (shown["kind"], shown["status"]) == ("http", "critical")
        # Else the registry removes it while another test looks at everything that there is.
        call(registry.url, "PUT", f"/v1/agent/service/deregister/{name}-x")

    def test_of_a_chain_it_goes_to_the_first_that_takes_any(
        self, cli: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "services.yaml"
        file.write_text("services: {}\n")
        chain = ("--backend", f"static://{file}", "--backend", homeport.backend_url)
        done = cli("register", name, "--address", "10.0.0.1", "--port", "80", *chain)
        assert (done.code, done.out) == (0, f"registered {name}-10.0.0.1-80 at 10.0.0.1:80 on {homeport.backend_url}\n")
        assert len(entries(homeport, name)) == 1
        nobody = cli("register", name, "--port", "80", *chain[:2])
        assert nobody.code == 1
        assert nobody.err.startswith(f"homeport: static://{file} takes no registrations")

    def test_it_stays_and_registering_it_again_is_the_same_instance(
        self, both: CommandLine, registry: Registry, name: str
    ) -> None:
        first = both("register", name, "--port", "8080", "--format", "json").json
        second = both("register", name, "--port", "8080", "--tags", "new", "--format", "ndjson").ndjson[0]
        assert first["id"] == second["id"] == f"{name}-127.0.0.1-8080"
        assert first == {
            "service": name, "id": first["id"], "address": "127.0.0.1", "port": 8080, "endpoint": "127.0.0.1:8080",
            "tags": [], "backend": registry.backend_url,
        }  # fmt: skip
        (entry,) = entries(registry, name)
        assert entry["Service"]["Tags"] == ["new"]
        assert {check["Status"] for check in entry["Checks"]} == {"passing"}

    def test_without_a_check_it_says_what_that_means(self, ours: CommandLine, name: str) -> None:
        outcome = ours("register", name, "--port", "8080")
        assert outcome.err == (
            f'homeport: nothing checks whether "{name}-127.0.0.1-8080" still works; give --health-check or --ttl, or '
            f'keep it by --keep. "homeport deregister {name} --service-id {name}-127.0.0.1-8080" removes it.\n'
        )

    def test_several_checks_of_the_own_address(
        self, both: CommandLine, registry: Registry, name: str, free_port: Callable[[], int]
    ) -> None:
        port = str(free_port())
        assert both("register", name, "--port", port, "--health-check", "tcp", "--health-check", "/up").code == 0
        checks = [one for one in call(registry.url, "GET", "/v1/agent/checks").values() if one["ServiceName"] == name]
        assert sorted(one["Type"] for one in checks) == ["http", "tcp"]

    def test_a_ttl_check_is_fed_by_health_update(self, both: CommandLine, registry: Registry, name: str) -> None:
        assert both("register", name, "--port", "1", "--ttl", "1h").code == 0
        assert both("health", name).code == 1
        assert both("health-update", name, "--status", "passing").code == 0
        assert both("health", name).code == 0

    def test_the_address_may_come_from_the_environment(
        self, ours: CommandLine, homeport: HomeportServer, name: str
    ) -> None:
        assert ours("register", name, "--port", "1", HOMEPORT_ADVERTISE="10.9.8.7").code == 0
        assert entries(homeport, name)[0]["Service"]["Address"] == "10.9.8.7"


class TestKeep:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
    def test_it_lasts_until_a_signal(
        self, both: CommandLine, registry: Registry, name: str, number: signal.Signals, code: int
    ) -> None:
        running = both.start("register", name, "--port", "8080", "--keep")
        line = running.out.next()
        id_ = line.split()[1]
        assert line == f"registered {id_} at 127.0.0.1:8080 on {registry.backend_url}; Ctrl-C deregisters it."
        assert [entry["Service"]["ID"] for entry in entries(registry, name)] == [id_]
        running.send(number)
        outcome = running.finish()
        assert (outcome.code, outcome.err) == (code, "")
        assert entries(registry, name) == []

    def test_a_killed_one_fails_when_its_lease_runs_out(self, both: CommandLine, registry: Registry, name: str) -> None:
        running = both.start("register", name, "--port", "8080", "--keep", "--ttl", "1s", "--format", "ndjson")
        running.out.next()
        running.send(signal.SIGKILL)
        wait_until(
            lambda: call(registry.url, "GET", f"/v1/health/service/{name}?passing") == [],
            timeout=PATIENCE, what="the lease running out",
        )  # fmt: skip

    def test_a_lost_registration_is_made_again_and_told(self, both: CommandLine, registry: Registry, name: str) -> None:
        running = both.start("register", name, "--port", "8080", "--keep", "--ttl", "3s")
        id_ = running.out.next().split()[1]
        call(registry.url, "PUT", f"/v1/agent/service/deregister/{id_}")
        lost = running.err.next()
        assert lost.startswith(f'homeport: "{id_}" is not registered now (')
        assert lost.endswith("); it is made again.")
        assert running.err.next() == f'homeport: "{id_}" is registered again.'
        assert len(entries(registry, name)) == 1

    def test_a_takeover_ends_it_and_leaves_the_successor_alone(
        self, both: CommandLine, registry: Registry, name: str
    ) -> None:
        first = both.start("register", name, "--port", "8080", "--keep", "--ttl", "3s", "--id", name)
        first.out.next()
        second = both.start("register", name, "--port", "8081", "--keep", "--id", name)
        second.out.next()
        outcome = first.finish()
        assert outcome.code == 1
        assert outcome.err == f'homeport: "{name}" was registered anew by another program; it is not kept any more.\n'
        assert [entry["Service"]["Port"] for entry in entries(registry, name)] == [8081]

    def test_a_signal_while_registering_leaves_nothing_behind(
        self, homeport: HomeportServer, cli: CommandLine, name: str
    ) -> None:
        """The registry is slow: the signal comes when the request is on its way and its answer is not."""
        with FaultProxy(homeport.address) as proxy:
            proxy.delay(0.5)
            running = cli.start("register", name, "--port", "1", "--keep", "--backend", f"homeport://{proxy.address}")
            wait_until(lambda: len(entries(homeport, name)) == 1, timeout=PATIENCE, what="the registration")
            running.send(signal.SIGTERM)
            proxy.delay(0.0)  # from the next answer on, so that there is all the time for leaving
            outcome = running.finish()
        assert (outcome.code, outcome.err) == (0, "")
        assert entries(homeport, name) == []


class TestDeregister:
    def test_the_only_one(self, both: CommandLine, registry: Registry, name: str) -> None:
        id_ = both("register", name, "--port", "1", "--format", "json").json["id"]
        outcome = both("deregister", name)
        assert (outcome.code, outcome.out) == (0, f"deregistered {id_} from {registry.backend_url}\n")
        assert entries(registry, name) == []
        again = both("deregister", name)
        assert (again.code, again.err) == (1, f'homeport: "{name}" has no instances on {registry.backend_url}.\n')

    def test_several_are_listed_and_none_is_removed(self, both: CommandLine, registry: Registry, name: str) -> None:
        for port in ("1", "2"):
            both("register", name, "--port", port)
        outcome = both("deregister", name)
        assert outcome.code == 2
        assert [line.split()[0] for line in outcome.out.splitlines()] == [
            "ID", f"{name}-127.0.0.1-1", f"{name}-127.0.0.1-2",
        ]  # fmt: skip
        assert (
            outcome.err
            == f'homeport: "{name}" has 2 instances on {registry.backend_url}; name one with --service-id.\n'
        )
        assert len(entries(registry, name)) == 2
        named = both("deregister", name, "--service-id", f"{name}-127.0.0.1-1", "--format", "json")
        assert named.json == {
            "service": name, "id": f"{name}-127.0.0.1-1", "backend": registry.backend_url, "deregistered": True,
        }  # fmt: skip
        assert [entry["Service"]["ID"] for entry in entries(registry, name)] == [f"{name}-127.0.0.1-2"]

    def test_an_id_of_another_service_is_left_alone(self, both: CommandLine, registry: Registry, name: str) -> None:
        both("register", name, "--port", "1")
        both("register", f"{name}b", "--port", "2", "--id", f"{name}-other")
        outcome = both("deregister", name, "--service-id", f"{name}-other")
        assert (outcome.code, outcome.out) == (1, "")
        assert len(entries(registry, f"{name}b")) == 1

    def test_one_of_another_node_is_told_apart(self, consuls: CommandLine, consul: ConsulServer, name: str) -> None:
        body = {"Node": f"node-{name}", "Address": "10.1.1.1", "Service": {"Service": name, "ID": name, "Port": 1}}
        call(consul.url, "PUT", "/v1/catalog/register", body)
        outcome = consuls("deregister", name)
        assert outcome.code == 1
        assert outcome.err == (
            f'homeport: "{name}" was not registered through {consul.backend_url} but with the node "node-{name}"; '
            "deregister it there.\n"
        )
