"""Registrations, every one a change, by 32 connections, while 10 watchers wait for one of the services."""

import asyncio
import multiprocessing
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

from . import wrk
from .raw_client import Answered, Connection
from .results import Table, ratio_row
from .rounds import Spread, alternate, ratios
from .systems import System, both

CONNECTIONS, WATCHERS, SERVICES, INSTANCES = 32, 10, 100, 10
# wrk fills in the service and the instance over a ring of ids, then a number that is another one every time.
AGENT = (
    '{"ID":"api-%d-%d","Name":"api-%d","Address":"10.0.0.1","Port":8080,"Tags":["production"],'
    '"Meta":{"change":"%d"},"Check":{"TTL":"3600s","Status":"passing"}}'
)
CATALOG = (
    '{"Node":"edge","Address":"10.0.0.2","SkipNodeUpdate":true,"Service":{"ID":"web-%d-%d","Service":"web-%d",'
    '"Address":"10.0.0.2","Port":8080,"Tags":["production"],"Meta":{"change":"%d"}}}'
)


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """The rate of both ways to register."""
    with both() as systems:
        for system in systems.values():
            _prepare(system)
        agent = _loads(systems, rounds, seconds, "/v1/agent/service/register", AGENT, "api")
        catalog = _loads(systems, rounds, seconds, "/v1/catalog/register", CATALOG, "web")
    return [
        Table(
            "Registrations",
            f"Every request a change of one of {SERVICES} services of {INSTANCES} instances, "
            f"{CONNECTIONS} connections, {WATCHERS} watchers blocked on {WATCHERS} of the services. Both systems are "
            "durable: Homeport synchronises its log before it answers, Consul its raft log.",
            [*_rows("PUT agent/service/register", agent, 10), *_rows("PUT catalog/register", catalog, 2)],
        )
    ]


def _prepare(system: System) -> None:
    body = b'{"Node":"edge","Address":"10.0.0.2"}'
    request = urllib.request.Request(f"{system.url}/v1/catalog/register", data=body, method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        return


def _loads(
    systems: dict[str, System], rounds: int, seconds: int, path: str, body: str, service: str
) -> dict[str, list[wrk.Load]]:
    script = wrk.WRITE_SERVICE.format(path=path, body=body, services=SERVICES, instances=INSTANCES)

    def one(system: System) -> Callable[[], wrk.Load]:
        def load() -> wrk.Load:
            with watching(system.address, service, WATCHERS):
                return wrk.run(system.url, script, connections=CONNECTIONS, seconds=seconds)

        return load

    return alternate({name: one(system) for name, system in systems.items()}, rounds)


@contextmanager
def watching(address: str, service: str, watchers: int) -> Iterator[None]:
    """Let some clients wait meanwhile, each for changes of another service, from another process."""
    context = multiprocessing.get_context("spawn")
    end = context.Event()
    process = context.Process(target=_watch_process, args=(address, service, watchers, end))
    process.start()
    try:
        yield
    finally:
        end.set()
        process.join(10)
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError("the watching process failed")


def _watch_process(address: str, service: str, watchers: int, end: Event) -> None:
    asyncio.run(_watch(address, service, watchers, end))


async def _watch(address: str, service: str, watchers: int, end: Event) -> None:
    host, port = address.rsplit(":", 1)

    def again(connection: Connection, answered: Answered) -> None:
        connection.ask("GET", f"{targets[connection]}?index={answered.index}&wait=60s")

    loop = asyncio.get_running_loop()
    targets: dict[Connection, str] = {}
    for number in range(watchers):
        _, connection = await loop.create_connection(lambda: Connection(again), host, int(port))
        targets[connection] = f"/v1/health/service/{service}-{number}"
        connection.ask("GET", targets[connection])
    while not end.is_set():
        await asyncio.sleep(0.05)
    for connection in targets:
        connection.close()


def _rows(name: str, loads: dict[str, list[wrk.Load]], target: int) -> list[list[str]]:
    ours, theirs = loads["Homeport"], loads["Consul"]
    rate = ratios([load.rate for load in ours], [load.rate for load in theirs])
    slow = ratios([load.p99 for load in ours], [load.p99 for load in theirs])
    return [
        ratio_row(
            f"{name}: writes/s", Spread.of([load.rate for load in ours]), Spread.of([load.rate for load in theirs]),
            rate, target=f"≥ {target}×", met=rate.median >= target,
        ),
        ratio_row(
            f"{name}: p99, ms", Spread.of([load.p99 * 1e3 for load in ours]),
            Spread.of([load.p99 * 1e3 for load in theirs]), slow,
        ),
    ]  # fmt: skip
