"""Weighted round robin: exact shares, evenly spread, and a turn that outlives snapshots and threads."""

import threading
from collections import Counter
from itertools import pairwise
from math import ceil, gcd

from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import open_balancer
from homeport.balancing.weighted_round_robin import WeightedRoundRobin

from .fleet import counted, equal, instance, loads, picks, snapshot, weighing

POLICY = WeightedRoundRobin()
weights = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@given(weights, st.integers(1, 4))
def test_every_round_is_exact(given_weights: list[int], rounds: int) -> None:
    divisor = gcd(*given_weights)
    turns = [weight // divisor for weight in given_weights]
    found = counted(POLICY, weighing(*given_weights), sum(turns) * rounds)
    assert found == {str(place): number * rounds for place, number in enumerate(turns)}


@given(weights)
def test_between_two_turns_of_one_the_others_have_their_share(given_weights: list[int]) -> None:
    divisor = gcd(*given_weights)
    turns = [weight // divisor for weight in given_weights]
    order = picks(POLICY.picker(weighing(*given_weights), loads()), 2 * sum(turns) + 1)
    for place, own in enumerate(turns):
        mine = [position for position, name in enumerate(order) if name == str(place)]
        for earlier, later in pairwise(mine):
            between = Counter(order[earlier + 1 : later])
            for other, others in enumerate(turns):
                if other != place:
                    assert others // own <= between[str(other)] <= ceil(others / own)


def test_weight_0_gets_nothing_unless_all_have_it() -> None:
    assert counted(POLICY, weighing(0, 1, 2), 9) == {"1": 3, "2": 6}
    assert counted(POLICY, weighing(0, 0), 10) == {"0": 5, "1": 5}


def test_nobody_is_none() -> None:
    assert POLICY.picker(snapshot(), loads())(None) is None


def test_shares_stay_exact_when_every_call_has_a_snapshot_of_its_own() -> None:
    kept = loads()
    found: Counter[str] = Counter()
    for _ in range(6 * 5):
        found.update(picks(POLICY.picker(weighing(1, 2, 3), kept), 1))
    assert found == {"0": 5, "1": 10, "2": 15}


def test_the_turn_goes_on_when_somebody_comes_or_goes() -> None:
    kept = loads()
    everybody = [instance(name) for name in range(10)]
    order = picks(POLICY.picker(snapshot(*everybody), kept), 10)
    taken = picks(POLICY.picker(snapshot(*everybody), kept), 4)
    assert taken == order[:4]
    gone = order[1]
    following = picks(POLICY.picker(snapshot(*(one for one in everybody if one.id != gone)), kept), 6)
    assert following == order[4:]
    back = picks(POLICY.picker(snapshot(*everybody), kept), 10)
    assert back == order


def test_nobody_starves_while_membership_changes_all_the_time() -> None:
    kept = loads()
    found: Counter[str] = Counter()
    for step in range(900):
        coming_and_going = [instance(100 + step % 3)]
        found.update(picks(POLICY.picker(snapshot(*equal(8).instances, *coming_and_going), kept), 1))
    assert all(found[str(place)] >= 900 // 9 - 1 for place in range(8))


def test_threads_together_are_as_exact_as_one() -> None:
    pick = POLICY.picker(weighing(1, 2, 5), loads())
    results: list[Counter[str]] = []

    def work() -> None:
        results.append(Counter(picks(pick, 2000)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results, Counter()) == {"0": 2000, "1": 4000, "2": 10_000}


def test_huge_weights_cost_no_more_than_a_bounded_round() -> None:
    found = counted(POLICY, weighing(65535, 32768, 1), 4096)
    assert 2720 <= found["0"] <= 2740
    assert 1355 <= found["1"] <= 1375
    assert 1 <= found["2"] <= 2


def test_it_has_its_name() -> None:
    assert isinstance(open_balancer("weighted_round_robin"), WeightedRoundRobin)
    assert not POLICY.needs_outcomes
