"""Slow start: who is new takes a growing part, and who was there or merely away does not."""

from random import Random as Source

import pytest

from homeport.balancing import Loads, open_balancer
from homeport.balancing.least_connections import LeastConnections
from homeport.balancing.slow_start import SlowStart
from homeport.errors import SettingsError
from homeport.model import Snapshot

from .fleet import Clock, counted, equal, instance, loads, picks, snapshot, within

CALLS = 6000


@pytest.fixture
def clock() -> Clock:
    return Clock(500.0)


@pytest.fixture
def kept(clock: Clock) -> Loads:
    return loads(clock)


def policy(*, window: float = 30.0) -> SlowStart:
    return SlowStart(window=window, random=Source(1).random)


def seen(slow_start: SlowStart, among: Snapshot, kept: Loads) -> None:
    kept.table.retain(among.instances, unused_for=300.0)
    slow_start.picker(among, kept)


def test_the_part_of_a_new_instance_grows_evenly(clock: Clock, kept: Loads) -> None:
    slow_start = policy(window=40.0)
    seen(slow_start, equal(3), kept)
    pick = slow_start.picker(equal(4), kept)
    for age, part in ((0.0, 0.1), (2.0, 0.1), (10.0, 0.25), (20.0, 0.5), (30.0, 0.75), (40.0, 1.0), (400.0, 1.0)):
        clock.now = 500.0 + age
        low, high = within(part / 4, CALLS)
        assert low <= picks(pick, CALLS).count("3") <= high


def test_what_it_does_not_take_is_shared_by_the_others(clock: Clock, kept: Loads) -> None:
    slow_start = policy()
    seen(slow_start, equal(3), kept)
    found = counted(slow_start, equal(4), CALLS, by=kept)
    assert max(found[name] for name in "012") - min(found[name] for name in "012") <= 3


def test_the_instances_of_the_first_snapshot_are_not_new(kept: Loads) -> None:
    assert counted(policy(), equal(4), 400, by=kept) == dict.fromkeys("0123", 100)


def test_growing_goes_on_through_snapshots(clock: Clock, kept: Loads) -> None:
    slow_start = policy(window=40.0)
    seen(slow_start, equal(3), kept)
    seen(slow_start, equal(4), kept)
    clock.now += 20.0
    seen(slow_start, snapshot(*equal(4).instances, instance(9)), kept)
    found = counted(slow_start, equal(4), CALLS, by=kept)
    low, high = within(0.5 / 4, CALLS)
    assert low <= found["3"] <= high
    clock.now += 20.0
    assert counted(slow_start, equal(4), 400, by=kept) == dict.fromkeys("0123", 100)


def test_who_was_only_ejected_or_ill_is_not_new(clock: Clock, kept: Loads) -> None:
    slow_start = policy()
    seen(slow_start, equal(4), kept)
    slow_start.picker(equal(3), kept)
    clock.now += 100.0
    assert counted(slow_start, equal(4), 400, by=kept) == dict.fromkeys("0123", 100)


def test_who_was_gone_and_comes_back_is_new(clock: Clock, kept: Loads) -> None:
    slow_start = policy()
    seen(slow_start, equal(4), kept)
    seen(slow_start, equal(3), kept)
    clock.now += 100.0
    kept.table.retain(equal(4).instances, unused_for=300.0)
    assert counted(slow_start, equal(4), 400, by=kept)["3"] < 40


def test_when_all_are_new_the_oldest_take_the_calls(clock: Clock, kept: Loads) -> None:
    slow_start = policy(window=40.0)
    seen(slow_start, snapshot(), kept)
    seen(slow_start, equal(1), kept)
    clock.now += 20.0
    found = counted(slow_start, equal(2), CALLS, by=kept)
    low, high = within(0.1 / 2, CALLS)
    assert low <= found["1"] <= high
    found = counted(slow_start, snapshot(instance(7), instance(8)), 100, by=kept)
    assert found == {"7": 50, "8": 50}


def test_keys_come_to_a_new_instance_and_stay(clock: Clock, kept: Loads) -> None:
    slow_start = SlowStart(window=40.0, inner="consistent_hash")
    seen(slow_start, equal(3), kept)
    pick = slow_start.picker(equal(4), kept)
    keys = [f"user-{number}" for number in range(500)]
    home: set[str] = set()
    for age in range(0, 45, 5):
        clock.now = 500.0 + age
        now_home = {key for key in keys if picks(pick, 1, key) == ["3"]}
        assert home <= now_home
        home = now_home
    assert 60 < len(home) < 200


def test_its_options_decide(clock: Clock, kept: Loads) -> None:
    slow_start = open_balancer("slow_start?window=1m&minimum=50%&inner=random")
    assert isinstance(slow_start, SlowStart)
    seen(slow_start, equal(1), kept)
    pick = slow_start.picker(equal(2), kept)
    low, high = within(0.5 / 2, CALLS)
    assert low <= picks(pick, CALLS).count("1") <= high
    clock.now += 45.0
    low, high = within(0.75 / 2, CALLS)
    assert low <= picks(pick, CALLS).count("1") <= high


def test_the_inner_policy_says_whether_it_needs_outcomes() -> None:
    assert SlowStart(inner=LeastConnections()).needs_outcomes
    assert not SlowStart().needs_outcomes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow_start?window=0", 'window of the balancer slow_start is "0"; give a duration above 0'),
        ("slow_start?window=soon", 'window of the balancer slow_start is "soon"; give a duration such as 30s'),
        ("slow_start?minimum=2", 'minimum of the balancer slow_start is "2"; give a number between 0 and 1'),
    ],
)
def test_what_cannot_be_right_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        open_balancer(text)


def test_arguments_are_checked_too() -> None:
    with pytest.raises(SettingsError, match="window of the balancer slow_start"):
        SlowStart(window=0.0)
    with pytest.raises(SettingsError, match="minimum of the balancer slow_start"):
        SlowStart(minimum=-0.1)
