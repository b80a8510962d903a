"""By when a check has to be heard of: the end of a TTL, or of the time of a run.

Setting a deadline only moves a number in memory. The agenda holds one entry a check, which comes due at a deadline that
was once true and enters itself anew when that has moved: ten thousand heartbeats a second cost no more than
assignments.
"""

from __future__ import annotations

from collections.abc import Callable

from .agenda import EARLY, Agenda
from .live import LiveCheck


class Deadlines:
    """Deadlines of checks, in heard time. ``missed`` is called with a check when nobody has moved its deadline in time.

    A check's deadlines never go back. After ``missed`` there is none until the next `set`.
    """

    def __init__(self, agenda: Agenda, missed: Callable[[LiveCheck], object]) -> None:
        self._agenda = agenda
        self._missed = missed
        # Made once: a bound method for every entry would be one more object for the garbage collector to look at.
        self._on_due = self._due

    def set(self, live: LiveCheck, seconds: float) -> None:
        """The deadline of a check is so many seconds from now."""
        live.deadline = self._agenda.heard() + seconds
        if not live.timer_set:
            live.timer_set = True
            self._agenda.at(self._agenda.now() + seconds, self._on_due, live)

    def _due(self, live: LiveCheck) -> None:
        remaining = live.deadline - self._agenda.heard()
        if not live.alive:
            live.timer_set = False
        elif remaining > EARLY:
            self._agenda.at(self._agenda.now() + remaining, self._on_due, live)
        else:
            live.timer_set = False
            self._missed(live)
