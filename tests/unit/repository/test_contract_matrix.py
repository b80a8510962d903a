"""The table of docs/contract-matrix.md is the suite's, and whole; and how it is made."""

import re
from pathlib import Path

import pytest

from homeport.testing.contract import ASYNC, BLOCKING
from homeport.testing.contract.scenarios import modes_of
from scripts.matrix import (
    BEGIN,
    END,
    FAILED,
    MEMORY,
    OF_A_BACKEND,
    PAGE,
    STAND_IN,
    Matrix,
    Outcome,
    scenarios,
    suites,
    table,
    with_section,
    words,
)

PASSED = Outcome(outcome="passed")
CELL = re.compile(r"✓ ✓|✓ —[⁰¹²³⁴⁵⁶⁷⁸⁹]+|—[⁰¹²³⁴⁵⁶⁷⁸⁹]+( ✓|—[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def cells(text: str) -> list[list[str]]:
    """The rows of the table, the heading first."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    return [rows[0], *rows[2:]]


def whole(*systems: str) -> Matrix:
    """A matrix in which everything passed."""
    return Matrix(
        cells={
            (system, name, mode): PASSED
            for system in systems
            for name, scenario in scenarios()
            for mode in modes_of(scenario, (ASYNC, BLOCKING))
        },
        systems=dict.fromkeys(systems, "1.0"),
    )


def test_the_docs_have_every_scenario_and_no_empty_cell() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0]
    heading, *rows = cells(shown)
    again = "run `make matrix`"
    assert [row[0] for row in rows] == [words(name) for name, _ in scenarios()], again
    assert [f"{row[0]}: {cell}" for row in rows for cell in row[1:] if not CELL.fullmatch(cell)] == [], again
    assert {len(row) for row in rows} == {len(heading)}
    reasons = {int(number) for number in re.findall(r"^(\d+)\. \S", shown, re.MULTILINE)}
    named = {int(number.translate(SUPERSCRIPTS)) for number in re.findall(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+", shown)}
    assert named == reasons, again


def test_the_docs_have_every_system_that_has_a_suite() -> None:
    heading = cells(PAGE.read_text(encoding="utf-8").partition(BEGIN)[2])[0]
    folders = {Path(suite).parent.name for suite in suites() if not suite.endswith(MEMORY.name)}
    expected = folders - {"client"} | {"homeport", "consul", "memory"}
    assert {title.split()[0] for title in heading[1:]} == expected, "run `make matrix`"


def test_a_row_is_a_scenario_in_plain_words() -> None:
    names = [name for name, _ in scenarios()]
    assert names[0] == "test_changes_arrive"
    assert "test_nothing_is_left_behind" in names
    assert words("test_changes_arrive") == "changes arrive"


def test_what_is_whole_lacks_nothing() -> None:
    matrix = whole("etcd", "consul", "mine")
    assert list(matrix.missing()) == []
    heading, *rows = cells(table(matrix))
    assert heading == ["scenario", "consul 1.0", "etcd 1.0", "mine 1.0"]
    assert {cell for row in rows for cell in row[1:]} == {"✓ ✓", "✓ —¹"}
    assert f"1. {OF_A_BACKEND}" in table(matrix)


@pytest.mark.parametrize(
    ("outcome", "cell", "lack"),
    [
        (None, "✓", "etcd: test_changes_arrive did not run in the mode blocking"),
        (Outcome(outcome="skipped", reason="why"), "✓", "declares no reason: why"),
        (Outcome(outcome="failed", reason="id"), f"✓ {FAILED}", "failed in the mode blocking: id"),
    ],
)
def test_what_lacks_is_said(outcome: Outcome | None, cell: str, lack: str) -> None:
    matrix = whole("etcd")
    place = ("etcd", "test_changes_arrive", BLOCKING)
    del matrix.cells[place]
    if outcome is not None:
        matrix.cells[place] = outcome
    (line,) = matrix.missing()
    assert lack in line
    assert cells(table(matrix))[1] == ["changes arrive", cell]


def test_a_declared_lack_leads_to_its_reason_and_a_stand_in_is_told() -> None:
    matrix = whole("kubernetes")
    for mode in (ASYNC, BLOCKING):
        matrix.cells["kubernetes", "test_changes_arrive", mode] = Outcome(outcome="declared", reason="It cannot.")
    matrix.stand_ins = ["kubernetes"]
    assert list(matrix.missing()) == []
    heading, first, *_ = cells(table(matrix))
    assert heading[1] == "kubernetes 1.0²"
    assert first[1] == "—³"
    assert f"2. {STAND_IN}\n3. It cannot." in table(matrix)


def test_only_what_is_between_the_markers_is_replaced() -> None:
    assert with_section(f"a {BEGIN} old {END} b", "new") == "a new b"
    with pytest.raises(ValueError, match="no markers"):
        with_section("a b", "new")
