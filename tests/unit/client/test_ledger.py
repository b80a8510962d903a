"""What is believed about a service, given what the backend said and when."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from homeport.client.ledger import RESET, Ledger
from homeport.instance_order import exchanged
from homeport.model import Instance
from homeport.spi import Cursor, Observed
from tests.unit.client.scripted_backend import instance

A, B, C = instance("a"), instance("b"), instance("c")


def observed(*instances: Instance, position: int = 1, store: str = "one", reset: bool = False) -> Observed:
    return Observed(instances=instances, cursor=Cursor(position=position, store=store), reset=reset)


def ledger_with(*instances: Instance) -> Ledger:
    ledger = Ledger(reset_grace=60)
    assert ledger.observed(observed(*instances), now=0, wall=1000)
    return ledger


def test_nothing_is_believed_before_the_first_answer() -> None:
    assert Ledger(reset_grace=60).belief is None


def test_an_empty_first_answer_is_believed() -> None:
    belief = ledger_with().belief
    assert belief is not None
    assert belief.instances == ()
    assert belief.stale_since is None


def test_an_empty_answer_that_the_backend_states_is_believed() -> None:
    ledger = ledger_with(A, B)
    assert ledger.observed(observed(position=2), now=1, wall=1001)
    assert ledger.belief is not None
    assert ledger.belief.instances == ()
    assert ledger.belief.stale_since is None


def test_the_same_set_in_another_order_is_no_change() -> None:
    ledger = ledger_with(A, B)
    assert not ledger.observed(observed(B, A, position=2), now=1, wall=1001)


def test_a_failure_before_the_first_answer_leaves_nothing_to_believe() -> None:
    ledger = Ledger(reset_grace=60)
    assert not ledger.failed("down", wall=1)
    assert ledger.belief is None


def test_a_failure_keeps_the_set_and_says_since_when_and_why() -> None:
    ledger = ledger_with(A)
    assert ledger.failed("down", wall=1005)
    assert ledger.belief is not None
    assert (ledger.belief.instances, ledger.belief.stale_since, ledger.belief.reason) == ((A,), 1005, "down")


def test_a_second_failure_is_no_news() -> None:
    ledger = ledger_with(A)
    ledger.failed("connection refused", wall=1005)
    assert not ledger.failed("no answer within 10 s", wall=1006)
    assert ledger.belief is not None
    assert (ledger.belief.stale_since, ledger.belief.reason) == (1005, "connection refused")


def test_the_same_set_after_a_failure_is_a_change_because_it_is_confirmed_again() -> None:
    ledger = ledger_with(A)
    ledger.failed("down", wall=1005)
    assert ledger.observed(observed(A, position=1), now=9, wall=1009)
    assert ledger.belief is not None
    assert (ledger.belief.stale_since, ledger.belief.reason) == (None, "")


def test_an_answer_that_was_overtaken_changes_nothing() -> None:
    ledger = ledger_with(A)
    ledger.observed(observed(A, B, position=5), now=1, wall=1001)
    assert not ledger.observed(observed(A, position=4), now=2, wall=1002)
    assert ledger.belief is not None
    assert ledger.belief.instances == (A, B)


def test_positions_of_other_data_are_not_compared() -> None:
    ledger = ledger_with(A)
    ledger.observed(observed(A, B, position=5), now=1, wall=1001)
    assert ledger.observed(observed(C, position=2, store="other"), now=2, wall=1002)


def test_a_reset_to_nothing_keeps_the_last_set_as_stale() -> None:
    ledger = ledger_with(A, B)
    assert ledger.observed(observed(store="two", reset=True), now=10, wall=1010)
    assert ledger.belief is not None
    assert (ledger.belief.instances, ledger.belief.stale_since, ledger.belief.reason) == ((A, B), 1010, RESET)


def test_a_reset_with_the_same_set_is_not_even_noticed() -> None:
    ledger = ledger_with(A, B)
    assert not ledger.observed(observed(A, B, store="two", reset=True), now=10, wall=1010)


def test_after_a_reset_those_who_are_back_are_current_and_those_who_are_not_are_kept() -> None:
    ledger = ledger_with(A, B)
    ledger.observed(observed(store="two", reset=True), now=10, wall=1010)
    changed = instance("a", tags=("new",))
    assert ledger.observed(observed(changed, C, store="two", position=2), now=11, wall=1011)
    assert ledger.belief is not None
    assert (ledger.belief.instances, ledger.belief.reason) == ((changed, B, C), RESET)
    assert ledger.belief.stale_since == 1010


def test_when_all_are_back_the_set_is_fresh() -> None:
    ledger = ledger_with(A, B)
    ledger.observed(observed(store="two", reset=True), now=10, wall=1010)
    assert ledger.observed(observed(A, B, store="two", position=3), now=12, wall=1012)
    assert ledger.belief is not None
    assert (ledger.belief.stale_since, ledger.belief.reason) == (None, "")
    assert ledger.grace_ends_at is None


def test_who_comes_back_at_the_same_address_under_another_id_is_back() -> None:
    ledger = ledger_with(A)
    ledger.observed(observed(store="two", reset=True), now=10, wall=1010)
    reborn = instance("zzz", address=A.address, port=A.port)
    assert ledger.observed(observed(reborn, store="two", position=3), now=12, wall=1012)
    assert ledger.belief is not None
    assert (ledger.belief.instances, ledger.belief.stale_since) == ((reborn,), None)


def test_when_the_grace_has_passed_what_the_backend_states_is_believed() -> None:
    ledger = ledger_with(A, B)
    ledger.observed(observed(A, store="two", reset=True), now=10, wall=1010)
    assert not ledger.grace_passed(now=69.9, wall=1069)
    assert ledger.grace_passed(now=70, wall=1070)
    assert ledger.belief is not None
    assert (ledger.belief.instances, ledger.belief.stale_since) == ((A,), None)


def test_the_grace_does_not_end_while_the_backend_is_out_of_reach() -> None:
    ledger = ledger_with(A)
    ledger.observed(observed(store="two", reset=True), now=10, wall=1010)
    assert ledger.failed("down", wall=1020)
    assert not ledger.grace_passed(now=80, wall=1080)
    assert ledger.belief is not None
    assert (ledger.belief.instances, ledger.belief.stale_since, ledger.belief.reason) == ((A,), 1010, "down")
    assert ledger.observed(observed(store="two", position=4), now=90, wall=1090)
    assert ledger.belief.instances == ()


events = st.lists(
    st.one_of(
        st.tuples(
            st.just("observed"),
            st.lists(st.sampled_from([A, B, C]), unique_by=lambda one: one.id).map(tuple),
            st.booleans(),
        ),
        st.tuples(st.just("failed"), st.sampled_from(["x", "y"])),
        st.tuples(st.just("time"), st.floats(0, 100)),
    ),
    max_size=30,
)


@given(events)
def test_rules_that_always_hold(script: list[tuple[Any, ...]]) -> None:
    ledger = Ledger(reset_grace=60)
    now, position = 0.0, 1
    stated: list[tuple[Instance, ...]] = []
    for step in script:
        before = ledger.belief
        now += 1
        match step:
            case ("observed", instances, reset):
                position += 1
                stated.append(tuple(sorted(instances, key=lambda one: one.id)))
                changed = ledger.observed(observed(*instances, position=position, reset=reset), now=now, wall=now)
            case ("failed", reason):
                changed = ledger.failed(reason, wall=now)
            case ("time", seconds):
                now += seconds
                changed = ledger.grace_passed(now=now, wall=now)
            case _:
                raise AssertionError(step)
        assert changed == (ledger.belief != before)
        if changed and before is not None and ledger.belief is not None:
            change = ledger.belief.change
            if change is not None and change.before is before.instances:
                assert exchanged(before.instances, change.removed, change.added) == ledger.belief.instances
            else:
                assert ledger.belief.instances == before.instances
        if ledger.belief is None:
            continue
        # What counts as fresh was stated in exactly this form, and so was an empty set.
        if ledger.belief.stale_since is None or not ledger.belief.instances:
            assert ledger.belief.instances in stated
        assert (ledger.belief.stale_since is None) == (ledger.belief.reason == "")


def test_what_is_as_before_is_no_news_even_as_other_objects() -> None:
    ledger = ledger_with(A, B)
    before = ledger.belief
    assert not ledger.observed(observed(instance("b"), instance("a"), position=2), now=1, wall=1001)
    assert ledger.belief is before
    changed = instance("b", weight=7)
    assert ledger.observed(observed(changed, instance("a"), position=3), now=2, wall=1002)
    assert ledger.belief is not None
    assert ledger.belief.change is not None
    assert ledger.belief.instances[0] is A
    assert (list(ledger.belief.change.removed), list(ledger.belief.change.added)) == ([B], [changed])
