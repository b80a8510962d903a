"""How commands end when something is wrong: one line on stderr, and the exit code that goes with it."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.cli.command_line import CommandLine
from tests.servers.api import call
from tests.servers.consul import ConsulServer
from tests.servers.factory import ConsulFactory
from tests.servers.fault_proxy import FaultProxy
from tests.servers.homeport import HomeportServer


def line(cli: CommandLine, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and the one line of an unsuccessful command."""
    outcome = cli(*arguments, **environment)
    assert outcome.out == ""
    assert outcome.err.startswith("homeport: ")
    assert outcome.err.count("\n") == 1
    return outcome.code, outcome.err.removeprefix("homeport: ").rstrip("\n")


def guarded(consul_factory: ConsulFactory) -> ConsulServer:
    """A Consul that takes no other token than root-secret, and knows that one."""
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": "root-secret"}}
    server = consul_factory(config={"acl": acl, "primary_datacenter": "dc1"}, start=False)
    server.token = "root-secret"
    server.start()
    return server


def test_a_registry_that_does_not_answer_is_given_up(homeport: HomeportServer, cli: CommandLine) -> None:
    with FaultProxy(homeport.address) as proxy:
        proxy.stall()
        backend = f"homeport://{proxy.address}"
        code, text = line(cli, "list", "--backend", backend)
        assert (code, text) == (
            3, f"{backend} did not answer within 5 s. Try again, or name another with --backend.",
        )  # fmt: skip


def test_the_token_may_not(consul_factory: ConsulFactory, cli: CommandLine, tmp_path: Path) -> None:
    server = guarded(consul_factory)
    code, text = line(cli, "register", "web", "--port", "1", "--backend", server.backend_url)
    assert code == 4
    assert text.startswith(f'{server.url} does not let this program register "web"')
    token = tmp_path / "token"
    token.write_text("root-secret\n", encoding="utf-8")
    allowed = cli("register", "web", "--port", "1", "--backend", f"{server.backend_url}?token_file={token}")
    assert allowed.code == 0
    assert "root-secret" not in allowed.out + allowed.err


def test_the_file_names_the_backend_and_its_credentials(
    consul_factory: ConsulFactory, cli: CommandLine, tmp_path: Path
) -> None:
    server = guarded(consul_factory)
    (tmp_path / "token").write_text("root-secret", encoding="utf-8")
    own = tmp_path / ".config/homeport/homeport.yaml"
    own.parent.mkdir(parents=True)
    for credential in ("token: root-secret", f"token_file: {tmp_path}/token", "token_env: SOME_TOKEN"):
        own.write_text(f"backend:\n  url: {server.backend_url}\n  {credential}\n", encoding="utf-8")
        assert cli("register", "web", "--port", "1", SOME_TOKEN="root-secret").code == 0, credential
    own.write_text(f"backend: {server.backend_url}\n", encoding="utf-8")
    assert cli("register", "web", "--port", "1").code == 4


def test_something_else_answers(cli: CommandLine, homeport: HomeportServer) -> None:
    with FaultProxy(homeport.address) as proxy:
        proxy.garble(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        code, text = line(cli, "list", "--backend", f"homeport://{proxy.address}")
        assert (code, text) == (1, f"what answers at http://{proxy.address} is neither Consul nor Homeport (HTTP 404)")


class TestFile:
    def test_the_command_line_and_the_environment_win_over_it(
        self, ours: CommandLine, homeport: HomeportServer
    ) -> None:
        file = ours.home / "homeport.yaml"
        file.write_text("backend: homeport://127.0.0.1:1\n", encoding="utf-8")
        assert ours("test-connection", "--config", str(file)).code == 0
        backend = ours.environment.pop("HOMEPORT_BACKEND")
        assert ours("test-connection", "--config", str(file)).code == 3
        assert ours("test-connection", "--config", str(file), "--backend", backend).code == 0

    def test_one_in_the_current_folder_is_not_looked_at(self, ours: CommandLine) -> None:
        (ours.home / "homeport.yaml").write_text("nonsense: 1\n", encoding="utf-8")
        assert ours("test-connection").code == 0


def test_only_debugging_shows_a_traceback(cli: CommandLine, free_port: Callable[[], int]) -> None:
    backend = f"homeport://127.0.0.1:{free_port()}"
    outcome = cli("list", "--backend", backend, HOMEPORT_DEBUG="1")
    assert outcome.code == 3
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("homeport: no registry answers at ")


def test_what_a_registry_says_cannot_steer_a_terminal(ours: CommandLine, homeport: HomeportServer, name: str) -> None:
    body = {"Name": name, "ID": name, "Port": 1, "Tags": ["\x1b[31mred", "two\nlines"]}
    call(homeport.url, "PUT", "/v1/agent/service/register", body)
    for command in ("find", "describe"):
        out = ours(command, name).out
        assert "\x1b" not in out
        assert "two lines" in out
