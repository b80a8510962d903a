"""What every policy makes of a fleet with a slow, a failing and a hanging instance, and what a choice costs."""

import time
import timeit
from collections.abc import Callable, Mapping

import msgspec

from homeport.balancing import Balancer, Loads, LoadTable, open_balancer
from homeport.balancing.consistent_hash import ConsistentHash
from homeport.balancing.least_connections import LeastConnections
from homeport.balancing.p2c_ewma import P2CEWMA
from homeport.balancing.random import Random
from homeport.balancing.round_robin import RoundRobin
from homeport.balancing.weighted_random import WeightedRandom
from homeport.balancing.weighted_round_robin import WeightedRoundRobin
from homeport.model import Instance, Snapshot

from . import balancing_chart
from .fleet import KEYS, RATE, SLOWNESS, TIMEOUT, Outcome, Trouble, simulate
from .results import Table
from .rounds import Spread, number, percentile

POLICIES: Mapping[str, Callable[[Callable[[], float]], Balancer]] = {
    "round_robin": lambda _random: RoundRobin(),
    "random": lambda random: Random(random=random),
    "weighted_round_robin": lambda _random: WeightedRoundRobin(),
    "weighted_random": lambda random: WeightedRandom(random=random),
    "consistent_hash": lambda random: ConsistentHash(random=random),
    "least_connections": lambda random: LeastConnections(random=random),
    "p2c_ewma": lambda random: P2CEWMA(random=random),
}
TROUBLED: tuple[Trouble, ...] = ("slow", "failing", "hanging", *(("",) * 7))
HEALTHY: tuple[Trouble, ...] = ("",) * 10
SEEDS = (1, 2, 3)
SIMULATED = 60.0

CHOICES = (*POLICIES, "canary?version=>=2&share=10%", "zone_aware?zone=a", "slow_start")
NUMBER = 10_000


class Result(msgspec.Struct, frozen=True):
    """The figures of one policy, with or without ejection; durations are seconds."""

    p50: float
    p99: float
    p999: float
    errors: float
    fairness: float


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """The simulation (the same in every run), its chart, and nanoseconds a choice."""
    found = {(name, ejection): _run(name, ejection=ejection) for name in POLICIES for ejection in (False, True)}
    balancing_chart.draw({name: (found[name, False], found[name, True]) for name in POLICIES})
    return [_simulated(found), _cost_of_a_choice(max(rounds, 15))]


def _run(name: str, *, ejection: bool) -> Result:
    keyed = name == "consistent_hash"
    outcomes = [
        simulate(POLICIES[name], TROUBLED, seed=seed, duration=SIMULATED, ejection=ejection, keyed=keyed)
        for seed in SEEDS
    ]
    healthy = simulate(POLICIES[name], HEALTHY, seed=SEEDS[0], duration=SIMULATED, ejection=ejection, keyed=keyed)
    together = Outcome(
        [duration for outcome in outcomes for duration in outcome.durations],
        sum(outcome.errors for outcome in outcomes),
        (),
    )
    p50, p99, p999 = (percentile(together.durations, share) for share in (0.5, 0.99, 0.999))
    return Result(p50, p99, p999, together.error_share, healthy.fairness)


def _simulated(found: Mapping[tuple[str, bool], Result]) -> Table:
    plain = found["round_robin", False]
    rows = []
    for (name, ejection), result in found.items():
        p99, errors = result.p99 / plain.p99, result.errors / plain.errors
        verdict = ""
        if name == "p2c_ewma" and ejection:
            reached = "reached" if p99 <= 0.25 and errors <= 0.1 else "**missed**"
            verdict = f"p99 ≤ 0.25×, errors ≤ 0.1×: {reached}"
        rows.append(
            [
                f"`{name}`" + (" with ejection" if ejection else ""),
                number(result.p50 * 1000),
                number(result.p99 * 1000),
                number(result.p999 * 1000),
                f"{number(result.errors * 100)} %",
                f"{number(p99, 2)}×",
                f"{number(errors, 2)}×",
                f"{result.fairness:.3f}",
                verdict,
            ]
        )
    text = (
        f"Ten instances, of which one is {SLOWNESS:.0f} times as slow, one fails a tenth of its calls at once, and one "
        "never answers. Discrete events in virtual time around the real policies and the real ejection with its "
        f"defaults: {RATE:.0f} calls/s as a Poisson process for {SIMULATED:.0f} s, 10 ms of work each on average, a "
        f"time-out of {TIMEOUT:.0f} s, no retries; {len(SEEDS)} seeds together. `consistent_hash` gets {KEYS:,} keys. "
        "The ratios are to `round_robin` without ejection. Fairness is Jain's index of the calls of each instance when "
        "all ten are well."
    )
    header = ["policy", "p50, ms", "p99, ms", "p99.9, ms", "errors", "p99", "errors", "fairness", "target"]
    return Table("Balancing policies in trouble (simulated)", text, rows, header)


def _cost_of_a_choice(rounds: int) -> Table:
    rows = []
    for text in CHOICES:
        most = {"p2c_ewma": 2000, "least_connections": 2000, "consistent_hash": 2000}.get(text, 1000)
        spreads = [_choosing(text, size, rounds) for size in (10, 1000)]
        reached = all(spread.median <= most for spread in spreads)
        rows.append(
            [
                f"`{text}`",
                *(spread.text() for spread in spreads),
                f"≤ {most:,} {'reached' if reached else '**missed**'}".replace(",", " "),
            ]
        )
    text = (
        "Nanoseconds of processor time for one choice with a key, among 10 and among 1 000 instances; "
        f"{rounds} rounds of {NUMBER:,}."
    )
    return Table("The cost of a choice, by policy", text, rows, ["policy", "10 instances", "1 000 instances", "target"])


def _choosing(text: str, size: int, rounds: int) -> Spread:
    table = LoadTable()
    snapshot = Snapshot(
        service="fleet",
        instances=tuple(
            Instance(
                id=str(place),
                service="fleet",
                address=f"10.0.{place // 250}.{place % 250}",
                port=80,
                version="2.0" if place % 10 == 0 else "1.0",
                zone="abc"[place % 3],
            )
            for place in range(size)
        ),
    )
    for instance in snapshot.instances:
        load = table.of(instance.endpoint)
        table.end(load, table.begin(load), succeeded=True)
    pick = open_balancer(text).picker(snapshot, Loads(table))
    taken = timeit.repeat(lambda: pick("user-1234"), timer=time.process_time, repeat=rounds, number=NUMBER)
    return Spread.of([seconds / NUMBER * 1e9 for seconds in taken])
