"""The circuit of a service: closed, open, half open."""

import pytest

from homeport.client.resilience.circuit import Circuit
from homeport.client.resilience.settings import CircuitSettings
from homeport.errors import CircuitOpen, NoInstances, SettingsError

SETTINGS = CircuitSettings(window=10.0, minimum_calls=10, failure_share=0.8, open_time=5.0, closing_successes=2)


class Calls:
    """A circuit, and the totals that it is told."""

    def __init__(self, settings: CircuitSettings = SETTINGS) -> None:
        self.circuit = Circuit("billing", settings)
        self.successes = 0
        self.failures = 0
        self.now = 100.0

    def make(self, outcome: bool | None) -> bool:
        """One call with that outcome; whether the state changed."""
        trial = self.circuit.enter(self.now)
        self.successes += outcome is True
        self.failures += outcome is False
        return self.circuit.leave(
            self.now, succeeded=outcome, trial=trial, successes=self.successes, failures=self.failures
        )

    def break_it(self) -> None:
        while self.circuit.closed:
            self.make(False)


def test_it_opens_when_nearly_all_of_enough_calls_failed() -> None:
    calls = Calls()
    changes = [calls.make(False) for _ in range(10)]
    assert changes == [False] * 9 + [True]
    assert calls.circuit.state(calls.now) == "open"
    with pytest.raises(CircuitOpen, match=r'nearly every call of "billing" failed .* not called for 5\.0 s') as caught:
        calls.make(True)
    assert isinstance(caught.value, NoInstances)
    assert caught.value.retry_after == 5.0


def test_it_stays_closed_while_enough_succeed() -> None:
    calls = Calls()
    for _ in range(100):
        calls.make(True)
        calls.make(False)
        calls.make(False)
        calls.make(False)
    assert calls.circuit.state(calls.now) == "closed"


def test_only_the_calls_of_the_window_count() -> None:
    calls = Calls()
    for _ in range(1000):
        calls.now += 0.001
        calls.make(True)
    for _ in range(9):
        calls.make(False)
    calls.now += 11.0  # the thousand successes are past, and so are the nine failures
    assert not any(calls.make(False) for _ in range(9))
    calls.make(False)
    assert calls.circuit.state(calls.now) == "open"


def test_failures_spread_over_the_window_add_up() -> None:
    calls = Calls()
    for _ in range(10):
        calls.now += 0.9
        calls.make(False)
    assert calls.circuit.state(calls.now) == "open"


def test_failures_far_apart_do_not() -> None:
    calls = Calls()
    for _ in range(100):
        calls.now += 3.0
        calls.make(False)
    assert calls.circuit.state(calls.now) == "closed"


def test_half_open_lets_one_through_at_a_time_and_closes_after_enough_successes() -> None:
    calls = Calls()
    calls.break_it()
    calls.now += 5.0
    assert calls.circuit.state(calls.now) == "half_open"
    assert calls.circuit.enter(calls.now)
    with pytest.raises(CircuitOpen):
        calls.circuit.enter(calls.now)
    assert not calls.circuit.leave(calls.now, succeeded=True, trial=True, successes=1, failures=10)
    assert calls.make(True)
    assert calls.circuit.state(calls.now) == "closed"
    assert not any(calls.make(False) for _ in range(9))  # counted anew


def test_a_failed_trial_opens_it_again_and_the_successes_count_anew() -> None:
    calls = Calls()
    calls.break_it()
    calls.now += 5.0
    assert not calls.make(True)
    assert calls.make(False)
    assert calls.circuit.state(calls.now) == "open"
    calls.now += 5.0
    assert not calls.make(True)
    assert calls.make(True)


def test_a_trial_that_is_neither_lets_the_next_one_try() -> None:
    calls = Calls()
    calls.break_it()
    calls.now += 5.0
    assert not calls.make(None)
    assert calls.circuit.enter(calls.now)


def test_a_trial_that_never_ends_does_not_keep_it_open() -> None:
    calls = Calls()
    calls.break_it()
    calls.now += 5.0
    assert calls.circuit.enter(calls.now)
    calls.now += 10.0
    assert calls.circuit.enter(calls.now)


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    calls = Calls()
    calls.break_it()
    assert not calls.circuit.leave(calls.now, succeeded=True, trial=False, successes=1, failures=10)
    assert calls.circuit.state(calls.now) == "open"


def test_switched_off_it_never_opens() -> None:
    calls = Calls(CircuitSettings(enabled=False, minimum_calls=1))
    assert not any(calls.make(False) for _ in range(1000))


@pytest.mark.parametrize(
    "values", [{"window": 0}, {"minimum_calls": 0}, {"failure_share": 0}, {"failure_share": 1.1}, {"open_time": -1}]
)
def test_values_that_cannot_be_right_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=f"client.circuit.{next(iter(values))} is "):
        CircuitSettings(**values)  # type: ignore[arg-type]
