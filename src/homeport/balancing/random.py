"""Any instance."""

from __future__ import annotations

from collections.abc import Callable
from random import random as system_random

from homeport.model import Instance, Snapshot

from .balancer import Picker
from .loads import Loads
from .options import Options


class Random:
    """Any instance with the same probability, whatever its weight and load.

    ``random`` gives numbers in [0, 1).
    """

    needs_outcomes = False

    def __init__(self, *, random: Callable[[], float] = system_random) -> None:
        self._random = random

    def picker(self, snapshot: Snapshot, loads: Loads) -> Picker:  # noqa: ARG002 - the same for every policy
        """A picker that draws from the instances of ``snapshot``."""
        instances, random = snapshot.instances, self._random
        size = len(instances)

        def pick(_key: str | None = None) -> Instance | None:
            return instances[int(random() * size)] if size else None

        return pick


def configured(_options: Options) -> Random:
    """The policy; it has no options."""
    return Random()
