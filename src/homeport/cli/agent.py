"""``agent``: everything that the files of a folder define, registered while they are there."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from homeport.client.agent import Agent, Report
from homeport.client.automatic import Change
from homeport.client.backoff import Backoff
from homeport.client.definitions.files import is_settings
from homeport.errors import SettingsError
from homeport.settings import find_file

from . import options
from .choosing import registrar
from .configured import client
from .exits import DONE, INTERRUPTED, UNREACHABLE, Misuse, say
from .from_file import variables_of
from .options import Form
from .output import Row, printable, write, write_line
from .running import run_async
from .signals import Signals
from .standing import LEAVE_TIMEOUT, tell
from .views import registration_view

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_LOOK_INTERVAL = 1.0
_LONGEST_PAUSE = 15.0


@app.command(
    "agent",
    rich_help_panel="Registration",
    epilog=options.examples("agent --config services/", "agent --config a.yaml --config b.yaml --set version=2.1.0"),
)
def agent(
    *,
    config: Annotated[
        list[str] | None,
        typer.Option(
            "--config",
            metavar="PATH",
            help="A folder of service definitions, a file of them, or a settings file; may be repeated.",
            show_default=False,
        ),
    ] = None,
    values: options.Set = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl",
            metavar="DURATION",
            help="How long registrations outlive a killed agent; by default as the settings file says, else 15s.",
            show_default=False,
        ),
    ] = None,
    backend: options.Backend = None,
    form: options.Format = "table",
) -> int:
    """Register all service definitions of files and folders, and follow their changes until SIGTERM or Ctrl-C.

    What comes into a folder is registered, what changes is changed, what goes is deregistered. A broken file is told in
    one line, and what it said before stays. SIGHUP looks at everything at once. A registry that is out of reach is
    waited for.
    """
    if form == "json":
        raise Misuse("agent never ends, and a JSON document has to; use --format ndjson.")
    settings, paths = _sorted_paths(config or ())
    known = variables_of(options.pairs(values, option="--set"))
    lease = None if ttl is None else options.interval(ttl, option="--ttl")

    async def work() -> int:
        async with client(backend, config=settings) as discovery:
            source = registrar(*discovery.backends).url
            lasting = discovery.configuration.policy.ttl if lease is None else lease
            follower = Agent(discovery, paths, known=known, ttl=lasting, on_change=tell)
            with Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)) as signals:
                number = await _follow(follower, signals, backend=source, form=form)
                if not discovery.configuration.policy.deregister_on_exit:
                    return INTERRUPTED if number is signal.SIGINT else DONE
                left = await _leave(follower, backend=source, form=form)
            return INTERRUPTED if number is signal.SIGINT else left

    return run_async(work())


def _sorted_paths(named: Sequence[str]) -> tuple[str | None, list[Path]]:
    """The settings file, if one is among the paths or known otherwise, and the paths to follow.

    Raises:
        Misuse: nothing is named, or several settings files are.
        SettingsError: one is not there, or cannot be read.
    """
    if not named:
        found = find_file(None, os.environ)
        if found is None:
            raise Misuse("agent needs --config: a folder or a file of service definitions.")
        return str(found), [found]
    paths = [Path(text).expanduser() for text in named]
    for path in paths:
        if not path.exists():
            raise SettingsError(f"{path}: there is no such file or folder")
    settings = [path for path in paths if not path.is_dir() and _is_settings(path)]
    if len(settings) > 1:
        raise Misuse(f"{settings[0]} and {settings[1]} are both settings files; give one of them.")
    return (str(settings[0]) if settings else None), paths


def _is_settings(path: Path) -> bool:
    try:
        return is_settings(path)
    except SettingsError:
        return False  # a broken file is told when it is followed


async def _follow(follower: Agent, signals: Signals, *, backend: str, form: Form) -> signal.Signals:
    """Look and look again, until a signal ends it."""
    backoff = Backoff(first=_LOOK_INTERVAL, longest=_LONGEST_PAUSE, random=random.random)
    told: dict[str, str] = {}
    again, first = True, True
    came = asyncio.create_task(signals.next(), name="homeport signal")
    try:
        while True:
            looking = asyncio.create_task(follower.look(again=again), name="homeport look")
            try:
                await asyncio.wait({came, looking}, return_when=asyncio.FIRST_COMPLETED)
                if came.done() and came.result() is not signal.SIGHUP:
                    return came.result()
                report = await looking
            finally:
                looking.cancel()
                await asyncio.wait({looking})
            _show(report, told, backend=backend, form=form)
            if first:
                first = False
                number = follower.size
                say(f"{number} service{'' if number == 1 else 's'} registered on {backend}; Ctrl-C deregisters.")
            if not report.pending:
                backoff.reset()
            pause = max(_LOOK_INTERVAL, backoff.next_pause()) if report.pending else _LOOK_INTERVAL
            await asyncio.wait({came}, timeout=pause)
            again = came.done()
            if again:
                if came.result() is not signal.SIGHUP:
                    return came.result()
                came = asyncio.create_task(signals.next(), name="homeport signal")
    finally:
        came.cancel()


async def _leave(follower: Agent, *, backend: str, form: Form) -> int:
    try:
        async with asyncio.timeout(LEAVE_TIMEOUT):
            report = await follower.leave()
    except TimeoutError:
        say(f"the services could not be deregistered in {LEAVE_TIMEOUT:g} s; their leases run out.")
        return UNREACHABLE
    _show(report, {}, backend=backend, form=form)
    return UNREACHABLE if any(change.error is not None for change in report.changes) else DONE


def _show(report: Report, told: dict[str, str], *, backend: str, form: Form) -> None:
    """Print what was done on stdout, and what is wrong on stderr; ``told`` are the failures that were told already."""
    for problem in report.problems:
        say(problem if problem.endswith("?") else f"{problem.rstrip('.')}.")
    for change in report.changes:
        name = change.service.id
        if change.error is None:
            told.pop(name, None)
            view = {"event": change.done, **registration_view(change.service, backend=backend)}
            if form == "ndjson":
                write_line(view)
            else:
                write(f"{_line(view)}\n")
        elif told.get(name) != str(change.error):
            told[name] = str(change.error)
            say(f'"{name}" could not be {change.done} ({str(change.error).rstrip(".")}){_consequence(change)}')


def _consequence(change: Change) -> str:
    return "; its lease runs out." if change.done == "deregistered" else "; it is tried again."


def _line(row: Row) -> str:
    place = f" at {row['endpoint']}" if row["event"] != "deregistered" else ""
    return f"{row['event']} {printable(row['id'])}{place} {'from' if not place else 'on'} {row['backend']}"
