"""When a status is held."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from homeport.model import Status, worst_status
from homeport.registry.health.flapping import Steadiness, flaps, held, observe

WINDOW = 100.0
OBSERVATIONS = st.lists(
    st.tuples(st.floats(0.01, 60), st.sampled_from(("passing", "warning", "critical"))), max_size=60
)


def after(*seen: tuple[float, Status]) -> Steadiness:
    steadiness = Steadiness("passing")
    for now, status in seen:
        steadiness = observe(steadiness, status, now=now, window=WINDOW)
    return steadiness


def alternating(changes: int, every: float) -> tuple[tuple[float, Status], ...]:
    return tuple((every * number, "critical" if number % 2 else "passing") for number in range(1, changes + 1))


def test_the_sixth_change_within_the_window_is_flapping() -> None:
    assert not flaps(after(*alternating(5, 10)), now=50, window=WINDOW, changes=6)
    assert flaps(after(*alternating(6, 10)), now=60, window=WINDOW, changes=6)


def test_slow_changes_are_not_flapping() -> None:
    assert not flaps(after(*alternating(12, 25)), now=300, window=WINDOW, changes=6)


def test_it_ends_when_the_changes_are_past_without_any_new_result() -> None:
    steadiness = after(*alternating(6, 10))
    assert flaps(steadiness, now=109, window=WINDOW, changes=6)
    assert not flaps(steadiness, now=111, window=WINDOW, changes=6)


def test_no_number_of_changes_flaps_when_it_is_switched_off() -> None:
    assert not flaps(after(*alternating(50, 1)), now=50, window=WINDOW, changes=0)


def test_the_worst_of_the_window_is_held() -> None:
    assert held(after((1, "warning"), (2, "passing"))) == "warning"
    assert held(after((1, "critical"), (2, "warning"), (3, "passing"))) == "critical"
    assert held(after((1, "critical"), (2, "passing"), (150, "passing"))) == "passing"


def test_the_same_status_again_is_no_change() -> None:
    steadiness = after((1, "critical"))
    assert observe(steadiness, "critical", now=2, window=WINDOW) is steadiness


@given(OBSERVATIONS, st.integers(1, 8))
def test_it_agrees_with_counting_by_hand(observations: list[tuple[float, Status]], most: int) -> None:
    now, current = 0.0, "passing"
    steadiness = Steadiness("passing")
    changes: list[tuple[float, Status]] = []
    for wait, status in observations:
        now += wait
        if status != current:
            changes.append((now, current))  # type: ignore[arg-type]  # only statuses are drawn
            current = status
        steadiness = observe(steadiness, status, now=now, window=WINDOW)
        recent = [before for at, before in changes if at > now - WINDOW]
        assert flaps(steadiness, now=now, window=WINDOW, changes=most) == (len(recent) >= most)
        assert held(steadiness) == worst_status((current, *recent))


@given(st.integers(100, 300))
def test_it_does_not_grow_with_the_number_of_changes(changes: int) -> None:
    assert len(after(*alternating(changes, 0.1)).changes) <= 64
