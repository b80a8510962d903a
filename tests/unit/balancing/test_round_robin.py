"""Round robin: everybody in turn, through all snapshots."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import Loads, LoadTable, open_balancer
from homeport.balancing.round_robin import RoundRobin
from homeport.errors import SettingsError
from homeport.model import Instance, Snapshot


def snapshot(*names: str) -> Snapshot:
    return Snapshot(
        service="s", instances=tuple(Instance(id=name, service="s", address=f"10.0.0.{name}", port=1) for name in names)
    )


def names(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))


@given(st.integers(1, 20), st.integers(0, 1000), st.integers(0, 100))
def test_everybody_gets_the_same_share(size: int, start: int, rounds: int) -> None:
    pick = RoundRobin().picker(snapshot(*names(size)), Loads(LoadTable(), start=start))
    counted = Counter(chosen.id for _ in range(size * rounds) if (chosen := pick(None)))
    assert set(counted.values()) <= {rounds}


def test_one_follows_the_other() -> None:
    pick = RoundRobin().picker(snapshot(*names(3)), Loads(LoadTable()))
    picks = [chosen.id for _ in range(7) if (chosen := pick("a key changes nothing"))]
    assert all((int(later) - int(earlier)) % 3 == 1 for earlier, later in pairwise(picks))


def test_nobody_is_none() -> None:
    assert RoundRobin().picker(snapshot(), Loads(LoadTable()))(None) is None


def test_the_turn_goes_on_in_the_next_snapshot() -> None:
    loads = Loads(LoadTable())
    picks = set()
    for _ in range(10):
        chosen = RoundRobin().picker(snapshot(*names(10)), loads)(None)
        assert chosen is not None
        picks.add(chosen.id)
    assert picks == set(names(10))


def test_it_is_the_one_of_its_name() -> None:
    assert isinstance(open_balancer("round_robin"), RoundRobin)
    assert isinstance(open_balancer("Round-Robin"), RoundRobin)
    own = RoundRobin()
    assert open_balancer(own) is own
    with pytest.raises(SettingsError, match='"rond_robin" is not a balancer; there is round_robin'):
        open_balancer("rond_robin")
