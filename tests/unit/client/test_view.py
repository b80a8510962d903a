"""What beliefs answer to a query is the same whether they come one after the other or alone."""

from hypothesis import given
from hypothesis import strategies as st

from homeport.client.ledger import Belief
from homeport.client.selection import Selection
from homeport.client.view import View
from homeport.instance_order import InstanceOrder
from homeport.model import Instance, Query, Status
from tests.unit.client.scripted_backend import instance

STATUSES: tuple[Status, ...] = ("passing", "warning", "critical")
INSTANCES = st.builds(
    lambda name, status, tags, version: instance(name, status=status, tags=tags, version=version),
    st.sampled_from("abcdefgh"),
    st.sampled_from(STATUSES),
    st.sampled_from([(), ("eu",)]),
    st.sampled_from(["1.0", "2.0"]),
)
SETS = st.lists(INSTANCES, max_size=8, unique_by=lambda one: one.id)
QUERIES = st.builds(
    lambda tags, version, healthy: Query(service="billing", tags=tags, version=version, healthy=healthy),
    st.sampled_from([(), ("eu",)]),
    st.sampled_from(["", ">=2"]),
    st.booleans(),
)


@given(QUERIES, st.lists(st.tuples(SETS, st.booleans(), st.booleans()), max_size=8))
def test_one_belief_after_the_other_is_answered_as_each_alone(
    query: Query, beliefs: list[tuple[list[Instance], bool, bool]]
) -> None:
    """Protected or not, and also where the view has not seen every one of them."""
    view, order = View(query), InstanceOrder()
    for answer, protected, seen in beliefs:
        instances = order.of(tuple(answer))
        belief = Belief(instances=instances, change=order.change, protected=protected, backend="x")
        if not seen:
            continue
        snapshot = view.of(belief)
        assert snapshot == View(query).of(Belief(instances=instances, protected=protected, backend="x"))
        matching = [one for one in instances if query.selects(one)]
        assert snapshot.registered == len(matching)
        assert list(snapshot.instances) == [one for one in matching if protected or query.matches(one)]


def test_a_change_is_all_that_is_looked_at() -> None:
    looked_at: list[str] = []

    def passes(one: Instance) -> bool:
        looked_at.append(one.id)
        return one.healthy

    selection, order = Selection(passes), InstanceOrder()
    given_now = [instance(f"{number:03}", status="critical" if number == 7 else "passing") for number in range(100)]
    for changed in (None, instance("050", status="critical"), instance("050", weight=2), instance("007")):
        if changed is not None:
            given_now[int(changed.id)] = changed
        instances = order.of(tuple(given_now))
        answering = selection.of(Belief(instances=instances, change=order.change))
        assert answering == tuple(one for one in given_now if one.healthy)
        assert selection.of(Belief(instances=instances, change=order.change, stale_since=1.0)) is answering
        all_pass = len(answering) == len(instances)
        assert (answering is instances) == all_pass  # then no second set is kept
    assert looked_at[100:] == ["050"] * 4 + ["007"] * 2
