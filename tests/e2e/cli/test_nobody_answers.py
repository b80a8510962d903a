"""Every command without a registry, in this process: what is tested is what is said, not how a process starts."""

from collections.abc import Callable

import pytest

from homeport.cli import main
from homeport.cli.app import COMMANDS

ARGUMENTS = {
    "register": ("x", "--port", "1"), "deregister": ("x",), "find": ("x",), "describe": ("x",), "watch": ("x",),
    "health": ("x",), "health-check": ("x",), "health-update": ("x", "--status", "passing"), "health-history": ("x",),
    "source": ("list",),
}  # fmt: skip


OTHERWISE = {"serve", "config-check", "agent", "debug", "test-connection"}
"""Commands that ask no registry, that go on trying, and whose whole answer is what was tried."""


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - OTHERWISE))
def test_it_is_one_line_that_says_what_to_do(
    free_port: Callable[[], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("HOMEPORT_CONFIG", raising=False)
    port = free_port()
    assert main([command, *ARGUMENTS.get(command, ()), "--backend", f"consul://127.0.0.1:{port}"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"homeport: no registry answers at http://127.0.0.1:{port} (connection refused). "
        "Start Consul's agent, or name another one in the backend URL or by CONSUL_HTTP_ADDR.\n"
    )
