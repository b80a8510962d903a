"""Power of two choices: latency, load and failures decide; old knowledge fades; nobody is stormed."""

from random import Random as Source

import pytest

from homeport.balancing import Loads, open_balancer
from homeport.balancing.p2c_ewma import P2CEWMA

from .fleet import Clock, answered, busy, counted, equal, instance, loads, picks, snapshot, weighing, within


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def kept(clock: Clock) -> Loads:
    return loads(clock)


def policy() -> P2CEWMA:
    return P2CEWMA(random=Source(1).random)


def measured(kept: Loads, clock: Clock, *latencies: float) -> None:
    """Give every instance a latency, all at the same time."""
    for place, latency in enumerate(latencies):
        load = kept.of(instance(place).endpoint)
        kept.table.observe(load, succeeded=True, duration=latency)


def test_of_two_the_faster_is_called(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.2, 0.1)
    assert counted(policy(), equal(2), 100, by=kept) == {"1": 100}


def test_of_many_only_the_slowest_gets_nothing(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.1, 0.1, 0.1, 0.5)
    assert set(counted(policy(), equal(4), 300, by=kept)) == {"0", "1", "2"}


def test_calls_under_way_make_a_fast_instance_dear(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.1, 0.25)
    busy(kept, [1, 0])
    assert counted(policy(), equal(2), 50, by=kept) == {"0": 50}
    busy(kept, [1, 0])
    assert counted(policy(), equal(2), 50, by=kept) == {"1": 50}


def test_failing_fast_is_not_being_fast(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.001, 0.05)
    for _ in range(40):
        kept.table.observe(kept.of(instance(0).endpoint), succeeded=False, duration=0.001)
    assert counted(policy(), equal(2), 50, by=kept) == {"1": 50}


def test_a_tenth_of_failures_weighs_more_than_a_little_latency(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.050, 0.060)
    kept.of(instance(0).endpoint).failure_share = 0.1
    assert counted(policy(), equal(2), 50, by=kept) == {"1": 50}


def test_a_new_instance_gets_its_share_and_no_more(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, *[0.1] * 9)
    pick = policy().picker(equal(10), kept)
    for _ in range(40):
        busy(kept, {picks(pick, 1)[0]: 1})
    assert 2 <= kept.of(instance(9).endpoint).in_flight <= 6


def test_without_any_measurement_calls_are_spread(kept: Loads) -> None:
    pick = policy().picker(equal(5), kept)
    for _ in range(100):
        busy(kept, {picks(pick, 1)[0]: 1})
    assert all(17 <= kept.of(instance(place).endpoint).in_flight <= 23 for place in range(5))


def test_who_was_slow_is_tried_again_and_not_stormed(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 1.0, 0.1)
    pick = policy().picker(equal(2), kept)
    waited = 0
    while picks(pick, 1) == ["1"]:
        answered(kept, 1, clock, 0.1)
        waited += 1
        assert waited < 1000
    assert waited > 100
    busy(kept, {"0": 1})
    assert picks(pick, 20) == ["1"] * 20


def test_who_failed_is_tried_again(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.1, 0.1)
    kept.of(instance(0).endpoint).failure_share = 1.0
    pick = policy().picker(equal(2), kept)
    assert set(picks(pick, 50)) == {"1"}
    clock.now += 60.0
    kept.table.observe(kept.of(instance(1).endpoint), succeeded=True, duration=0.1)
    assert set(picks(pick, 50)) == {"0"}


def test_who_hangs_does_not_become_cheap_by_measuring_nothing(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.1, 0.1)
    busy(kept, [3, 0])
    clock.now += 600.0
    kept.table.observe(kept.of(instance(1).endpoint), succeeded=True, duration=0.1)
    assert counted(policy(), equal(2), 50, by=kept) == {"1": 50}


def test_idle_instances_share_calls_by_weight(kept: Loads) -> None:
    found = counted(policy(), weighing(1, 3, 0), 10_000, by=kept)
    low, high = within(1 / 4, 10_000)
    assert low < found["0"] < high
    assert "2" not in found


def test_busy_instances_share_calls_by_weight(clock: Clock, kept: Loads) -> None:
    measured(kept, clock, 0.1, 0.1, 0.1)
    pick = policy().picker(weighing(1, 2, 5), kept)
    for _ in range(800):
        busy(kept, {picks(pick, 1)[0]: 1})
    found = [kept.of(instance(place).endpoint).in_flight for place in range(3)]
    assert 80 <= found[0] <= 120
    assert 180 <= found[1] <= 220
    assert 470 <= found[2] <= 530


def test_one_is_always_itself_and_nobody_is_none(kept: Loads) -> None:
    assert counted(policy(), weighing(7), 3, by=kept) == {"0": 3}
    assert policy().picker(snapshot(), kept)(None) is None


def test_it_has_its_name_and_refuses_a_bare_pick() -> None:
    found = open_balancer("p2c_ewma")
    assert isinstance(found, P2CEWMA)
    assert found.needs_outcomes
