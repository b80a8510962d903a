"""One source: what it has is made to stand on its node."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from random import Random

import msgspec

from homeport.client.backoff import Backoff
from homeport.client.ledger import RESET
from homeport.client.tasks import Tasks
from homeport.errors import HomeportError, PermissionDenied
from homeport.model import Instance, Snapshot
from homeport.registry.catalog import Catalog
from homeport.registry.mirroring import MIRRORED, SOURCE_CHECK, Owner, Row, claim, describe, write
from homeport.registry.records import CheckRecord, ServiceRecord
from homeport.registry.registry import Registry
from homeport.registry.source_status import HeldRemoval, NameConflict, SourceBehind, SourceState, SourceStatus
from homeport.registry.store.contract import StoreError
from homeport.registry.store.transaction import Refusal, Transaction
from homeport.spi import Discoverer

from .description import confirmed, doubts, unconfirmed
from .following import Following, Trouble
from .identifiers import Identifiers, Original
from .removals import Removals
from .rows import SOURCE_ID, SOURCE_NODE, Placement, path_of, row_of
from .settings import SourceSettings

_log = logging.getLogger(__name__)
_OPERATIONS = 100
"""Writes of one transaction: the store gathers several in a group, and etcd bears little more in one."""
_TRANSACTIONS = 8
"""So many are under way at once; whoever else writes stands between them."""
_SERVICES_A_TURN = 10
"""So many are compared before others have the loop."""
_TOLD_AFTER = 2.0
"""Seconds after which trouble is written onto the node; what is over sooner wakes nobody."""
_REFUSED_PAUSE = 10.0
_LONGEST_PAUSE = 2.0
_NOT_REACHED = "not reached since the server started"


class _IsThisRegistry(Exception):
    """The source is this registry itself."""


class Mirror:
    """Mirrors one backend onto the node of ``owner``. Belongs to one event loop.

    What the source says is committed service by service, and only what differs. While it cannot be reached, its rows
    stay. A service that another node has is not mirrored, unless that is to be merged, or the node is one of those
    ``behind``, in lower case: the sources that come after this one.
    """

    def __init__(
        self, registry: Registry, settings: SourceSettings, backend: Discoverer, *, owner: Owner,
        behind: frozenset[str], random: Random,
    ) -> None:  # fmt: skip
        self.owner = owner
        self._registry = registry
        self._settings = settings
        self._backend = backend
        self._behind = behind
        self._random = random
        self._node = owner.node.lower()
        self._tasks = Tasks()
        self._wake = asyncio.Event()
        self._started_at = time.time()
        self._latest: dict[str, Snapshot] = {}
        self._graced: set[str] = set()
        self._dirty: set[str] = set()
        self._named: dict[str, set[str]] = {}
        self._identifiers = Identifiers()
        self._removals = Removals(settings.removal_hold)
        self._holds = False
        self._conflicts: dict[str, str] = {}
        self._looped: Counter[str] = Counter()
        self._doubts: dict[str, dict[str, str]] = {}
        self._element = ""
        self._identified = False
        self._back = False
        self._refusal = ""
        self._connecting: Trouble | None = Trouble(self._started_at, _NOT_REACHED)
        self._unwritten: Trouble | None = None
        self._prepared = False
        self._told = ""
        self._troubled_at: float | None = None
        self._last_change: float | None = None
        self._following = Following(
            backend, settings, take=self._take, on_trouble=self._wake.set, stored=self._adopt(), random=random
        )

    async def claim(self) -> None:
        """Take possession of the node, and remove from it what was mirrored under other settings.

        Raises:
            Refusal: the node is no source's.
            StoreError: it could not be written; that is tried again once it has begun.
        """
        owner, url = self.owner, self._backend.url
        address, now = self._registry.address, self._registry.clock()

        def execute(transaction: Transaction) -> None:
            claim(transaction, owner, url=url, address=address, now=now)

        await self._registry.transact(execute)
        prefix, wants = self._settings.prefix, self._settings.wants
        unwanted = [
            record.id
            for record in self._rows()
            if not record.name.startswith(prefix) or not wants(record.name.removeprefix(prefix))
        ]
        await self._commit((), unwanted)
        self._prepared = True

    def start(self) -> None:
        """Begin to mirror."""
        self._tasks.launch(self._follow(), name=f"homeport source {self.owner.node}")
        self._tasks.launch(self._write(), name=f"homeport source {self.owner.node} writes")

    async def aclose(self) -> None:
        """End; what is mirrored stays."""
        await self._tasks.aclose()
        await self._following.aclose()
        await self._backend.aclose()

    def noticed(self, lowered: str) -> None:
        """Somebody else wrote about the service of that name, in lower case."""
        names = self._named.get(lowered)
        if names:
            self._dirty |= names
            self._wake.set()

    def status(self) -> SourceStatus:
        """How it fares."""
        state, trouble = self._state()
        names = self._catalog.node_index(self.owner.node).names
        return SourceStatus(
            node=self.owner.node, url=self._backend.url, owner=self.owner.token, state=state,
            stale_since=None if trouble is None else trouble.since, reason="" if trouble is None else trouble.reason,
            services=len(names), instances=names.total(), looped=self._looped.total(), held=self._held(),
            conflicts=[NameConflict(service=name, node=node) for name, node in sorted(self._conflicts.items())],
            unconfirmed=self._behind_it(), last_change=self._last_change,
        )  # fmt: skip

    # How it fares

    @property
    def _catalog(self) -> Catalog:
        return self._registry.catalog

    @property
    def _trouble(self) -> Trouble | None:
        return self._connecting or self._unwritten or self._following.trouble

    def _state(self) -> tuple[SourceState, Trouble | None]:
        refusal = self._refusal or self._following.unlistable
        trouble = self._trouble
        if refusal:
            return "refused", Trouble(self._started_at, refusal)
        if self._connecting is not None or not self._following.listed:
            return "connecting", trouble or Trouble(self._started_at, _NOT_REACHED)
        return ("connected" if trouble is None else "stale"), trouble

    def _held(self) -> list[HeldRemoval]:
        held: dict[str, list[float]] = {}
        for service_id in self._removals.missing:
            entry = self._catalog.service(self.owner.node, service_id)
            if entry is not None:
                held.setdefault(entry.value.name, []).append(self._removals.until(service_id))
        from_loop = time.time() - asyncio.get_running_loop().time()
        return [
            HeldRemoval(service=name, instances=len(until), until=max(until) + from_loop)
            for name, until in sorted(held.items())
        ]

    def _behind_it(self) -> list[SourceBehind]:
        """The sources of the source that are not confirmed there.

        That is told, but not written onto our node: in a ring of registries everybody's doubts would come back to
        where they began, and never end.
        """
        found = {node: reason for doubts_of in self._doubts.values() for node, reason in doubts_of.items()}
        return [SourceBehind(node=node, reason=reason) for node, reason in sorted(found.items())]

    # What comes from the source

    def _adopt(self) -> set[str]:
        """Take note of what stands on the node from before; the names at the source of what is still wanted."""
        stored: set[str] = set()
        for entry in self._rows():
            record: ServiceRecord = entry
            name = record.name.removeprefix(self._settings.prefix)
            if record.name.startswith(self._settings.prefix) and self._settings.wants(name):
                original = Original(name, record.meta.get(SOURCE_NODE, ""), record.meta.get(SOURCE_ID, record.id))
                self._identifiers.keep(original, record.id)
                stored.add(name)
        described = self._catalog.check(self.owner.node, SOURCE_CHECK)
        self._told = self._text(None) if described is None else described.value.output
        return stored

    def _rows(self) -> Iterator[ServiceRecord]:
        return (entry.value for entry in self._catalog.image.group(("svc", self._node)).values())

    def _take(self, name: str, snapshot: Snapshot) -> None:
        before = self._latest.get(name)
        if snapshot.stale:
            self._identified = False  # whoever answers next may be another one
        elif before is not None and before.reason == RESET:
            self._graced.add(name)
        self._latest[name] = snapshot
        self._named.setdefault((self._settings.prefix + name).lower(), set()).add(name)
        if before is None or before.instances != snapshot.instances:
            self._dirty.add(name)
        self._back |= not snapshot.stale or snapshot.reason == RESET
        self._wake.set()

    async def _follow(self) -> None:
        backoff = Backoff(first=0.2, longest=_LONGEST_PAUSE, random=self._random.random)
        while not await self._connected():
            pause = _REFUSED_PAUSE if self._refusal else backoff.next_pause()
            await asyncio.sleep(pause)
        await self._following.run()

    async def _connected(self) -> bool:
        try:
            await self._identify()
        except _IsThisRegistry as error:
            self._refuse(str(error))
        except HomeportError as error:
            self._connecting = Trouble(self._started_at, str(error))
            self._wake.set()
        else:
            self._connecting, self._refusal = None, ""
            _log.info("a source is reached", extra={"source": self.owner.node, "backend": self._backend.url})
            return True
        return False

    async def _identify(self) -> None:
        """Find out who the source is, if that is not known: a store or, for other systems, its URL.

        Raises:
            _IsThisRegistry: it is this one.
            HomeportError: nobody answers.
        """
        if self._identified:
            return
        try:
            facts = await self._backend.ping()
        except PermissionDenied:
            facts = {}  # what may be read is seen when it is
        store = facts.get("store", "")
        if store == self._registry.identity.id:
            raise _IsThisRegistry(f"{self._backend.url} is this registry itself")
        element = store or self._backend.url
        if self._element and element != self._element:
            self._dirty |= self._latest.keys()  # their path is another one now
        self._element = element
        self._identified = True

    def _refuse(self, reason: str) -> None:
        if self._refusal != reason:
            _log.error("a source is not mirrored", extra={"source": self.owner.node, "reason": reason})
        self._refusal = reason

    # What is written

    async def _write(self) -> None:
        backoff = Backoff(first=0.2, longest=_LONGEST_PAUSE, random=self._random.random)
        while True:
            await self._woken()
            dirty, self._dirty = self._dirty, set()
            try:
                await self._settle(dirty)
            except Refusal as refusal:  # somebody else owns it, or has taken its node
                self._refuse(str(refusal))
                return
            except _IsThisRegistry as error:
                self._refuse(str(error))
                pause = _REFUSED_PAUSE
            except (HomeportError, StoreError) as error:
                self._unsettled(str(error))
                pause = backoff.next_pause()
            except Exception as error:  # noqa: BLE001 - a defect must not end the source silently
                _log.exception("a source was not written; it is tried again", extra={"source": self.owner.node})
                self._unsettled(repr(error))
                pause = backoff.next_pause()
            else:
                backoff.reset()
                if self._unwritten is not None:
                    self._unwritten = None
                    self._wake.set()  # that it can be written again is to be told, too
                continue
            self._dirty |= dirty
            await asyncio.sleep(pause)
            self._wake.set()

    def _unsettled(self, reason: str) -> None:
        self._unwritten = Trouble(time.time() if self._unwritten is None else self._unwritten.since, reason)

    async def _woken(self) -> None:
        """Return when there is something to do."""
        deadlines = [at for at in (self._removals.due_at, self._tell_at()) if at is not None]
        try:
            async with asyncio.timeout_at(min(deadlines, default=None)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _settle(self, dirty: set[str]) -> None:
        """Write what differs from what the source said of these services, what is due to go, and how far to trust it.

        Raises:
            Refusal: another owner writes here now.
            _IsThisRegistry: the source is this one now.
            HomeportError: the source cannot be asked who it is.
            StoreError: it could not be written.
        """
        if not self._prepared:
            await self.claim()
        if self._back:
            await self._identify()
            self._back, self._refusal = False, ""
            dirty |= self._dirty
            self._dirty.clear()
        put: list[Row] = []
        remove: list[str] = []
        for looked, name in enumerate(sorted(dirty & self._latest.keys())):
            self._compare(name, put, remove)
            if looked % _SERVICES_A_TURN == _SERVICES_A_TURN - 1:
                await asyncio.sleep(0)
        mirrored = len(self._catalog.image.group(("svc", self._node)))
        remove += self._removals.decide(mirrored=mirrored, now=asyncio.get_running_loop().time())
        self._note_held(mirrored)
        await self._commit(put, remove)
        for service_id in remove:
            self._identifiers.release(service_id)
        self._graced -= dirty
        await self._tell()
        self._following.prune(self._stands)

    def _note_held(self, mirrored: int) -> None:
        held = len(self._removals.missing)
        if held and not self._holds:
            fields = {"source": self.owner.node, "instances": held, "of": mirrored}
            _log.warning("most of a source is gone at once; it is kept for a while", extra=fields)
        self._holds = held > 0

    def _stands(self, name: str) -> bool:
        """Whether a service is mirrored, or was not looked at yet."""
        latest = self._latest.get(name)
        if latest is None or latest.stale or latest.registered or next(self._standing(name), None) is not None:
            return True
        del self._latest[name]
        mirrored = self._settings.prefix + name
        self._conflicts.pop(mirrored, None)
        self._looped.pop(name, None)
        self._doubts.pop(name, None)
        self._dirty.discard(name)
        names = self._named[mirrored.lower()]
        names.discard(name)
        if not names:
            del self._named[mirrored.lower()]
        return False

    def _standing(self, name: str) -> Iterator[ServiceRecord]:
        """The rows of a service of the source."""
        mirrored = self._settings.prefix + name
        for entry in self._catalog.image.group(("name", mirrored.lower())).values():
            record: ServiceRecord = entry.value
            if record.node.lower() == self._node and record.name == mirrored:
                yield record

    def _compare(self, name: str, put: list[Row], remove: list[str]) -> None:
        """Add what is to be written for a service, so that it is here as it is there."""
        mirrored = self._settings.prefix + name
        standing = {record.id.lower(): record for record in self._standing(name)}
        holder = None if self._settings.merge else self._holder(mirrored)
        if holder is not None:
            self._note_conflict(mirrored, holder)
            self._doubts.pop(name, None)
            for service_id, record in standing.items():
                self._removals.back(service_id)
                remove.append(record.id)
            return
        self._conflicts.pop(mirrored, None)
        wanted = self._wanted(name)
        for service_id, row in wanted.items():
            self._removals.back(service_id)
            if self._differs(row):
                put.append(row)
        for service_id in standing.keys() - wanted.keys():
            if name in self._graced:
                self._removals.back(service_id)
                remove.append(service_id)
            else:
                self._removals.gone(service_id, now=asyncio.get_running_loop().time())

    def _wanted(self, name: str) -> dict[str, Row]:
        placement_of: dict[tuple[str, ...], Placement] = {}
        rows: dict[str, Row] = {}
        looped = 0
        doubts_of: dict[str, str] = {}
        instances = self._latest[name].instances
        for instance in instances:
            if not self._selects(instance):
                continue
            path = path_of(instance)
            if self._registry.identity.id in path:
                looped += 1
                continue
            doubts_of.update((instance.node, one) for one in doubts(instance))
            placement = placement_of.get(path)
            if placement is None:
                placement = placement_of[path] = Placement(
                    self.owner.node, self._settings.prefix + name, (*path, self._element)
                )
            service_id = self._identifiers.id_of(instance, among=instances)
            rows[service_id.lower()] = row_of(instance, service_id, placement)
        self._looped[name] = looped
        self._doubts[name] = doubts_of
        return rows

    def _selects(self, instance: Instance) -> bool:
        settings = self._settings
        return (instance.healthy or not settings.passing) and all(tag in instance.tags for tag in settings.tags)

    def _holder(self, mirrored: str) -> str | None:
        """Another node whose service of that name goes before ours: one of no source, or of a source before this."""
        for entry in self._catalog.image.group(("name", mirrored.lower())).values():
            node: str = entry.value.node.lower()
            if node != self._node and node not in self._behind:
                return str(entry.value.node)
        return None

    def _note_conflict(self, mirrored: str, holder: str) -> None:
        if self._conflicts.get(mirrored) != holder:
            fields = {"source": self.owner.node, "service": mirrored, "node": holder}
            _log.warning("a service is not mirrored, since there is one of that name here", extra=fields)
            self._conflicts[mirrored] = holder

    def _differs(self, row: Row) -> bool:
        entry = self._catalog.service(self.owner.node, row.service.id)
        if entry is None or entry.value != row.service:
            return True
        found = self._catalog.image.group(("chk", self._node, row.service.id.lower())).values()
        known = {entry.value.id: _without_time(entry.value) for entry in found if entry.value.origin == MIRRORED}
        return known != {check.id: check for check in row.checks}

    async def _commit(self, put: Sequence[Row], remove: Sequence[str]) -> None:
        transactions = [*_chunks(put, remove)]
        for start in range(0, len(transactions), _TRANSACTIONS):
            part = transactions[start : start + _TRANSACTIONS]
            done = await asyncio.gather(*(self._transact(*one) for one in part), return_exceptions=True)
            for outcome in done:
                if isinstance(outcome, BaseException):
                    raise outcome
        if transactions:
            self._last_change = time.time()

    async def _transact(self, put: Sequence[Row], remove: Sequence[str]) -> None:
        owner, now = self.owner, self._registry.clock()

        def execute(transaction: Transaction) -> None:
            write(transaction, owner, put=put, remove=remove, now=now)

        await self._registry.transact(execute)

    # What the node says

    def _tell_at(self) -> float | None:
        """When trouble is to be told, None if there is none or it is told; of an outage only the first reason is."""
        if self._trouble is None:
            self._troubled_at = None
            return None
        if self._told != self._text(None):
            return None
        if self._troubled_at is None:
            self._troubled_at = asyncio.get_running_loop().time()
        return self._troubled_at + _TOLD_AFTER

    async def _tell(self) -> None:
        """Write onto the node how far its rows are to be trusted, if that has changed."""
        trouble, at = self._trouble, self._tell_at()
        if trouble is not None and (at is None or asyncio.get_running_loop().time() < at):
            return
        text = self._text(trouble)
        if text == self._told:
            return
        owner, now = self.owner, self._registry.clock()

        def execute(transaction: Transaction) -> None:
            describe(transaction, owner, text, now=now)

        await self._registry.transact(execute)
        self._told = text
        fields = {"source": owner.node, "backend": self._backend.url}
        if trouble is None:
            _log.info("a source is confirmed", extra=fields)
        else:
            _log.warning("a source is not confirmed", extra={**fields, "reason": trouble.reason})

    def _text(self, trouble: Trouble | None) -> str:
        url = self._backend.url
        return confirmed(url) if trouble is None else unconfirmed(url, trouble.since, trouble.reason)


def _without_time(check: CheckRecord) -> CheckRecord:
    """The check as it was mirrored, without the time of its turn to critical."""
    return msgspec.structs.replace(check, critical_since=0.0) if check.critical_since else check


def _chunks(put: Iterable[Row], remove: Iterable[str]) -> Iterator[tuple[list[Row], list[str]]]:
    """The changes in parts, each for one transaction; a row is never parted from its checks."""
    rows: list[Row] = []
    ids: list[str] = []
    operations = 0
    for row in put:
        if rows and operations + row.operations > _OPERATIONS:
            yield rows, []
            rows, operations = [], 0
        rows.append(row)
        operations += row.operations
    for service_id in remove:
        if operations >= _OPERATIONS:
            yield rows, ids
            rows, ids, operations = [], [], 0
        ids.append(service_id)
        operations += 3
    if rows or ids:
        yield rows, ids
