"""Pauses after failures."""

from hypothesis import given
from hypothesis import strategies as st

from homeport.client.backoff import Backoff


def test_the_limit_doubles_up_to_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=3.0, random=lambda: 1.0)
    assert [backoff.next_pause() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_success_begins_anew() -> None:
    backoff = Backoff(first=0.5, longest=3.0, random=lambda: 1.0)
    backoff.next_pause()
    backoff.next_pause()
    backoff.reset()
    assert backoff.next_pause() == 0.5


@given(st.floats(0, 1), st.integers(1, 2000))
def test_pauses_are_random_below_the_limit(chance: float, failures: int) -> None:
    backoff = Backoff(first=0.1, longest=10.0, random=lambda: chance)
    pauses = [backoff.next_pause() for _ in range(failures)]
    assert all(0 <= pause <= 10.0 * chance for pause in pauses)
