"""Keeps the checks of the file on every instance of their services, whatever changes: the instance or the file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ...catalog import Catalog
from ...checks import FROM_FILE, put_check, remove_check
from ...records import NODES, SERVICES, CheckRecord, NodeRecord, ServiceRecord
from ...store.contract import StoreError
from ...store.transaction import Transaction
from ..agenda import Agenda
from .parsing import NO_FILE_CHECKS, FileChecks

_log = logging.getLogger(__name__)
_INSTANCES_A_TRANSACTION = 10
_RETRY = 5.0  # seconds

Transact = Callable[[Callable[[Transaction], None]], Awaitable[object]]
_Instance = tuple[str, str]
"""Node and id."""


class Placement:
    """Puts the checks of a file onto instances. ``transact`` is the registry's, ``clock`` gives Unix seconds."""

    def __init__(
        self, catalog: Catalog, transact: Transact, agenda: Agenda, *, clock: Callable[[], float]
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._transact = transact
        self._agenda = agenda
        self._clock = clock
        self._checks = NO_FILE_CHECKS
        self._waiting: dict[_Instance, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._error: StoreError | None = None
        self._closed = False

    async def configure(self, checks: FileChecks) -> None:
        """Use other checks from now on; returns when every instance has its own.

        Raises:
            StoreError: they could not be written; that is tried again by itself.
        """
        self._checks = checks
        catalog = self._catalog
        for name in catalog.service_names():
            if checks.key_for(name) is not None:
                self._waiting.update(((entry.value.node, entry.value.id), None) for entry in catalog.instances(name))
        for entry in catalog.check_entries():
            if entry.value.origin == FROM_FILE:
                self._waiting[entry.value.node, entry.value.service_id] = None
        self._start()
        await self.settled()
        if self._error is not None:
            raise self._error

    def instance_changed(self, before: ServiceRecord | None, after: ServiceRecord | None) -> None:
        """An instance has come, gone, or changed."""
        if self._checks and any(
            record is not None and self._checks.key_for(record.name) is not None for record in (before, after)
        ):
            changed = after or before
            assert changed is not None
            self._place(changed.node, changed.id)

    def node_changed(self, before: NodeRecord | None, after: NodeRecord | None) -> None:
        """A node has come, gone, or changed: instances without an address have the node's."""
        if self._checks and before is not None and after is not None and before.address != after.address:
            for entry in self._catalog.services_of(after.name):
                if not entry.value.address:
                    self.instance_changed(None, entry.value)

    def check_removed(self, check: CheckRecord) -> None:
        """A check was removed, or replaced by one that is not of the file."""
        if check.origin == FROM_FILE and self._catalog.service(check.node, check.service_id) is not None:
            self._place(check.node, check.service_id)

    async def settled(self) -> None:
        """Wait until there is nothing to do, or it has failed."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    async def aclose(self) -> None:
        """Finish what is going on."""
        self._closed = True
        await self.settled()

    def _place(self, node: str, service_id: str) -> None:
        self._waiting[node, service_id] = None
        self._start()

    def _start(self) -> None:
        if self._waiting and self._task is None and not self._closed:
            self._task = asyncio.create_task(self._run(), name="homeport file checks")

    async def _run(self) -> None:
        try:
            while self._waiting:
                chunk = tuple(self._waiting)[:_INSTANCES_A_TRANSACTION]
                for instance in chunk:
                    del self._waiting[instance]
                try:
                    await self._transact(partial(self._apply, chunk))
                except StoreError as error:
                    self._waiting.update(dict.fromkeys(chunk))
                    self._failed(error)
                    return
                self._error = None
        finally:
            self._task = None

    def _failed(self, error: StoreError) -> None:
        if self._error is None:
            _log.warning("the checks of the file cannot be placed, it is tried again", extra={"error": str(error)})
        self._error = error
        self._agenda.at(self._agenda.now() + _RETRY, self._start)

    def _apply(self, instances: Sequence[_Instance], transaction: Transaction) -> None:
        for node, service_id in instances:
            present = {
                entry.value.id.lower(): entry.value
                for entry in transaction.scan(("chk", node.lower(), service_id.lower()))
                if entry.value.origin == FROM_FILE
            }
            for wanted in self._wanted(transaction, node, service_id):
                self._put(transaction, present.pop(wanted.id.lower(), None), wanted)
            for check in present.values():
                remove_check(transaction, check.node, check.id)

    def _wanted(self, transaction: Transaction, node: str, service_id: str) -> list[CheckRecord]:
        service = transaction.get(SERVICES, node, service_id)
        if service is None:
            return []
        address = service.address
        if not address:
            host = transaction.get(NODES, node)
            address = host.address if host is not None else ""
        return self._checks.records(service, address)

    def _put(self, transaction: Transaction, before: CheckRecord | None, wanted: CheckRecord) -> None:
        """Write what differs. What is another check now begins anew, without the state of the one before."""
        if before is not None and not _is_same_check(before, wanted):
            remove_check(transaction, before.node, before.id)
            before = None
        put_check(transaction, wanted, now=self._clock(), keeps_state=before is not None)


def _is_same_check(before: CheckRecord, wanted: CheckRecord) -> bool:
    return (before.name, before.type, before.executed) == (wanted.name, wanted.type, wanted.executed)
