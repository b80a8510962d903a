"""``health`` and its relatives: how services fare, and what their checks say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import typer

from homeport import abilities
from homeport.errors import HomeportError
from homeport.model import CheckState, Instance, Query
from homeport.spi import HealthReporter

from . import columns, options
from .choosing import discoverer, opened, reading, reporter
from .exits import FAILED, Failure, say
from .lookup import SeveralInstances, by_service, first_error, instances_of, instances_of_all, one_of
from .output import show, show_one, write
from .running import READ_TIMEOUT, run_async, within
from .views import health_view, instance_view, state_view, transition_view

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_PANEL = "Health"
_RUN_TIMEOUT = 65.0
"""Beyond the longest time that a check may take by default."""
_NOT_RUN = ("", "ttl")
"""Kinds of checks that the registry does not run: those of a node, and those that are reported to it."""

Reported: TypeAlias = Literal["passing", "warning", "critical"]
Listed: TypeAlias = Literal["failing", "passing", "warning", "critical", "maintenance"]


@app.command("health", rich_help_panel=_PANEL, epilog=options.examples("health api", "health api --format json"))
def health(
    name: options.Name,
    *,
    datacenter: options.Datacenter = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Tell how a service fares: the worst status of its instances, and each of them. Exit code 1 unless it passes."""

    async def work() -> list[Instance]:
        async with reading(backend, config=config) as source:
            return await instances_of(source, Query(service=name, healthy=False, datacenter=datacenter))

    found = run_async(work())
    view = health_view(name, found)
    rows = [instance_view(instance) for instance in found]
    if form == "table":
        write(f'"{name}" is {_verdict(view)}\n\n')
        show(rows, form=form, columns=columns.FARING)
    else:
        show_one({**view, "details": rows}, form=form, text=str)
    return 0 if view["status"] == "passing" else FAILED


@app.command(
    "health-check",
    rich_help_panel=_PANEL,
    epilog=options.examples('health-check api --check-name "HTTP Health Endpoint"', "health-check api"),
)
def health_check(
    name: options.Name,
    *,
    check_name: Annotated[
        str,
        typer.Option("--check-name", metavar="CHECK", help="The check, by name or id; all that can be run by default."),
    ] = "",
    service_id: options.ServiceId = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Run the checks of a service now, and tell what they found. Exit code 1 unless all pass.

    The registry runs them, as it does at their intervals. Consul cannot be asked to.
    """

    async def work() -> list[dict[str, Any]]:
        async with opened(backend, config=config) as source:
            runner = reporter(source, able=abilities.RUNNING_CHECKS)
            async with within(READ_TIMEOUT, source):
                found = await instances_of(discoverer(source), Query(service=name, healthy=False))
            chosen = [one_of(found, service_id, backend=source.url)] if service_id else found
            async with within(_RUN_TIMEOUT, source):
                return await _run_checks(runner, _to_run(chosen, check_name))

    rows = run_async(work())
    show(rows, form=form, columns=columns.CHECKS)
    return 0 if all(row["status"] == "passing" for row in rows) else FAILED


@app.command(
    "health-update",
    rich_help_panel=_PANEL,
    epilog=options.examples('health-update api --status passing --output "All systems healthy"'),
)
def health_update(
    name: options.Name,
    *,
    status: Annotated[Reported, typer.Option("--status", help="What the check says from now on.")],
    output: Annotated[str, typer.Option("--output", metavar="TEXT", help="Why, in words.", show_default=False)] = "",
    check_name: Annotated[
        str,
        typer.Option("--check-name", metavar="CHECK", help="The check, by name or id; its only TTL check by default."),
    ] = "",
    service_id: options.ServiceId = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Set the status of a TTL check, for example one made by "register --ttl".

    Other checks are run by the registry, which knows better. With several instances, --service-id names one.
    """

    async def work() -> Instance:
        async with opened(backend, config=config) as source, within(READ_TIMEOUT, source):
            told = reporter(source)
            found = await instances_of(discoverer(source), Query(service=name, healthy=False))
            instance = one_of(found, service_id, backend=source.url)
            await told.report(instance.id, check_name, status, output=output)
            return instance

    try:
        instance = run_async(work())
    except SeveralInstances as error:
        show([instance_view(one) for one in error.instances], form=form, columns=columns.INSTANCES)
        raise
    view = {"service": name, "instance": instance.id, "check": check_name or None, "status": status, "output": output}
    checked = f'the check "{check_name}"' if check_name else "the TTL check"
    show_one(view, form=form, text=lambda _row: f"{checked} of {instance.id} is {status}")
    return 0


@app.command("health-list", rich_help_panel=_PANEL, epilog=options.examples("health-list --status failing"))
def health_list(
    *,
    status: Annotated[
        Listed | None,
        typer.Option("--status", help="Only checks of this status; failing is all but passing.", show_default=False),
    ] = None,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """List the checks of all services. An empty list is no error."""

    async def work() -> list[tuple[str, str, CheckState]]:
        async with opened(backend, config=config) as source, within(READ_TIMEOUT, source):
            if status != "failing":
                return list(await reporter(source).checks(status=status))
            return [row for row in await reporter(source).checks() if row[2].status != "passing"]

    found = run_async(work())
    rows = [state_view(*row) for row in sorted(found, key=lambda row: (row[0], row[1], row[2].name, row[2].id))]
    show(rows, form=form, columns=columns.CHECKS)
    if not rows and form == "table":
        say(f"no check is {status}." if status else "there are no checks.")
    return 0


@app.command("health-history", rich_help_panel=_PANEL, epilog=options.examples("health-history api --since 24h"))
def health_history(
    name: options.Name,
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="DURATION", help="How far back, for example 30m or 7d.")
    ] = "24h",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """List the changes of status of a service's checks, oldest first. Only a Homeport registry keeps them."""
    begin = time.time() - options.duration(since, option="--since")

    async def work() -> list[dict[str, Any]]:
        async with opened(backend, config=config) as source, within(READ_TIMEOUT, source):
            history = await reporter(source, able=abilities.HISTORY).history(name, since=begin)
            if not history:
                await instances_of(discoverer(source), Query(service=name, healthy=False))
            return [transition_view(name, transition) for transition in history]

    rows = run_async(work())
    show(rows, form=form, columns=columns.TRANSITIONS)
    if not rows and form == "table":
        say(f'no check of "{name}" changed its status in the last {since}.')
    return 0


@app.command(
    "health-summary", rich_help_panel=_PANEL, epilog=options.examples("health-summary", "health-summary --service api")
)
def health_summary(
    *,
    service: Annotated[
        str, typer.Option("--service", metavar="NAME", help="Only this service.", show_default=False)
    ] = "",
    datacenter: options.Datacenter = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Count how the instances of each service fare, and of all together."""

    async def work() -> list[Instance]:
        async with reading(backend, config=config) as source:
            if service:
                return await instances_of(source, Query(service=service, healthy=False, datacenter=datacenter))
            names = [one.name for one in await source.services(datacenter=datacenter)]
            return await instances_of_all(source, names, datacenter=datacenter)

    found = run_async(work())
    rows = [health_view(name, instances) for name, instances in by_service(found).items()]
    overall = {key: value for key, value in health_view("", found).items() if key != "service"}
    if form == "json":
        show_one({**overall, "services": rows}, form=form, text=str)
        return 0
    show(rows, form=form, columns=columns.HEALTH)
    if form == "table" and not service:
        write(f"\noverall {_verdict(overall)}\n" if rows else "")
        if not rows:
            say(f"no services are registered{options.in_datacenter(datacenter)}.")
    return 0


def _verdict(view: Mapping[str, Any]) -> str:
    return f"{view['status']}: {view['passing']} of {view['instances']} instances pass."


def _to_run(instances: Sequence[Instance], wanted: str) -> list[tuple[Instance, CheckState]]:
    """The checks to run.

    Raises:
        Failure: there are none; the message names those that there are.
    """
    every = [(instance, check) for instance in instances for check in instance.checks]
    if wanted:
        chosen = [pair for pair in every if wanted in (pair[1].name, pair[1].id)]
    else:
        chosen = [pair for pair in every if pair[1].kind not in _NOT_RUN]
    if chosen:
        return chosen
    there = ", ".join(dict.fromkeys(f'"{check.name or check.id}"' for _, check in every if check.kind))
    what = f'no check "{wanted}"' if wanted else "no check that the registry runs"
    raise Failure(f'"{instances[0].service}" has {what}; it has {there or "no checks at all"}.')


async def _run_checks(source: HealthReporter, chosen: Sequence[tuple[Instance, CheckState]]) -> list[dict[str, Any]]:
    try:
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(source.run_check(instance.id, check.id)) for instance, check in chosen]
    except* HomeportError as errors:
        raise first_error(errors) from None
    return [state_view(one.service, one.id, run.result()) for (one, _), run in zip(chosen, runs, strict=True)]
