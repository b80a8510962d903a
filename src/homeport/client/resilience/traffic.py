"""What all callers of one service share: the loads of its instances, its circuit, and its budget for retries."""

from __future__ import annotations

import time
from collections.abc import Callable

from homeport.balancing.ejection import EjectionSettings, OutlierEjection
from homeport.balancing.loads import LoadTable
from homeport.client.reports import Reports

from .budget import RetryBudget
from .circuit import Circuit
from .settings import CircuitSettings, RetrySettings


class Traffic:
    """The calls of one service, whoever makes them in this process and whichever backend named the instances."""

    __slots__ = (
        "_judge",
        "_reported",
        "budget",
        "circuit",
        "clock",
        "ejection",
        "observed",
        "reports",
        "retry",
        "service",
        "table",
    )

    def __init__(
        self,
        service: str,
        *,
        ejection: EjectionSettings,
        circuit: CircuitSettings,
        retry: RetrySettings,
        clock: Callable[[], float] = time.monotonic,
        reports: Reports | None = None,
    ) -> None:
        self.service = service
        self.clock = clock
        self.ejection = ejection
        self.retry = retry
        self.reports = reports or Reports(None, backend="")
        self.observed = self.reports.observed
        self._judge = OutlierEjection(ejection)
        self._reported = (0, 0)
        self.table = LoadTable(clock, judge=self._judge)
        self.circuit = Circuit(service, circuit)
        self.reports.circuit(service, "closed")
        self.budget = RetryBudget(retry)

    def enter(self) -> bool:
        """A call wants to begin although the circuit is not closed; True if it is the trial of a half-open one.

        Raises:
            CircuitOpen: it may not.
        """
        trial = self.circuit.enter(self.clock())
        if trial:
            self.reports.circuit(self.service, "half_open")
        return trial

    def ended(self, now: float, *, succeeded: bool | None, trial: bool) -> None:
        """Tell the circuit, and who observes, of the end of a call."""
        table = self.table
        if self.circuit.leave(
            now, succeeded=succeeded, trial=trial, successes=table.successes, failures=table.failures
        ):
            self.reports.circuit(self.service, self.circuit.state(now))
        if self.observed and self._reported[0] != table.verdicts:
            _, ejected_before = self._reported
            self._reported = (table.verdicts, self._judge.ejected)
            out = sum(1 for load in table.values() if load.on_probation and load.endpoint in table.members)
            self.reports.ejected(self.service, newly=self._judge.ejected - ejected_before, now=out)
