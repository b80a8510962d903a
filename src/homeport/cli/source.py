"""``source``: what a registry mirrors from elsewhere, and how that fares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from homeport import abilities
from homeport.backends.consul import ConsulBackend
from homeport.errors import Unsupported

from . import options
from .choosing import opened
from .exits import DONE, FAILED, Failure, say
from .output import Column, Row, printable, show, write
from .running import READ_TIMEOUT, run_async, within

app = typer.Typer(add_completion=False, rich_markup_mode="rich")
source = typer.Typer(add_completion=False, rich_markup_mode="rich")
app.add_typer(
    source,
    name="source",
    help="What the registry mirrors from other systems.",
    rich_help_panel="Registry",
    epilog=options.examples("source list", "source status"),
)

_COLUMNS = (
    Column("SOURCE", "node"),
    Column("URL", "url"),
    Column("STATE", "state"),
    Column("SERVICES", "services"),
    Column("INSTANCES", "instances"),
)


_NONE = 'the registry mirrors nothing; "homeport serve --source URL" makes it mirror a backend.'


@source.command("list", epilog=options.examples("source list", "source list --format json"))
def listing(*, backend: options.Backend = None, form: options.Format = "table", config: options.Config = None) -> int:
    """List the sources of the registry, and how much is mirrored from each."""
    rows = _rows(backend, config)
    columns = ("node", "url", "state", "services", "instances")
    show([{name: row[name] for name in columns} for row in rows], form=form, columns=_COLUMNS)
    if not rows and form == "table":
        say(_NONE)
    return DONE


@source.command("status", epilog=options.examples("source status", "source status consul-10.0.0.1-8500"))
def status(
    name: Annotated[
        str, typer.Argument(metavar="[SOURCE]", help="The source; every one by default.", show_default=False)
    ] = "",
    *,
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Tell how the sources fare: since when one is not confirmed and why, what is held back, which names clash.

    Exit code 1 unless all of them are connected, and what they mirror themselves is confirmed there.
    """
    rows = [row for row in _rows(backend, config) if not name or row["node"].lower() == name.lower()]
    if name and not rows:
        raise Failure(f'there is no source "{name}"; "homeport source list" names them')
    if not rows and form == "table":
        say(_NONE)
    elif form == "table":
        write("\n".join(map(_told, rows)))
    else:
        show(rows, form=form, columns=())
    return DONE if all(row["state"] == "connected" and not row["unconfirmed"] for row in rows) else FAILED


def _rows(named: list[str] | None, config: str | None) -> list[dict[str, Any]]:
    async def work() -> list[dict[str, Any]]:
        async with opened(named, config=config) as registry, within(READ_TIMEOUT, registry):
            if not isinstance(registry, ConsulBackend):
                raise Unsupported(f"{registry.url} mirrors nothing", backend=registry.url, able=abilities.SOURCES)
            return [
                {
                    "node": row.node,
                    "url": row.url,
                    "state": row.state,
                    "stale_since": _time(row.stale_since),
                    "reason": row.reason,
                    "services": row.services,
                    "instances": row.instances,
                    "looped": row.looped,
                    "held": [
                        {"service": one.service, "instances": one.instances, "until": _time(one.until)}
                        for one in row.held
                    ],
                    "conflicts": [{"service": one.service, "node": one.node} for one in row.conflicts],
                    "unconfirmed": [{"node": one.node, "reason": one.reason} for one in row.unconfirmed],
                    "last_change": _time(row.last_change),
                    "owner": row.owner,
                }
                for row in await registry.sources()
            ]

    return run_async(work())


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _told(row: Row) -> str:
    """A source in some lines; what there is nothing to say of has none."""
    since = f" since {row['stale_since']}" if row["stale_since"] else ""
    lines = [
        ("source", row["node"]),
        ("url", row["url"]),
        ("state", f"{row['state']}{since}"),
        ("left out" if row["state"] == "connected" else "reason", row["reason"]),
        ("mirrored", f"{_number(row['services'], 'service')}, {_number(row['instances'], 'instance')}"),
        ("last change", row["last_change"]),
        ("left out", f"{_number(row['looped'], 'instance')} that came from this registry" if row["looped"] else ""),
        *((f"held {one['service']}", _held(one)) for one in row["held"]),
        *((f"conflict {one['service']}", f'"{one["node"]}" has it; it is not mirrored') for one in row["conflicts"]),
        *((f"unconfirmed {one['node']}", f"there: {one['reason']}") for one in row["unconfirmed"]),
        ("owner", row["owner"]),
    ]
    shown: Sequence[tuple[str, str]] = [(title, str(text)) for title, text in lines if text]
    width = max(len(title) for title, _ in shown) + 2
    return "".join(f"{printable(title).ljust(width)}{printable(text)}\n" for title, text in shown)


def _held(one: Row) -> str:
    return f"{_number(one['instances'], 'instance')} that the source does not give any more, kept until {one['until']}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
