"""A call: chosen, counted, timed, and its outcome."""

import asyncio
from collections.abc import Callable, Collection

import pytest

from homeport.balancing.ejection import EjectionSettings
from homeport.balancing.loads import Load
from homeport.client.call import Call
from homeport.client.resilience.settings import CircuitSettings, RetrySettings
from homeport.client.resilience.traffic import Traffic
from homeport.errors import NoInstances, NotReady
from homeport.model import Instance
from tests.unit.client.scripted_backend import instance

A = instance("a", address="10.0.0.1", port=80)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def traffic(clock: Callable[[], float] | None = None) -> Traffic:
    return Traffic(
        "billing",
        ejection=EjectionSettings(),
        circuit=CircuitSettings(),
        retry=RetrySettings(),
        clock=clock or Clock(),
    )


class Choosing:
    """Always the same instance, with its load in that traffic."""

    def __init__(self, calls: Traffic) -> None:
        self.calls = calls

    def __call__(self, _key: str | None, _avoid: Collection[str]) -> tuple[Instance, Load]:
        return A, self.calls.table.of(A.endpoint)


def test_it_is_in_flight_within_the_block_and_a_success_after_it() -> None:
    clock = Clock()
    calls = traffic(clock)
    table = calls.table
    with Call(Choosing(calls), calls, None) as call:
        assert call.instance == A
        assert call.url("/v1/x") == "http://10.0.0.1:80/v1/x"
        assert call.url("v1", scheme="https") == "https://10.0.0.1:80/v1"
        assert table.of("10.0.0.1:80").in_flight == 1
        clock.now += 2.5
    load = table.of("10.0.0.1:80")
    assert (load.in_flight, load.successes, load.failures, load.latency) == (0, 1, 0, 2.5)


async def test_it_works_in_async_with_too() -> None:
    calls = traffic()
    table = calls.table
    async with Call(Choosing(calls), calls, None) as call:
        assert call.instance == A
    assert table.of("10.0.0.1:80").successes == 1


def test_an_exception_is_a_failure_and_passes_through() -> None:
    calls = traffic()
    table = calls.table
    for _ in range(2):
        with pytest.raises(OSError, match="boom"), Call(Choosing(calls), calls, None):
            raise OSError("boom")
    load = table.of("10.0.0.1:80")
    assert (load.successes, load.failures, load.consecutive_failures) == (0, 2, 2)
    with Call(Choosing(calls), calls, None):
        pass
    assert load.consecutive_failures == 0


@pytest.mark.parametrize("ending", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_cancellation_is_neither(ending: type[BaseException]) -> None:
    calls = traffic()
    table = calls.table
    with pytest.raises(ending), Call(Choosing(calls), calls, None):
        raise ending
    load = table.of("10.0.0.1:80")
    assert (load.in_flight, load.successes, load.failures, load.latency) == (0, 0, 0, None)


@pytest.mark.parametrize(("status", "failures"), [(200, 0), (404, 0), (499, 0), (500, 1), (503, 1)])
def test_a_server_error_is_a_failure(status: int, failures: int) -> None:
    calls = traffic()
    table = calls.table
    with Call(Choosing(calls), calls, None) as call:
        call.observe(status=status)
    assert table.of("10.0.0.1:80").failures == failures


def test_the_key_reaches_the_choice() -> None:
    seen: list[str | None] = []

    calls = traffic()

    def choose_by(key: str | None, avoid: Collection[str]) -> tuple[Instance, Load]:
        seen.append(key)
        return Choosing(calls)(key, avoid)

    with Call(choose_by, calls, "user-7"):
        pass
    assert seen == ["user-7"]


def test_nothing_to_call_counts_nothing() -> None:
    def nothing(_key: str | None, _avoid: Collection[str]) -> tuple[Instance, Load]:
        raise NoInstances("none", service="x")

    calls = traffic()
    table = calls.table
    with pytest.raises(NoInstances), Call(nothing, calls, None):
        pass
    assert len(table) == 0


def test_outside_its_block_and_a_second_time_it_refuses() -> None:
    calls = traffic()
    call = Call(Choosing(calls), calls, None)
    with pytest.raises(NotReady, match="only inside its block"):
        call.instance  # noqa: B018
    with call:
        pass
    with pytest.raises(NotReady, match="once"), call:
        pass


def test_a_choice_that_fails_gives_the_trial_of_a_half_open_circuit_back() -> None:
    clock = Clock()
    calls = traffic(clock)
    for _ in range(50):
        with pytest.raises(OSError, match="boom"), Call(Choosing(calls), calls, None):
            raise OSError("boom")
    clock.now += 5.0

    def broken(_key: str | None, _avoid: Collection[str]) -> tuple[Instance, Load]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Call(broken, calls, None):
        pass
    with Call(Choosing(calls), calls, None) as call:
        assert call.instance == A
