"""What a command prints on stdout: a table for people, JSON for programs.

The form never depends on where the output goes: ``--format table`` is the default also in a pipe, where it has neither
colours nor a width to keep, so that ``grep``, ``awk`` and ``diff`` work on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, TypeAlias

import msgspec

from .options import Form

Row: TypeAlias = Mapping[str, Any]
_COLOURS = {"passing": "green", "warning": "yellow", "critical": "red", "maintenance": "blue"}


class Column(msgspec.Struct, frozen=True):
    """A column of a table: its title, and what it shows of a row."""

    title: str
    cell: str | Callable[[Row], object]

    def text(self, row: Row) -> str:
        """The cell of a row, on one line."""
        return cell_text(row[self.cell] if isinstance(self.cell, str) else self.cell(row))


class ReaderGone(Exception):
    """Nobody reads stdout any more."""


def cell_text(value: object) -> str:
    """A value on one line: nothing is "-", a list is joined by commas."""
    if value is None or value == "" or value == () or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(str(key))}={printable(str(one))}" for key, one in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ",".join(printable(str(one)) for one in value)
    return printable(str(value))


def printable(text: str) -> str:
    """Text on one line without control characters: what a registry holds was written by others, also for terminals."""
    line = " ".join(text.split())
    return (
        line
        if line.isprintable()
        else "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)
    )


def shortened(text: str, length: int = 80) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def show(rows: Sequence[Row], *, form: Form, columns: Sequence[Column]) -> None:
    """Print rows. A table without rows is not printed at all; JSON then is an empty list, ndjson nothing."""
    if form == "json":
        write_document([dict(row) for row in rows])
    elif form == "ndjson":
        for row in rows:
            write_line(row)
    elif rows:
        table([column.title for column in columns], [[column.text(row) for column in columns] for row in rows])


def show_one(row: Row, *, form: Form, text: Callable[[Row], str]) -> None:
    """Print one thing: as JSON an object, for people as ``text``."""
    if form == "json":
        write_document(dict(row))
    elif form == "ndjson":
        write_line(row)
    else:
        write(f"{text(row)}\n")


def write_document(value: object) -> None:
    """Print one JSON document, indented."""
    write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def write_line(value: object) -> None:
    """Print one JSON object on a line of its own, at once."""
    write(msgspec.json.encode(value).decode() + "\n")


def table(titles: Sequence[str], cells: Sequence[Sequence[str]], *, to: TextIO | None = None) -> None:
    """Print a table: with colours and folded to the width on a terminal, plain elsewhere."""
    stream = sys.stdout if to is None else to
    write(_for_terminal(titles, cells, stream) if stream.isatty() else plain_table(titles, cells), to=to)


def plain_table(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table of aligned columns, two spaces apart."""
    lines = [list(titles), *map(list, cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    return "".join(f"{line}\n" for line in aligned)


def write(text: str, *, to: TextIO | None = None) -> None:
    """Print text at once.

    Raises:
        ReaderGone: nobody reads it.
    """
    stream = sys.stdout if to is None else to
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def _for_terminal(titles: Sequence[str], cells: Sequence[Sequence[str]], stream: TextIO) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rendered = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in titles:
        rendered.add_column(title, overflow="fold")
    for line in cells:
        rendered.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in line))
    console = Console(file=stream)
    with console.capture() as captured:
        console.print(rendered)
    return captured.get()
