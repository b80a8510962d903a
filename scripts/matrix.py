"""Run the contract's scenarios on every backend in both modes, and print what came of it as a table.

Usage: matrix.py [PYTEST_ARGUMENT…]

Writes `docs/contract-matrix.md` if every scenario has an outcome everywhere: passed, or declared as impossible with the
reason. Otherwise it says what is missing and exits 1. With arguments for pytest it writes nothing.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from homeport.testing.contract import BackendContract
from homeport.testing.contract.harness import ASYNC, BLOCKING
from homeport.testing.contract.scenarios import modes_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "contract-matrix.md"
BEGIN, END = "<!-- begin of what `make matrix` writes -->", "<!-- end of what `make matrix` writes -->"

COLUMNS = ("homeport", "consul", "etcd", "kubernetes", "eureka", "dns", "static", "embedded", "memory")
"""The order of the systems; others come after them."""
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
PASSED, FAILED, LACKING, EMPTY = "✓", "✗", "—", ""
OF_A_BACKEND = "The scenario asks the backend itself, whose methods are asynchronous whatever the program is."
STAND_IN = "Not proved on a real API server: none was found, and a stand-in over HTTP took its place."


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a scenario on a system in a mode: ``passed``, ``declared``, ``skipped`` or ``failed``, and why."""

    outcome: str
    reason: str = ""


@dataclass(kw_only=True)
class Matrix:
    """The outcomes by system, scenario and mode."""

    cells: dict[tuple[str, str, str], Outcome] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Sequence[str] = ()

    @classmethod
    def read(cls, path: Path) -> "Matrix":
        """What the plugin `tests.plugins.contract_matrix` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = {
            (cell["system"], cell["scenario"], cell["mode"]): Outcome(outcome=cell["outcome"], reason=cell["reason"])
            for cell in document["cells"]
        }
        return cls(cells=cells, systems=document["systems"], stand_ins=document["stand_ins"])

    @property
    def columns(self) -> list[str]:
        """The systems, in order."""
        found = {system for system, _, _ in self.cells}
        return [*(one for one in COLUMNS if one in found), *sorted(found - set(COLUMNS))]

    def missing(self) -> Iterator[str]:
        """What keeps the table from being complete, one line each."""
        for system in self.columns:
            for name, scenario in scenarios():
                for mode in modes_of(scenario, (ASYNC, BLOCKING)):
                    outcome = self.cells.get((system, name, mode))
                    if outcome is None:
                        yield f"{system}: {name} did not run in the mode {mode}"
                    elif outcome.outcome == "skipped":
                        yield f"{system}: {name} was skipped, and its harness declares no reason: {outcome.reason}"
                    elif outcome.outcome == "failed":
                        yield f"{system}: {name} failed in the mode {mode}: {outcome.reason}"


def scenarios() -> list[tuple[str, Callable[..., object]]]:
    """The scenarios of the suite in the order in which they are written, by the names of their methods."""
    rooms = [one for one in BackendContract.__mro__ if one is not BackendContract]
    return [(name, value) for room in rooms for name, value in vars(room).items() if name.startswith("test_")]


def words(scenario: str) -> str:
    """A scenario in plain words."""
    return scenario.removeprefix("test_").replace("_", " ")


def table(matrix: Matrix) -> str:
    """The table and its footnotes, as Markdown that can be read as it is."""
    notes: dict[str, int] = {}

    def note(reason: str) -> str:
        return str(notes.setdefault(reason, len(notes) + 1)).translate(SUPERSCRIPTS)

    def mark(system: str, name: str, mode: str) -> str:
        outcome = matrix.cells.get((system, name, mode))
        if outcome is None or outcome.outcome == "skipped":
            return EMPTY
        if outcome.outcome == "declared":
            return LACKING + note(outcome.reason)
        return PASSED if outcome.outcome == "passed" else FAILED

    def cell(system: str, name: str, scenario: Callable[..., object]) -> str:
        asynchronous = mark(system, name, ASYNC)
        if BLOCKING not in modes_of(scenario, (ASYNC, BLOCKING)):
            blocking = asynchronous if asynchronous.startswith(LACKING) else LACKING + own
        else:
            blocking = mark(system, name, BLOCKING)
        if asynchronous == blocking and asynchronous.startswith(LACKING):
            return asynchronous
        return f"{asynchronous} {blocking}".strip()

    own = note(OF_A_BACKEND)
    heading = [
        f"{system} {matrix.systems.get(system, '')}".strip() + (note(STAND_IN) if system in matrix.stand_ins else "")
        for system in matrix.columns
    ]
    rows = [["scenario", *heading]]
    rows += [[words(name), *(cell(system, name, one) for system in matrix.columns)] for name, one in scenarios()]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for reason, number in notes.items())])


def section(matrix: Matrix) -> str:
    """What stands between the markers of the page."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{BEGIN}\n\nHomeport {version('homeport')} on Python {python}.\n\n{table(matrix)}\n\n{END}"


def with_section(page: str, new: str) -> str:
    """The page with another section between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no markers for the table")
    return before + new + after


def suites(root: Path = ROOT) -> list[str]:
    """The files with the suites of all systems."""
    folder = root / "tests" / "contract"
    return [str(path.relative_to(root)) for path in (*sorted(folder.glob("*/test_backend.py")), folder / MEMORY)]


MEMORY = Path("client/test_memory.py")


def main(arguments: Sequence[str]) -> int:
    """Run, print, write; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes.json"
        command = [sys.executable, "-m", "pytest", "-n", "2", "-q", "-r", "fE", "--contract-matrix", str(outcomes)]
        status = subprocess.run([*command, *arguments, *suites()], cwd=ROOT, check=False).returncode
        if not outcomes.exists():
            return status or 1
        matrix = Matrix.read(outcomes)
    print(f"\n{table(matrix)}\n")
    missing = list(matrix.missing())
    for line in missing:
        print(f"matrix: {line}", file=sys.stderr)
    if missing or status or arguments:
        return 1 if missing else status
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section(matrix)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
