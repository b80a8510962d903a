"""``status``, ``test-connection``: whether the registry is there, and what it holds."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from homeport.errors import PermissionDenied, Unsupported
from homeport.spi import Discoverer

from . import columns, options
from .choosing import chosen_backends, reading, reason_of_choice, settings_file, variables_of
from .connection import ConnectionDiagnosis
from .exits import complain, say
from .lookup import by_service, instances_of_all
from .output import Row, cell_text, show, show_one, write
from .running import run_async
from .steps import Step, outcome, show_step, show_steps
from .views import health_view

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_PANEL = "Connection"


@app.command("status", rich_help_panel=_PANEL, epilog=options.examples("status", "status --backend consul --detailed"))
def status(
    *,
    detailed: Annotated[bool, typer.Option("--detailed", help="Also how each service fares.")] = False,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Tell which registry answers, and how many services and instances it holds."""
    denied: list[PermissionDenied] = []

    async def work() -> dict[str, Any]:
        async with reading(backend, config=config) as source:
            try:
                facts = await source.ping()
            except PermissionDenied as error:  # whether this program may read services is another right
                facts = {}
                denied.append(error)
            return {"backend": source.url, **facts, **await _holdings(source, detailed=detailed)}

    facts = run_async(work())
    for error in denied:
        complain(error)
    show_one(facts, form=form, text=_facts)
    if form == "table" and facts.get("health"):
        write("\n")
        show(facts["health"], form=form, columns=columns.HEALTH)
    return 0


@app.command(
    "test-connection",
    rich_help_panel=_PANEL,
    epilog=options.examples("test-connection --backend consul", "test-connection --format ndjson"),
)
def reach_backend(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="What was found out at each step, and how long it took.")
    ] = False,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Try the way to the backend step by step, and tell what works, what does not, and what to do then.

    Which backend is meant and why, the addresses of its name, a connection to each, TLS with its certificate, who
    answers there, whether the credentials are accepted, what they allow to read, and how long a question takes.
    Nothing is changed there. With several backends each is tried.

    Exit code 3 when nobody answers, 4 when the credentials are refused, 1 when somebody else answers.
    """
    file = settings_file(config, os.environ)
    reason = reason_of_choice(backend, environ=os.environ, file=file)

    async def work() -> int:
        told: list[tuple[str, Step]] = []
        sources = chosen_backends(backend, environ=os.environ, file=file)
        try:
            for source in sources:
                diagnosis = ConnectionDiagnosis(source, reason=reason, variables=variables_of(source, os.environ))
                async for step in diagnosis.steps():
                    told.append((source.url, step))
                    show_step(step, form=form, verbose=verbose, backend=source.url)
        finally:
            for source in sources:
                await source.aclose()
        show_steps(told, form=form)
        return outcome(step for _, step in told)

    return run_async(work())


async def _holdings(source: Discoverer, *, detailed: bool) -> dict[str, Any]:
    """How many services and instances there are; with ``detailed`` also how each service fares.

    None where the backend has no list of services, which is told.
    """
    try:
        summaries = await source.services()
    except Unsupported as error:
        say(str(error))
        return {"services": None, "instances": None, "passing": None}
    numbers = [(one.instances, one.passing) for one in summaries if one.instances is not None]
    if not detailed and len(numbers) == len(summaries):
        return {
            "services": len(summaries),
            "instances": sum(instances for instances, _ in numbers),
            "passing": sum(passing or 0 for _, passing in numbers),
        }
    known = await instances_of_all(source, (one.name for one in summaries))
    holdings: dict[str, Any] = {
        "services": len(summaries),
        "instances": len(known),
        "passing": sum(instance.healthy for instance in known),
    }
    if detailed:
        holdings["health"] = [health_view(name, instances) for name, instances in by_service(known).items()]
    return holdings


def _facts(row: Row) -> str:
    return "\n".join(f"{name:<12}{cell_text(value)}" for name, value in row.items() if name != "health")
