"""The command line in this process, where what it says is tested and not how a process starts."""

import os
from pathlib import Path

import pytest

from homeport.cli import main
from tests.e2e.cli.command_line import Outcome

_OTHERS = ("HOMEPORT_", "CONSUL_", "ETCD_", "DNS_", "DISCOVERY_", "EUREKA_", "K8S_")


class InProcess:
    """Runs `homeport` with a home of its own and nobody's variables but those that are given."""

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
            self._capsys.readouterr()
            code = main(arguments)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)
