"""``bench/RESULTS.md``: every figure with its spread, the machine and the versions; other sections stay when only
some are measured."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.servers.install import find

from .rounds import Spread, number

FILE = Path(__file__).parent / "RESULTS.md"
PREFACE = """# Results

Measured by `make bench`, every system in the same run, in alternating rounds. A figure is the median of the rounds with
its lowest and highest in brackets; a ratio is taken round by round. The machine is shared and noisy: read the ratios.
"""
HEADER = ("what", "Homeport", "Consul", "ratio", "target")


class Table(msgspec.Struct, frozen=True):
    """One section: a title, what was done, and the rows below ``header``."""

    title: str
    text: str
    rows: Sequence[Sequence[str]]
    header: Sequence[str] = HEADER


def ratio_row(
    what: str, ours: Spread, theirs: Spread, ratio: Spread, *, target: str = "", met: bool | None = None
) -> list[str]:
    """A row of a comparison; a missed target says so."""
    verdict = target if met is None else f"{target} {'reached' if met else '**missed**'}"
    return [
        what,
        ours.text(),
        theirs.text(),
        f"{number(ratio.median)}× ({number(ratio.low)}–{number(ratio.high)})",
        verdict,
    ]


def write(tables: Sequence[Table]) -> None:
    """Put the sections into the file in place of those of the same title."""
    sections = _sections(FILE.read_text()) if FILE.exists() else {}
    for table in tables:
        sections[table.title] = f"_{machine()}_\n\n" + render(table)
    parts = [PREFACE]
    parts += [f"## {title}\n\n{body.strip()}\n" for title, body in sections.items()]
    FILE.write_text("\n".join(parts))


def render(table: Table) -> str:
    """The section as Markdown."""
    lines = [table.text, ""]
    if table.rows:
        lines += ["| " + " | ".join(table.header) + " |", "|" + "---|" * len(table.header)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines)


def machine() -> str:
    """When, where and with what was measured."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    versions = " · ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "msgspec", "aiohttp"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d} · {model[1] if model else platform.machine()}, {os.cpu_count()} cores · "
        f"Linux {platform.release().partition('-')[0]} · Python {sys.version.split()[0]} · {versions} · "
        f"{_consul_version()}"
    )


def _consul_version() -> str:
    binary = find("consul", os.environ)
    if binary is None:
        return "no Consul"
    return subprocess.run([str(binary), "version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}
