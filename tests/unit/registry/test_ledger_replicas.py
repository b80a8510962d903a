"""Several ledgers over one backing, which is a stand-in for etcd: they race, lose, catch up, and end with the same."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.registry.records import NODES, SERVICES, NodeRecord, ServiceRecord
from homeport.registry.store.contract import StoreError
from homeport.registry.store.ledger import Ledger
from homeport.registry.store.memory_image import Change
from homeport.registry.store.transaction import Refusal, Transaction
from tests.contract.store.replicated import MOST_OPERATIONS, Backing, ReplicaStore


class Replica:
    """A ledger that keeps, by its fold alone, a copy of what there is."""

    def __init__(self, backing: Backing) -> None:
        self.store = ReplicaStore(backing)
        self.ledger = Ledger(self.store, self._fold)
        self.folded: dict[str, object] = {}
        self.revisions: list[int] = []

    def _fold(self, revision: int, changes: list[Change]) -> None:
        self.revisions.append(revision)
        for change in changes:
            if change.before is not None:
                assert self.folded.pop(change.before.key) == change.before.value
            if change.after is not None:
                assert change.after.key not in self.folded
                self.folded[change.after.key] = change.after.value

    async def caught_up(self) -> None:
        """Return when this replica has heard of everything."""
        await self.ledger.transact(lambda transaction: transaction.get(NODES, "barrier"))

    def content(self) -> dict[str, tuple[object, int, int]]:
        entries = self.ledger.image.entries
        assert self.folded == {key: entry.value for key, entry in entries.items()}
        return {key: (entry.value, entry.created, entry.modified) for key, entry in entries.items()}


async def replicas(backing: Backing, count: int = 2) -> list[Replica]:
    made = [Replica(backing) for _ in range(count)]
    for replica in made:
        await replica.ledger.open()
    return made


async def ended(*replicas: Replica) -> None:
    """Close all; they have the same then, and just what was stored."""
    for replica in replicas:
        await replica.caught_up()
    first, *others = (replica.content() for replica in replicas)
    assert all(other == first for other in others)
    for replica in replicas:
        assert replica.revisions == sorted(set(replica.revisions))
        stored = {key: (stored.created, stored.modified) for key, stored in replica.store.backing.records.items()}
        assert {key: revisions for key, (_, *revisions) in first.items()} == {k: list(v) for k, v in stored.items()}
        await replica.ledger.aclose()


def add(name: str, mark: str) -> Callable[[Transaction], int]:
    """Append a mark to a node's address; the number of marks that were there."""

    def execute(transaction: Transaction) -> int:
        node = transaction.get(NODES, name) or NodeRecord(name=name)
        transaction.put(NODES, NodeRecord(name=name, address=node.address + mark))
        return len(node.address)

    return execute


def service(node: str, service_id: str) -> Callable[[Transaction], bool]:
    return lambda transaction: transaction.put(SERVICES, ServiceRecord(node=node, id=service_id, name="web"))


def clear(node: str) -> Callable[[Transaction], int]:
    return lambda transaction: transaction.clear(SERVICES, ("svc", node), node)


async def test_no_write_is_lost_when_two_replicas_write_the_same() -> None:
    backing = Backing(seed=1)
    left, right = await replicas(backing)
    results = await asyncio.gather(
        *(left.ledger.transact(add("a", "l")) for _ in range(20)),
        *(right.ledger.transact(add("a", "r")) for _ in range(20)),
    )
    assert backing.refused, "they must have raced"
    assert sorted(outcome.value for outcome in results) == list(range(40)), (
        "each saw all before it, and no two the same"
    )
    assert len({outcome.revision for outcome in results}) == 40
    (entry,) = left.ledger.image.entries.values()
    assert sorted(entry.value.address) == ["l"] * 20 + ["r"] * 20
    await ended(left, right)


async def test_a_replica_that_lags_never_refuses_wrongly() -> None:
    def must_stand(transaction: Transaction) -> str:
        node = transaction.get(NODES, "a")
        if node is None:
            raise Refusal("there is no such node", status=404)
        return node.address

    def must_not_stand(transaction: Transaction) -> None:
        if transaction.get(NODES, "a") is not None:
            raise Refusal("there is one already")

    lagged = 0
    for seed in range(20):
        backing = Backing(seed)
        left, right = await replicas(backing)
        await left.ledger.transact(add("a", "x"))
        lagged += not right.ledger.image.entries
        assert (await right.ledger.transact(must_stand)).value == "x"
        await left.ledger.transact(lambda transaction: transaction.delete(NODES, "a"))
        lagged += bool(right.ledger.image.entries)
        await right.ledger.transact(must_not_stand)
        with pytest.raises(Refusal, match="no such node"):
            await right.ledger.transact(must_stand)
        await ended(left, right)
    assert lagged, "it must have been behind at least once"


async def test_many_small_ones_share_a_flat_transaction_within_the_limit_and_large_ones_do_not() -> None:
    backing = Backing()
    (replica,) = await replicas(backing, 1)
    results = await asyncio.gather(*(replica.ledger.transact(add(f"n{number}", "x")) for number in range(300)))
    assert backing.largest == 120
    assert len({outcome.revision for outcome in results}) == 3
    assert backing.largest <= MOST_OPERATIONS

    def too_many(transaction: Transaction) -> None:
        for number in range(MOST_OPERATIONS + 1):
            transaction.put(NODES, NodeRecord(name=f"m{number}"))

    small, large = await asyncio.gather(
        replica.ledger.transact(add("a", "x")), replica.ledger.transact(too_many), return_exceptions=True
    )
    assert not isinstance(small, BaseException)
    assert isinstance(large, StoreError)
    await ended(replica)


async def test_transactions_that_share_a_key_get_revisions_of_their_own() -> None:
    backing = Backing()
    (replica,) = await replicas(backing, 1)
    results = await asyncio.gather(
        *(replica.ledger.transact(execute) for execute in (
            add("a", "1"), service("n", "1"), add("a", "2"), clear("n"), service("n", "1"), clear("n"), clear("n"),
            service("n", "2"), service("n", "3"), add("a", "3"),
        ))
    )  # fmt: skip
    revisions = [outcome.revision for outcome in results]
    assert revisions[0] == revisions[1] < revisions[2] == revisions[3] < revisions[4]
    assert [outcome.value for outcome in results] == [0, True, 1, 1, True, 1, 0, True, True, 2]
    assert set(replica.ledger.image.entries) == {"node/a", "svc/n/2", "svc/n/3"}
    await ended(replica)


async def test_clearing_takes_along_what_this_replica_has_not_heard_of() -> None:
    backing = Backing()
    left, right = await replicas(backing)
    await left.ledger.transact(service("n", "1"))
    await right.caught_up()
    await asyncio.gather(left.ledger.transact(service("n", "2")), right.ledger.transact(clear("n")))
    await right.ledger.transact(clear("n"))
    assert not backing.records
    await ended(left, right)


async def test_a_replica_that_missed_events_is_reset_while_it_serves() -> None:
    backing = Backing(seed=3)
    left, right = await replicas(backing)

    async def write(replica: Replica, mark: str) -> None:
        for number in range(30):
            await replica.ledger.transact(add(f"n{number % 7}", mark))
            await replica.ledger.transact(clear("n") if number % 5 == 4 else service("n", f"{number}"))
            if number % 6 == 0:
                backing.compact()

    await asyncio.gather(write(left, "l"), write(right, "r"))
    assert left.store.resets + right.store.resets > 4
    assert sum(len(entry.value.address) for entry in left.ledger.image.group(("node",)).values()) == 60
    await ended(left, right)


@given(
    seed=st.integers(0, 2**16),
    script=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from("abc")), max_size=30),
)
def test_whatever_races_all_replicas_end_with_the_same(seed: int, script: list[tuple[int, int, str]]) -> None:
    async def main() -> None:
        backing = Backing(seed)
        all_replicas = await replicas(backing, 3)
        marks = 0

        async def do(replica: Replica, kind: int, name: str) -> None:
            nonlocal marks
            if kind == 0:
                await replica.ledger.transact(add(name, "x"))
                marks += 1
            elif kind == 1:
                await replica.ledger.transact(service(name, f"{marks % 3}"))
            elif kind == 2:
                await replica.ledger.transact(clear(name))
            else:
                backing.compact()

        await asyncio.gather(*(do(all_replicas[number], kind, name) for number, kind, name in script))
        for replica in all_replicas:
            await replica.caught_up()
        group = all_replicas[0].ledger.image.group(("node",))
        assert sum(len(entry.value.address) for entry in group.values()) == marks
        await ended(*all_replicas)

    asyncio.run(main())
