"""The command line in this process, where what it says is tested and not how a process starts."""

import os
from pathlib import Path

import pytest

from homeport.cli import main
from tests.e2e.cli.command_line import Outcome

# The registries are shared with many tests, hold what those leave, and are busy: how long somebody waits for them is
# not what is tested here.
_PATIENCE = 60.0
_PATIENCES = (
    "choosing.READ_TIMEOUT", "health.READ_TIMEOUT", "lookup.COUNT_TIMEOUT", "handshake._PATIENCE", "stranger._TIMEOUT",
)  # fmt: skip
_OTHERS = ("HOMEPORT_", "CONSUL_", "ETCD_", "DNS_", "DISCOVERY_", "EUREKA_", "K8S_")


class InProcess:
    """Runs `homeport`, patiently, with a home of its own and nobody's variables but those that are given."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = home
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, **environment: str) -> Outcome:
        """Run to the end."""
        with self._monkeypatch.context() as patch:
            for variable in [one for one in os.environ if one.startswith(_OTHERS)]:
                patch.delenv(variable)
            patch.delenv("XDG_CONFIG_HOME", raising=False)
            patch.setenv("HOME", str(self._home))
            for name, value in environment.items():
                patch.setenv(name, value)
            for one in _PATIENCES:
                patch.setattr(f"homeport.cli.{one}", _PATIENCE)
            self._capsys.readouterr()
            code = main(arguments)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)
