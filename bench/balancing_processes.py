"""The fleet of `bench.fleet` as ten real processes, called through Homeport, py-consul and gRPC."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from random import Random
from typing import TypeAlias

import aiohttp
import consul  # type: ignore[import-untyped]  # it has no type hints
import grpc
import msgspec

from homeport import Call, Discovery

from .balancing import TROUBLED
from .fleet import TIMEOUT, Outcome
from .results import Table
from .rounds import number
from .systems import homeport
from .troubled_server import METHOD

RATE = 150.0
LOOKUP_INTERVAL = 1.0
SERVICE = "fleet"

Caller: TypeAlias = Callable[[], Awaitable[bool]]
"""Makes one call; whether it succeeded. It may raise, which is a failure too."""


class Address(msgspec.Struct, frozen=True):
    """Where an instance listens."""

    http_port: int
    grpc_port: int


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """One run each; all together less than two minutes at the default length."""
    with _fleet() as addresses, homeport() as registry:
        found = asyncio.run(_measure(registry.address, addresses, duration=3.0 * seconds))
    plain = found["py-consul, round robin"]
    rows = [
        [
            name,
            *(number(outcome.percentile(share) * 1000) for share in (0.5, 0.99, 0.999)),
            f"{number(outcome.error_share * 100)} %",
            f"{number(outcome.percentile(0.99) / plain.percentile(0.99), 2)}×",
            f"{number(outcome.error_share / plain.error_share, 2)}×",
        ]
        for name, outcome in found.items()
    ]
    text = (
        f"The same fleet as ten processes that answer HTTP and gRPC, {RATE:.0f} calls/s for {3 * seconds} s each as a "
        f"Poisson process, a time-out of {TIMEOUT:.0f} s; every system begins without knowing anything. py-consul is "
        "asked for the passing instances every second, and they are called in turn; gRPC balances by its own "
        "`round_robin`. Homeport has its defaults, ejection included; the last row makes failed calls again elsewhere "
        "(`perform(…, idempotent=True)`). The ratios are to the first row."
    )
    header = ["how", "p50, ms", "p99, ms", "p99.9, ms", "errors", "p99", "errors"]
    return [Table("Balancing policies in trouble (processes)", text, rows, header)]


@contextmanager
def _fleet() -> Iterator[Sequence[Address]]:
    """The processes; they end when their stdin does, so at the latest with this one."""
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "bench.troubled_server", trouble or "none", str(seed)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for seed, trouble in enumerate(TROUBLED)
        ]
        addresses = []
        for process in processes:
            assert process.stdout is not None
            addresses.append(Address(*map(int, process.stdout.readline().split())))
        yield addresses
        for process in processes:
            process.terminate()


async def _measure(registry: str, addresses: Sequence[Address], *, duration: float) -> Mapping[str, Outcome]:
    url = f"homeport://{registry}"
    found: dict[str, Outcome] = {}
    async with contextlib.AsyncExitStack() as stack:
        register = await stack.enter_async_context(Discovery(url, handle_signals=False))
        for place, address in enumerate(addresses):
            _ = await stack.enter_async_context(
                register.register(SERVICE, id=f"fleet-{place}", address="127.0.0.1", port=address.http_port)
            )
        systems: dict[str, Callable[[], AbstractAsyncContextManager[Caller]]] = {
            "py-consul, round robin": lambda: _py_consul(registry),
            "gRPC, `round_robin`": lambda: _grpc(addresses),
            "Homeport, `round_robin`": lambda: _homeport(url, "round_robin", retry=False),
            "Homeport, `p2c_ewma`": lambda: _homeport(url, "p2c_ewma", retry=False),
            "Homeport, `p2c_ewma`, retries": lambda: _homeport(url, "p2c_ewma", retry=True),
        }
        for name, opened in systems.items():
            async with opened() as caller:
                found[name] = await _load(caller, duration)
    return found


async def _load(caller: Caller, duration: float) -> Outcome:
    """Calls at random moments, whatever became of those before them."""
    random, durations, errors = Random(1), list[float](), 0

    async def one() -> None:
        nonlocal errors
        began_at = time.perf_counter()
        try:
            succeeded = await caller()
        except Exception:  # noqa: BLE001 - whatever it is, the call failed
            succeeded = False
        durations.append(time.perf_counter() - began_at)
        errors += not succeeded

    ends_at = time.perf_counter() + duration
    next_at = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        while next_at < ends_at:
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
            tasks.create_task(one())
            next_at += random.expovariate(RATE)
    return Outcome(durations, errors, ())


@asynccontextmanager
async def _py_consul(registry: str) -> AsyncIterator[Caller]:
    host, _, port = registry.partition(":")
    client = consul.Consul(host=host, port=int(port))
    turn = itertools.count()
    addresses: list[str] = []

    def look_up() -> None:
        _, entries = client.health.service(SERVICE, passing=True)
        addresses[:] = [f"http://{entry['Service']['Address']}:{entry['Service']['Port']}/" for entry in entries]

    async def follow() -> None:
        while True:
            await asyncio.sleep(LOOKUP_INTERVAL)
            await asyncio.to_thread(look_up)

    look_up()
    following = asyncio.create_task(follow())
    async with _http() as http:

        async def call() -> bool:
            async with http.get(addresses[next(turn) % len(addresses)]) as response:
                await response.read()
                return response.status < 500

        yield call
    following.cancel()
    await asyncio.wait([following])


@asynccontextmanager
async def _grpc(addresses: Sequence[Address]) -> AsyncIterator[Caller]:
    target = "ipv4:" + ",".join(f"127.0.0.1:{address.grpc_port}" for address in addresses)
    configuration = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
    options = [("grpc.service_config", configuration), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

        async def call() -> bool:
            await method(b"", timeout=TIMEOUT)
            return True

        yield call


@asynccontextmanager
async def _homeport(url: str, balancer: str, *, retry: bool) -> AsyncIterator[Caller]:
    async with (
        Discovery(url, balancer=balancer, handle_signals=False) as discovery,
        discovery.watch(SERVICE) as fleet,
        _http() as http,
    ):

        async def get(call: Call) -> bool:
            async with http.get(call.url("/")) as response:
                await response.read()
                call.observe(status=response.status)
                return response.status < 500

        async def once() -> bool:
            async with fleet.call() as call:
                return await get(call)

        async def again() -> bool:
            return await fleet.perform(get, idempotent=True)

        yield again if retry else once


def _http() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), connector=aiohttp.TCPConnector(limit=0))
