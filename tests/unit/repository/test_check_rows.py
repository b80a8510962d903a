from pathlib import Path
from typing import Any

import pytest

from scripts.check_rows import Row, check, main, summary

TESTS = """
import pytest
from homeport.testing.contract import Contract as Shipped
from tests.unit.shared import Shared

def test_plain(): ...

@pytest.mark.parametrize("x", [1])
async def test_async(x): ...

class TestGroup:
    def test_member(self): ...
    def helper(self): ...

class TestInherited(Shipped, Shared):
    def test_of_its_own(self): ...

class Helper:
    def test_not_collected(self): ...

TestMachine = Machine.TestCase

def not_a_test(): ...
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "tests" / "unit" / "test_x.py").write_text(TESTS)
    (tmp_path / "tests" / "unit" / "shared.py").write_text("class Shared:\n    def test_shared(self): ...\n")
    contract = tmp_path / "src" / "homeport" / "testing" / "contract"
    contract.mkdir(parents=True)
    (contract / "__init__.py").write_text("from .finding import Finding\n\nclass Contract(Finding): ...\n")
    (contract / "finding.py").write_text("class Finding:\n    async def test_shipped(self): ...\n")
    return tmp_path


def document(**row: Any) -> dict[str, Any]:
    return {"ids": ["B1"], "rows": {"B1": {"title": "Consul", "status": "open", "reason": "not built yet"} | row}}


def errors(document: dict[str, Any], root: Path) -> list[str]:
    return check(document, root).errors


@pytest.mark.parametrize(
    "test",
    [
        "test_plain",
        "test_async",
        "TestGroup::test_member",
        "TestInherited::test_of_its_own",
        "TestInherited::test_shared",
        "TestInherited::test_shipped",
        "TestMachine::runTest",
    ],
)
def test_a_row_is_done_by_a_test_that_exists(root: Path, test: str) -> None:
    assert errors(document(status="done", reason="", tests=[f"tests/unit/test_x.py::{test}"]), root) == []


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ("tests/unit/test_x.py::test_absent", "B1: there is no test test_absent in tests/unit/test_x.py"),
        ("tests/unit/test_x.py::not_a_test", "B1: there is no test not_a_test in tests/unit/test_x.py"),
        ("tests/unit/test_x.py::TestGroup::helper", "B1: there is no test TestGroup::helper in tests/unit/test_x.py"),
        (
            "tests/unit/test_x.py::Helper::test_not_collected",
            "B1: there is no test Helper::test_not_collected in tests/unit/test_x.py",
        ),
        ("tests/unit/test_y.py::test_plain", "B1: there is no file tests/unit/test_y.py"),
        ("scripts/check_rows.py::main", "B1: there is no file scripts/check_rows.py"),
        (
            "tests/unit/test_x.py",
            "B1: 'tests/unit/test_x.py' is not of the form 'tests/room/test_x.py::test_name'",
        ),
        (
            "tests/unit/test_x.py::test_async[1]",
            "B1: 'tests/unit/test_x.py::test_async[1]' is not of the form 'tests/room/test_x.py::test_name'",
        ),
    ],
)
def test_a_named_test_must_exist(root: Path, test: str, problem: str) -> None:
    assert errors(document(status="done", reason="", tests=[test]), root) == [problem]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"status": "done", "reason": ""}, "B1: done without a test"),
        ({"status": "partial"}, "B1: partial without a test"),
        ({"status": "open", "reason": " "}, "B1: open without a reason"),
        ({"status": "finished"}, "B1: status 'finished' is none of done, partial, open"),
        ({"title": ""}, "B1: no title"),
        ({"test": []}, "B1: unknown key 'test'"),
    ],
)
def test_a_row_must_be_complete(root: Path, row: dict[str, Any], problem: str) -> None:
    assert errors(document(**row), root) == [problem]


def test_a_partial_row_needs_a_reason(root: Path) -> None:
    row = document(status="partial", reason="", tests=["tests/unit/test_x.py::test_plain"])
    assert errors(row, root) == ["B1: partial without a reason"]


def test_a_done_row_gives_no_reason(root: Path) -> None:
    row = document(status="done", reason="no TLS", tests=["tests/unit/test_x.py::test_plain"])
    assert errors(row, root) == ["B1: done, but with a reason why it is not: no TLS"]


def test_ids_and_rows_are_the_same(root: Path) -> None:
    given = document()
    given["ids"] = ["B1", "B2", "B2"]
    given["rows"]["Z9"] = given["rows"]["B1"]
    assert errors(given, root) == ["B2: listed twice", "B2: no row", "Z9: not one of the ids of the requirements"]


def test_the_summary_counts_and_gathers_by_reason() -> None:
    rows = [
        Row(id="B1", title="Consul", status="done", tests=("x",)),
        Row(id="B2", title="etcd", status="open", reason="not built yet"),
        Row(id="B3", title="Kubernetes", status="open", reason="not built yet"),
        Row(id="S2", title="durable", status="partial", tests=("x",), reason="no restore"),
    ]
    assert summary(rows) == [
        "rows: 1 done, 1 partial, 2 open, of 4",
        "  partial S2 (durable): no restore",
        "  open, not built yet: B2 B3",
    ]


def test_a_broken_file_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.toml"
    path.write_text('ids = ["B1"]\n[rows.B1]\ntitle = "Consul"\nstatus = "done"\n')
    assert main([str(path)]) == 1
    assert capsys.readouterr().err == "rows.toml: B1: done without a test\n"


def test_the_projects_own_file_holds() -> None:
    assert main([]) == 0
