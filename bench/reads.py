"""Reads of one of 1 000 services of 10 instances by 16 connections, while 100 changes a second are written."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import changer, population, wrk
from .results import Table, ratio_row
from .rounds import Spread, alternate, ratios
from .systems import System, both

SERVICES, INSTANCES, CONNECTIONS, CHANGES = 1000, 10, 16, 100
TARGET = "/v1/health/service/service-%d?passing=1"


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """The rate and the p99 of reads, plain and compressed."""
    with both() as systems:
        for system in systems.values():
            population.fill(system.address, services=SERVICES, instances=INSTANCES)
        for service in (0, SERVICES // 2, SERVICES - 1):
            population.check_same([system.address for system in systems.values()], TARGET % service)
        plain = _loads(systems, rounds, seconds, ())
        compressed = _loads(systems, rounds, seconds, ("Accept-Encoding: gzip",))
    return [_table("Reads", "plain", plain), _table("Reads with gzip", "gzip", compressed)]


def _loads(
    systems: dict[str, System], rounds: int, seconds: int, headers: tuple[str, ...]
) -> dict[str, list[wrk.Load]]:
    script = wrk.READ_SERVICE.format(path=TARGET, services=SERVICES)

    def one(system: System) -> Callable[[], wrk.Load]:
        def load() -> wrk.Load:
            with changing(system.address, CHANGES):
                return wrk.run(system.url, script, connections=CONNECTIONS, seconds=seconds, headers=headers)

        return load

    return alternate({name: one(system) for name, system in systems.items()}, rounds)


@contextmanager
def changing(address: str, rate: int, *, services: int = SERVICES, instances: int = INSTANCES) -> Iterator[None]:
    """Write so many changes a second from another process meanwhile."""
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    process = context.Process(target=changer.run, args=(address, rate, services, instances, ready, end))
    process.start()
    if not ready.wait(30):
        process.kill()
        raise TimeoutError("the process that writes changes did not start")
    time.sleep(0.2)
    try:
        yield
    finally:
        end.set()
        process.join(10)
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError("the process that writes changes failed")


def _table(title: str, form: str, loads: dict[str, list[wrk.Load]]) -> Table:
    ours, theirs = loads["Homeport"], loads["Consul"]
    rate = ratios([load.rate for load in ours], [load.rate for load in theirs])
    slow = ratios([load.p99 for load in ours], [load.p99 for load in theirs])
    rows = [
        ratio_row(
            f"{form}: answers/s", Spread.of([load.rate for load in ours]), Spread.of([load.rate for load in theirs]),
            rate, target="≥ 10×", met=rate.median >= 10,
        ),
        ratio_row(
            f"{form}: p99, ms", Spread.of([load.p99 * 1e3 for load in ours]),
            Spread.of([load.p99 * 1e3 for load in theirs]), slow, target="< 1×", met=slow.median < 1,
        ),
    ]  # fmt: skip
    return Table(
        title,
        f"`GET /v1/health/service/X?passing=1`, X uniform over {SERVICES} services of {INSTANCES} instances, "
        f"{CONNECTIONS} connections, while {CHANGES} changes/s are written.",
        rows,
    )
