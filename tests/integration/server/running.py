"""`homeport serve` as a program: what it says and how it ends, and what the system knows of it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.servers.process import clean_environment

PATIENCE = 60.0


class Ended(NamedTuple):
    """How a program ended."""

    status: int
    out: str
    err: str


def serve(*arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `homeport serve` to its end, which is expected to come by itself."""
    command = [sys.executable, "-m", "homeport", "serve", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=clean_environment(environment),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def program(module: str, **constants: float) -> tuple[str, ...]:
    """The command `homeport` with other constants in one of its modules, such as times that a test shall not race."""
    changes = "; ".join(f"changed.{name} = {value!r}" for name, value in constants.items())
    text = f"import sys, {module} as changed; {changes}; from homeport.cli import main; sys.exit(main())"
    return (sys.executable, "-c", text)


def open_sockets(pid: int) -> int:
    """How many sockets a process has open."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(entry).startswith("socket:")  # noqa: PTH115  # the target is no path
        except FileNotFoundError:
            continue
    return count


def resident_kib(pid: int) -> int:
    """The memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError


def loaded(pid: int, module: str) -> bool:
    """Whether a process has loaded a compiled module."""
    return f"/{module}/" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
