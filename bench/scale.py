"""A hundred thousand instances in a thousand services."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from . import population, wrk
from .raw_client import Caller
from .reads import changing
from .results import Table
from .rounds import Spread, alternate, number, percentile
from .systems import System, both, homeport, resident_bytes

SERVICES, INSTANCES, SMALL_SERVICES, CHANGES, CONNECTIONS = 1000, 100, 10, 500, 16
TARGET = "/v1/health/service/service-%d?passing=1"
PROBE_INTERVAL = 0.002


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """Reads, stalls, memory and restart at scale, beside the same on a small catalog and beside Consul."""
    figures: dict[str, dict[str, str]] = {"Homeport": {}, "Consul": {}}
    with both() as systems:
        for name, system in systems.items():
            figures[name]["resident memory, empty, MB"] = number(resident_bytes(system.pid) / 1e6)
            began = time.monotonic()
            population.fill(system.address, services=SERVICES, instances=INSTANCES)
            figures[name]["filling, registrations/s"] = number(SERVICES * INSTANCES / (time.monotonic() - began))
        population.check_same([system.address for system in systems.values()], TARGET % 7)
        for name, system in systems.items():
            figures[name]["first read of each service (cold), p99, ms"] = number(_cold(system.address) * 1e3)
            figures[name]["resident memory, MB"] = number(resident_bytes(system.pid) / 1e6)
        warm = alternate({name: _warm(system, SERVICES, seconds) for name, system in systems.items()}, rounds)
        busy = alternate({name: _busy(system, seconds) for name, system in systems.items()}, min(rounds, 3))
        for name, system in systems.items():
            figures[name]["lookups/s, warm"] = Spread.of([load.rate for load in warm[name]]).text()
            figures[name][f"lookup p99 during {CHANGES} changes/s, ms"] = Spread.of(
                [p99 * 1e3 for _, p99, _ in busy[name]]
            ).text()
            figures[name]["lookups/s during the changes"] = Spread.of([rate for rate, _, _ in busy[name]]).text()
            figures[name]["worst stall seen from outside, ms"] = Spread.of(
                [stall * 1e3 for _, _, stall in busy[name]]
            ).text()
            figures[name]["restart until a full answer, s"] = number(_restart(system))
    with homeport() as small:
        population.fill(small.address, services=SMALL_SERVICES, instances=INSTANCES)
        few = Spread.of([_warm(small, SMALL_SERVICES, seconds)().rate for _ in range(rounds)])
    many = Spread.of([load.rate for load in warm["Homeport"]])
    share = many.median / few.median
    rows = [[what, figures["Homeport"][what], figures["Consul"].get(what, "")] for what in figures["Homeport"]]
    rows.append([f"lookups/s, warm, {SMALL_SERVICES} services of {INSTANCES}", few.text(), ""])
    return [
        Table(
            "A hundred thousand instances",
            f"{SERVICES} services of {INSTANCES} instances with one check each on {population.NODES} nodes; "
            f"answers of about 125 kB, "
            f"{CONNECTIONS} connections. Lookups reach {share:.0%} of the rate on a small catalog of answers "
            f"of the same size "
            f"(target: within 10 %: {'reached' if share >= 0.9 else '**missed**'}). The stall is the slowest "
            f"answer to a request for "
            f"`status/leader` every {PROBE_INTERVAL * 1e3:.0f} ms (target ≤ 50 ms).",
            rows,
            ["what", "Homeport", "Consul"],
        )
    ]


def _warm(system: System, services: int, seconds: int) -> Callable[[], wrk.Load]:
    script = wrk.READ_SERVICE.format(path=TARGET, services=services)
    return lambda: wrk.run(system.url, script, connections=CONNECTIONS, seconds=seconds)


def _busy(system: System, seconds: int) -> Callable[[], tuple[float, float, float]]:
    def load() -> tuple[float, float, float]:
        return asyncio.run(_probed(system, seconds))

    return load


async def _probed(system: System, seconds: int) -> tuple[float, float, float]:
    with changing(system.address, CHANGES, services=SERVICES, instances=INSTANCES):
        # Its own load would hide the server's stalls behind a full processor, so the stall is taken without it.
        stall = await _worst_answer(system.address, seconds)
        load = await asyncio.to_thread(_warm(system, SERVICES, seconds))
    return load.rate, load.p99, stall


async def _worst_answer(address: str, seconds: int) -> float:
    loop = asyncio.get_running_loop()
    caller = await Caller.connect(address)
    worst, end = 0.0, loop.time() + seconds
    while loop.time() < end:
        began = time.perf_counter()
        await caller.call("GET", "/v1/status/leader")
        worst = max(worst, time.perf_counter() - began)
        await asyncio.sleep(PROBE_INTERVAL)
    caller.close()
    return worst


def _cold(address: str) -> float:
    async def read() -> list[float]:
        caller = await Caller.connect(address)
        delays = []
        for service in range(SERVICES):
            began = time.perf_counter()
            await caller.call("GET", TARGET % service)
            delays.append(time.perf_counter() - began)
        caller.close()
        return delays

    return percentile(asyncio.run(read()), 0.99)


def _restart(system: System) -> float:
    system.stop()
    began = time.monotonic()
    system.start()
    while len(_read(f"{system.url}{TARGET % 3}")) != INSTANCES:
        time.sleep(0.01)
    return time.monotonic() - began


def _read(url: str) -> list[Any]:
    with urllib.request.urlopen(url, timeout=30) as response:
        rows: list[Any] = json.loads(response.read())
    return rows
