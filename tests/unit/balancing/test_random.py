"""Random and weighted random: shares by chance, checked against the spread that chance has."""

from random import Random as Source

import pytest

from homeport.balancing import open_balancer
from homeport.balancing.random import Random
from homeport.balancing.weighted_random import WeightedRandom

from .fleet import counted, equal, snapshot, weighing, within

CALLS = 20_000


def test_random_gives_everybody_the_same_share() -> None:
    found = counted(Random(random=Source(1).random), equal(7), CALLS)
    low, high = within(1 / 7, CALLS)
    assert len(found) == 7
    assert all(low < number < high for number in found.values())


def test_random_does_not_go_round() -> None:
    found = counted(Random(random=Source(2).random), equal(7), CALLS)
    assert max(found.values()) - min(found.values()) > 1


def test_random_leaves_weights_alone() -> None:
    found = counted(Random(random=Source(3).random), weighing(0, 100), CALLS)
    low, high = within(1 / 2, CALLS)
    assert low < found["0"] < high


def test_weighted_random_obeys_the_weights() -> None:
    weights = (1, 2, 3, 10)
    found = counted(WeightedRandom(random=Source(4).random), weighing(*weights), CALLS)
    for place, weight in enumerate(weights):
        low, high = within(weight / 16, CALLS)
        assert low < found[str(place)] < high


def test_weighted_random_gives_nothing_to_weight_0_unless_all_have_it() -> None:
    assert set(counted(WeightedRandom(), weighing(0, 1, 0, 5), 2000)) == {"1", "3"}
    found = counted(WeightedRandom(random=Source(5).random), weighing(0, 0, 0), 3000)
    low, high = within(1 / 3, 3000)
    assert all(low < found[name] < high for name in "012")


@pytest.mark.parametrize("edge", [0.0, 1 - 2**-53])
def test_no_number_of_the_source_leads_beyond_the_last(edge: float) -> None:
    for policy in (Random(random=lambda: edge), WeightedRandom(random=lambda: edge)):
        assert len(counted(policy, weighing(3, 5, 9), 1)) == 1


@pytest.mark.parametrize("name", ["random", "weighted_random"])
def test_nobody_is_none(name: str) -> None:
    assert not counted(open_balancer(name), snapshot(), 1)
