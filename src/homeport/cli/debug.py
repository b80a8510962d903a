"""``debug``: what goes wrong, step by step."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from homeport.client.configuration.configuration import BACKEND_VARIABLES
from homeport.model import Service
from homeport.settings import SettingsFile

from . import options
from .choosing import settings_file
from .configured import client
from .diagnosis import RegistrationDiagnosis, Step, step_view
from .exits import DONE, exit_code
from .output import cell_text, printable, write, write_document, write_line
from .running import run_async

app = typer.Typer(add_completion=False, rich_markup_mode="rich")
debug = typer.Typer(add_completion=False, rich_markup_mode="rich")
app.add_typer(
    debug,
    name="debug",
    help="Find out, step by step, why something does not work.",
    rich_help_panel="Connection",
    epilog=options.examples("debug register api --verbose"),
)


@debug.command("register", epilog=options.examples("debug register api", "debug register api --verbose"))
def register(
    name: options.Name,
    *,
    address: Annotated[
        str, typer.Option("--address", metavar="HOST", help="Where the instance is reached.", show_default=False)
    ] = "",
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Its port.", min=0, max=65535)] = 0,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="What was found out at each step, and how long it took.")
    ] = False,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Try a registration step by step, and tell what works and what does not.

    Which backend is meant and why, its name, the connection, who answers, the address to announce, the permission; then
    a real registration under an id of its own, which no healthy answer contains and which is removed at once.
    """

    async def work() -> int:
        steps: list[Step] = []
        async with client(backend, config=config) as discovery:
            reason = _reason(backend, os.environ, settings_file(config, os.environ))
            service = Service(name=name, address=address, port=port)
            async for step in RegistrationDiagnosis(discovery, service, reason=reason).steps():
                steps.append(step)
                if form == "ndjson":
                    write_line(step_view(step))
                elif form == "table":
                    write(_told(step, verbose=verbose))
        if form == "json":
            write_document([step_view(step) for step in steps])
        failure = steps[-1].error
        return DONE if failure is None else exit_code(failure)

    return run_async(work())


def _reason(named: Sequence[str] | None, environ: Mapping[str, str], file: SettingsFile | None) -> str:
    """Why it is this backend."""
    if named:
        return "--backend names it"
    variable = next((one for one in BACKEND_VARIABLES if environ.get(one, "").strip()), None)
    if variable is not None:
        return f"{variable} names it"
    if file is not None and file.content.get("backend") is not None:
        return f"{file.name} names it"
    if file is not None and file.content.get("consul") is not None:
        return f"{file.name} has it in its section consul"
    return "nothing names another, so it is the registry on this host"


def _told(step: Step, *, verbose: bool) -> str:
    mark = "✓" if step.error is None else "✗"
    took = f" ({step.milliseconds:g} ms)" if verbose else ""
    lines = [f"{mark} {step.name:<9}{printable(step.text)}{took}"]
    if verbose:
        lines += [f"  {'':<9}{key}: {cell_text(value)}" for key, value in step.details.items()]
    return "".join(f"{line}\n" for line in lines)
