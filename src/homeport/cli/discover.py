"""``list``, ``find``, ``describe``: what is registered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

import typer

from homeport.errors import NoInstances
from homeport.model import Instance, Query
from homeport.spi import Discoverer

from . import columns, options
from .choosing import reading
from .exits import FAILED, Misuse, complain, say
from .lookup import Counted, counted, instances_of, instances_of_all, one_of
from .output import Column, Row, cell_text, printable, show, write, write_document
from .running import run_async
from .views import instance_view, summary_view

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_PANEL = "Discovery"
_FACTS = ("status", "version", "environment", "tags", "meta", "weight", "node", "datacenter", "region", "zone")


@app.command("list", rich_help_panel=_PANEL, epilog=options.examples("list", "list --tag production --format json"))
def list_services(
    *,
    tag: options.Tag = None,
    datacenter: options.Datacenter = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """List the services that are registered, with the number of their instances and how many of them pass.

    An empty list is no error. Consul tells the numbers service by service only: of more than 100 services they are
    left out ("-"), and "homeport health-summary" reads them all.
    """
    wanted = set(tag or ())

    async def work() -> tuple[str, Counted]:
        async with reading(backend, config=config) as source:
            every = await source.services(datacenter=datacenter)
            chosen = [one for one in every if wanted <= set(one.tags)]
            return source.url, await counted(source, chosen, datacenter=datacenter)

    url, found = run_async(work())
    show([summary_view(one) for one in found.summaries], form=form, columns=columns.SERVICES)
    if found.gap:
        say(found.gap)
    if not found.summaries and form == "table":
        tagged = "with these tags " if wanted else ""
        say(f"no services {tagged}are registered{options.in_datacenter(datacenter)} on {url}.")
    return 0


@app.command(
    "find",
    rich_help_panel=_PANEL,
    epilog=options.examples("find api --healthy-only", "find --tag production", 'find api --version ">=2,<3"'),
)
def find(
    *,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The service; all of them by default.", show_default=False)
    ] = "",
    tag: options.Tag = None,
    version: options.Version = "",
    environment: options.Environment = "",
    meta: options.Meta = None,
    healthy_only: Annotated[bool, typer.Option("--healthy-only", help="Only instances whose checks all pass.")] = False,
    datacenter: options.Datacenter = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Find instances by name, tags, version, environment or metadata.

    Without --healthy-only, failing instances are found too. Exit code 1 when nothing is found.
    """
    tags = tuple(tag or ())
    wanted = {
        "tags": tags,
        "version": version,
        "environment": environment,
        "meta": options.pairs(meta, option="--meta"),
        "healthy": healthy_only,
        "datacenter": datacenter,
    }
    if not name and not any((tags, version, environment, wanted["meta"])):
        raise Misuse(
            'find needs a NAME, or a --tag, --version, --environment or --meta; "homeport list" lists them all.'
        )

    async def work() -> list[Instance]:
        async with reading(backend, config=config) as source:
            if name:
                return await instances_of(source, _query(name, wanted))
            return await _find_everywhere(source, wanted)

    return _show_found(work, form=form, shown=columns.INSTANCES if name else columns.ANY_INSTANCES)


@app.command(
    "describe",
    rich_help_panel=_PANEL,
    epilog=options.examples("describe api", "describe api --service-id api-node-1"),
)
def describe(
    name: options.Name,
    *,
    service_id: options.ServiceId = "",
    datacenter: options.Datacenter = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Tell everything about the instances of a service, with the last output of each of their checks."""

    async def work() -> list[Instance]:
        async with reading(backend, config=config) as source:
            found = await instances_of(source, Query(service=name, healthy=False, datacenter=datacenter))
            return [one_of(found, service_id, backend=source.url)] if service_id else found

    return _show_found(work, form=form, shown=None)


def _show_found(
    work: Callable[[], Coroutine[Any, Any, list[Instance]]], *, form: options.Form, shown: Sequence[Column] | None
) -> int:
    try:
        found = run_async(work())
    except NoInstances as error:
        if form == "json":
            write_document([])
        complain(error)
        return FAILED
    rows = [instance_view(instance) for instance in found]
    if shown is not None or form != "table":
        show(rows, form=form, columns=shown or ())
    else:
        write("\n".join(map(description, rows)))
    return 0


async def _find_everywhere(source: Discoverer, wanted: dict[str, Any]) -> list[Instance]:
    """The instances of any service that are as wanted.

    Raises:
        NoInstances: there are none.
    """
    datacenter = wanted["datacenter"]
    summaries = await source.services(datacenter=datacenter)
    # A service's tags are those of all its instances: one without the tag has no instance with it.
    names = [one.name for one in summaries if set(wanted["tags"]) <= set(one.tags)]
    known = await instances_of_all(source, names, datacenter=datacenter)
    found = [instance for instance in known if _query(instance.service, wanted).matches(instance)]
    if not found:
        health = "healthy instance" if wanted["healthy"] else "instance"
        raise NoInstances(f"no {health} of any service on {source.url} is as asked.", service="")
    return found


def _query(service: str, wanted: dict[str, Any]) -> Query:
    return Query(service=service, **wanted)


def description(row: Row) -> str:
    """An instance for people: a block of lines."""
    lines = [f"{printable(row['id'])}  {row['endpoint']}"]
    facts = [(fact, row[fact]) for fact in _FACTS] + [("started", row["started_at"])]
    lines += [f"  {fact:<12}{cell_text(value)}" for fact, value in facts if value not in (None, "", [], {})]
    for check in row["checks"]:
        kind = f" ({check['kind']})" if check["kind"] else ""
        flapping = ", flapping" if check["flapping"] else ""
        at = f", {check['checked_at']}" if check["checked_at"] else ""
        lines.append(f"  {'check':<12}{check['status']}{flapping}: {printable(check['name'] or check['id'])}{kind}{at}")
        if check["output"]:
            lines.append(f"  {'':<12}{printable(check['output'])}")
    return "".join(f"{line}\n" for line in lines)
