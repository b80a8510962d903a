"""What is loaded to run a command, and what is said when it is not installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cli.command_line import COMMAND, PATIENCE, CommandLine

LOADED = """
import json, sys
from homeport.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
# An import that fails as it does where the distribution is not installed.
HIDING = """
import sys
from importlib.abc import MetaPathFinder
class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from homeport.cli import main
sys.exit(main(sys.argv[2:]))
"""


def python(cli: CommandLine, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script where a command line would run."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], env=cli.environment, cwd=cli.home, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["list --format json", "list --format ndjson", "list"])
def test_a_list_loads_nothing_that_it_does_not_need(ours: CommandLine, command: str) -> None:
    code, modules = json.loads(python(ours, LOADED, *command.split()).stderr.splitlines()[-1])
    assert code == 0
    assert not {
        "rich", "structlog", "uvicorn", "prometheus_client", "uvloop", "starlette", "yaml", "statistics",
    } & set(modules)  # fmt: skip
    assert {"typer", "aiohttp", "msgspec"} <= set(modules)  # the test can see what is loaded


@pytest.mark.parametrize(("closed", "err"), [(">&-", True), ("2>&-", False), ("<&- >&- 2>&-", False)])
def test_a_stream_that_is_closed_is_no_error_of_its_own(cli: CommandLine, closed: str, err: bool) -> None:
    for arguments, code in (("--version", 0), ("lst", 2)):
        outcome = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, arguments],
            env=cli.environment, cwd=cli.home, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert outcome.returncode == code
        assert "Traceback" not in outcome.stderr
        assert bool(outcome.stderr) == (err and code != 0)


@pytest.mark.parametrize("missing", ["typer", "rich,typer"])
def test_a_bare_core_says_what_to_install(cli: CommandLine, missing: str) -> None:
    outcome = python(cli, HIDING, missing, "list")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == "homeport: the command line needs an optional dependency: pip install 'homeport[cli]'\n"


@pytest.mark.parametrize("missing", ["uvicorn", "structlog", "httptools"])
def test_a_server_without_its_extra_says_what_to_install(cli: CommandLine, missing: str) -> None:
    outcome = python(cli, HIDING, missing, "serve", "--dev", "--http", "127.0.0.1:0")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert outcome.stderr == (
        "homeport: \"homeport serve\" needs an optional dependency: pip install 'homeport[server]'\n"
    )


def test_the_installed_command_is_the_same(cli: CommandLine) -> None:
    command = Path(sys.executable).with_name("homeport")
    if not command.exists():
        pytest.skip("homeport is not installed in this environment; make setup installs it")
    outcome = subprocess.run(
        [command, "--version"], env=cli.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (outcome.returncode, outcome.stdout) == (0, cli("--version").out)
