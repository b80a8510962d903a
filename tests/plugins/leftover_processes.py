"""Fails a test run that leaves a process behind.

Each worker looks, at its very end, for processes that are still its children. It adopts the orphans of its own children
(PR_SET_CHILD_SUBREAPER, prctl(2)), so that a process which a server or a command left behind is seen too. Linux only.
"""

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import guardian

PR_SET_CHILD_SUBREAPER = 36
# The interpreter's own helpers, which end with it by design.
INTERPRETERS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
# What was told to end may need a moment for it, and on a busy machine a long one.
GRACE = 60.0
# The exit code of the run, which is none of pytest's own.
LEFT_BEHIND = 10
found_key = pytest.StashKey[list[str]]()


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(parent: int, proc: Path = Path("/proc")) -> Iterator[str]:
    """Every living child of a process, as `PID command`; one that only waits to be reaped is not alive."""
    for entry in proc.glob("[0-9]*"):
        try:
            after_name = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent_of_entry = after_name[0], int(after_name[1])
        if parent_of_entry == parent and state != "Z" and not any(own in command for own in INTERPRETERS_OWN):
            yield f"{entry.name} {command}"


def leftovers() -> list[str]:
    """The children of this process that do not end by themselves in a moment."""
    deadline = time.monotonic() + GRACE
    while True:
        found = list(children(os.getpid()))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare to see everything that this process will start."""
    config.stash[found_key] = []
    adopt_orphans()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look for what is left, after every fixture is gone."""
    config = session.config
    found = config.stash[found_key]
    guardian.close()
    workeroutput: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput["leftover_processes"] = leftovers()
    elif config.getoption("numprocesses", None) in {None, 0}:
        found += leftovers()
    if found:
        session.exitstatus = LEFT_BEHIND


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Collect what a worker found."""
    output = getattr(node, "workeroutput", None) or {}
    node.config.stash[found_key] += [f"{line} ({node.gateway.id})" for line in output.get("leftover_processes", ())]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left behind."""
    for line in config.stash[found_key]:
        terminalreporter.write_line(f"LEFT BEHIND: process {line}", red=True)
