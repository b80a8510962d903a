"""A call: chosen, counted, timed, and its outcome."""

import asyncio

import pytest

from homeport.balancing.loads import LoadTable
from homeport.client.call import Call
from homeport.errors import NoInstances, NotReady
from homeport.model import Instance
from tests.unit.client.scripted_backend import instance

A = instance("a", address="10.0.0.1", port=80)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def choose(_key: str | None) -> Instance:
    return A


def test_it_is_in_flight_within_the_block_and_a_success_after_it() -> None:
    clock = Clock()
    table = LoadTable(clock)
    with Call(choose, table, None) as call:
        assert call.instance == A
        assert call.url("/v1/x") == "http://10.0.0.1:80/v1/x"
        assert call.url("v1", scheme="https") == "https://10.0.0.1:80/v1"
        assert table.of("10.0.0.1:80").in_flight == 1
        clock.now += 2.5
    load = table.of("10.0.0.1:80")
    assert (load.in_flight, load.successes, load.failures, load.latency) == (0, 1, 0, 2.5)


async def test_it_works_in_async_with_too() -> None:
    table = LoadTable()
    async with Call(choose, table, None) as call:
        assert call.instance == A
    assert table.of("10.0.0.1:80").successes == 1


def test_an_exception_is_a_failure_and_passes_through() -> None:
    table = LoadTable()
    for _ in range(2):
        with pytest.raises(OSError, match="boom"), Call(choose, table, None):
            raise OSError("boom")
    load = table.of("10.0.0.1:80")
    assert (load.successes, load.failures, load.consecutive_failures) == (0, 2, 2)
    with Call(choose, table, None):
        pass
    assert load.consecutive_failures == 0


@pytest.mark.parametrize("ending", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_cancellation_is_neither(ending: type[BaseException]) -> None:
    table = LoadTable()
    with pytest.raises(ending), Call(choose, table, None):
        raise ending
    load = table.of("10.0.0.1:80")
    assert (load.in_flight, load.successes, load.failures, load.latency) == (0, 0, 0, None)


@pytest.mark.parametrize(("status", "failures"), [(200, 0), (404, 0), (499, 0), (500, 1), (503, 1)])
def test_a_server_error_is_a_failure(status: int, failures: int) -> None:
    table = LoadTable()
    with Call(choose, table, None) as call:
        call.observe(status=status)
    assert table.of("10.0.0.1:80").failures == failures


def test_the_key_reaches_the_choice() -> None:
    seen: list[str | None] = []

    def choose_by(key: str | None) -> Instance:
        seen.append(key)
        return A

    with Call(choose_by, LoadTable(), "user-7"):
        pass
    assert seen == ["user-7"]


def test_nothing_to_call_counts_nothing() -> None:
    def nothing(_key: str | None) -> Instance:
        raise NoInstances("none", service="x")

    table = LoadTable()
    with pytest.raises(NoInstances), Call(nothing, table, None):
        pass
    assert len(table) == 0


def test_outside_its_block_and_a_second_time_it_refuses() -> None:
    call = Call(choose, LoadTable(), None)
    with pytest.raises(NotReady, match="only inside its block"):
        call.instance  # noqa: B018
    with call:
        pass
    with pytest.raises(NotReady, match="once"), call:
        pass
