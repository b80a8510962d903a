"""Consistent hashing: keys stay, only those of who comes or goes move, and nobody has more than its bound."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from random import Random as Source
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.balancing import Loads, Picker, consistent_hash, open_balancer
from homeport.balancing.consistent_hash import ConsistentHash
from homeport.errors import SettingsError
from homeport.model import Snapshot

from .fleet import busy, counted, equal, instance, loads, picks, snapshot, weighing

ROOT = Path(__file__).parents[3]
KEYS = [f"user-{number}" for number in range(4000)]


def homes(among: Snapshot, by: Loads | None = None) -> dict[str, str]:
    """Where each key belongs when nobody is busy."""
    pick = ConsistentHash().picker(among, by or loads())
    return {key: picks(pick, 1, key)[0] for key in KEYS}


def test_a_key_has_its_instance_whatever_the_order_and_the_process() -> None:
    members = [instance(name) for name in range(12)]
    assert homes(snapshot(*members)) == homes(snapshot(*reversed(members)))
    code = (
        "from tests.unit.balancing.fleet import *; from homeport.balancing.consistent_hash import ConsistentHash;"
        "pick = ConsistentHash().picker(equal(12), loads());"
        "print(' '.join(picks(pick, 1, f'user-{n}')[0] for n in range(50)))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    here = homes(equal(12))
    assert elsewhere.stdout.split() == [here[key] for key in KEYS[:50]]


@settings(max_examples=15)
@given(st.integers(2, 30), st.data())
def test_when_one_goes_only_its_keys_move_and_they_spread(size: int, data: st.DataObject) -> None:
    members = [instance(name) for name in range(size)]
    gone = data.draw(st.sampled_from(members))
    before, after = homes(snapshot(*members)), homes(snapshot(*(one for one in members if one is not gone)))
    moved = {key for key in KEYS if before[key] != after[key]}
    assert moved == {key for key in KEYS if before[key] == gone.id}
    assert len(moved) <= len(KEYS) / size * 1.6
    if size > 8:
        assert len({after[key] for key in moved}) > size / 3


@settings(max_examples=25)
@given(st.lists(st.sets(st.integers(0, 30), min_size=1), min_size=2, max_size=6))
def test_a_ring_that_is_kept_is_as_good_as_a_new_one(fleets: list[set[int]]) -> None:
    kept = loads()
    for fleet in fleets:
        among = snapshot(*(instance(name) for name in sorted(fleet)))
        assert homes(among, kept) == homes(among)


def test_a_newcomer_costs_no_more_than_its_own_points(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def points(endpoint: str, number: int) -> Iterator[int]:
        hashed.append(endpoint)
        return original(endpoint, number)

    original = consistent_hash._points
    monkeypatch.setattr(consistent_hash, "_points", points)
    kept = loads()
    members = [instance(name) for name in range(12)]
    ConsistentHash().picker(snapshot(*members), kept)
    assert len(hashed) == 12
    ConsistentHash().picker(snapshot(*members[1:], instance(50)), kept)
    assert hashed[12:] == [instance(50).endpoint]


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_points_the_same_comes_first_whoever_came_first(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Same:
        """A hash that gives everybody the same points."""

        def __init__(self, name: bytes) -> None:
            del name

        def digest(self, size: int) -> bytes:
            return bytes(number // 4 % 256 for number in range(size))

    monkeypatch.setattr(consistent_hash, "shake_128", Same)
    kept = loads()
    members = [instance(name) for name in range(4)][::order]
    ConsistentHash().picker(snapshot(*members[:3]), kept)
    assert set(homes(snapshot(*members), kept).values()) == {
        min(members, key=lambda one: crc32(one.endpoint.encode()) & 0xFF).id
    }


def test_shares_are_even_and_by_weight() -> None:
    found = Counter(homes(equal(10)).values())
    assert all(0.7 <= found[str(place)] * 10 / len(KEYS) <= 1.3 for place in range(10))
    found = Counter(homes(weighing(1, 2, 4, 0)).values())
    assert 0.7 <= found["0"] * 7 / len(KEYS) <= 1.3
    assert 0.8 <= found["1"] * 3.5 / len(KEYS) <= 1.2
    assert found["3"] == 0
    assert len(set(homes(weighing(0, 0)).values())) == 2


@pytest.mark.parametrize("bound", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("weights", [(1,) * 6, (1, 2, 3, 4)])
def test_no_instance_has_more_than_its_bound(bound: float, weights: tuple[int, ...]) -> None:
    kept = loads()
    pick = ConsistentHash(bound=bound).picker(weighing(*weights), kept)
    for number in range(1, 200):
        busy(kept, {picks(pick, 1, "the one hot key")[0]: 1})
        for place, weight in enumerate(weights):
            share = bound * number * weight / sum(weights)
            assert kept.of(instance(place).endpoint).in_flight <= ceil(share - 1e-9)


def test_the_bound_holds_in_a_large_service_nearly_as_well() -> None:
    kept = loads()
    pick = ConsistentHash(bound=1.25).picker(equal(100), kept)
    for _ in range(1000):
        busy(kept, {picks(pick, 1, "the one hot key")[0]: 1})
    # The calls under way are counted anew every 12 choices, so the mean may be taken for 0.12 more than it is.
    assert max(load.in_flight for load in kept.table.values()) <= ceil(1.25 * 10.12)


def test_calls_that_have_ended_are_soon_no_longer_counted() -> None:
    kept = loads()
    pick = ConsistentHash(bound=1.25).picker(equal(100), kept)
    for _ in range(3000):
        load = kept.of(instance(picks(pick, 1, "the one hot key")[0]).endpoint)
        kept.table.begin(load)
    for load in kept.table.values():
        while load.in_flight:
            kept.table.end(load, 0.0, succeeded=True)
    for _ in range(100):
        busy(kept, {picks(pick, 1, "the one hot key")[0]: 1})
    assert max(load.in_flight for load in kept.table.values()) <= 12  # 38 if those of before still counted


def test_the_bound_decides_when_a_key_moves_on() -> None:
    def moved(text: str) -> bool:
        kept = loads()
        home = homes(equal(10))["user-1"]
        busy(kept, {str(place): 10 if str(place) != home else 14 for place in range(10)})
        return picks(open_balancer(text).picker(equal(10), kept), 1, "user-1") != [home]

    assert moved("consistent_hash")
    assert not moved("consistent_hash?bound=1.5")


def test_a_key_that_moved_on_comes_home_when_there_is_room() -> None:
    kept = loads()
    home = homes(equal(5))["user-1"]
    pick = ConsistentHash().picker(equal(5), kept)
    busy(kept, {home: 9})
    away = picks(pick, 5, "user-1")
    assert home not in away
    assert len(set(away)) == 1
    for _ in range(9):
        kept.table.end(kept.of(instance(home).endpoint), 0.0, succeeded=True)
    assert picks(pick, 1, "user-1") == [home]


def test_even_if_everybody_is_beyond_the_bound_somebody_is_called() -> None:
    kept = loads()
    pick: Picker = ConsistentHash(bound=1.0).picker(equal(16), kept)
    picks(pick, 1, "a")  # the calls under way have been counted
    busy(kept, [5] * 16)
    assert picks(pick, 1, "user-1") == [homes(equal(16))["user-1"]]


def test_without_a_key_any_place_is_taken() -> None:
    found = counted(ConsistentHash(random=Source(1).random), equal(5), 5000)
    assert all(600 <= found[str(place)] <= 1400 for place in range(5))


def test_nobody_is_none() -> None:
    assert ConsistentHash().picker(snapshot(), loads())("a") is None


def test_a_bound_below_the_fair_share_cannot_be_kept() -> None:
    with pytest.raises(
        SettingsError, match=r'bound of the balancer consistent_hash is "0\.9"; give a number from 1 on'
    ):
        open_balancer("consistent_hash?bound=0.9")
    with pytest.raises(SettingsError, match=r"bound of the balancer consistent_hash is 0\.5"):
        ConsistentHash(bound=0.5)
    with pytest.raises(SettingsError, match='bound of the balancer consistent_hash is "inf"'):
        open_balancer("consistent_hash?bound=inf")
