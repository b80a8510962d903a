"""Instances are put in order at a cost that grows with what changed."""

from hypothesis import given
from hypothesis import strategies as st

from homeport.client.instance_order import InstanceOrder, in_order
from homeport.model import Instance


def instance(number: int, *, node: str = "", weight: int = 1) -> Instance:
    return Instance(id=f"i-{number}", service="s", address="10.0.0.1", port=number, node=node, weight=weight)


INSTANCES = st.builds(instance, st.integers(0, 5), node=st.sampled_from(["", "a", "b"]), weight=st.integers(1, 2))


@given(st.lists(st.lists(INSTANCES, max_size=6), max_size=6))
def test_whatever_comes_after_whatever_is_in_order(answers: list[list[Instance]]) -> None:
    order = InstanceOrder()
    for answer in answers:
        assert order.of(tuple(answer)) == in_order(answer)


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
    assert order.of(answer) is order.of((*answer,))
