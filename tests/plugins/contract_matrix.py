"""Which of the contract's scenarios run, and what came of each: `--contract-matrix FILE` runs all and writes it down.

Without the option only a few scenarios go through the blocking twin, except on our own registry, which has them all.
A system is named by the parameter `registry` of a test, else by the folder of its `test_backend.py`, else by its file.
"""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from homeport.testing.contract import BLOCKING, BackendContract
from homeport.testing.contract.capabilities import DECLARED

WHOLE = "homeport"
"""On this system everything runs in both modes, always."""
PARITY = frozenset({
    "test_changes_arrive",
    "test_it_is_seen_when_registered_and_gone_when_deregistered",
    "test_changes_of_a_live_registration_are_seen",
    "test_an_outage_is_told_and_so_is_its_end",
    "test_nothing_is_left_behind",
})  # fmt: skip
"""The scenarios that run in both modes everywhere."""
PROPERTY = "contract"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--contract-matrix",
        metavar="FILE",
        help="run every scenario of the contract in every mode, and write the outcomes to FILE as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect where the results come together."""
    path = config.getoption("--contract-matrix")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(path)), "contract-matrix")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note what each scenario is one of; leave out what only the matrix wants."""
    everything = bool(config.getoption("--contract-matrix"))
    left_out = []
    for item in items:
        place = cell_of(item)
        if place is None:
            continue
        system, scenario, mode = place
        item.user_properties.append((PROPERTY, list(place)))
        if not everything and mode == BLOCKING and system != WHOLE and scenario not in PARITY:
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        out = set(left_out)
        items[:] = [item for item in items if item not in out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a report on what the scenario ran, and whether that was a stand-in."""
    report = yield
    if report.when == "call" and dict(item.user_properties).get(PROPERTY):
        given = getattr(item, "funcargs", {})
        report.user_properties.append(("system", getattr(given.get("harness"), "system", "")))
        report.user_properties.append(("stand_in", getattr(given.get("kubernetes"), "real", True) is False))
    return report


def cell_of(item: pytest.Item) -> tuple[str, str, str] | None:
    """The system, the scenario and the mode of a test, if it is one of the contract's."""
    if not isinstance(item, pytest.Function) or item.cls is None or not issubclass(item.cls, BackendContract):
        return None
    if not hasattr(BackendContract, item.originalname) or not hasattr(item, "callspec"):
        return None
    given = item.callspec.params
    path = item.path
    folder_or_file = path.parent.name if path.stem == "test_backend" else path.stem.removeprefix("test_")
    system = given.get("registry") or given.get("make_registry") or folder_or_file
    return str(system), item.originalname, str(given["mode"])


class Outcomes:
    """Adds up the reports of all workers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cells: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._systems: dict[str, str] = {}
        self._stand_ins: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what became of a scenario; one failure counts more than any success."""
        told: dict[str, Any] = dict(report.user_properties)
        if PROPERTY not in told:
            return
        system, scenario, mode = told[PROPERTY]
        if told.get("system"):
            self._systems[system] = told["system"]
        elif "facts" in told:
            self._systems.setdefault(system, told["facts"].get("version", ""))
        if told.get("stand_in"):
            self._stand_ins.add(system)
        outcome = _outcome(report)
        if outcome is None:
            return
        before = self._cells.get((system, scenario, mode))
        if before is None or _RANK.index(outcome["outcome"]) >= _RANK.index(before["outcome"]):
            self._cells[system, scenario, mode] = outcome

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        rows = [
            {"system": system, "scenario": scenario, "mode": mode, **outcome}
            for (system, scenario, mode), outcome in sorted(self._cells.items())
        ]
        document = {"cells": rows, "systems": self._systems, "stand_ins": sorted(self._stand_ins)}
        self._path.write_text(json.dumps(document, indent=1), encoding="utf-8")


_RANK = ("declared", "passed", "skipped", "failed")


def _outcome(report: pytest.TestReport) -> dict[str, str] | None:
    """What a report of one phase adds; None for nothing."""
    if report.failed:
        return {"outcome": "failed", "reason": report.nodeid}
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if reason.startswith(DECLARED):
            return {"outcome": "declared", "reason": reason.removeprefix(DECLARED)}
        return {"outcome": "skipped", "reason": f"{report.nodeid}: {reason}"}
    return {"outcome": "passed", "reason": ""} if report.when == "call" else None
