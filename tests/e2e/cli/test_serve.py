"""`serve`: flags, settings, and how it refuses."""

import re
import signal
from pathlib import Path

import pytest

from tests.e2e.cli.command_line import CommandLine, Running
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.homeport import HomeportServer, parse_ready_line


def served(running: Running) -> str:
    """The URL of the HTTP API, once it serves."""
    return f"http://{parse_ready_line(running.out.next())['http']}"


def refusal(cli: CommandLine, *arguments: str, **environment: str) -> str:
    """The one line of a server that does not start."""
    outcome = cli("serve", *arguments, **environment)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1, outcome
    return outcome.err.removeprefix("homeport: ").rstrip("\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_when_it_serves_and_exit_0_at_the_end(cli: CommandLine, number: signal.Signals) -> None:
    running = cli.start("serve", "--dev", "--http", "127.0.0.1:0")
    line = running.out.next()
    assert re.fullmatch(r"homeport ready http=127\.0\.0\.1:[1-9]\d*", line)
    running.send(number)
    outcome = running.finish()
    assert (outcome.code, outcome.out) == (0, f"{line}\n")


def test_node_datacenter_and_folder(cli: CommandLine, tmp_path: Path) -> None:
    running = cli.start(
        "serve", "--http", "127.0.0.1:0", "--data-dir", str(tmp_path / "data"), "--node", "n1", "--datacenter", "east"
    )
    config = call(served(running), "GET", "/v1/agent/self")["Config"]
    assert (config["NodeName"], config["Datacenter"]) == ("n1", "east")
    assert any((tmp_path / "data").iterdir())


def test_by_default_the_data_are_in_the_users_data_folder(cli: CommandLine, tmp_path: Path) -> None:
    served(cli.start("serve", "--http", "127.0.0.1:0", XDG_DATA_HOME=""))
    assert any((tmp_path / ".local/share/homeport").iterdir())


def test_dev_writes_nothing(cli: CommandLine, tmp_path: Path) -> None:
    served(cli.start("serve", "--dev", "--http", "127.0.0.1:0", XDG_DATA_HOME=""))
    assert list(tmp_path.iterdir()) == []


def test_argument_then_variable_then_file(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "homeport.yaml"
    file.write_text("server:\n  http: 127.0.0.1:0\n  dev: true\n  node: file\n  datacenter: file\n", encoding="utf-8")
    running = cli.start(
        "serve", "--config", str(file), "--node", "argument",
        HOMEPORT_SERVER_NODE="variable", HOMEPORT_SERVER_DATACENTER="variable",
    )  # fmt: skip
    config = call(served(running), "GET", "/v1/agent/self")["Config"]
    assert (config["NodeName"], config["Datacenter"]) == ("argument", "variable")


class TestRefusal:
    def test_a_port_that_consul_has(self, cli: CommandLine, consul: ConsulServer) -> None:
        assert refusal(cli, "--dev", "--http", consul.address) == (
            f"port {consul.http_port} is taken (a Consul agent answers there). Use it with --backend "
            f"consul://{consul.address}, or choose another port with --http."
        )

    def test_a_port_that_another_registry_has(self, cli: CommandLine, homeport: HomeportServer) -> None:
        assert refusal(cli, "--dev", "--http", homeport.address) == (
            f"port {homeport.http_port} is taken (a Homeport registry answers there). Use it with --backend "
            f"homeport://{homeport.address}, or choose another port with --http."
        )

    def test_a_folder_in_use(self, cli: CommandLine, homeport: HomeportServer) -> None:
        text = refusal(cli, "--http", "127.0.0.1:0", "--data-dir", str(homeport.data_folder))
        assert str(homeport.data_folder) in text
        assert "--data-dir" in text

    def test_a_folder_that_is_a_file(self, cli: CommandLine, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert str(tmp_path / "file") in refusal(cli, "--http", "127.0.0.1:0", "--data-dir", str(tmp_path / "file"))

    def test_a_broken_file(self, cli: CommandLine, tmp_path: Path) -> None:
        file = tmp_path / "homeport.yaml"
        file.write_text("server:\n  htp: x\n", encoding="utf-8")
        assert refusal(cli, "--config", str(file)) == f"{file}: server.htp is not a setting; did you mean server.http?"
        assert not (tmp_path / ".local").exists()

    def test_an_address_that_is_none(self, cli: CommandLine) -> None:
        outcome = cli("serve", "--http", "nonsense")
        assert (outcome.code, outcome.err) == (
            2, 'homeport: --http is "nonsense"; write HOST:PORT, for example 127.0.0.1:8500\n',
        )  # fmt: skip
