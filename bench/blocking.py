"""What the blocking twin costs beside the asynchronous one, from one thread and from several."""

import asyncio
import threading
import time
import timeit
from collections.abc import Callable
from functools import partial

from homeport import Discovery as AsyncDiscovery
from homeport.blocking import Discovery, Watch

from .client import INSTANCES, Fixed
from .results import Table
from .rounds import Spread, alternate, number, ratios

NUMBER, CROSSINGS, THREADS = 100_000, 2_000, 8


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """Nanoseconds a choice, microseconds a question, and the sum of eight threads over one."""
    rounds = max(rounds, 7)
    with Discovery(Fixed()) as discovery, discovery.watch("billing") as billing:
        discovery.discover("billing")
        costs = alternate(
            {
                "pick": lambda: _nanoseconds(billing.pick),
                "call": lambda: _nanoseconds(lambda: _call(billing)),
                "async pick": lambda: _of_the_asynchronous_one("pick"),
                "async call": lambda: _of_the_asynchronous_one("call"),
                "discover": lambda: _nanoseconds(lambda: discovery.discover("billing"), CROSSINGS) / 1000,
            },
            rounds,
        )
        works: dict[str, Callable[[], object]] = {"pick": billing.pick, "call": lambda: _call(billing)}
        rates = alternate(
            {
                f"{name} {threads}": partial(_rate, work, threads)
                for name, work in works.items()
                for threads in (1, THREADS)
            },
            rounds,
        )
    pick, call, discover = (Spread.of(costs[name]) for name in ("pick", "call", "discover"))
    rows = [
        ["`pick()`, ns", pick.text(), Spread.of(costs["async pick"]).text(), _most(pick, 1000)],
        ["`with call(): pass`, ns", call.text(), Spread.of(costs["async call"]).text(), _most(call, 2000)],
        ["`discover()` from memory, across the thread, µs", discover.text(), "", ""],
    ]
    for name in works:
        ratio = ratios(rates[f"{name} {THREADS}"], rates[f"{name} 1"])
        verdict = "reached" if ratio.median >= 0.8 else "**missed**"
        rows.append([f"`{name}`: {THREADS} threads together over one", ratio.text("×"), "", f"≥ 0.8× {verdict}"])
    text = (
        f"Round robin over {INSTANCES} instances; {rounds} rounds of {NUMBER:,} choices and {CROSSINGS:,} questions. "
        "The threads share one interpreter lock, so that 1× is the most they can reach together."
    )
    return [Table("The blocking twin", text, rows, ["what", "blocking", "asynchronous", "target"])]


def _call(billing: Watch) -> None:
    with billing.call():
        pass


def _nanoseconds(function: Callable[[], object], times: int = NUMBER) -> float:
    return timeit.timeit(function, number=times) / times * 1e9


def _of_the_asynchronous_one(name: str) -> float:
    async def main() -> float:
        async with AsyncDiscovery(Fixed()) as discovery, discovery.watch("billing") as billing:

            def call() -> None:
                with billing.call():
                    pass

            return _nanoseconds(billing.pick if name == "pick" else call)

    return asyncio.run(main())


def _rate(work: Callable[[], object], threads: int) -> float:
    """How often a second so many threads do it together."""
    each = NUMBER // threads
    together = threading.Barrier(threads + 1)

    def run() -> None:
        together.wait()
        for _ in range(each):
            work()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for one in running:
        one.start()
    together.wait()
    began = time.perf_counter()
    for one in running:
        one.join()
    return each * threads / (time.perf_counter() - began)


def _most(cost: Spread, most: int) -> str:
    return f"≤ {number(most)} {'reached' if cost.median <= most else '**missed**'}"
