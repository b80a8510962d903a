"""What is known about the instances of a service from calling them; it outlives snapshots.

Loads are known by address and port, since ids differ between backends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from itertools import count


class Load:
    """The load of one address as this process has caused and seen it. Written by `LoadTable` alone, read by anyone."""

    __slots__ = ("busy_time", "consecutive_failures", "failures", "in_flight", "successes", "used_at")

    def __init__(self, used_at: float) -> None:
        self.in_flight = 0
        self.successes = 0
        self.failures = 0
        self.consecutive_failures = 0
        self.busy_time = 0.0
        self.used_at = used_at

    @property
    def latency(self) -> float | None:
        """The mean duration in seconds of the calls that ended in success or failure, None before the first."""
        ended = self.successes + self.failures
        return self.busy_time / ended if ended else None


class LoadTable:
    """The loads of all addresses of a service, shared by all who call it; safe to use from any thread."""

    __slots__ = ("_loads", "_lock", "clock")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._loads: dict[str, Load] = {}

    def of(self, endpoint: str) -> Load:
        """The load of ``host:port``, made when there is none yet."""
        load = self._loads.get(endpoint)
        if load is None:
            with self._lock:
                load = self._loads.setdefault(endpoint, Load(self.clock()))
        return load

    def begin(self, load: Load) -> float:
        """Count a call that begins; returns when it began, for `end`."""
        with self._lock:
            load.in_flight += 1
            load.used_at = now = self.clock()
        return now

    def end(self, load: Load, began_at: float, *, succeeded: bool | None) -> None:
        """Count the end of a call: success, failure, or neither (None)."""
        now = self.clock()
        with self._lock:
            load.in_flight -= 1
            load.used_at = now
            if succeeded is None:
                return
            load.busy_time += now - began_at
            if succeeded:
                load.successes += 1
                load.consecutive_failures = 0
            else:
                load.failures += 1
                load.consecutive_failures += 1

    def retain(self, endpoints: Collection[str], *, unused_for: float) -> None:
        """Forget the addresses that are not among ``endpoints`` and were not used for so many seconds."""
        before = self.clock() - unused_for
        with self._lock:
            gone = [
                endpoint
                for endpoint, load in self._loads.items()
                if endpoint not in endpoints and not load.in_flight and load.used_at <= before
            ]
            for endpoint in gone:
                del self._loads[endpoint]

    def __len__(self) -> int:
        return len(self._loads)


class Loads:
    """What a picker sees: the shared loads, and a cursor of its owner's own.

    ``cursor`` counts the choices of one owner through all its snapshots. Owners do not share it: two who take turns
    on one cursor would each see every other number only.
    """

    __slots__ = ("cursor", "table")

    def __init__(self, table: LoadTable, *, start: int = 0) -> None:
        self.table = table
        self.cursor: Iterator[int] = count(start)

    def of(self, endpoint: str) -> Load:
        """The load of ``host:port``."""
        return self.table.of(endpoint)
