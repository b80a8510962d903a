"""Transitions of the store as rows of the longer history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from homeport.model import Status
from homeport.registry.catalog import Catalog
from homeport.registry.checks import KEPT_TRANSITIONS
from homeport.registry.health.transitions import new_transitions
from homeport.registry.records import Entry, HistoryRecord, Transition
from homeport.registry.store.memory_image import Change, MemoryImage
from homeport.registry.topics import Wakeups

CATALOG = Catalog(MemoryImage(), Wakeups())


def entry(transitions: tuple[Transition, ...]) -> Entry:
    return Entry("hist/n/c", HistoryRecord(node="n", check_id="c", transitions=transitions), 1, 1)


def added(before: tuple[Transition, ...] | None, after: tuple[Transition, ...]) -> list[float]:
    change = Change(None if before is None else entry(before), entry(after))
    return [past.at for past in new_transitions(CATALOG, change)]


def turns(*times: float) -> tuple[Transition, ...]:
    statuses: tuple[Status, ...] = ("critical", "passing")
    return tuple(Transition(at, statuses[int(at) % 2]) for at in times)


def test_only_what_is_new_is_added() -> None:
    assert added(None, turns(1, 2)) == [1, 2]
    assert added(turns(1, 2), turns(1, 2, 3, 4)) == [3, 4]
    assert added(turns(1, 2), turns(1, 2)) == []


def test_a_gap_adds_all() -> None:
    assert added(turns(1, 2), turns(7, 8)) == [7, 8]


def test_a_removed_history_adds_nothing() -> None:
    assert new_transitions(CATALOG, Change(entry(turns(1)), None)) == []


@given(st.integers(1, 60), st.integers(1, 10))
def test_a_sliding_history_misses_and_repeats_nothing(total: int, step: int) -> None:
    seen: list[float] = []
    before: tuple[Transition, ...] | None = None
    for upto in [*range(1, total, step), total]:
        after = turns(*range(max(1, upto - KEPT_TRANSITIONS + 1), upto + 1))
        seen += added(before, after)
        before = after
    assert seen == list(range(1, total + 1))
