"""From what a check said to what it shall be: believed at once, after thresholds, or held because it flaps.

Whoever has to know that a verdict is written waits for ``settling`` of the check, which is None when nothing has to be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from homeport.model import Status

from ..records import CheckRecord
from .agenda import Agenda
from .commits import Commits
from .flapping import flaps, held, observe
from .kinds.prober import Result
from .live import LiveCheck, Verdict
from .output import head
from .settings import HealthSettings
from .thresholds import advance
from .ttl import expired_output

_log = logging.getLogger(__name__)


class Results:
    """Takes in results and has the verdicts written: statuses at once, a new output alone after a while.

    ``clock`` gives Unix seconds, ``random`` numbers in [0, 1).
    """

    def __init__(
        self, settings: HealthSettings, agenda: Agenda, commits: Commits, *,
        clock: Callable[[], float], random: Callable[[], float],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._agenda = agenda
        self._commits = commits
        self._clock = clock
        self._random = random

    def reported(self, live: LiveCheck, status: Status, output: str) -> None:
        """Somebody said how a TTL check is: that is how it is.

        A status that is reported is never held for flapping: who sets it must find it set.
        """
        live.checked_at = self._clock()
        live.output = output = head(output, live.definition.output_max_bytes)
        if status != live.steadiness.status:
            self._observe(live, status)
        self._believe(live, status, output)

    def expired(self, live: LiveCheck) -> None:
        """Nobody has reported how a TTL check is for too long."""
        live.output = expired_output(live.output)
        if live.steadiness.status != "critical":
            self._observe(live, "critical")
        self._believe(live, "critical", live.output)

    def probed(self, live: LiveCheck, result: Result) -> None:
        """One more result of a check that is executed."""
        live.checked_at = self._clock()
        record = live.record
        live.streak, status = advance(live.streak, record.status, result.status, live.definition)
        if status is None:
            return
        live.output = result.output
        self._observe(live, status)
        if self.flapping(live):
            status = held(live.steadiness)
        self._believe(live, status, result.output)

    def aliased(self, live: LiveCheck) -> None:
        """Have an alias judged anew."""
        live.checked_at = now = self._clock()
        record = live.record
        self._commits.settle(live, Verdict(record.status, record.output, now))

    def flapping(self, live: LiveCheck) -> bool:
        """Whether a check flaps now."""
        settings = self._settings
        if len(live.steadiness.changes) < settings.flap_changes:
            return False
        window = live.flap_window * settings.flap_intervals
        return flaps(live.steadiness, now=self._agenda.now(), window=window, changes=settings.flap_changes)

    def _observe(self, live: LiveCheck, status: Status) -> None:
        before = self.flapping(live)
        window = live.flap_window * self._settings.flap_intervals
        live.steadiness = observe(live.steadiness, status, now=self._agenda.now(), window=window)
        if self.flapping(live) and not before:
            _log.warning("a check flaps", extra={"check": live.record.id, "service": live.record.service_id})

    def _believe(self, live: LiveCheck, status: Status, output: str) -> None:
        """Let a check be so; what is so already needs no writing, and a new output alone can wait.

        The first output cannot: a new check is critical from the start, and whoever has just registered it asks why.
        """
        record: CheckRecord = live.entry.value
        if live.verdict is None and status == record.status:
            if output == record.output:
                return
            if self._settings.check_update_interval and record.output:
                self._write_later(live)
                return
        self._commits.settle(live, Verdict(status, output, self._clock()))

    def _write_later(self, live: LiveCheck) -> None:
        if not live.update_set:
            live.update_set = True
            wait = self._settings.check_update_interval * (0.5 + self._random())
            self._agenda.at(self._agenda.now() + wait, self._write_output, live)

    def _write_output(self, live: LiveCheck) -> None:
        live.update_set = False
        if live.alive and live.verdict is None and live.output != live.record.output:
            self._commits.settle(live, Verdict(live.record.status, live.output, self._clock()))
