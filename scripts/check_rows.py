"""Check `tests/rows.toml`: every row of the requirements is proven by tests that exist, or says why it is open.

Usage: check_rows.py [FILE]

Prints what is wrong, one line each, and exits 1; otherwise prints how many rows are done and which are not.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

ROOT = Path(__file__).resolve().parent.parent
STATUSES = ("done", "partial", "open")
KEYS = {"title", "status", "tests", "reason"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the requirements."""

    id: str
    title: str
    status: str
    tests: tuple[str, ...] = ()
    reason: str = ""


@dataclass(kw_only=True)
class Findings:
    """The rows that could be read, and what is wrong with any."""

    rows: list[Row] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _module(name: str, level: int, path: Path, root: Path) -> Path | None:
    """The file of a module that the file ``path`` imports by ``name``, if it is the project's own."""
    top = root / "src" if name.partition(".")[0] == "homeport" else root
    base = path.parents[level - 1] if level else top
    place = base.joinpath(*name.split(".")) if name else base
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@cache
def class_tests(path: Path, name: str, root: Path) -> frozenset[str]:
    """The methods of a class that are tests, with those of the classes that it is made of, wherever they stand."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            names |= {member.name for member in node.body if _is_test(member)}
            for base in node.bases:
                if isinstance(base, ast.Name):
                    names |= class_tests(path, base.id, root)
        elif isinstance(node, ast.ImportFrom):
            for imported in node.names:
                module = _module(node.module or "", node.level, path, root)
                if (imported.asname or imported.name) == name and module is not None:
                    names |= class_tests(module, imported.name, root)
    return frozenset(names)


@cache
def test_names(path: Path, root: Path) -> frozenset[str]:
    """The tests of a file, as pytest names them: functions, methods of classes, and classes made by a state machine."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
        if _is_test(node):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            names |= {f"{node.name}::{test}" for test in class_tests(path, node.name, root)}
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "TestCase"
            and isinstance(node.targets[0], ast.Name)
        ):
            # hypothesis.stateful: `TestX = Machine.TestCase` is one test.
            names.add(f"{node.targets[0].id}::runTest")
    return frozenset(names)


def wrong_with_test(name: str, root: Path) -> str:
    """Why a named test does not count; empty if it exists."""
    file, separator, test = name.partition("::")
    if not separator or "[" in name:
        return f"{name!r} is not of the form 'tests/room/test_x.py::test_name'"
    path = root / file
    if not file.startswith("tests/") or not path.is_file():
        return f"there is no file {file}"
    return "" if test in test_names(path, root) else f"there is no test {test} in {file}"


def wrong_with_row(row: Row, root: Path) -> Iterator[str]:
    """Everything that is wrong with one row."""
    if row.status not in STATUSES:
        yield f"{row.id}: status {row.status!r} is none of {', '.join(STATUSES)}"
    if not row.title:
        yield f"{row.id}: no title"
    if row.status in {"done", "partial"} and not row.tests:
        yield f"{row.id}: {row.status} without a test"
    if row.status in {"partial", "open"} and not row.reason.strip():
        yield f"{row.id}: {row.status} without a reason"
    if row.status == "done" and row.reason:
        yield f"{row.id}: done, but with a reason why it is not: {row.reason}"
    for name in row.tests:
        problem = wrong_with_test(name, root)
        if problem:
            yield f"{row.id}: {problem}"


def check(document: Mapping[str, Any], root: Path) -> Findings:
    """Read and check a whole file; `root` is where its tests are looked for."""
    findings = Findings()
    ids: list[str] = list(document.get("ids", []))
    tables: Mapping[str, Mapping[str, Any]] = document.get("rows", {})
    findings.errors += [f"{one}: listed twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    findings.errors += [f"{one}: no row" for one in dict.fromkeys(ids) if one not in tables]
    findings.errors += [f"{one}: not one of the ids of the requirements" for one in tables if one not in ids]
    findings.errors += [f"the file has an unknown key {key!r}" for key in document if key not in {"ids", "rows"}]
    for one, table in tables.items():
        findings.errors += [f"{one}: unknown key {key!r}" for key in table if key not in KEYS]
        row = Row(
            id=one,
            title=str(table.get("title", "")),
            status=str(table.get("status", "")),
            tests=tuple(table.get("tests", ())),
            reason=str(table.get("reason", "")),
        )
        findings.errors += wrong_with_row(row, root)
        findings.rows.append(row)
    return findings


def summary(rows: list[Row]) -> list[str]:
    """How many rows are done; the partial ones with what is missing; the open ones, gathered by reason."""
    counts = {status: sum(row.status == status for row in rows) for status in STATUSES}
    lines = [f"rows: {counts['done']} done, {counts['partial']} partial, {counts['open']} open, of {len(rows)}"]
    lines += [f"  partial {row.id} ({row.title}): {row.reason}" for row in rows if row.status == "partial"]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.status == "open":
            reasons.setdefault(row.reason, []).append(row.id)
    lines += [f"  open, {reason}: {' '.join(ids)}" for reason, ids in reasons.items()]
    return lines


def main(arguments: list[str]) -> int:
    """Check the file that the command line names, or the project's own."""
    path = Path(arguments[0]) if arguments else ROOT / "tests" / "rows.toml"
    findings = check(tomllib.loads(path.read_text(encoding="utf-8")), ROOT)
    for error in findings.errors:
        print(f"{path.name}: {error}", file=sys.stderr)
    if findings.errors:
        return 1
    print("\n".join(summary(findings.rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
