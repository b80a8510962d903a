"""Names to addresses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from homeport.registry.health.kinds.resolver import Resolver, system_lookup
from homeport.registry.health.kinds.targets import TargetRefused, Targets
from tests.plugins.following import PATIENCE
from tests.unit.health.virtual_time import VirtualTime


class Names:
    """A name server of the test's own that answers when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.addresses: Sequence[str] | Exception = ("10.0.0.1",)

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        assert self.may_answer.wait(PATIENCE)
        if isinstance(self.addresses, Exception):
            raise self.addresses
        return self.addresses


@pytest.fixture
def names() -> Names:
    return Names()


def resolver(names: Names, time: VirtualTime | None = None, **targets: list[str]) -> Resolver:
    return Resolver(Targets(**targets), monotonic=(time or VirtualTime()).monotonic, lookup=names)


async def test_an_address_is_not_looked_up(names: Names) -> None:
    found = resolver(names)
    assert await found.addresses("10.0.0.9") == ("10.0.0.9",)
    assert await found.addresses("::1") == ("::1",)
    assert names.asked == []


async def test_who_asks_for_the_same_name_at_a_time_shares_the_answer(names: Names) -> None:
    names.may_answer.clear()
    found = resolver(names)
    asking = [asyncio.create_task(found.addresses("web")) for _ in range(5)]
    await asyncio.sleep(0)
    names.may_answer.set()
    assert [await task for task in asking] == [("10.0.0.1",)] * 5
    assert names.asked == ["web"]


async def test_an_answer_is_shared_for_a_second(names: Names) -> None:
    time = VirtualTime()
    found = resolver(names, time)
    await found.addresses("web")
    time.stand_still(0.9)
    await found.addresses("web")
    assert names.asked == ["web"]
    names.addresses = ("10.0.0.2",)
    time.stand_still(0.2)
    assert await found.addresses("web") == ("10.0.0.2",)


async def test_a_slow_name_does_not_hold_up_another(names: Names) -> None:
    slow = threading.Event()

    def lookup(host: str) -> Sequence[str]:
        if host == "slow":
            assert slow.wait(PATIENCE)
        return ("10.0.0.1",)

    found = Resolver(Targets(), monotonic=VirtualTime().monotonic, lookup=lookup)
    waiting = [asyncio.create_task(found.addresses("slow")) for _ in range(100)]
    await asyncio.sleep(0)
    assert await found.addresses("quick") == ("10.0.0.1",)
    slow.set()
    await asyncio.gather(*waiting)


async def test_more_names_than_threads_are_all_answered(names: Names) -> None:
    names.may_answer.clear()
    found = resolver(names)
    asking = [asyncio.create_task(found.addresses(f"web{number}")) for number in range(200)]
    await asyncio.sleep(0)
    names.may_answer.set()
    assert await asyncio.gather(*asking) == [("10.0.0.1",)] * 200


async def test_who_gives_up_does_not_take_the_answer_from_others(names: Names) -> None:
    names.may_answer.clear()
    found = resolver(names)
    first = asyncio.create_task(found.addresses("web"))
    second = asyncio.create_task(found.addresses("web"))
    await asyncio.sleep(0)
    first.cancel()
    names.may_answer.set()
    assert await second == ("10.0.0.1",)


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
async def test_a_name_that_is_not_known_is_an_error_of_the_system(names: Names, error: Exception) -> None:
    names.addresses = error
    with pytest.raises(OSError, match=r"no such name|is not a host name"):
        await resolver(names).addresses("web")


async def test_forbidden_addresses_are_taken_out_of_every_answer(names: Names) -> None:
    names.addresses = ("127.0.0.1", "10.0.0.1")
    assert await resolver(names, deny=["127.0.0.0/8"]).addresses("web") == ["10.0.0.1"]
    with pytest.raises(TargetRefused):
        await resolver(names, deny=["0.0.0.0/0"]).addresses("web")
    with pytest.raises(TargetRefused):
        await resolver(names, deny=["10.0.0.0/8"]).addresses("10.0.0.1")


async def test_many_names_do_not_stay_for_ever(names: Names) -> None:
    time = VirtualTime()
    found = resolver(names, time)
    for number in range(5000):
        await found.addresses(f"web{number}")
        time.stand_still(0.01)
    assert len(found) < 4500


def test_the_system_knows_localhost() -> None:
    assert {"127.0.0.1", "::1"} & set(system_lookup("localhost"))
