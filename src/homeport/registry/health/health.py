"""The health engine: keeps every check of the catalog that is executed here, and is asked about all checks."""

from __future__ import annotations

import asyncio
import os
import random as random_numbers
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from homeport.connections.tls import TLS
from homeport.errors import SettingsError
from homeport.model import Status
from homeport.wire import golang

from ..checks import FROM_FILE
from ..records import CheckRecord, Entry
from ..registry import Registry
from ..store.contract import StoreError
from ..store.memory_image import Change
from ..store.transaction import Refusal
from .agenda import Agenda, CallLater, on_the_loop
from .alias import Aliases
from .commits import Commits
from .deadlines import Deadlines
from .file_checks.parsing import NO_FILE_CHECKS, FileChecks
from .file_checks.placement import Placement
from .history import History
from .history_file import PastTransition
from .kinds.probers import Probers
from .kinds.resolver import Lookup
from .live import ALIAS, SCRIPT, TTL, LiveCheck, effective
from .probing import Probed, Probing
from .reaper import Reaper
from .results import Results
from .schedule import Schedule
from .settings import HealthSettings
from .transitions import identity, kept_in_store, new_transitions
from .views import CheckView, view


class Health:
    """Executes checks, counts TTLs, and removes what is critical for too long.

    Use as ``async with``, after the registry is open; everything belongs to one event loop. ``file_checks`` are given
    to every instance of their services; `configure` changes them. ``history_path`` is the file of the longer history
    (None: in memory). ``clock`` gives Unix seconds, ``monotonic`` seconds that no date changes, ``random`` numbers in
    [0, 1), ``call_later`` sets timers; scripts see some of ``environ``; ``lookup`` turns names into addresses.
    """

    def __init__(
        self, registry: Registry, *, settings: HealthSettings, file_checks: FileChecks = NO_FILE_CHECKS,
        history_path: Path | None = None, clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic, random: Callable[[], float] = random_numbers.random,
        call_later: CallLater = on_the_loop, environ: Mapping[str, str] = os.environ, lookup: Lookup | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings
        self._registry = registry
        self._catalog = registry.catalog
        self._file_checks = file_checks
        self._lives: dict[str, LiveCheck] = {}
        self._own: dict[str, LiveCheck] = {}
        self._listeners: list[Callable[[Probed], None]] = []
        self._own_node = ""
        self._running = False
        self._agenda = agenda = Agenda(monotonic=monotonic, call_later=call_later)
        self._commits = Commits(registry.transact, agenda)
        self._results = Results(settings, agenda, self._commits, clock=clock, random=random)
        self._probers = Probers(settings, environ=environ, monotonic=monotonic, lookup=lookup)
        probing = Probing(settings, agenda, self._probers, self._results, monotonic=monotonic, tell=self._tell)
        self._schedule = Schedule(
            agenda,
            probing.run,
            random=random,
            running_checks=settings.running_checks,
            running_scripts=settings.running_scripts,
        )
        self._deadlines = Deadlines(agenda, self._results.expired)
        self._aliases = Aliases(
            agenda, refresh_interval=settings.alias_refresh_interval, random=random, settle=self._results.aliased
        )
        self._reaper = Reaper(
            agenda, checks=self._lives.values, transact=registry.transact, interval=settings.reap_interval,
            minimum=settings.deregister_minimum,
        )  # fmt: skip
        self._placement = Placement(self._catalog, registry.transact, agenda, clock=clock)
        self._history = History(
            history_path, agenda, retention=settings.history_retention, most_per_check=settings.history_per_check,
            max_bytes=settings.history_max_bytes, clock=clock,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Take over all checks. Every TTL gets its whole time anew, whatever passed while nobody counted.

        Raises:
            SettingsError: a file, a network or a check of the settings cannot be used.
        """
        self._accept(self._file_checks)
        if self.settings.tls != TLS():
            await self._probers.check_settings()
        self._own_node = self._registry.node.lower()
        self._running = True
        self._catalog.on_change(self._changed)
        for entry in self._catalog.check_entries():
            if _is_executed(entry.value):
                self._adopt(entry, starting=True)
        self._reaper.start()
        self._history.start()
        try:
            await self._placement.configure(self._file_checks)
        except StoreError:
            return  # it is logged, and tried again; the registry can be read meanwhile

    async def aclose(self) -> None:
        """End all runs, write what is known, and close everything; calling it twice is harmless."""
        if not self._running:
            return
        self._running = False
        self._agenda.close()
        await self._schedule.aclose()
        await self._reaper.aclose()
        await self._placement.aclose()
        await self._commits.aclose()
        await self._history.aclose()
        await self._probers.aclose()

    async def configure(self, file_checks: FileChecks) -> None:
        """Give instances the checks of another file; returns when they have them.

        Raises:
            SettingsError: it has script checks while they are off, or a kind that there is not; the file before stays
            in force. StoreError: the checks could not be written; that is tried again by itself.
        """
        self._accept(file_checks)
        self._file_checks = file_checks
        await self._placement.configure(file_checks)

    # What is reported

    async def heartbeat(self, check_id: str, status: Status, output: str = "") -> None:
        """Take in what somebody says about a TTL check of our own node; a changed status is written on return.

        Raises:
            Refusal: 404, there is no such check; 500, it is not a TTL check.
            StoreError: the status could not be written; that is tried again by itself.
        """
        live = self._own.get(check_id.lower())
        if live is None or live.definition.kind != TTL:
            raise self._not_ttl(check_id)
        self._deadlines.set(live, live.definition.ttl)
        self._results.reported(live, status, output)
        if live.settling is not None:
            await asyncio.shield(live.settling)

    def restart_ttl(self, check_ids: Iterable[str]) -> None:
        """Let the whole TTL of these checks run from now, as a registration does; other ids are passed over."""
        for check_id in check_ids:
            live = self._own.get(check_id.lower())
            if live is not None and live.definition.kind == TTL:
                self._deadlines.set(live, live.definition.ttl)

    async def run_now(self, check_id: str, *, node: str | None = None) -> CheckView:
        """Run a check of a node (ours, by default) at once, and return it as it is then. Counts like any other run.

        Raises:
            Refusal: 404, there is no such check; 400, it is one that is not executed.
            StoreError: the new status could not be written; that is tried again by itself.
        """
        entry = self._known(check_id, node)
        live = self._lives.get(entry.key)
        if live is None or live.definition.kind == TTL:
            record: CheckRecord = entry.value
            why = (
                "its status is reported by the service"
                if live is not None
                else "its status was written into the catalog"
            )
            raise Refusal(
                f'check "{record.id}" cannot be run: {why}; only checks with an interval and aliases can', status=400
            )
        if live.definition.kind == ALIAS:
            self._results.aliased(live)
        else:
            await asyncio.wait((self._schedule.run_now(live),))
        if live.settling is not None:
            await asyncio.shield(live.settling)
        return self._view(self._known(check_id, node))

    # What is asked

    def live(self, check_id: str, *, node: str | None = None) -> CheckView | None:
        """A check of a node (ours, by default) with its newest output, when that came in, and whether it flaps."""
        entry = self._catalog.check(self._registry.node if node is None else node, check_id)
        return None if entry is None else self._view(entry)

    def state(self, *, service: str = "", status: str = "") -> list[CheckView]:
        """All checks, or those of one service, or of one status, by node and id."""
        found = self._checks_of(service) if service else self._catalog.check_entries()
        return [self._view(entry) for entry in found if not status or entry.value.status == status]

    async def history(self, *, service: str = "", since: float = 0.0) -> list[PastTransition]:
        """The changes of status since a Unix time, of one service or of all checks, oldest first.

        Those of checks that are gone are in it as far as the longer history reaches.
        """
        found = {identity(past): past for past in await self._history.since(since, service=service)}
        checks = self._checks_of(service) if service else self._catalog.check_entries()
        for past in kept_in_store(self._catalog, checks):
            if past.at >= since:
                found.setdefault(identity(past), past)
        return sorted(found.values(), key=lambda past: past.at)

    def on_result(self, listener: Callable[[Probed], None]) -> None:
        """Call ``listener`` with every run of a check that gave a result, from now on."""
        self._listeners.append(listener)

    # Inside

    def _accept(self, file_checks: FileChecks) -> None:
        for kind, place in file_checks.kinds.items():
            if kind == SCRIPT and not self.settings.runs_scripts(from_file=True):
                raise SettingsError(
                    f"{place} is a script check, and these are off: set health.enable_local_script_checks to true"
                )
            if not self._probers.knows(kind):
                raise SettingsError(f'{place}.type is "{kind}", and no package brings checks of that kind')

    def _changed(self, _revision: int, changes: Sequence[Change]) -> None:
        if not self._running:
            return
        for change in changes:
            entry = change.after or change.before
            assert entry is not None
            match entry.key.partition("/")[0]:
                case "chk":
                    self._check_changed(entry.key, change)
                case "svc":
                    before, after = _values(change)
                    self._placement.instance_changed(before, after)
                    self._aliases.changed(entry.value.node, entry.value.id)
                case "hist":
                    self._history.note(new_transitions(self._catalog, change))
                case "node":
                    before, after = _values(change)
                    self._placement.node_changed(before, after)
                    self._aliases.changed(entry.value.name, "")

    def _check_changed(self, key: str, change: Change) -> None:
        before, after = _values(change)
        live = self._lives.get(key)
        if live is not None:
            if after is not None and _is_executed(after) and _is_defined_alike(live.record, after):
                assert change.after is not None
                live.committed(change.after, now=self._agenda.heard())
            else:
                self._drop(key, live)
        if change.after is not None and key not in self._lives and _is_executed(change.after.value):
            self._adopt(change.after, starting=False)
        if before is not None and (after is None or after.origin != before.origin):
            self._placement.check_removed(before)
        for record in (before, after):
            if record is not None:
                self._aliases.changed(record.node, record.service_id)

    def _adopt(self, entry: Entry, *, starting: bool) -> None:
        record: CheckRecord = entry.value
        assert record.definition is not None
        live = LiveCheck(entry, effective(record.definition, self.settings), now=self._agenda.heard())
        self._lives[entry.key] = live
        if record.node.lower() == self._own_node:
            self._own[record.id.lower()] = live
        match live.definition.kind:
            case "ttl":
                self._deadlines.set(live, live.definition.ttl)
            case "alias":
                self._aliases.add(live)
            case _:
                self._schedule.add(live, soon=record.origin == FROM_FILE and not starting)

    def _drop(self, key: str, live: LiveCheck) -> None:
        live.alive = False
        del self._lives[key]
        if live.record.node.lower() == self._own_node:
            del self._own[live.record.id.lower()]
        if live.definition.kind == ALIAS:
            self._aliases.remove(live)
        self._schedule.remove(live)

    def _tell(self, probed: Probed) -> None:
        for listener in self._listeners:
            listener(probed)

    def _view(self, entry: Entry) -> CheckView:
        live = self._lives.get(entry.key)
        return view(entry.value, live, flapping=live is not None and self._results.flapping(live))

    def _checks_of(self, service: str) -> Iterable[Entry]:
        for instance in self._catalog.instances(service):
            yield from self._catalog.service_checks(instance.value.node, instance.value.id)

    def _known(self, check_id: str, node: str | None) -> Entry:
        entry = self._catalog.check(self._registry.node if node is None else node, check_id)
        if entry is None:
            raise _unknown(check_id)
        return entry

    def _not_ttl(self, check_id: str) -> Refusal:
        if self._catalog.check(self._registry.node, check_id) is None:
            return _unknown(check_id)
        return Refusal(f"CheckID {golang.quote(check_id)} does not have associated TTL", status=500)


def _unknown(check_id: str) -> Refusal:
    return Refusal(
        f"Unknown check ID {golang.quote(check_id)}. Ensure that the check ID is passed, not the check name.",
        status=404,
    )


def _is_executed(check: CheckRecord) -> bool:
    return check.executed and check.definition is not None and bool(check.definition.kind)


def _is_defined_alike(before: CheckRecord, after: CheckRecord) -> bool:
    return (
        before.definition == after.definition
        and before.origin == after.origin
        and before.service_id == after.service_id
    )


def _values(change: Change) -> tuple[Any, Any]:
    """The records before and after; None is absence."""
    return (
        None if change.before is None else change.before.value,
        None if change.after is None else change.after.value,
    )
