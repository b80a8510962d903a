"""`agent`, and `register --file`: what files define, on real registries."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.e2e.cli.command_line import PATIENCE, CommandLine
from tests.e2e.cli.conftest import Registry
from tests.servers.api import call
from tests.servers.homeport import HomeportServer
from tests.servers.process import wait_until

HOST = socket.gethostname()


def entries(registry: Registry, name: str) -> list[Any]:
    found: list[Any] = call(registry.url, "GET", f"/v1/health/service/{name}")
    return found


def definition(name: str, *, port: int = 8080, tag: str = "one") -> str:
    return f"""
service_definition:
  name: "{name}"
  id: "{name}-{{{{ .instance_id }}}}"
  address: "{{{{ .host_ip }}}}"
  port: {port}
  tags: ["{{{{ .version }}}}", "{tag}"]
  meta: {{version: "{{{{ .version }}}}", owner: '{{{{ env "OWNER" }}}}'}}
  health_checks:
    - name: "TCP Port Check"
      tcp: "{{{{ .host_ip }}}}:{{{{ .port }}}}"
      interval: "30s"
"""


def place(folder: Path, name: str, text: str) -> Path:
    """Put a whole file into a folder at once."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)
    return path


class TestAgent:
    def test_it_follows_a_folder(self, both: CommandLine, registry: Registry, name: str, tmp_path: Path) -> None:
        folder, url = tmp_path / "services", registry.backend_url
        api = place(folder, "api.yaml", definition(f"{name}-a"))
        running = both.start("agent", "--config", str(folder), "--set", "version=2.1.0", OWNER="me")
        assert running.out.next() == f"registered {name}-a-{HOST} at 127.0.0.1:8080 on {url}"
        assert running.err.next() == f"homeport: 1 service registered on {url}; Ctrl-C deregisters."
        (entry,) = entries(registry, f"{name}-a")
        assert sorted(entry["Service"]["Tags"]) == ["2.1.0", "one"]
        assert {"version": "2.1.0", "owner": "me"}.items() <= entry["Service"]["Meta"].items()
        assert "TCP Port Check" in {check["Name"] for check in entry["Checks"]}

        web = place(folder, "web.yaml", f"services: [{{name: {name}-b, port: 1}}, {{name: {name}-c, port: 2}}]")
        assert [running.out.next().split()[:2] for _ in range(2)] == [
            ["registered", f"{name}-b-127.0.0.1-1"], ["registered", f"{name}-c-127.0.0.1-2"],
        ]  # fmt: skip
        place(folder, "api.yaml", definition(f"{name}-a", port=8081, tag="two"))
        assert running.out.next() == f"updated {name}-a-{HOST} at 127.0.0.1:8081 on {url}"
        (entry,) = entries(registry, f"{name}-a")
        assert (entry["Service"]["Port"], sorted(entry["Service"]["Tags"])) == (8081, ["2.1.0", "two"])

        place(folder, "web.yaml", "services: [")
        assert running.err.next().startswith(f"homeport: {web}: line 1, column 12: expected the node content")
        assert len(entries(registry, f"{name}-b")) == 1
        web.unlink()
        assert [running.out.next() for _ in range(2)] == [
            f"deregistered {name}-b-127.0.0.1-1 from {url}", f"deregistered {name}-c-127.0.0.1-2 from {url}",
        ]  # fmt: skip
        assert entries(registry, f"{name}-b") == []

        assert api.exists()
        running.send(signal.SIGTERM)
        outcome = running.finish()
        assert outcome.code == 0
        assert outcome.out.splitlines()[-1] == f"deregistered {name}-a-{HOST} from {url}"
        assert entries(registry, f"{name}-a") == []

    def test_a_hangup_looks_at_everything_at_once(
        self, ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        """The file has the time and size of before, so that only being told lets the agent see the change."""
        path = place(tmp_path / "services", "a.yaml", f"services: [{{name: {name}, id: {name}, port: 1}}]")
        running = ours.start("agent", "--config", str(path), "--format", "ndjson")
        running.out.next()
        running.err.until("1 service registered")
        status = path.stat()
        with path.open("r+", encoding="utf-8") as file:
            file.write(path.read_text(encoding="utf-8").replace("port: 1", "port: 2"))
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
        running.send(signal.SIGHUP)
        assert '"event":"updated"' in running.out.next()
        assert entries(homeport, name)[0]["Service"]["Port"] == 2
        running.send(signal.SIGINT)
        assert running.finish().code == 130
        assert entries(homeport, name) == []

    def test_a_registry_that_is_not_there_yet_is_waited_for(
        self, cli: CommandLine, homeport_factory: Any, name: str, tmp_path: Path
    ) -> None:
        server = homeport_factory()
        server.stop()
        place(tmp_path / "services", "a.yaml", f"services: [{{name: {name}, id: {name}, port: 1, address: 127.0.0.1}}]")
        running = cli.start("agent", "--config", str(tmp_path / "services"), "--backend", server.backend_url)
        assert running.err.next().startswith(f'homeport: "{name}" could not be registered (no registry answers at ')
        server.start()
        assert running.out.next() == f"registered {name} at 127.0.0.1:1 on {server.backend_url}"
        running.send(signal.SIGTERM)
        assert running.finish().code == 0

    def test_a_killed_agent_leaves_leases_that_run_out(
        self, ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        place(tmp_path / "s", "a.yaml", f"services: [{{name: {name}, port: 1}}]")
        running = ours.start("agent", "--config", str(tmp_path / "s"), "--ttl", "1s")
        running.out.next()
        running.send(signal.SIGKILL)
        wait_until(
            lambda: call(homeport.url, "GET", f"/v1/health/service/{name}?passing") == [],
            timeout=PATIENCE, what="the lease running out",
        )  # fmt: skip

    def test_a_settings_file_may_be_among_its_files(
        self, cli: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        file = place(
            tmp_path,
            "homeport.yaml",
            f"""
            backend: {homeport.backend_url}
            consul: {{service_registration: {{tags: [common], deregister_on_exit: false}}}}
            services: [{{name: {name}, id: {name}, port: 1}}]
        """,
        )
        running = cli.start("agent", "--config", str(file), "--ttl", "1s")
        running.out.next()
        assert entries(homeport, name)[0]["Service"]["Tags"] == ["common"]
        running.send(signal.SIGTERM)
        assert running.finish().code == 0
        assert len(entries(homeport, name)) == 1
        call(homeport.url, "PUT", f"/v1/agent/service/deregister/{name}")

    def test_what_is_not_there_is_told(self, ours: CommandLine, tmp_path: Path) -> None:
        outcome = ours("agent", "--config", str(tmp_path / "gone"))
        assert (outcome.code, outcome.err) == (1, f"homeport: {tmp_path}/gone: there is no such file or folder\n")


class TestRegisterFile:
    def test_once_and_again_is_one_instance(
        self, both: CommandLine, registry: Registry, name: str, tmp_path: Path
    ) -> None:
        path = place(tmp_path, "api.yaml", definition(name))
        for version in ("1", "2"):
            outcome = both("register", "--file", str(path), "--set", f"version={version}", OWNER="me")
            assert outcome.code == 0, outcome
            assert outcome.out == f"registered {name}-{HOST} at 127.0.0.1:8080 on {registry.backend_url}\n"
        (entry,) = entries(registry, name)
        assert entry["Service"]["Meta"]["version"] == "2"
        assert both("deregister", name).code == 0

    def test_version_and_environment_may_come_from_the_environment(
        self, ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        path = place(
            tmp_path,
            "a.yaml",
            f'services: [{{name: {name}, port: 1, tags: ["{{{{ .version }}}}", "{{{{ .environment }}}}"]}}]',
        )
        outcome = ours("register", "--file", str(path), HOMEPORT_VERSION="3", HOMEPORT_ENVIRONMENT="live")
        assert outcome.code == 0, outcome
        assert sorted(entries(homeport, name)[0]["Service"]["Tags"]) == ["3", "live"]

    def test_a_place_without_a_value_registers_nothing(
        self, ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        path = place(tmp_path, "api.yaml", definition(name))
        outcome = ours("register", "--file", str(path), OWNER="me")
        assert outcome.code == 1
        assert outcome.err == (
            f'homeport: {path}: service_definition.tags[0]: "{{{{ .version }}}}" has no value; set HOMEPORT_VERSION, '
            "or give version (--set version=…, or values= in a program)\n"
        )
        assert entries(homeport, name) == []

    def test_one_of_several_is_chosen_by_name(
        self, ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        path = place(tmp_path, "s.yaml", f"services: [{{name: {name}-a, port: 1}}, {{name: {name}-b, port: 2}}]")
        assert ours("register", f"{name}-b", "--file", str(path)).code == 0
        assert entries(homeport, f"{name}-a") == []
        assert len(entries(homeport, f"{name}-b")) == 1
        unknown = ours("register", "x", "--file", str(path))
        assert (unknown.code, unknown.err) == (
            1, f'homeport: {path} does not define "x"; it defines "{name}-a", "{name}-b".\n',
        )  # fmt: skip
        several = ours("register", "--file", str(path), "--keep")
        assert several.code == 2
        assert several.err == (
            f'homeport: {path} defines 2 services; name one, or keep them all with "homeport agent --config".\n'
        )
        assert ours("register", "--file", str(path)).code == 0
        assert len(entries(homeport, f"{name}-a")) == 1

    def test_it_is_kept_or_lasts_as_long_as_a_command(
        self, ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
    ) -> None:
        path = place(tmp_path, "s.yaml", f"service_definition: {{name: {name}, id: {name}}}")
        running = ours.start("register", "--file", str(path), "--keep")
        assert running.out.next().startswith(f"registered {name} at ")
        running.send(signal.SIGTERM)
        assert running.finish().code == 0
        assert entries(homeport, name) == []
        stop = tmp_path / "stop"
        script = f"until [ -e {stop} ]; do sleep 0.02; done; exit 4"
        wrapped = ours.start("register", "--file", str(path), "--", "sh", "-c", script)
        wrapped.err.until("registered")
        assert len(entries(homeport, name)) == 1
        stop.touch()
        assert wrapped.finish().code == 4
        assert entries(homeport, name) == []


def test_the_name_may_come_from_the_environment(
    ours: CommandLine, homeport: HomeportServer, name: str, tmp_path: Path
) -> None:
    assert ours("register", "--port", "1", "--service-id", f"{name}-x", DISCOVERY_SERVICE_NAME=name).code == 0
    path = place(tmp_path, "s.yaml", f"service_definition: {{id: {name}-y, port: 2}}")
    assert ours("register", "--file", str(path), DISCOVERY_SERVICE_NAME=name).code == 0
    assert sorted(entry["Service"]["ID"] for entry in entries(homeport, name)) == [f"{name}-x", f"{name}-y"]
    assert ours("deregister", name, "--id", f"{name}-x").code == 0  # either option names an instance, in every command
    assert [entry["Service"]["ID"] for entry in entries(homeport, name)] == [f"{name}-y"]
