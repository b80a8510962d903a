"""One run of a check, from the definition to the result, within its time whatever the prober does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from ..checks import FROM_FILE
from ..records import CheckRecord
from .agenda import Agenda
from .deadlines import Deadlines
from .kinds.prober import NotProbed, Result
from .kinds.probers import Kind, NoProber, Probers
from .live import SCRIPT, LiveCheck
from .results import Results
from .settings import HealthSettings

_log = logging.getLogger(__name__)


class Probed(msgspec.Struct, frozen=True):
    """One run of a check, for whoever counts: what was found, how long it took, and how late it began (seconds)."""

    check: CheckRecord
    result: Result
    duration: float
    delay: float


class Probing:
    """Runs checks. ``tell`` is called with every run that gave a result."""

    def __init__(
        self, settings: HealthSettings, agenda: Agenda, probers: Probers, results: Results, *,
        monotonic: Callable[[], float], tell: Callable[[Probed], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._probers = probers
        self._results = results
        self._monotonic = monotonic
        self._tell = tell
        self._limits = Deadlines(agenda, self._end)
        self._unable = False
        self._broken: set[str] = set()

    async def run(self, live: LiveCheck, delay: float) -> None:
        """Run a check that began ``delay`` seconds late, and take in its result. Never raises but for cancellation."""
        started = self._monotonic()
        try:
            result = await self._result(live)
        except NotProbed as error:
            if not self._unable:
                self._unable = True
                _log.warning("checks cannot be executed; they keep their status", extra={"reason": str(error)})
            return
        if self._unable:
            self._unable = False
            _log.info("checks can be executed again")
        self._results.probed(live, result)
        self._tell(Probed(live.record, result, self._monotonic() - started, delay))

    async def _result(self, live: LiveCheck) -> Result:
        kind_name = live.definition.kind
        if kind_name == SCRIPT and not self._settings.runs_scripts(from_file=live.record.origin == FROM_FILE):
            return Result("critical", "script checks are off in this registry (health.enable_script_checks)", "refused")
        try:
            kind = self._probers.ready(kind_name) or await self._probers.load(kind_name)
        except NoProber as error:
            return Result("critical", str(error), "error")
        try:
            return await self._within_its_time(live, kind)
        except NotProbed:
            raise
        except Exception as error:  # noqa: BLE001  # whatever somebody's prober does, it is a result of this check
            if kind_name not in self._broken:
                self._broken.add(kind_name)
                _log.exception("a kind of check failed", extra={"kind": kind_name})
            return Result("critical", f"the check could not be executed: {type(error).__name__}: {error}", "error")

    async def _within_its_time(self, live: LiveCheck, kind: Kind) -> Result:
        task = asyncio.current_task()
        assert task is not None
        live.probe, live.out_of_time = task, False
        self._limits.set(live, live.definition.timeout)
        try:
            return await kind.prober.probe(live.definition)
        except asyncio.CancelledError as error:
            if not live.out_of_time or task.uncancel() > 0:
                raise
            so_far = str(error.args[0]) if error.args else ""
            return Result("critical", kind.timed_out(live.definition, so_far), "timeout")
        finally:
            live.probe = None

    def _end(self, live: LiveCheck) -> None:
        """The time of a run is over, if it still goes on."""
        if live.probe is not None:
            live.out_of_time = True
            live.probe.cancel()
