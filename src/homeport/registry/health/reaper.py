"""Removes services that asked to be removed when one of their checks is critical for too long.

The time counts while this process can hear of a recovery, on a clock that no change of the date moves: after a restart,
a service that was critical before gets the whole time anew to come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from ..records import CHECKS, CheckRecord
from ..services import deregister
from ..store.contract import StoreError
from ..store.ledger import Outcome
from ..store.transaction import Transaction
from .agenda import Agenda
from .live import LiveCheck

_log = logging.getLogger(__name__)

Transact = Callable[[Callable[[Transaction], bool]], Awaitable[Outcome[bool]]]


class Reaper:
    """Looks every ``interval`` seconds for checks that have been critical longer than they may.

    Nobody is removed before ``minimum`` seconds.
    ``checks`` gives the checks to look at, ``transact`` is the registry's.
    """

    def __init__(
        self, agenda: Agenda, *, checks: Callable[[], Iterable[LiveCheck]], transact: Transact, interval: float,
        minimum: float,
    ) -> None:  # fmt: skip
        self._agenda = agenda
        self._checks = checks
        self._transact = transact
        self._interval = interval
        self._minimum = minimum
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._agenda.at(self._agenda.now() + self._interval, self._look)

    async def aclose(self) -> None:
        """Stop what is going on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def overdue(self) -> list[CheckRecord]:
        """The checks, as they are now, whose service is to be removed."""
        now = self._agenda.heard()
        return [live.record for live in self._checks() if self._is_overdue(live, now)]

    def _is_overdue(self, live: LiveCheck, now: float) -> bool:
        record, after = live.record, live.definition.deregister_after
        if not after or record.status != "critical" or not record.service_id:
            return False
        if live.verdict is not None and live.verdict.status != "critical":
            return False  # it has recovered, which is being written
        return now - live.critical_from > max(after, self._minimum)

    def _look(self) -> None:
        self.start()
        overdue = self.overdue()
        if overdue and self._task is None:
            self._task = asyncio.create_task(self._remove(overdue), name="homeport reaper")
            self._task.add_done_callback(self._done)

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._task = None

    async def _remove(self, overdue: Iterable[CheckRecord]) -> None:
        for record in overdue:
            try:
                removed = (await self._transact(partial(_deregister, record))).value
            except StoreError as error:
                _log.warning("services that are critical for too long cannot be removed", extra={"error": str(error)})
                return
            if removed:
                _log.info(
                    "service removed: critical for too long",
                    extra={"service": record.service_name, "id": record.service_id, "check": record.id},
                )


def _deregister(seen: CheckRecord, transaction: Transaction) -> bool:
    """Remove the service unless its check has recovered, was removed or defined anew since it was looked at."""
    now = transaction.get(CHECKS, seen.node, seen.id)
    # The time since when it is critical is 0 when it is not, and another one when it was not in between.
    if now is None or now.critical_since != seen.critical_since or now.definition != seen.definition:
        return False
    return deregister(transaction, seen.node, seen.service_id)
