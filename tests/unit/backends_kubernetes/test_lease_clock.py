"""When leases run out."""

from homeport.backends.kubernetes.lease_clock import LeaseClock
from tests.unit.backends_kubernetes.objects import lease


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_counts_from_when_it_was_seen_to_be_renewed() -> None:
    now = Clock()
    clock = LeaseClock(now)
    assert clock.left(("default", "a")) is None
    clock.saw(lease("a", seconds=15, renewed="1"))
    now.now = 10.0
    clock.saw(lease("a", seconds=15, renewed="1"))  # the same again is no renewal
    assert clock.left(("default", "a")) == 5.0
    clock.saw(lease("a", seconds=15, renewed="0"))  # an earlier time of another clock is one
    assert clock.left(("default", "a")) == 15.0
    now.now = 30.0
    assert clock.left(("default", "a")) == -5.0


def test_what_ran_out_long_ago_is_forgotten_when_there_is_much() -> None:
    now = Clock()
    clock = LeaseClock(now)
    for number in range(1000):
        clock.saw(lease(f"old-{number}"))
    now.now = 10_000.0
    clock.saw(lease("new"))
    assert clock.left(("default", "old-1")) is None
    assert clock.left(("default", "new")) == 15.0


def test_its_own_clock_goes_on() -> None:
    clock = LeaseClock()
    clock.saw(lease("a", seconds=15))
    left = clock.left(("default", "a"))
    assert left is not None
    assert 0 < left <= 15
