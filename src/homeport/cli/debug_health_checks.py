"""``debug health-checks``: each check of a service, and why it is so."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeport import abilities
from homeport.errors import HomeportError, Unsupported
from homeport.model import CheckState, Instance, Query
from homeport.spi import CheckTransition, Discoverer, HealthReporter

from . import options
from .check_reasons import reason_of, target_of
from .choosing import reading
from .exits import DONE, FAILED, say
from .lookup import instances_of, one_of
from .output import printable, shortened, write, write_document, write_line
from .running import run_async
from .views import timestamp

if TYPE_CHECKING:
    from homeport.registry.health.kinds.probers import Probers

_DAY = 86400.0
_SHOWN_TRANSITIONS = 10
_PROBE_TIMEOUT = 5.0
_PROBE_OUTPUT_BYTES = 400
_PROBED = ("http", "tcp", "grpc")
_MARKS = {"passing": "✓", "warning": "!", "critical": "✗", "maintenance": "-"}


def debug_health_checks(
    name: options.Name,
    *,
    detailed: Annotated[
        bool, typer.Option("--detailed", help="Also the whole output, and the changes of the last day.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also run each HTTP, TCP and gRPC check once from this host.")
    ] = False,
    service_id: options.ServiceId = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Tell of each check of a service what it asks, how it fares and since when, and why, in a sentence.

    Exit code 1 unless all checks pass. --probe connects from this host to what the checks name, and sets nothing.
    """

    async def work() -> tuple[list[dict[str, Any]], str]:
        async with reading(backend, config=config) as source:
            found = await instances_of(source, Query(service=name, healthy=False))
            chosen = [one_of(found, service_id, backend=source.url)] if service_id else found
            history, note = await _history(source, name)
            rows = [row for one in chosen for row in _rows(one, history)]
        if probe:
            await _probe_all(rows)
        return rows, note

    rows, note = run_async(work())
    if form == "json":
        write_document(rows)
    elif form == "ndjson":
        for row in rows:
            write_line(row)
    else:
        write(_told(rows, detailed=detailed))
        if note:
            say(note)
    return DONE if all(row["status"] == "passing" for row in rows) else FAILED


async def _history(source: Discoverer, name: str) -> tuple[Sequence[CheckTransition] | None, str]:
    """The changes of the last day, None where nobody keeps them; then also the sentence that says so."""
    try:
        if not isinstance(source, HealthReporter):
            raise Unsupported(f"{source.url} keeps no history of checks", backend=source.url, able=abilities.HISTORY)
        return await source.history(name, since=time.time() - _DAY), ""
    except Unsupported as error:
        return None, f"{error}."


def _rows(instance: Instance, history: Sequence[CheckTransition] | None) -> list[dict[str, Any]]:
    """A row for each check; one that says so for an instance without any."""
    if not instance.checks:
        check = CheckState(id="", status=instance.status)
        reason = f"the backend knows no checks of it, and lists it as {instance.status}"
        return [_row(instance, check, None, reason)]
    return [_row(instance, check, history, reason_of(check)) for check in instance.checks]


def _row(
    instance: Instance, check: CheckState, history: Sequence[CheckTransition] | None, reason: str
) -> dict[str, Any]:
    changes = None
    if history is not None:
        changes = [one for one in history if (one.instance, one.check) == (instance.id, check.id)]
    return {
        "service": instance.service,
        "instance": instance.id,
        "endpoint": instance.endpoint,
        "check": check.name or check.id,
        "id": check.id,
        "kind": check.kind or None,
        "target": target_of(check) or None,
        "status": check.status,
        "reason": reason,
        "since": timestamp(changes[-1].at) if changes else None,
        "checked_at": timestamp(check.checked_at),
        "flapping": check.flapping,
        "changes": None if changes is None else len(changes),
        "transitions": None if changes is None else [_change(one) for one in changes],
        "output": check.output,
        "notes": check.notes,
        "probe": None,
    }


def _change(one: CheckTransition) -> dict[str, Any]:
    return {"at": timestamp(one.at), "status": one.status, "output": one.output}


async def _probe_all(rows: Sequence[dict[str, Any]]) -> None:
    """Run each check once from here, with what its output tells of its target; its answer goes into its row."""
    from homeport.registry.health.kinds.probers import Probers
    from homeport.registry.health.settings import HealthSettings

    probers = Probers(HealthSettings(), environ=os.environ, monotonic=time.monotonic)
    try:
        answers = await asyncio.gather(*(_probe(probers, row["kind"], row["target"]) for row in rows))
    finally:
        await probers.aclose()
    for row, answer in zip(rows, answers, strict=True):
        row["probe"] = answer


async def _probe(probers: Probers, kind: str | None, target: str | None) -> Mapping[str, str] | None:
    """What a check finds from this host; None for one that cannot be run from here."""
    from homeport.registry.records import CheckDefinition

    if kind not in _PROBED or target is None:
        return None
    definition = CheckDefinition(
        kind=kind,
        http=target if kind == "http" else "",
        tcp=target if kind == "tcp" else "",
        grpc=target if kind == "grpc" else "",
        timeout=_PROBE_TIMEOUT,
        output_max_bytes=_PROBE_OUTPUT_BYTES,
    )
    try:
        ready = await probers.load(kind)
        async with asyncio.timeout(_PROBE_TIMEOUT):
            result = await ready.prober.probe(definition)
    except TimeoutError:
        return {"status": "critical", "output": f"no answer within {_PROBE_TIMEOUT:g} s"}
    except HomeportError as error:
        return {"status": "critical", "output": str(error)}
    return {"status": result.status, "output": result.output}


def _told(rows: Sequence[Mapping[str, Any]], *, detailed: bool) -> str:
    """The checks for people, below the instance that they belong to."""
    lines: list[str] = []
    shown = None
    for row in rows:
        if row["instance"] != shown:
            lines += ([""] if lines else []) + [f"{printable(row['instance'])}  {row['endpoint']}"]
            shown = row["instance"]
        lines += [f"  {line}" for line in _of_check(row, detailed=detailed)]
    return "".join(f"{line}\n" for line in lines)


def _of_check(row: Mapping[str, Any], *, detailed: bool) -> list[str]:
    kind = " ".join(printable(one) for one in (row["kind"], row["target"]) if one)
    since = f" since {row['since']}" if row["since"] else ""
    changes = f", changed {row['changes']}× in a day" if row["changes"] else ""
    flapping = ", flapping" if row["flapping"] else ""
    title = printable(row["check"]) or "no checks"
    lines = [
        f"{_MARKS[row['status']]} {title}{f' ({kind})' if kind else ''}: {row['status']}{since}{changes}{flapping}"
    ]
    if row["status"] != "passing" or not row["id"]:
        lines.append(_fact("why", row["reason"]))
    if row["output"]:
        whole = [printable(line) for line in row["output"].splitlines() if line.strip()]
        output = whole if detailed else [shortened(printable(row["output"]))]
        lines += [_fact("" if place else "output", line) for place, line in enumerate(output)]
    if row["probe"]:
        probe = row["probe"]
        lines.append(_fact("from here", f"{probe['status']}: {shortened(printable(probe['output']), 160)}"))
    if detailed:
        facts = {"notes": row["notes"], "run at": row["checked_at"]}
        lines += [_fact(key, str(value)) for key, value in facts.items() if value]
        for one in (row["transitions"] or [])[-_SHOWN_TRANSITIONS:]:
            said = f": {shortened(printable(one['output']))}" if one["output"] else ""
            lines.append(_fact("became", f"{one['status']} at {one['at']}{said}"))
    return lines


def _fact(name: str, text: str) -> str:
    return f"  {name:<11}{printable(text)}"
