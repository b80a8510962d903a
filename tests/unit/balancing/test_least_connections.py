"""Least connections: the calls under way decide, by weight."""

from random import Random as Source

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import open_balancer
from homeport.balancing.least_connections import LeastConnections
from homeport.errors import SettingsError

from .fleet import busy, counted, equal, instance, loads, picks, snapshot, weighing, within


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=16), st.integers())
def test_nobody_has_less_for_its_weight_than_the_chosen(members: list[tuple[int, int]], seed: int) -> None:
    kept = loads()
    busy(kept, [calls for calls, _ in members])
    pick = LeastConnections(random=Source(seed).random).picker(weighing(*(weight for _, weight in members)), kept)
    chosen = pick(None)
    assert chosen is not None
    calls, weight = members[int(chosen.id)]
    assert calls / weight == min(calls / weight for calls, weight in members)


def test_calls_that_stay_are_spread_by_weight() -> None:
    kept = loads()
    pick = LeastConnections(random=Source(1).random).picker(weighing(1, 2, 5, 0), kept)
    for _ in range(80):
        busy(kept, {picks(pick, 1)[0]: 1})
    assert [kept.of(instance(place).endpoint).in_flight for place in range(4)] == [10, 20, 50, 0]


def test_idle_instances_share_calls_by_weight() -> None:
    found = counted(LeastConnections(random=Source(2).random), weighing(1, 3), 10_000)
    low, high = within(1 / 4, 10_000)
    assert low < found["0"] < high


def test_all_with_weight_0_are_alike() -> None:
    assert set(counted(LeastConnections(), weighing(0, 0), 100)) == {"0", "1"}


def test_of_many_it_looks_at_as_many_as_it_is_told() -> None:
    def load_of_the_worst(choices: int) -> int:
        kept = loads()
        pick = LeastConnections(choices=choices, random=Source(3).random).picker(equal(200), kept)
        for _ in range(200 * 10):
            busy(kept, {picks(pick, 1)[0]: 1})
        return max(load.in_flight for load in kept.table.values())

    assert load_of_the_worst(200) == 10
    assert load_of_the_worst(16) <= 12 < load_of_the_worst(2)


def test_choices_come_from_the_text_too() -> None:
    kept = loads()
    busy(kept, [0, *[1] * 49])
    few, all_of_them = (open_balancer(f"least_connections?choices={number}") for number in (2, 50))
    assert set(picks(all_of_them.picker(equal(50), kept), 100)) == {"0"}
    assert len(set(picks(few.picker(equal(50), kept), 100))) > 10
    for wrong in ("1", "many", "2.5"):
        with pytest.raises(SettingsError, match=f'choices of the balancer least_connections is "{wrong}"'):
            open_balancer(f"least_connections?choices={wrong}")
    with pytest.raises(SettingsError, match="choices of the balancer least_connections is 0"):
        LeastConnections(choices=0)


def test_nobody_is_none_and_a_bare_pick_is_refused() -> None:
    policy = open_balancer("least_conn")
    assert isinstance(policy, LeastConnections)
    assert policy.picker(snapshot(), loads())(None) is None
    assert policy.needs_outcomes
