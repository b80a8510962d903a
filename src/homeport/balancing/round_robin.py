"""Every instance in turn."""

from __future__ import annotations

from homeport.model import Instance, Snapshot

from .balancer import Picker
from .loads import Loads
from .options import Options


class RoundRobin:
    """Every instance in turn, whatever its weight and load; the turn goes on when membership changes."""

    needs_outcomes = False

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:
        """A picker that goes round the instances of ``snapshot``."""
        instances = snapshot.instances
        size = len(instances)
        # Advancing an itertools.count is one atomic step, so threads need no lock and never share a number.
        advance = loads.cursor.__next__

        def pick(_key: str | None = None) -> Instance | None:
            return instances[advance() % size] if size else None

        return pick


def configured(_options: Options) -> RoundRobin:
    """The policy; it has no options."""
    return RoundRobin()
