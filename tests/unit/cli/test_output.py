"""What commands print: tables, JSON, one JSON object a line."""

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.cli.output import (
    Column,
    ReaderGone,
    cell_text,
    plain_table,
    printable,
    shortened,
    show,
    show_one,
    table,
    write,
)

COLUMNS = (Column("NAME", "name"), Column("UPPER", lambda row: str(row["name"]).upper()))
ROWS: list[dict[str, Any]] = [{"name": "a", "tags": ["x"]}, {"name": "bcd", "tags": []}]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_plain_table_is_aligned_and_has_no_trailing_space() -> None:
    assert plain_table(["A", "LONGER"], [["first", "x"], ["b", ""]]) == "A      LONGER\nfirst  x\nb\n"


def test_rows_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, form="table", columns=COLUMNS)
    assert capsys.readouterr().out == "NAME  UPPER\na     A\nbcd   BCD\n"


def test_rows_as_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, form="json", columns=COLUMNS)
    assert json.loads(capsys.readouterr().out) == ROWS


def test_rows_as_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, form="ndjson", columns=COLUMNS)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_nothing_is_no_table_an_empty_list_and_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([], form="table", columns=COLUMNS)
    show([], form="ndjson", columns=COLUMNS)
    assert capsys.readouterr().out == ""
    show([], form="json", columns=COLUMNS)
    assert capsys.readouterr().out == "[]\n"


def test_one_thing_in_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    for form, expected in (("table", "it is a\n"), ("ndjson", '{"name":"a"}\n'), ("json", '{\n  "name": "a"\n}\n')):
        show_one({"name": "a"}, form=form, text=lambda row: f"it is {row['name']}")  # type: ignore[arg-type]
        assert capsys.readouterr().out == expected


def test_a_terminal_gets_colours_and_no_markup_is_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    table(["NAME", "STATUS"], [["[red]evil[/red]", "critical"]], to=stream)
    assert "\x1b[31mcritical" in stream.getvalue()
    assert "[red]evil[/red]" in stream.getvalue()


def test_a_terminal_folds_what_is_too_wide_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    table(["NAME"], [["abcdefghij" * 5]], to=stream)
    assert "".join(re.sub(r"\x1b\[\d*m", "", stream.getvalue()).split()).removeprefix("NAME") == "abcdefghij" * 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"), ("", "-"), ([], "-"), ((), "-"), ({}, "-"), (0, "0"), (True, "yes"), (False, "no"),
        (["a", "b"], "a,b"), ({"k": "v", "l": 1}, "k=v, l=1"), ("two\nlines", "two lines"),
    ],
)  # fmt: skip
def test_cells(value: object, expected: str) -> None:
    assert cell_text(value) == expected


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert "\x1b" not in printable(f"{text}\x1b[2J")
    if text.isprintable():
        assert shown == " ".join(text.split())


def test_a_long_text_is_cut_visibly() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert len(shortened("x" * 500)) == 80


def test_a_reader_that_is_gone_is_told_apart() -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(ReaderGone):
        write("x", to=Broken())
