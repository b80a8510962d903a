"""What it costs a program to choose an instance from memory."""

import asyncio
import timeit
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from homeport import Discovery, Instance, Watch
from homeport.spi import Cursor, Observed, ServiceSummary

from .results import Table
from .rounds import Spread

INSTANCES, NUMBER = 10, 100_000


class Fixed:
    """A backend that knows one set of instances; nothing else is measured here."""

    url = "fixed://"
    watch_limit = None

    def __init__(self) -> None:
        self._observed = Observed(
            instances=tuple(
                Instance(
                    id=f"billing-{number}", service="billing", address="10.0.0.1", port=8000 + number, node=f"n{number}"
                )
                for number in range(INSTANCES)
            ),
            cursor=Cursor(position=1),
        )

    async def ping(self) -> Mapping[str, str]:
        return {}

    async def fetch(self, service: str, *, datacenter: str = "") -> Observed:
        return self._observed

    async def watch(
        self, service: str, *, datacenter: str = "", after: Cursor | None = None
    ) -> AsyncGenerator[Observed, None]:
        yield self._observed
        await asyncio.Event().wait()

    async def services(self, *, datacenter: str = "") -> Sequence[ServiceSummary]:
        return ()

    async def aclose(self) -> None:
        return


class Empty:
    """The least that any call costs."""

    __slots__ = ()

    def method(self) -> None:
        return


def measure(*, rounds: int, seconds: int) -> list[Table]:
    """Nanoseconds a call."""
    return asyncio.run(_measure(max(rounds, 7)))


async def _measure(rounds: int) -> list[Table]:
    async with Discovery(Fixed()) as discovery, discovery.watch("billing") as billing:
        empty = _cost(Empty().method, rounds)
        pick = _cost(billing.pick, rounds)
        call = _cost(lambda: _call(billing), rounds)
    rows = [
        ["an empty method", empty.text(), ""],
        ["`pick()`", pick.text(), f"≤ 1 000 {_verdict(pick, 1000)}"],
        ["`with call(): pass`", call.text(), f"≤ 2 000 {_verdict(call, 2000)}"],
    ]
    text = f"Round robin over {INSTANCES} instances, one thread, nanoseconds each; {rounds} rounds of {NUMBER:,}."
    return [Table("Choosing an instance", text, rows, ["what", "ns", "target"])]


def _call(billing: Watch) -> None:
    with billing.call():
        pass


def _cost(function: Callable[[], object], rounds: int) -> Spread:
    return Spread.of([taken / NUMBER * 1e9 for taken in timeit.repeat(function, repeat=rounds, number=NUMBER)])


def _verdict(spread: Spread, most: float) -> str:
    return "reached" if spread.median <= most else "**missed**"
