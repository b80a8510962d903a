"""`debug register`, and reaching Consul as the section `consul` of the settings file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.cli.command_line import CommandLine
from tests.e2e.cli.conftest import Registry
from tests.e2e.cli.in_process import InProcess
from tests.servers.api import call
from tests.servers.etcd import EtcdServer
from tests.servers.factory import ConsulFactory
from tests.servers.fault_proxy import FaultProxy
from tests.servers.homeport import HomeportServer


def steps(out: str) -> list[tuple[str, str]]:
    """Mark and name of each step."""
    return [(line[0], line[2:].split()[0]) for line in out.splitlines() if not line.startswith(" ")]


ALL = ["backend", "resolve", "connect", "version", "address", "register", "seen", "removed"]


class TestRegister:
    def test_all_is_well_and_nothing_stays(self, both: CommandLine, registry: Registry, name: str) -> None:
        outcome = both("debug", "register", name, "--port", "8080")
        assert outcome.code == 0, outcome
        assert steps(outcome.out) == [("✓", step) for step in ALL]
        assert f"the backend is {registry.backend_url}: HOMEPORT_BACKEND names it" in outcome.out
        assert call(registry.url, "GET", f"/v1/health/service/{name}") == []

    def test_programs_get_json_and_the_test_instance_is_in_no_healthy_answer(
        self, both: CommandLine, registry: Registry, name: str
    ) -> None:
        outcome = both("debug", "register", name, "--backend", registry.backend_url, "--format", "json")
        found = {step["step"]: step for step in outcome.json}
        assert list(found) == ALL
        assert all(step["ok"] for step in outcome.json)
        assert found["backend"]["text"] == f"the backend is {registry.backend_url}: --backend names it"
        assert found["seen"]["details"]["status"] == "critical"
        assert found["version"]["details"]["product"] in ("homeport", "consul")
        assert [one["step"] for one in both("debug", "register", name, "--format", "ndjson").ndjson] == ALL

    def test_verbose_tells_what_was_found_out(self, ours: CommandLine, name: str) -> None:
        plain, verbose = ours("debug", "register", name).out, ours("debug", "register", name, "--verbose").out
        assert steps(plain) == steps(verbose)
        assert " ms)" in verbose
        assert " ms)" not in plain
        assert "product: homeport" in verbose
        assert f"id: {name}-homeport-debug-" in verbose

    def test_nobody_listens(self, cli: CommandLine, name: str, free_port: Callable[[], int]) -> None:
        port = free_port()
        outcome = cli("debug", "register", name, "--backend", f"homeport://127.0.0.1:{port}")
        assert outcome.code == 3
        assert steps(outcome.out) == [("✓", "backend"), ("✓", "resolve"), ("✗", "connect")]
        assert f"no connection to 127.0.0.1:{port} (connection refused)" in outcome.out

    def test_one_of_several_addresses_is_enough(
        self, cli: CommandLine, homeport: HomeportServer, name: str, free_port: Callable[[], int]
    ) -> None:
        backend = f"homeport://127.0.0.1:{free_port()},{homeport.address}"
        outcome = cli("debug", "register", name, "--backend", backend)
        assert outcome.code == 0, outcome
        assert steps(outcome.out)[2:4] == [("!", "connect"), ("✓", "connect")]
        assert [step for _, step in steps(outcome.out)][3:] == ALL[2:]

    def test_a_stranger_answers(self, cli: CommandLine, homeport: HomeportServer, name: str) -> None:
        with FaultProxy(homeport.address) as proxy:
            proxy.garble(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            outcome = cli("debug", "register", name, "--backend", f"homeport://{proxy.address}")
        assert outcome.code == 1
        assert steps(outcome.out)[-1] == ("✗", "version")
        assert "is neither Consul nor Homeport" in outcome.out

    def test_an_address_that_nobody_could_call(self, ours: CommandLine, name: str) -> None:
        outcome = ours("debug", "register", name, "--address", "10.1.2.3")
        assert "the instance is announced at 10.1.2.3" in outcome.out

    def test_where_nobody_runs_checks_it_is_under_a_name_of_its_own(
        self, here: InProcess, etcd: EtcdServer, name: str
    ) -> None:
        outcome = here("debug", "register", name, "--port", "1", "--backend", etcd.backend_url)
        assert outcome.code == 0, outcome
        assert f'"{name}-homeport-debug" may be registered' in outcome.out
        assert etcd.get(f"/services/{name}") == {}

    def test_a_backend_that_takes_none(self, here: InProcess, name: str, tmp_path: Path) -> None:
        (tmp_path / "services.yaml").write_text("services: {}\n", encoding="utf-8")
        outcome = here("debug", "register", name, "--backend", f"static://{tmp_path}/services.yaml")
        assert outcome.code == 1
        assert steps(outcome.out) == [("✓", "backend"), ("✗", "register")]
        assert "takes no registrations; use a Homeport registry (homeport://), Consul (consul://), " in outcome.out

    def test_the_permission_is_missing(
        self, consul_factory: ConsulFactory, cli: CommandLine, name: str, tmp_path: Path
    ) -> None:
        server: Any = consul_factory(
            config={
                "primary_datacenter": "dc1",
                "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": "root-secret"}},
            },
            start=False,
        )
        server.token = "root-secret"
        server.start()
        file = tmp_path / "homeport.yaml"
        file.write_text(
            f"consul:\n  server: {{address: {server.address}}}\n  authentication: {{token_env: MY_TOKEN}}\n",
            encoding="utf-8",
        )
        weak = cli("debug", "register", name, "--backend", server.backend_url)
        assert weak.code == 4
        assert steps(weak.out)[-1][0] == "✗"
        # The section of document 004: address and token come from it.
        strong = cli("debug", "register", name, "--config", str(file), MY_TOKEN="root-secret")
        assert strong.code == 0, strong
        assert f"{file} has it in its section consul" in strong.out
        assert "root-secret" not in strong.out + strong.err
        missing = cli("list", "--config", str(file))
        assert missing.code == 1
        assert "MY_TOKEN" in missing.err
