"""Writing what was found out: many checks in one transaction, each only while it is still the check that was probed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from ..checks import set_status
from ..records import CHECKS, CheckDefinition
from ..store.contract import StoreError
from ..store.transaction import Transaction
from .agenda import Agenda
from .alias import judge
from .live import ALIAS, TTL, LiveCheck, Verdict

_log = logging.getLogger(__name__)
_CHECKS_A_TRANSACTION = 50  # each writes two records, and the smallest store takes 120 operations at a time
_TRANSACTIONS_AT_A_TIME = 16
_RETRY = 5.0  # seconds after which what could not be written is tried again

Transact = Callable[[Callable[[Transaction], None]], Awaitable[object]]
_Order = tuple[LiveCheck, Verdict, "asyncio.Future[None]"]


class Commits:
    """Verdicts on their way into the store; what cannot be written is tried again. ``transact`` is the registry's."""

    def __init__(self, transact: Transact, agenda: Agenda) -> None:
        self._transact = transact
        self._agenda = agenda
        self._waiting: dict[LiveCheck, None] = {}
        self._unwritten: dict[LiveCheck, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def settle(self, live: LiveCheck, verdict: Verdict) -> None:
        """Have a verdict written; ``live.settling`` is done when it, or a newer one in its place, is.

        Of an alias the status and output of ``verdict`` do not count: it is judged when it is written.
        ``live.settling`` raises `StoreError` when the store could not do it; the verdict is tried again all the same.
        """
        live.verdict = verdict
        if live not in self._waiting or live.settling is None:
            self._waiting[live] = None
            live.settling = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="homeport check statuses")

    async def aclose(self) -> None:
        """Write what waits, if the store can."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            while self._waiting:
                orders = self._take()
                chunks = [
                    orders[start : start + _CHECKS_A_TRANSACTION]
                    for start in range(0, len(orders), _CHECKS_A_TRANSACTION)
                ]
                await asyncio.gather(*(self._write(chunk) for chunk in chunks))
        finally:
            self._task = None

    def _take(self) -> list[_Order]:
        orders: list[_Order] = []
        while self._waiting and len(orders) < _CHECKS_A_TRANSACTION * _TRANSACTIONS_AT_A_TIME:
            live = next(iter(self._waiting))
            del self._waiting[live]
            assert live.verdict is not None
            assert live.settling is not None
            orders.append((live, live.verdict, live.settling))
        return orders

    async def _write(self, orders: Sequence[_Order]) -> None:
        try:
            await self._transact(lambda transaction: _apply(transaction, orders))
        except StoreError as error:
            self._failed(orders, error)
        except Exception as error:  # noqa: BLE001  # a defect must not end the writing of all statuses
            _log.exception("writing the statuses of checks failed")
            self._failed(orders, error)
        else:
            self._succeeded(orders)

    def _succeeded(self, orders: Sequence[_Order]) -> None:
        if self._failing:
            self._failing = False
            _log.info("statuses of checks can be written again")
        for live, verdict, settling in orders:
            if live.verdict is verdict:
                live.verdict = None
            _done(live, settling, None)

    def _failed(self, orders: Sequence[_Order], error: Exception) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("statuses of checks cannot be written, they are tried again", extra={"error": str(error)})
        if not self._unwritten:
            self._agenda.at(self._agenda.now() + _RETRY, self._retry)
        for live, _, settling in orders:
            self._unwritten[live] = None
            _done(live, settling, error)

    def _retry(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        for live in unwritten:
            if live.alive and live.verdict is not None:
                self.settle(live, live.verdict)


def _apply(transaction: Transaction, orders: Sequence[_Order]) -> None:
    for live, verdict, _ in orders:
        probed = live.record
        now = transaction.get(CHECKS, probed.node, probed.id)
        if now is None or not now.executed or not _is_about(live, now.definition):
            continue
        status, output = verdict.status, verdict.output
        if live.definition.kind == ALIAS:
            status, output = judge(transaction, now)
        set_status(transaction, probed.node, probed.id, status, output, now=verdict.at)


def _is_about(live: LiveCheck, definition: CheckDefinition | None) -> bool:
    """Whether what was found out is about the check as it is defined now.

    What is reported about a TTL check is about the service, however long the TTL is.
    """
    if live.definition.kind == TTL:
        return definition is not None and definition.kind == TTL
    return definition == live.record.definition


def _done(live: LiveCheck, settling: asyncio.Future[None], error: Exception | None) -> None:
    if live.settling is settling:
        live.settling = None
    if settling.done():
        return
    if error is None:
        settling.set_result(None)
    else:
        settling.set_exception(error)
        settling.exception()  # nobody has to wait for it
