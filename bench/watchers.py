"""How soon a change reaches those who wait for it."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection as Pipe
from operator import attrgetter
from typing import Any

import msgspec
import uvloop

from . import population
from .raw_client import Answered, Caller, Connection
from .results import Table, ratio_row
from .rounds import Spread, alternate, number, percentile, ratios
from .systems import System, both

CROWD, CHANGES = 1000, 20
MANY, MANY_SERVICES, MANY_RATE, MANY_SECONDS = 10_000, 1000, 500, 15
HEARTBEAT_INTERVAL = 0.01


class Delays(msgspec.Struct, frozen=True):
    """Delays in seconds: of the watchers, and of a heartbeat sent meanwhile."""

    p50: float
    p99: float
    heartbeat_p99: float = 0.0
    delivered: int = 0


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """One crowd on one service; then many watchers on many services."""
    with both() as systems:
        for system in systems.values():
            population.fill(system.address, services=MANY_SERVICES, instances=1)
        crowd = alternate({name: _in_process(_crowd, system) for name, system in systems.items()}, rounds)
        many = alternate({name: _in_process(_many, system) for name, system in systems.items()}, 1)
    return [_crowd_table(crowd), _many_table(many)]


def _crowd_table(delays: dict[str, list[Delays]]) -> Table:
    ours, theirs = delays["Homeport"], delays["Consul"]
    slow = ratios([delay.p99 for delay in ours], [delay.p99 for delay in theirs])
    middle = ratios([delay.p50 for delay in ours], [delay.p50 for delay in theirs])
    rows = [
        ratio_row("p50, ms", _ms([d.p50 for d in ours]), _ms([d.p50 for d in theirs]), middle),
        ratio_row(
            "p99, ms",
            _ms([d.p99 for d in ours]),
            _ms([d.p99 for d in theirs]),
            slow,
            target="≤ 0.5×",
            met=slow.median <= 0.5,
        ),
    ]
    return Table(
        "One change to a thousand watchers",
        f"{CROWD} connections block on one service; from sending a change to the last byte at each watcher, "
        f"{CHANGES} changes a round.",
        rows,
    )


def _many_table(delays: dict[str, list[Delays]]) -> Table:
    rows = []
    for what, figure in (
        ("watchers' p50, ms", attrgetter("p50")),
        ("watchers' p99, ms", attrgetter("p99")),
        ("heartbeat p99, ms", attrgetter("heartbeat_p99")),
    ):
        ours, theirs = ([figure(taken) * 1e3 for taken in delays[name]] for name in ("Homeport", "Consul"))
        rows.append(ratio_row(what, Spread.of(ours), Spread.of(theirs), ratios(ours, theirs), target="stated"))
    delivered = {name: number(min(d.delivered for d in taken)) for name, taken in delays.items()}
    return Table(
        "Ten thousand watchers",
        f"{MANY:,} connections block on {MANY_SERVICES} services while {MANY_RATE} changes/s are written for "
        f"{MANY_SECONDS} s and a TTL check "
        f"is passed every {HEARTBEAT_INTERVAL * 1e3:.0f} ms. Answers delivered (the fewest of a round): "
        f"Homeport {delivered['Homeport']}, "
        f"Consul {delivered['Consul']}; both the watchers and the writer share the second core.",
        rows,
    )


def _ms(values: list[float]) -> Spread:
    return Spread.of([value * 1e3 for value in values])


Scenario = Callable[[str], Coroutine[Any, Any, Delays]]


def _in_process(scenario: Scenario, system: System) -> Callable[[], Delays]:
    """The scenario in a process of its own, so that no round inherits another's heap."""

    def run() -> Delays:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_process, args=(scenario, system.address, there))
        process.start()
        there.close()
        try:
            return msgspec.convert(here.recv(), Delays)
        finally:
            process.join(30)

    return run


def _process(scenario: Scenario, address: str, pipe: Pipe) -> None:
    pipe.send(msgspec.to_builtins(uvloop.run(scenario(address))))
    pipe.close()


async def _crowd(address: str) -> Delays:
    delays: list[float] = []
    sent = 0.0
    missing = 0
    everybody = asyncio.Event()
    service = random.SystemRandom().randrange(MANY_SERVICES)

    def answered(connection: Connection, answer: Answered) -> None:
        nonlocal missing
        if sent:
            delays.append(answer.at - sent)
        missing -= 1
        if not missing:
            everybody.set()
        connection.ask("GET", f"/v1/health/service/service-{service}?index={answer.index}&wait=300s")

    connections = await _connect(address, CROWD, answered)
    writer = await Caller.connect(address)
    missing = CROWD
    for connection in connections:
        connection.ask("GET", f"/v1/health/service/service-{service}")
    await everybody.wait()
    for change in range(CHANGES):
        await asyncio.sleep(0.4)  # everybody waits again, and no wave is held back for the one before it
        everybody.clear()
        missing = CROWD
        body = population.registration(service, 0, port=20000 + change)
        sent = time.perf_counter()
        await writer.call("PUT", "/v1/catalog/register", body)
        async with asyncio.timeout(30):
            await everybody.wait()
    for connection in connections:
        connection.close()
    writer.close()
    return Delays(percentile(delays, 0.50), percentile(delays, 0.99), 0.0, len(delays))


async def _many(address: str) -> Delays:
    loop = asyncio.get_running_loop()
    sent: dict[int, float] = {}
    delays: list[float] = []
    service_of: dict[Connection, int] = {}

    def answered(connection: Connection, answer: Answered) -> None:
        service = service_of[connection]
        if service in sent:
            delays.append(answer.at - sent[service])
        connection.ask("GET", f"/v1/health/service/service-{service}?index={answer.index}&wait=300s")

    connections: list[Connection] = []
    while len(connections) < MANY:  # a connection that asks nothing for long is closed, so each batch asks at once
        for connection in await _connect(address, 200, answered):
            service_of[connection] = len(connections) % MANY_SERVICES
            connection.ask("GET", f"/v1/health/service/service-{service_of[connection]}")
            connections.append(connection)
    await asyncio.sleep(3)
    end = loop.time() + MANY_SECONDS
    writers = asyncio.gather(*(_write(address, sent, end, number_) for number_ in range(10)))
    beats = await _heartbeats(address, end)
    await writers
    await asyncio.sleep(0.5)
    for connection in connections:
        connection.close()
    return Delays(percentile(delays, 0.50), percentile(delays, 0.99), percentile(beats, 0.99), len(delays))


async def _write(address: str, sent: dict[int, float], end: float, number_: int) -> None:
    loop = asyncio.get_running_loop()
    caller = await Caller.connect(address)
    rng = random.Random(number_)
    interval = 10 / MANY_RATE
    due = loop.time() + interval * number_ / 10
    port = 30000 + number_
    while due < end:
        await asyncio.sleep(max(0.0, due - loop.time()))
        due += interval
        port = 30000 + (port + 10) % 30000
        service = rng.randrange(MANY_SERVICES)
        sent[service] = time.perf_counter()
        await caller.call("PUT", "/v1/catalog/register", population.registration(service, 0, port=port))
    caller.close()


async def _heartbeats(address: str, end: float) -> list[float]:
    loop = asyncio.get_running_loop()
    caller = await Caller.connect(address)
    await caller.call(
        "PUT", "/v1/agent/check/register", {"ID": "beat", "Name": "beat", "TTL": "30s", "Status": "passing"}
    )
    delays = []
    while loop.time() < end:
        await asyncio.sleep(HEARTBEAT_INTERVAL)
        began = time.perf_counter()
        answer = await caller.call("PUT", "/v1/agent/check/pass/beat")
        assert answer.status == 200, answer.body
        delays.append(time.perf_counter() - began)
    await caller.call("PUT", "/v1/agent/check/deregister/beat")
    caller.close()
    return delays


async def _connect(address: str, count: int, on_answer: Callable[[Connection, Answered], None]) -> list[Connection]:
    host, port = address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    while len(connections) < count:
        batch = [
            loop.create_connection(lambda: Connection(on_answer), host, int(port))
            for _ in range(min(200, count - len(connections)))
        ]
        connections += [connection for _, connection in await asyncio.gather(*batch)]
    return connections
