"""What is known about the instances of a service from calling them; it outlives snapshots.

Loads are known by address and port, since ids differ between backends.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from homeport.instance_order import Change
from homeport.model import Instance

_LATENCY_MEMORY = 10.0
"""Seconds after which what was measured counts half as much as what is measured now."""
_MOST_KEPT = 0.95
_FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


class Load:
    """The load of one address as this process has caused and seen it. Written by `LoadTable` and its judge alone.

    ``latency`` is a mean of the durations in seconds of the calls that succeeded or failed, in which newer ones count
    more and a rise counts at once (a peak-sensitive, exponentially weighted moving average); None before the first.
    ``failure_share`` is such a mean of 0 for a success and 1 for a failure, without the peaks. ``ejected_until``
    is None unless the address is ejected, ``ejections`` counts how often in a row it was. ``probing`` is true while a
    first call after an ejection is under way.
    """

    __slots__ = (
        "consecutive_failures",
        "ejected_until",
        "ejections",
        "endpoint",
        "failure_share",
        "failures",
        "in_flight",
        "latency",
        "latency_at",
        "on_probation",
        "probing",
        "successes",
        "used_at",
    )

    def __init__(self, endpoint: str, now: float) -> None:
        self.endpoint = endpoint
        self.in_flight = 0
        self.successes = 0
        self.failures = 0
        self.consecutive_failures = 0
        self.failure_share = 0.0
        self.latency: float | None = None
        self.latency_at = now
        self.used_at = now
        self.ejected_until: float | None = None
        self.ejections = 0
        self.on_probation = False
        self.probing = False

    def ended(self, duration: float | None, now: float, *, succeeded: bool) -> None:
        """Take in a call that ended at ``now``, after ``duration`` seconds (None: not known).

        Calls nothing, so that it is one step among threads; see `LoadTable`.
        """
        self.used_at = now
        # What was measured before counts the less the older it is, and calls that end together must not weigh nothing.
        kept = _LATENCY_MEMORY / (_LATENCY_MEMORY + now - self.latency_at)
        if kept > _MOST_KEPT:
            kept = _MOST_KEPT
        latency = self.latency
        if duration is None:
            pass
        elif latency is None or duration >= latency:
            self.latency = duration
        else:
            self.latency = duration + (latency - duration) * kept
        self.latency_at = now
        if succeeded:
            self.failure_share *= kept
            self.successes += 1
            self.consecutive_failures = 0
        else:
            self.failure_share = 1.0 - (1.0 - self.failure_share) * kept
            self.failures += 1
            self.consecutive_failures += 1


class Judge(Protocol):
    """Decides from outcomes which addresses are not to be called for a while. Called under the lock of the table.

    A success of an address that is not on probation is told only from ``due_at`` on, a time of the table's clock.
    """

    due_at: float

    def began(self, load: Load, now: float) -> bool:
        """A call begins; True if a verdict changed."""
        ...

    def ended(self, table: LoadTable, load: Load, began_at: float, now: float, *, succeeded: bool | None) -> bool:
        """A call that began at ``began_at`` ended: a success, a failure, or neither; True if a verdict changed."""
        ...


class LoadTable:
    """The loads of all addresses of a service, shared by all who call it; safe to use from any thread.

    ``verdicts`` counts the changes of what the judge thinks of any address, ``successes`` and ``failures`` the calls of
    all addresses together. ``on_probation`` are the loads that the judge has put there.

    The ordinary call takes no lock: threads that meet at one, a million times a second, would spend their time waking
    each other (a lock convoy: eight threads together did a sixth of what one did). CPython with its global lock changes
    threads at calls and backward jumps only, so that a run of plain statements is one step; a build without that lock
    takes one here.
    """

    __slots__ = (
        "_by_identity",
        "_due_at",
        "_judge",
        "_loads",
        "_lock",
        "_members",
        "_retained",
        "_strangers",
        "clock",
        "failures",
        "on_probation",
        "successes",
        "verdicts",
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, judge: Judge | None = None) -> None:
        self.clock = clock
        self.on_probation: set[Load] = set()
        self.verdicts = 0
        self.successes = 0
        self.failures = 0
        self._judge = judge
        self._due_at = math.inf if judge is None else -math.inf
        self._lock = threading.Lock()
        self._loads: dict[str, Load] = {}
        # An identity is good as long as the instance lives, so it is here no longer than the instance is retained.
        self._retained: Sequence[Instance] = ()
        self._by_identity: dict[int, Load] = {}
        self._members: dict[str, int] = {}  # how many instances have the address
        self._strangers: list[tuple[float, str]] = []  # a heap of addresses that may be unused since a time

    def of(self, endpoint: str) -> Load:
        """The load of ``host:port``, made when there is none yet."""
        load = self._loads.get(endpoint)
        if load is None:
            with self._lock:
                load = self._made(endpoint, self.clock())
                heappush(self._strangers, (load.used_at, endpoint))
        return load

    def of_instance(self, instance: Instance) -> Load:
        """The load of the address of ``instance``, found at once for those of the last `retain`."""
        return self._by_identity.get(id(instance)) or self.of(instance.endpoint)

    @property
    def members(self) -> AbstractSet[str]:
        """The addresses that are registered, as `retain` was last told; a view, which changes with them."""
        return self._members.keys()

    @property
    def by_identity(self) -> Mapping[int, Load]:
        """The loads of the instances that are registered, by ``id(instance)``; a view, which changes with them.

        Whoever holds an instance finds its load in it, or nothing.
        """
        return self._by_identity

    def begin(self, load: Load) -> float:
        """Count a call that begins; returns when it began, for `end`."""
        now = self.clock()
        if _FREE_THREADED:
            with self._lock:
                load.in_flight += 1
        else:
            load.in_flight += 1
        load.used_at = now
        if load.on_probation and self._judge is not None:
            with self._lock:
                if self._judge.began(load, now):
                    self.verdicts += 1
        return now

    def end(self, load: Load, began_at: float, *, succeeded: bool | None) -> float:
        """Count the end of a call: success, failure, or neither (None); returns when it ended."""
        now = self.clock()
        if succeeded and now < self._due_at and not load.on_probation and not _FREE_THREADED:
            load.in_flight -= 1
            self.successes += 1
            load.ended(now - began_at, now, succeeded=True)
            return now
        with self._lock:
            load.in_flight -= 1
            if succeeded is not None:
                load.ended(now - began_at, now, succeeded=succeeded)
            else:
                load.used_at = now
            self._judged(load, began_at, now, succeeded=succeeded)
        return now

    def overtaken(self, load: Load, began_at: float) -> None:
        """A call was given up because another instance was faster; how long it took so far is a bound from below."""
        with self._lock:
            now = self.clock()
            if load.latency is None or now - began_at > load.latency:
                load.latency = now - began_at
                load.latency_at = now

    def observe(self, load: Load, *, succeeded: bool, duration: float | None = None) -> None:
        """Count a call that somebody else made and timed; without a duration the latency is left alone."""
        now = self.clock()
        with self._lock:
            load.ended(duration, now, succeeded=succeeded)
            self._judged(load, now if duration is None else now - duration, now, succeeded=succeeded)

    def _judged(self, load: Load, began_at: float, now: float, *, succeeded: bool | None) -> None:
        if succeeded:
            self.successes += 1
        elif succeeded is not None:
            self.failures += 1
        judge = self._judge
        if judge is None:
            return
        if judge.ended(self, load, began_at, now, succeeded=succeeded):
            self.verdicts += 1
        self._due_at = judge.due_at

    def retain(self, instances: Sequence[Instance], *, unused_for: float, change: Change | None = None) -> None:
        """These are registered now: forget the addresses of others that were not used for so many seconds.

        With the change that led to them, this costs what changed; else a look at each instance that is not the same
        object as last time.
        """
        now = self.clock()
        with self._lock:
            if change is not None and change.before is self._retained:
                self._exchange(change.removed, change.added, now)
            elif instances is not self._retained:
                before = {id(one): one for one in self._retained}
                after = {id(one): one for one in instances}
                gone, come = before.keys() - after.keys(), after.keys() - before.keys()
                self._exchange(map(before.__getitem__, gone), map(after.__getitem__, come), now)
            self._retained = instances
            self._forget(now - unused_for)

    def _exchange(self, removed: Iterable[Instance], added: Iterable[Instance], now: float) -> None:
        """Take over who is registered; under the lock."""
        for one in added:
            load = self._made(one.endpoint, now)
            self._by_identity[id(one)] = load
            self._members[load.endpoint] = self._members.get(load.endpoint, 0) + 1
        for one in removed:
            load = self._by_identity.pop(id(one))
            left = self._members.pop(load.endpoint) - 1
            if left:
                self._members[load.endpoint] = left
            else:
                heappush(self._strangers, (load.used_at, load.endpoint))

    def _made(self, endpoint: str, now: float) -> Load:
        """The load of an address, made when there is none yet; under the lock."""
        load = self._loads.get(endpoint)
        if load is None:
            load = self._loads[endpoint] = Load(endpoint, now)
        return load

    def _forget(self, before: float) -> None:
        """Forget the addresses that are not registered and were not used since; under the lock."""
        strangers, busy = self._strangers, []
        while strangers and strangers[0][0] <= before:
            _, endpoint = heappop(strangers)
            load = self._loads.get(endpoint)
            if load is None or endpoint in self._members:
                continue
            if load.in_flight or load.used_at > before:
                busy.append((load.used_at, endpoint))
            else:
                del self._loads[endpoint]
                self.on_probation.discard(load)
        for one in busy:
            heappush(strangers, one)

    def values(self) -> list[Load]:
        """All loads, as they are now."""
        return list(self._loads.values())

    def __len__(self) -> int:
        return len(self._loads)


class Loads:
    """What a picker sees: the shared loads, and what is its owner's own.

    ``cursor`` counts the choices of one owner through all its snapshots. Owners do not share it: two who take turns
    on one cursor would each see every other number only. ``kept`` is for what else a policy wants to keep from one
    snapshot to the next; its keys are the policy's.
    """

    __slots__ = ("cursor", "kept", "table")

    def __init__(self, table: LoadTable, *, start: int = 0) -> None:
        self.table = table
        self.cursor: Iterator[int] = count(start)
        self.kept: dict[str, object] = {}

    def of(self, endpoint: str) -> Load:
        """The load of ``host:port``."""
        return self.table.of(endpoint)

    def of_instance(self, instance: Instance) -> Load:
        """The load of the address of ``instance``; quicker than `of` for those that are registered now."""
        return self.table.of_instance(instance)
