"""``status``, ``test-connection``: whether the registry is there, and what it holds."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from homeport.spi import Discoverer

from . import columns, options
from .choosing import opened, reading
from .lookup import by_service, instances_of_all
from .output import Row, cell_text, printable, show, show_one, write
from .running import READ_TIMEOUT, run_async, within
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

    async def work() -> dict[str, Any]:
        async with reading(backend, config=config) as source:
            facts = await source.ping()
            return {"backend": source.url, **facts, **await _holdings(source, detailed=detailed)}

    facts = run_async(work())
    show_one(facts, form=form, text=_facts)
    if form == "table" and facts.get("health"):
        write("\n")
        show(facts["health"], form=form, columns=columns.HEALTH)
    return 0


@app.command("test-connection", rich_help_panel=_PANEL, epilog=options.examples("test-connection --backend consul"))
def reach_backend(
    *,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Reach the backend once, and tell who answered and how long that took. Exit code 3 when nobody did."""

    async def work() -> dict[str, Any]:
        async with opened(backend, config=config) as source, within(READ_TIMEOUT, source):
            begun = time.perf_counter()
            facts = await source.ping()
            milliseconds = round((time.perf_counter() - begun) * 1000, 1)
            return {"backend": source.url, "reachable": True, "milliseconds": milliseconds, **facts}

    show_one(run_async(work()), form=form, text=_reached)
    return 0


async def _holdings(source: Discoverer, *, detailed: bool) -> dict[str, Any]:
    """How many services and instances there are; with ``detailed`` also how each service fares."""
    summaries = await source.services()
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


def _reached(row: Row) -> str:
    known = {"backend", "reachable", "milliseconds", "product", "version"}
    rest = ", ".join(f"{name} {printable(str(value))}" for name, value in row.items() if value and name not in known)
    who = printable(f"{row.get('product', 'a backend')} {row.get('version', '')}".strip())
    return f"reached {who} at {row['backend']} in {row['milliseconds']} ms{f' ({rest})' if rest else ''}"
