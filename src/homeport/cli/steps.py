"""What a diagnosis tries, one thing after the other: how it is run, and how it is shown."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from homeport.errors import BackendUnavailable, HomeportError

from .exits import DONE, exit_code
from .options import Form
from .output import cell_text, printable, write, write_document, write_line

STEP_TIMEOUT = 5.0
"""No step takes longer, in seconds."""

State: TypeAlias = Literal["ok", "warning", "failed", "skipped", "untried"]
"""A skipped step has nothing to try here; an untried one could not be reached, and people are not shown it."""
Details: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[], Awaitable[tuple[str, Details]]]

_MARKS: Mapping[State, str] = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-", "untried": " "}
_COLOURS: Mapping[State, str] = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim", "untried": ""}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried, and what came of it. ``error`` is why it failed; a warning is no failure.

    People are shown the ``lines`` below the text, and the ``details`` when they ask for them.
    """

    name: str
    text: str
    state: State = "ok"
    milliseconds: float = 0.0
    details: Details = {}
    lines: tuple[str, ...] = ()
    error: HomeportError | None = None


class Warned(HomeportError):
    """Something is wrong that keeps nothing from working."""


async def tried(name: str, work: Work, *, backend: str = "", timeout: float = STEP_TIMEOUT) -> Step:
    """Run one step, and tell what came of it; what it raises of `homeport.errors` is its failure."""
    begun = time.perf_counter()
    text, details = "", Details()
    failure: HomeportError | None = None
    try:
        async with asyncio.timeout(timeout):
            text, details = await work()
    except TimeoutError:
        failure = BackendUnavailable(f"that took longer than {timeout:g} s", backend=backend)
    except HomeportError as error:
        failure = error
    milliseconds = since(begun)
    if failure is None:
        return Step(name=name, text=text, milliseconds=milliseconds, details=details)
    if isinstance(failure, Warned):
        return Step(name=name, text=str(failure), state="warning", milliseconds=milliseconds)
    return failed(name, failure, milliseconds=milliseconds)


def failed(name: str, error: HomeportError, *, milliseconds: float = 0.0) -> Step:
    """A step that failed."""
    return Step(name=name, text=str(error), state="failed", milliseconds=milliseconds, error=error)


def retold(step: Step, error: HomeportError, text: str) -> Step:
    """A step that failed, with more to say about it; the kind of its error stays."""
    told = error.copied()
    told.args = (text,)
    return msgspec.structs.replace(step, text=text, state="failed", error=told)


def skipped(name: str, reason: str) -> Step:
    """A step that has nothing to try here."""
    return Step(name=name, text=reason, state="skipped")


def untried(name: str, after: str) -> Step:
    """A step that was not come to, since the step ``after`` failed."""
    return Step(name=name, text=f"not tried, since {after} failed", state="untried")


def since(begun: float) -> float:
    """The milliseconds since a time of `time.perf_counter`."""
    return round((time.perf_counter() - begun) * 1000, 1)


def outcome(steps: Iterable[Step]) -> int:
    """The exit code of a diagnosis: that of its first failure."""
    return next((exit_code(step.error) for step in steps if step.error is not None), DONE)


def show_step(step: Step, *, form: Form, verbose: bool, backend: str = "") -> None:
    """Print a step as soon as it is done; a JSON document is printed at the end, by `show_steps`."""
    if form == "ndjson":
        write_line(step_view(step, backend=backend))
    elif form == "table" and step.state != "untried":
        write(_for_terminal(step, verbose=verbose) if sys.stdout.isatty() else _plain(step, verbose=verbose))


def show_steps(steps: Sequence[tuple[str, Step]], *, form: Form) -> None:
    """Print what `show_step` leaves for the end; each step with the URL of its backend."""
    if form == "json":
        write_document([step_view(step, backend=backend) for backend, step in steps])


def step_view(step: Step, *, backend: str = "") -> Mapping[str, Any]:
    """A step for programs."""
    return {
        "step": step.name,
        **({"backend": backend} if backend else {}),
        "state": step.state,
        "ok": step.error is None,
        "text": step.text,
        "milliseconds": step.milliseconds,
        "details": step.details,
    }


def _lines(step: Step, *, verbose: bool) -> list[str]:
    took = f" ({step.milliseconds:g} ms)" if verbose and step.state != "skipped" else ""
    lines = [f"{printable(step.text)}{took}", *map(printable, step.lines)]
    if verbose and not step.lines:
        lines += [f"{key}: {cell_text(value)}" for key, value in step.details.items()]
    return lines


def _plain(step: Step, *, verbose: bool) -> str:
    first, *others = _lines(step, verbose=verbose)
    lines = [f"{_MARKS[step.state]} {step.name:<12}{first}", *(f"  {'':<12}{line}" for line in others)]
    return "".join(f"{line}\n" for line in lines)


def _for_terminal(step: Step, *, verbose: bool) -> str:
    """With colours, and folded under its own text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(width=11)
    grid.add_column(overflow="fold")
    colour = _COLOURS[step.state]
    first, *others = _lines(step, verbose=verbose)
    shown = Text(first, style="dim" if step.state == "skipped" else "")
    grid.add_row(Text(_MARKS[step.state], style=colour), Text(step.name, style="bold"), shown)
    for line in others:
        grid.add_row("", "", Text(line, style="dim"))
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(grid)
    return captured.get()
