"""What every store promises of a commit."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from homeport.registry.records import NodeRecord
from homeport.registry.store.contract import CommitConflict, Effect, Store
from homeport.registry.store.memory_image import Change
from tests.contract.store.effects import node_key, node_put, only_reads, service_put, services_of, write
from tests.contract.store.follower import Follower
from tests.contract.store.places import Place


@pytest.fixture
def follower() -> Follower:
    return Follower()


@pytest.fixture
async def store(place: Place, follower: Follower) -> AsyncIterator[Store]:
    store = place.store()
    await store.open(follower)
    yield store
    await store.aclose()


async def reopened(place: Place, store: Store) -> Follower:
    """What somebody sees who opens the place after ``store`` was closed."""
    await store.aclose()
    anew, follower = place.store(), Follower()
    await anew.open(follower)
    await anew.aclose()
    return follower


def addresses(follower: Follower) -> dict[str, str]:
    return {entry.value.name: entry.value.address for entry in follower.image.group(("node",)).values()}


async def test_a_commit_is_told_before_it_returns_and_there_after_reopening(
    place: Place, store: Store, follower: Follower
) -> None:
    (revision,) = await store.commit([write(node_put("a", "1"), node_put("b", "2"))])
    assert addresses(follower) == {"a": "1", "b": "2"}
    assert follower.image.revision == revision
    assert {(created, modified) for _, created, modified in follower.content().values()} == {(revision, revision)}

    assert (await reopened(place, store)).content() == follower.content()


async def test_a_group_is_there_whole(place: Place, store: Store, follower: Follower) -> None:
    revisions = await store.commit([write(node_put(f"n{number}")) for number in range(50)])
    assert len(revisions) == 50
    assert list(revisions) == sorted(revisions)
    assert revisions[-1] == follower.image.revision
    assert len(follower.image.entries) == 50
    assert (await reopened(place, store)).content() == follower.content()


@pytest.mark.parametrize("wrong", ["absent", "older", "newer"])
async def test_a_group_with_one_stale_read_is_not_there_at_all(
    place: Place, store: Store, follower: Follower, wrong: str
) -> None:
    (first,) = await store.commit([write(node_put("a", "1"))])
    (second,) = await store.commit([write(node_put("a", "2"))])
    told, content = len(follower.commits), follower.content()
    stale = {"absent": 0, "older": first, "newer": second + 1}[wrong]

    effects = [write(node_put("b")), Effect({node_key("a"): stale}, node_put("c")), write(delete=(node_key("a"),))]
    with pytest.raises(CommitConflict) as conflict:
        await store.commit(effects)

    assert conflict.value.at_revision <= follower.image.revision
    assert len(follower.commits) == told
    assert follower.content() == content
    assert (await reopened(place, store)).content() == content


async def test_a_read_of_what_is_absent_holds_until_it_is_there(store: Store, follower: Follower) -> None:
    claim = Effect({node_key("a"): 0}, node_put("a"))
    await store.commit([claim])
    with pytest.raises(CommitConflict):
        await store.commit([claim])
    await store.commit([write(delete=(node_key("a"),))])
    await store.commit([claim])
    assert addresses(follower) == {"a": ""}


async def test_a_commit_goes_on_after_a_conflict(store: Store, follower: Follower) -> None:
    (revision,) = await store.commit([write(node_put("a", "1"))])
    with pytest.raises(CommitConflict):
        await store.commit([Effect({node_key("a"): 0}, node_put("a", "2"))])
    (later,) = await store.commit([Effect({node_key("a"): revision}, node_put("a", "3"))])
    assert later > revision
    assert addresses(follower) == {"a": "3"}


async def test_two_effects_may_depend_on_the_same_read(store: Store, follower: Follower) -> None:
    (revision,) = await store.commit([write(node_put("a"))])
    reads = {node_key("a"): revision}
    await store.commit([Effect(reads, node_put("b")), Effect(reads, node_put("c")), only_reads(reads)])
    assert set(addresses(follower)) == {"a", "b", "c"}


async def test_an_update_keeps_when_a_record_was_created(place: Place, store: Store, follower: Follower) -> None:
    (created,) = await store.commit([write(node_put("a", "1"))])
    (modified,) = await store.commit([write(node_put("a", "2"))])
    assert modified > created
    assert follower.content()[node_key("a")][1:] == (created, modified)
    assert (await reopened(place, store)).content() == follower.content()


async def test_a_record_made_anew_has_a_new_creation(place: Place, store: Store, follower: Follower) -> None:
    await store.commit([write(node_put("a"))])
    await store.commit([write(delete=(node_key("a"),))])
    assert not follower.image.entries
    (created,) = await store.commit([write(node_put("a"))])
    assert follower.content()[node_key("a")][1:] == (created, created)
    assert (await reopened(place, store)).content() == follower.content()


async def test_deleting_what_is_not_there_is_no_error(store: Store, follower: Follower) -> None:
    await store.commit([write(node_put("a"), delete=(node_key("b"),))])
    assert addresses(follower) == {"a": ""}


async def test_clearing_takes_what_is_under_the_prefix_and_no_more(
    place: Place, store: Store, follower: Follower
) -> None:
    near = [service_put("n", "x"), service_put("n2", "x"), service_put("n-", "x"), service_put("m", "x"), node_put("n")]
    await store.commit([write(*near, service_put("n", "y"), service_put("n", "~"), service_put("n", "é/0"))])
    await store.commit([write(clear=services_of("n"))])
    left = {key for put in near[1:] for key in put}
    assert set(follower.image.entries) == left
    assert (await reopened(place, store)).content() == follower.content()


async def test_a_put_under_a_prefix_cleared_by_the_same_effect_replaces(
    place: Place, store: Store, follower: Follower
) -> None:
    (created,) = await store.commit(
        [write(service_put("n", "a"), service_put("n", "c"), service_put("n", "e"), service_put("n", "f"))]
    )
    puts = (service_put("n", "c", 2), service_put("n", "b", 2), service_put("n", "f", 2))
    (modified,) = await store.commit([write(*puts, clear=services_of("n"))])
    seen = {entry.value.id: (entry.created, entry.modified) for entry in follower.image.entries.values()}
    assert seen == {"b": (modified, modified), "c": (created, modified), "f": (created, modified)}
    assert (await reopened(place, store)).content() == follower.content()


async def test_effects_that_share_a_key_follow_each_other(place: Place, store: Store, follower: Follower) -> None:
    (before,) = await store.commit([write(node_put("old"), service_put("n", "old"))])
    group = [
        write(node_put("new", "1")),
        write(node_put("new", "2")),
        write(node_put("old", "1")),
        write(delete=(node_key("old"),)),
        write(node_put("old", "2")),
        write(service_put("n", "new")),
        write(clear=services_of("n")),
        write(service_put("n", "old", 2)),
        write(node_put("passing")),
        write(delete=(node_key("passing"),)),
        write(service_put("n", "kept"), clear=services_of("n")),
        write(service_put("n", "kept", 2), clear=services_of("n")),
    ]
    if store.limits.shares_keys:
        revisions = await store.commit(group)
    else:
        revisions = [revision for effect in group for revision in await store.commit([effect])]
    assert revisions[0] > before
    assert len(set(revisions)) == len(group)
    assert list(revisions) == sorted(revisions)
    assert [commit.revision for commit in follower.commits[1:]] == list(revisions)
    content = {key: (created, modified) for key, (_, created, modified) in follower.content().items()}
    kept = next(iter(service_put("n", "kept")))
    assert content == {
        node_key("new"): (revisions[0], revisions[1]),
        node_key("old"): (revisions[4], revisions[4]),
        kept: (revisions[10], revisions[11]),
    }
    assert (await reopened(place, store)).content() == follower.content()


async def test_an_empty_effect_is_only_validated(place: Place, store: Store, follower: Follower) -> None:
    (first,) = await store.commit([write(node_put("a"))])
    reads = {node_key("a"): first}
    told = len(follower.commits)
    assert list(await store.commit([only_reads(reads), only_reads(reads)])) == [first, first]
    with pytest.raises(CommitConflict):
        await store.commit([only_reads({node_key("a"): 0})])
    assert len(follower.commits) == told

    before, made, after = await store.commit([only_reads(reads), write(node_put("b")), only_reads(reads)])
    assert first <= before <= made == after
    assert follower.image.revision == made
    assert (await reopened(place, store)).image.revision >= made


async def test_a_group_of_the_largest_size_is_taken(store: Store, follower: Follower) -> None:
    most = store.limits.operations
    largest = write(*(node_put(f"n{number}") for number in range(most)))
    (revision,) = await store.commit([largest])
    reads = dict.fromkeys(largest.puts, revision)
    (later,) = await store.commit([Effect(reads, {}, frozenset(reads))])
    assert later > revision
    assert not follower.image.entries


async def cancelled(store: Store, effects: list[Effect], turns: int) -> None:
    """Begin a commit and cancel it after some turns of the loop."""
    task = asyncio.create_task(store.commit(effects))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("turns", range(6))
async def test_what_follows_a_cancelled_commit_comes_after_it(
    place: Place, store: Store, follower: Follower, turns: int
) -> None:
    await cancelled(store, [write(node_put("a", "1")), write(node_put("b"))], turns)
    (last,) = await store.commit([write(node_put("c"))])
    assert set(addresses(follower)) in ({"c"}, {"a", "b", "c"})
    assert all(modified < last for key, (_, _, modified) in follower.content().items() if key != node_key("c"))
    assert (await reopened(place, store)).content() == follower.content()


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_commit_leaves_no_doubt_behind(
    place: Place, store: Store, follower: Follower, turns: int
) -> None:
    (known,) = await store.commit([write(node_put("a", "1"))])
    await cancelled(store, [write(node_put("a", "2"))], turns)
    # What was read before it may not hold any more; then the follower has been told the truth.
    try:
        await store.commit([Effect({node_key("a"): known}, node_put("b"))])
        assert addresses(follower) == {"a": "1", "b": ""}
    except CommitConflict:
        assert addresses(follower) == {"a": "2"}
    (last,) = await store.commit([write(node_put("c"))])
    assert last == follower.image.revision
    assert (await reopened(place, store)).content() == follower.content()


async def test_a_memory_that_has_gone_wrong_is_put_right_by_the_conflict(store: Store, follower: Follower) -> None:
    """Without that, a ledger over a store of its own would execute the same again and again."""
    if store.limits.exclusive:
        (revision,) = await store.commit([write(node_put("a", "1"))])
        entry = follower.image.entries[node_key("a")]
        wrong = msgspec.structs.replace(entry, value=NodeRecord(name="a", address="wrong"), modified=revision + 5)
        follower.image.take_in([Change(entry, wrong)], revision)
        with pytest.raises(CommitConflict):
            await store.commit([Effect({node_key("a"): wrong.modified}, node_put("a", "2"))])
        assert addresses(follower) == {"a": "1"}
        await store.commit([Effect({node_key("a"): revision}, node_put("a", "2"))])
        assert addresses(follower) == {"a": "2"}
