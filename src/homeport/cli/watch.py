"""``watch``: what changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import typer

from homeport.model import Event, Instance, Snapshot, diff

from . import options
from .configured import client
from .exits import Misuse, say
from .output import cell_text, printable, write, write_document, write_line
from .running import READ_TIMEOUT, run_async, within
from .views import event_view, instance_view, ordered, timestamp

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

_SHOWN = ("endpoint", "tags", "version", "environment", "weight", "meta")


@app.command(
    "watch",
    rich_help_panel="Discovery",
    epilog=options.examples("watch api", "watch api --follow", "watch api --follow --format ndjson | jq .event"),
)
def watch(
    name: options.Name,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Begin with what is there, and go on until Ctrl-C.")] = False,
    tag: options.Tag = None,
    version: options.Version = "",
    environment: options.Environment = "",
    meta: options.Meta = None,
    datacenter: options.Datacenter = "",
    backend: options.Backend = None,
    form: options.Format = "table",
    config: options.Config = None,
) -> int:
    """Wait for the next change of a service, print it and end; with --follow, print all changes.

    Failing instances are watched too. A service without instances can be watched: its first one is a change. While the
    registry is out of reach, --follow says so (stale), goes on trying, and says when it is back (recovered).
    """
    if follow and form == "json":
        raise Misuse("--follow never ends, and a JSON document has to; use --format ndjson.")

    async def work() -> int:
        async with client(backend, config=config) as discovery:
            source = discovery.backend
            subject = discovery.watch(
                name,
                tags=tuple(tag or ()),
                version=version,
                environment=environment,
                meta=options.pairs(meta, option="--meta"),
                datacenter=datacenter,
                healthy=False,
            )
            async with within(READ_TIMEOUT, source):
                await subject.begin()
            reporter = ChangeReporter(name, form=form, clock=time.time)
            async for snapshot in subject:
                if reporter.previous is None:
                    say(f'watching "{name}" on {source.url}; Ctrl-C ends it.')
                if reporter.take(snapshot, follow=follow):
                    break
        return 0

    return run_async(work())


class ChangeReporter:
    """Prints the difference between each snapshot and the one before."""

    def __init__(self, service: str, *, form: options.Form, clock: Callable[[], float]) -> None:
        self.previous: Snapshot | None = None
        self._service = service
        self._form = form
        self._clock = clock

    def take(self, snapshot: Snapshot, *, follow: bool) -> bool:
        """Print what is new in ``snapshot``; True if there was a change, and one was all that was wanted."""
        previous, self.previous = self.previous, snapshot
        if previous is None:
            if follow:
                self._present(snapshot)
                if snapshot.stale:
                    self._standing(snapshot)
            return False
        events = diff(previous.instances, snapshot.instances)
        if events:
            self._events(events)
        if follow and previous.stale != snapshot.stale:
            self._standing(snapshot)
        return bool(events) and not follow

    def _present(self, snapshot: Snapshot) -> None:
        instances = ordered(snapshot.instances)
        if self._form == "table":
            for instance in instances:
                self._line("present", instance.id, instance.endpoint, instance.status)
        else:
            write_line(
                {
                    "at": timestamp(self._clock()),
                    "event": "snapshot",
                    "service": self._service,
                    "instances": [instance_view(instance) for instance in instances],
                }
            )

    def _events(self, events: tuple[Event, ...]) -> None:
        at = self._clock()
        if self._form == "json":
            write_document([event_view(event, at=at) for event in events])
            return
        for event in events:
            if self._form == "ndjson":
                write_line(event_view(event, at=at))
            else:
                subject = event.current or event.previous
                assert subject is not None
                self._line(event.kind, event.id, subject.endpoint, what_changed(event))

    def _standing(self, snapshot: Snapshot) -> None:
        kind = "stale" if snapshot.stale else "recovered"
        if self._form == "table":
            self._line(kind, snapshot.reason)
            return
        fields = {"reason": snapshot.reason, "since": timestamp(snapshot.stale_since)} if snapshot.stale else {}
        write_line({"at": timestamp(self._clock()), "event": kind, "service": self._service, **fields})

    def _line(self, kind: str, *words: str) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(self._clock()))
        write("  ".join([at, f"{kind:<14}", *map(printable, words)]).rstrip() + "\n")


def what_changed(event: Event) -> str:
    """What of an instance is different, for people."""
    current, previous = event.current, event.previous
    if current is None or previous is None:
        return current.status if current is not None else ""
    changes = [f"{previous.status} → {current.status}"] if previous.status != current.status else []
    for field in _SHOWN:
        before, after = getattr(previous, field), getattr(current, field)
        if before != after:
            changes.append(f"{field} {cell_text(before)} → {cell_text(after)}")
    return ", ".join(changes) or _changed_checks(previous, current)


def _changed_checks(previous: Instance, current: Instance) -> str:
    before = {check.id: check for check in previous.checks}
    changed = [check.name or check.id for check in current.checks if before.get(check.id) != check]
    gone = [check.name or check.id for check in previous.checks if check.id not in {one.id for one in current.checks}]
    names = [*changed, *(f"{name} (gone)" for name in gone)]
    return f"checks: {', '.join(names)}" if names else "details"
