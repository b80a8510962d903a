"""What becomes of the objects of a process when it forks, and when it ends.

Both are told to the process as a whole, so that this is the one place that knows all objects of a process.
"""

from __future__ import annotations

import atexit
import logging
import os
from typing import Protocol
from weakref import WeakSet

_log = logging.getLogger(__name__)


class Inhabitant(Protocol):
    """An object with threads and connections."""

    def forked(self) -> None:
        """This is a child in which nothing of them exists; called before anything else runs in it."""
        ...

    def close(self) -> None:
        """The process ends; takes a bounded time."""
        ...


_inhabitants: WeakSet[Inhabitant] = WeakSet()
_uncollected: list[object] = []


def inhabit(inhabitant: Inhabitant) -> None:
    """Tell ``inhabitant`` about forks and about the end."""
    _inhabitants.add(inhabitant)


def keep_uncollected(left_behind: object) -> None:
    """Keep what a fork has left behind, with all that hangs on it, until the end.

    What is collected complains that nobody closed it, or closes it; both are the parent's business.
    """
    _uncollected.append(left_behind)


def _forked() -> None:
    for inhabitant in tuple(_inhabitants):
        inhabitant.forked()


def _ends() -> None:
    for inhabitant in tuple(_inhabitants):
        try:
            inhabitant.close()
        except Exception:  # noqa: BLE001 - the others have an end as well
            _log.exception("an object could not be closed at the end of the process")


# Registered with the import, and so called after what a program registers for its own end.
atexit.register(_ends)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
