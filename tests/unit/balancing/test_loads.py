"""Loads: what is counted by address, and when it is forgotten."""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.balancing import Load, Loads, LoadTable
from homeport.instance_order import Change, InstanceOrder
from homeport.model import Instance


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_has_one_load_for_all() -> None:
    table = LoadTable()
    assert Loads(table).of("10.0.0.1:80") is Loads(table).of("10.0.0.1:80")
    assert table.of("10.0.0.1:80") is not table.of("10.0.0.1:81")


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads change as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_calls_of_many_threads_are_all_counted(restless_threads: None) -> None:
    table = LoadTable()
    load = table.of("10.0.0.1:80")

    def work() -> None:
        for number in range(20_000):
            table.end(load, table.begin(load), succeeded=number % 10 > 0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (load.in_flight, load.successes, load.failures) == (0, 72_000, 8_000)
    assert (table.successes, table.failures) == (72_000, 8_000)


def at(address: str) -> Instance:
    return Instance(id=address, service="web", address=address, port=80)


def test_who_is_gone_unused_and_idle_is_forgotten() -> None:
    clock = Clock()
    table = LoadTable(clock)
    stays, goes, busy, recent = (table.of(f"10.0.0.{number}:80") for number in range(4))
    table.begin(busy)
    clock.now = 400.0
    table.end(recent, table.begin(recent), succeeded=True)
    clock.now = 500.0
    table.retain((at("10.0.0.0"),), unused_for=300.0)
    assert table.of("10.0.0.0:80") is stays
    assert table.of("10.0.0.1:80") is not goes
    assert table.of("10.0.0.2:80") is busy
    assert table.of("10.0.0.3:80") is recent


def test_who_was_busy_when_he_went_is_forgotten_when_that_is_long_ago() -> None:
    clock = Clock()
    table = LoadTable(clock)
    table.retain((at("10.0.0.1"),), unused_for=300.0)
    began_at = table.begin(table.of("10.0.0.1:80"))
    for now, known_then in ((400.0, 1), (500.0, 1), (700.0, 1), (800.0, 0)):
        clock.now = now
        if now == 500.0:
            table.end(table.of("10.0.0.1:80"), began_at, succeeded=True)
        table.retain((), unused_for=300.0)
        assert len(table) == known_then


def test_who_is_registered_again_is_not_forgotten() -> None:
    clock = Clock()
    table = LoadTable(clock)
    for registered in ((at("10.0.0.1"),), (), (at("10.0.0.1"),)):
        table.retain(registered, unused_for=300.0)
    load = table.of("10.0.0.1:80")
    clock.now = 1000.0
    table.retain((at("10.0.0.1"),), unused_for=300.0)
    assert table.of("10.0.0.1:80") is load


def ended(table: LoadTable, clock: Clock, took: float, *, succeeded: bool | None = True) -> Load:
    """Make one call of the only address, on a clock that moves by what it takes."""
    load = table.of("10.0.0.1:80")
    began_at = table.begin(load)
    clock.now += took
    table.end(load, began_at, succeeded=succeeded)
    return load


def test_a_rise_of_the_latency_counts_at_once_and_a_fall_little_by_little() -> None:
    clock = Clock()
    table = LoadTable(clock)
    assert ended(table, clock, 1.0, succeeded=None).latency is None
    ended(table, clock, 1.0)
    ended(table, clock, 3.0, succeeded=False)
    assert ended(table, clock, 100.0, succeeded=None).latency == 3.0
    # What is ten seconds old counts half.
    assert ended(table, clock, 1.0).latency == pytest.approx(1.0 + 2.0 * 10 / (10 + 101))


def test_calls_that_end_together_weigh_something() -> None:
    clock = Clock()
    table = LoadTable(clock)
    ended(table, clock, 1.0)
    for _ in range(99):
        ended(table, clock, 0.0)
    load = ended(table, clock, 0.0)
    assert load.latency == pytest.approx(0.95**100)


def test_the_share_of_failures_moves_with_the_outcomes() -> None:
    clock = Clock()
    table = LoadTable(clock)
    load = ended(table, clock, 0.1)
    assert load.failure_share == 0.0
    for number in range(400):
        ended(table, clock, 0.1, succeeded=number % 10 != 0)
    assert load.failure_share == pytest.approx(0.1, abs=0.06)
    for _ in range(200):
        ended(table, clock, 0.1, succeeded=False)
    assert load.failure_share > 0.95
    for _ in range(200):
        ended(table, clock, 0.1)
    assert load.failure_share < 0.05


def test_old_outcomes_weigh_less() -> None:
    def after(pause: float) -> float:
        clock = Clock()
        table = LoadTable(clock)
        for _ in range(100):
            ended(table, clock, 0.1, succeeded=False)
        clock.now += pause
        return ended(table, clock, 0.1).failure_share

    assert after(100.0) < 0.1 < 0.4 < after(10.0) < 0.6 < 0.9 < after(0.0)


def test_failures_in_a_row_are_counted_until_a_success() -> None:
    clock = Clock()
    table = LoadTable(clock)
    for succeeded in (False, False, None):
        ended(table, clock, 0.1, succeeded=succeeded)
    assert ended(table, clock, 0.1, succeeded=False).consecutive_failures == 3
    assert ended(table, clock, 0.1).consecutive_failures == 0


def test_a_call_that_somebody_else_timed_counts_alike_and_without_a_duration_leaves_the_latency_alone() -> None:
    table = LoadTable(Clock())
    load = table.of("10.0.0.1:80")
    table.observe(load, succeeded=False)
    table.observe(load, succeeded=True)
    assert (load.latency, load.successes, load.failures, load.in_flight) == (None, 1, 1, 0)
    table.observe(load, succeeded=True, duration=0.5)
    table.observe(load, succeeded=True)
    assert load.latency == 0.5


def test_an_overtaken_call_shows_slowness_and_nothing_else() -> None:
    clock = Clock()
    table = LoadTable(clock)
    load = ended(table, clock, 0.5)
    table.overtaken(load, clock.now - 0.2)
    assert load.latency == 0.5
    table.overtaken(load, clock.now - 2.0)
    assert (load.latency, load.successes, load.failures) == (2.0, 1, 0)


def test_who_is_registered_counts_before_the_first_call() -> None:
    table = LoadTable()
    table.retain((at("10.0.0.1"),), unused_for=300.0)
    assert table.members == {"10.0.0.1:80"}
    assert len(table) == 1


def test_an_instance_has_the_load_of_its_address_whichever_object_it_is() -> None:
    table = LoadTable()
    one, moved, other = at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3")
    table.retain((one, other), unused_for=300.0)
    assert table.of_instance(one) is table.of("10.0.0.1:80") is table.by_identity[id(one)]
    again = at("10.0.0.1")
    table.retain((again, moved), unused_for=300.0)
    assert table.of_instance(again) is table.of_instance(one) is table.of("10.0.0.1:80")
    assert table.members == {"10.0.0.1:80", "10.0.0.2:80"}
    assert {*table.by_identity} == {id(again), id(moved)}
    assert table.of_instance(other).endpoint == "10.0.0.3:80"


def known(table: LoadTable) -> tuple[set[str], set[str], Mapping[int, str]]:
    """What a table knows: who is registered, whose load it has, and the address of each instance."""
    by_identity = {key: load.endpoint for key, load in table.by_identity.items()}
    return set(table.members), {load.endpoint for load in table.values()}, by_identity


# An id and an address, of which several ids may have one.
REGISTERED = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 4), max_size=6)
STEPS = st.one_of(
    REGISTERED,
    st.tuples(st.sampled_from(["begin", "end", "look"]), st.integers(1, 5)),
    st.floats(1.0, 200.0),
)


@given(st.lists(STEPS, max_size=25))
def test_with_a_change_a_table_knows_what_it_would_know_from_all_instances(
    steps: list[dict[str, int] | tuple[str, int] | float],
) -> None:
    clock = Clock()
    told, plain = LoadTable(clock), LoadTable(clock)
    order, instances = InstanceOrder(), tuple[Instance, ...]()
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        elif isinstance(step, tuple):
            for table in (told, plain):
                load = table.of(f"10.0.0.{step[1]}:80")
                if step[0] == "begin":
                    table.begin(load)
                elif step[0] == "end" and load.in_flight:
                    table.end(load, clock.now, succeeded=True)
        else:
            instances = order.of(
                [Instance(id=name, service="web", address=f"10.0.0.{number}", port=80) for name, number in step.items()]
            )
            told.retain(instances, unused_for=300.0, change=order.change)
            plain.retain(instances, unused_for=300.0)
            assert {*told.by_identity} == {id(one) for one in instances}
            assert told.members == {one.endpoint for one in instances}
        assert known(told) == known(plain)
    assert all(told.of_instance(one) is told.of(one.endpoint) for one in instances)


class Untouchable(Sequence[Instance]):
    """Instances that nobody is to look at."""

    def __getitem__(self, place: object) -> Instance:  # type: ignore[override]
        raise AssertionError(f"{place} was looked at")

    def __len__(self) -> int:
        return 10_000


def test_a_change_costs_what_changed() -> None:
    table = LoadTable()
    before = tuple(at(f"10.0.0.{number}") for number in range(3))
    table.retain(before, unused_for=300.0)
    came = at("10.0.0.9")
    table.retain(Untouchable(), unused_for=300.0, change=Change(before=before, removed=before[:1], added=(came,)))
    assert table.members == {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.9:80"}
    assert table.of_instance(came) is table.of("10.0.0.9:80")


def test_a_change_of_another_set_is_not_applied() -> None:
    table = LoadTable()
    table.retain((at("10.0.0.1"), at("10.0.0.2")), unused_for=300.0)
    strangers = (at("10.0.0.3"),)
    now = (*strangers, came := at("10.0.0.4"))
    table.retain(now, unused_for=300.0, change=Change(before=strangers, removed=(), added=(came,)))
    assert table.members == {"10.0.0.3:80", "10.0.0.4:80"}
