"""``config-check``: whether files of settings and of service definitions are right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from homeport.client.definitions.files import definition_files
from homeport.client.definitions.variables import variables
from homeport.settings import find_file

from . import options
from .exits import DONE, FAILED, Misuse
from .output import printable, write, write_document, write_line

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    "config-check",
    rich_help_panel="Connection",
    epilog=options.examples("config-check homeport.yaml", "config-check homeport.yaml services/ --format json"),
)
def config_check(
    *,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Files, or folders of service definitions; by default the settings file that is in use.",
            show_default=False,
        ),
    ] = None,
    values: options.Set = None,
    form: options.Format = "table",
) -> int:
    """Tell everything that is wrong in files of settings and of service definitions. Exit code 1 if anything is.

    Nothing is connected, and the environment decides nothing. Places such as {{ .version }}, whose values only a
    running program has, are taken for filled; --set names further ones.
    """
    from .file_problems import look_at

    known = variables(options.pairs(values, option="--set"), environ=os.environ, of_process=False, lenient=True)
    findings = [look_at(path, known) for path in _paths(files)]
    rows = [
        {
            "file": finding.file,
            "ok": not finding.problems,
            "services": finding.services,
            "sections": list(finding.sections),
            "problems": [{"line": line, "text": text} for line, text in finding.problems],
        }
        for finding in findings
    ]
    if form == "json":
        write_document(rows)
    for row in rows:
        if form == "ndjson":
            write_line(row)
        elif form == "table":
            write(_told(row))
    return FAILED if any(finding.problems for finding in findings) else DONE


def _paths(named: list[str] | None) -> list[Path]:
    """The files that are meant.

    Raises:
        Misuse: none is named, and none is in use.
        SettingsError: a folder cannot be read.
    """
    if not named:
        found = find_file(None, os.environ)
        if found is None:
            raise Misuse("config-check needs a FILE; no settings file is in use.")
        return [found]
    paths: list[Path] = []
    for text in named:
        path = Path(text).expanduser()
        paths += definition_files(path) if path.is_dir() else [path]
    return paths


def _told(row: Mapping[str, Any]) -> str:
    if row["ok"]:
        services = f"{row['services']} service{'' if row['services'] == 1 else 's'}" if row["services"] else ""
        sections = [one for one in row["sections"] if one not in ("services", "service_definition")]
        inside = ", ".join(one for one in (services, *sections) if one)
        return f"{row['file']}: ok{f' ({inside})' if inside else ''}\n"
    told = ""
    for problem in row["problems"]:
        line = f"line {problem['line']}: " if problem["line"] is not None else ""
        told += f"{row['file']}: {line}{printable(problem['text'])}\n"
    return told
