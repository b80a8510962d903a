"""A fleet of simulated instances behind the real policies and the real ejection, in virtual time.

Discrete events: calls arrive as a Poisson process whatever became of those before them (open loop), wait for one of
the workers of the instance that was chosen, and end with an answer, an error, or the client's time-out. Everything
random comes from one seed, so a run can be repeated to the last digit.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Literal, TypeAlias

import msgspec

from homeport.balancing import Balancer, Loads, LoadTable
from homeport.balancing.ejection import EjectionSettings, OutlierEjection, admitted
from homeport.model import Instance, Snapshot

from .rounds import percentile

Trouble: TypeAlias = Literal["", "slow", "failing", "hanging"]

MEAN, SPREAD = 0.010, 0.5
"""Seconds of work for a call, and how far they vary (the deviation of the logarithm)."""
SLOWNESS = 10.0
FAILING_SHARE, FAILING_TIME = 0.1, 0.001
WORKERS = 16
RATE = 500.0
TIMEOUT = 1.0
KEYS = 10_000


class Outcome(msgspec.Struct, frozen=True):
    """What came of all calls of a run; durations are seconds."""

    durations: list[float]
    errors: int
    calls: tuple[int, ...]

    def percentile(self, share: float) -> float:
        return percentile(self.durations, share)

    @property
    def error_share(self) -> float:
        return self.errors / len(self.durations)

    @property
    def fairness(self) -> float:
        """Jain's index of the calls of each instance: 1 when all have the same number, 1/n when one has them all."""
        return sum(self.calls) ** 2 / (len(self.calls) * sum(calls * calls for calls in self.calls))


class _Server:
    """One instance: its trouble, its idle workers, and who waits for one."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.idle = WORKERS
        self.queue: deque[int] = deque()
        self.calls = 0


def simulate(
    make: Callable[[Callable[[], float]], Balancer],
    troubles: Sequence[Trouble],
    *,
    seed: int,
    duration: float,
    ejection: bool,
    keyed: bool = False,
) -> Outcome:
    """Send calls for ``duration`` simulated seconds through the policy that ``make`` makes from a random source."""
    world, chance = Random(seed), Random(seed + 1)
    now = 0.0
    settings = EjectionSettings(enabled=ejection)
    table = LoadTable(lambda: now, judge=OutlierEjection(settings))
    servers = [_Server(trouble) for trouble in troubles]
    snapshot = Snapshot(
        service="fleet",
        instances=tuple(
            Instance(id=str(place), service="fleet", address=f"10.0.0.{place}", port=80)
            for place in range(len(servers))
        ),
    )
    for one in snapshot.instances:
        table.of(one.endpoint)  # in this order, so that the run is the same whatever the seed of Python's hash
    table.retain(snapshot.instances, unused_for=300.0)
    loads, balancer = Loads(table), make(chance.random)
    verdicts = -1
    look_again_at: float | None = None
    pick = balancer.picker(snapshot, loads)

    durations: list[float] = []
    errors = 0
    number = count()
    calls: dict[int, tuple[_Server, Instance, float]] = {}
    working: set[int] = set()
    events: list[tuple[float, int, str, int]] = [(world.expovariate(RATE), next(number), "arrival", 0)]

    def begin_work(server: _Server, call: int) -> None:
        server.idle -= 1
        working.add(call)
        work = MEAN * world.lognormvariate(-SPREAD * SPREAD / 2, SPREAD)
        if server.trouble == "hanging":
            return
        if server.trouble == "slow":
            work *= SLOWNESS
        fails = server.trouble == "failing" and world.random() < FAILING_SHARE
        heapq.heappush(
            events, (now + (FAILING_TIME if fails else work), next(number), "error" if fails else "answer", call)
        )

    while events:
        now, _, kind, call = heapq.heappop(events)
        if kind == "arrival":
            if now < duration:
                heapq.heappush(events, (now + world.expovariate(RATE), next(number), "arrival", 0))
            # As the watch does: the policy sees who is admitted, and is asked anew when that may have changed.
            if table.verdicts != verdicts or (look_again_at is not None and now >= look_again_at):
                verdicts = table.verdicts
                instances, look_again_at = admitted(snapshot.instances, table, now, most_ejected=settings.most_ejected)
                pick = balancer.picker(msgspec.structs.replace(snapshot, instances=instances), loads)
            instance = pick(str(world.randrange(KEYS)) if keyed else None)
            assert instance is not None
            server = servers[int(instance.id)]
            server.calls += 1
            call = next(number)
            calls[call] = server, instance, table.begin(table.of(instance.endpoint))
            heapq.heappush(events, (now + TIMEOUT, next(number), "timeout", call))
            if server.idle:
                begin_work(server, call)
            else:
                server.queue.append(call)
            continue
        if call not in calls:
            continue  # the time-out of a call that has ended
        server, instance, began_at = calls.pop(call)
        durations.append(now - began_at)
        errors += kind != "answer"
        table.end(table.of(instance.endpoint), began_at, succeeded=kind == "answer")
        if call not in working:
            server.queue.remove(call)
            continue
        working.remove(call)
        server.idle += 1
        if server.queue:
            begin_work(server, server.queue.popleft())
    return Outcome(durations, errors, tuple(server.calls for server in servers))
