"""Round robin: everybody in turn, through all snapshots."""

import threading
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import Loads, LoadTable, open_balancer
from homeport.balancing.round_robin import RoundRobin
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


def test_threads_together_are_as_exact_as_one() -> None:
    pick = RoundRobin().picker(snapshot(*names(4)), Loads(LoadTable()))
    results: list[Counter[str]] = []

    def work() -> None:
        results.append(Counter(chosen.id for _ in range(2000) if (chosen := pick(None))))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results, Counter()) == dict.fromkeys(names(4), 4000)


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
