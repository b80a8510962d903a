"""One check under our care: what stands in the store, and what is known beyond it."""

from __future__ import annotations

import asyncio

import msgspec

from homeport.model import Status

from ..records import CheckDefinition, CheckRecord, Entry
from .flapping import Steadiness
from .settings import HealthSettings
from .thresholds import NO_RESULTS, Streak

TTL, ALIAS, SCRIPT = "ttl", "alias", "script"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A status and output that a check shall have, and the Unix time since when."""

    status: Status
    output: str
    at: float


class LiveCheck:
    """The state of a check in memory.

    It ends (``alive`` becomes False) when the definition changes, and another takes its place.
    ``entry`` is the check as it is committed. ``definition`` is its definition with every default filled in. ``output``
    and ``checked_at`` (Unix time, None before the first result) are those of the newest result.
    """

    __slots__ = (
        "alive", "checked_at", "critical_from", "deadline", "definition", "entry", "out_of_time", "output", "planned",
        "probe", "queued", "settling", "steadiness", "streak", "task", "timer_set", "update_set", "verdict",
    )  # fmt: skip

    def __init__(self, entry: Entry, definition: CheckDefinition, *, now: float) -> None:
        record: CheckRecord = entry.value
        self.alive = True
        self.entry = entry
        self.definition = definition
        self.output = record.output
        self.checked_at: float | None = None
        self.critical_from = now
        """Since when, in heard time, the committed status is critical; it counts only while it is."""
        self.deadline = 0.0
        """When the TTL, or the time of the run that goes on, is over; in heard time."""
        self.timer_set = False
        """Whether the agenda has an entry for the deadline, which may be an earlier one."""
        self.update_set = False
        """Whether the agenda has an entry for writing an output that changed without the status."""
        self.streak: Streak = NO_RESULTS
        self.steadiness = Steadiness(record.status)
        self.verdict: Verdict | None = None
        """What is being written, or could not be written so far."""
        self.settling: asyncio.Future[None] | None = None
        """Done when the newest verdict is written."""
        self.queued = False
        """Whether a run waits for others to end."""
        self.planned = 0.0
        """When the next run is due; in time that passes."""
        self.task: asyncio.Task[None] | None = None
        """The run of the check that is going on."""
        self.probe: asyncio.Task[None] | None = None
        """The same task, while its time counts."""
        self.out_of_time = False
        """Whether that run was ended because its time was over."""

    @property
    def record(self) -> CheckRecord:
        """The check as it is committed."""
        record: CheckRecord = self.entry.value
        return record

    @property
    def flap_window(self) -> float:
        """The length of ``flap_intervals``, but for their number: the interval, or the TTL, in seconds."""
        return self.definition.interval or self.definition.ttl

    def committed(self, entry: Entry, *, now: float) -> None:
        """Take in a newer record of the same definition."""
        if entry.value.status == "critical" and self.record.status != "critical":
            self.critical_from = now
        self.entry = entry


def effective(definition: CheckDefinition, settings: HealthSettings) -> CheckDefinition:
    """A definition with the defaults and bounds of the settings."""
    if definition.kind in (TTL, ALIAS):
        interval = timeout = 0.0
    else:
        interval = max(definition.interval, settings.minimum_interval)
        timeout = definition.timeout or (settings.script_timeout if definition.kind == SCRIPT else settings.timeout)
    own = definition.output_max_bytes or settings.output_max_bytes
    filled = msgspec.structs.replace(
        definition, interval=interval, timeout=timeout, output_max_bytes=min(own, settings.output_max_bytes)
    )
    return definition if filled == definition else filled  # ten thousand copies are worth sparing
