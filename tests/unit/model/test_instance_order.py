"""Instances are put in order, and sets of them compared, at a cost that grows with what changed."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport import instance_order
from homeport.instance_order import Change, InstanceOrder, exchanged, in_order
from homeport.model import Instance


def instance(number: int, *, node: str = "", weight: int = 1) -> Instance:
    return Instance(id=f"i-{number:05}", service="s", address="10.0.0.1", port=number, node=node, weight=weight)


INSTANCES = st.builds(instance, st.integers(0, 5), node=st.sampled_from(["", "a", "b"]), weight=st.integers(1, 2))
SETS = st.lists(INSTANCES, max_size=6, unique_by=lambda one: (one.id, one.node))


def by_id_and_node(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(instances, key=lambda one: (one.id, one.node)))


@given(st.lists(st.lists(INSTANCES, max_size=6), max_size=6))
def test_whatever_comes_after_whatever_is_in_order(answers: list[list[Instance]]) -> None:
    order = InstanceOrder()
    for answer in answers:
        assert order.of(tuple(answer)) == in_order(answer) == by_id_and_node(answer)


def explained(before: tuple[Instance, ...], after: tuple[Instance, ...], change: Change | None) -> None:
    """A change leads from one set to the other, and nothing else is another object than before."""
    if change is None:
        return
    assert change.before is before
    assert exchanged(before, change.removed, change.added) == after
    for one in change.removed:
        assert any(one is other for other in before)
        assert not any(one is other for other in after)
    known = {id(one) for one in before}
    assert [one for one in after if id(one) not in known] == list(change.added)


@given(st.lists(SETS, max_size=6))
def test_a_change_leads_from_one_set_to_the_next(answers: list[list[Instance]]) -> None:
    order, before = InstanceOrder(), tuple[Instance, ...]()
    for answer in answers:
        after = order.of(tuple(answer))
        explained(before, after, order.change)
        assert (order.change is None) == (after == before)  # so few can always be told
        before = after


# A set larger than what is compared at once, and all kinds of changes in it: a place, and what happens there.
SIZE = 300
CHANGES = st.dictionaries(st.integers(0, SIZE + 20), st.sampled_from(["gone", "other", "equal"]), max_size=30)


@given(st.lists(CHANGES, min_size=1, max_size=4), st.booleans())
def test_few_changes_among_many_are_told_and_many_are_not(rounds: list[dict[int, str]], backwards: bool) -> None:
    order = InstanceOrder()
    now = {number: instance(number) for number in range(SIZE)}
    before = order.of(tuple(now.values())[:: -1 if backwards else 1])
    for turn, changes in enumerate(rounds, 2):
        told = 0
        for number, what in changes.items():
            known = now.pop(number, None)
            if what == "equal" and known is not None:
                now[number] = instance(number, weight=known.weight)
            elif what != "gone":
                now[number] = instance(number, weight=turn)
                told += 1 if known is None else 2
            else:
                told += known is not None
        given_now = [now[number] for number in sorted(now, reverse=backwards)]
        after = order.of(tuple(given_now))
        assert after == by_id_and_node(given_now)
        explained(before, after, order.change)
        if told:
            assert (order.change is not None) == (told <= 16 + len(before) // 32)
        else:
            assert after is before
        before = after


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=4))
def test_those_that_change_keep_their_places(given_in: list[int], changes: list[int]) -> None:
    order, now = InstanceOrder(), [instance(number) for number in given_in]
    order.of(tuple(now))
    for turn, place in enumerate(changes, 2):
        now[place] = instance(given_in[place], weight=turn)
        found = order.of(tuple(now))
        assert found == in_order(now)
        assert all(any(one is other for other in now) for one in found)


def test_what_is_the_same_is_the_same_object() -> None:
    order = InstanceOrder()
    answer = (instance(2), instance(1))
    before = order.of(answer)
    assert before is order.of((*answer,)) is order.of((instance(2), instance(1)))
    after = order.of((instance(2), instance(1, weight=2)))
    assert after[1] is before[1]


def test_ids_that_are_not_unique_at_their_node_are_put_in_order_and_no_change_is_told() -> None:
    order = InstanceOrder()
    twice = (instance(1), instance(1, weight=2))
    for answer in ((instance(0),), twice, (*twice, instance(2)), (instance(3), *twice)):
        order.of((instance(0),))
        assert order.of(answer) == in_order(answer)
        assert order.change is None


@pytest.mark.parametrize("backwards", [False, True])
def test_nothing_is_sorted_when_little_changed(monkeypatch: pytest.MonkeyPatch, backwards: bool) -> None:
    order, given_first = InstanceOrder(), [instance(number) for number in range(SIZE)][:: -1 if backwards else 1]
    order.of(tuple(given_first))

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("sorted")

    monkeypatch.setattr(instance_order, "_arrangement", refuse)
    given_first[3] = instance(given_first[3].port, weight=9)
    assert order.of(tuple(given_first)) == by_id_and_node(given_first)
    if not backwards:  # what is in order may also come and go
        del given_first[280]
        given_first.insert(5, instance(4, node="z"))
        assert order.of(tuple(given_first)) == by_id_and_node(given_first)


@given(SETS, SETS)
def test_an_exchange_is_what_a_new_set_would_be(before: list[Instance], after: list[Instance]) -> None:
    gone = [one for one in before if one not in after]
    come = [one for one in after if one not in before]
    for padding in ((), tuple(instance(number) for number in range(100, 1000))):  # short, or not, for its size
        assert exchanged(in_order((*before, *padding)), gone, come) == by_id_and_node((*after, *padding))
    assert exchanged(in_order(before), before, come) == by_id_and_node(come)
