"""How the ledger executes transactions in groups, and whose result is whose."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import pytest

from homeport.registry.records import NODES, SERVICES, NodeRecord, ServiceRecord
from homeport.registry.store import ledger as ledger_module
from homeport.registry.store.contract import Image, Limits, OutcomeUnknown, Stored, StoreError, StoreFull
from homeport.registry.store.ledger import Ledger, Outcome
from homeport.registry.store.memory_image import Change
from homeport.registry.store.transaction import Refusal, Transaction
from tests.plugins.following import PATIENCE
from tests.unit.registry.stores import PATIENT, HeldStore, conflict


def patient(**limits: Any) -> Limits:
    return msgspec.structs.replace(PATIENT, **limits)


class Folded:
    """What was folded, by revision."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, list[Change]]] = []

    def __call__(self, revision: int, changes: list[Change]) -> None:
        self.commits.append((revision, changes))


async def opened(store: HeldStore, fold: Folded | None = None) -> Ledger:
    ledger = Ledger(store, fold or Folded())
    await ledger.open()
    return ledger


def put(name: str, address: str = "") -> Callable[[Transaction], bool]:
    return lambda transaction: transaction.put(NODES, NodeRecord(name=name, address=address))


def grow(name: str) -> Callable[[Transaction], str]:
    """Append a mark to a node's address, and return how it was before."""

    def execute(transaction: Transaction) -> str:
        before = transaction.get(NODES, name)
        address = before.address if before else ""
        transaction.put(NODES, NodeRecord(name=name, address=address + "+"))
        return address

    return execute


def address(ledger: Ledger, name: str) -> str | None:
    entry = ledger.image.entries.get(NODES.key(name))
    return None if entry is None else entry.value.address


async def together(ledger: Ledger, executes: Iterable[Callable[[Transaction], object]]) -> list[object]:
    """Start all before the first is executed, and return outcomes and errors."""
    waiting: list[Awaitable[Outcome[object]]] = [ledger.transact(execute) for execute in executes]
    return list(await asyncio.gather(*waiting, return_exceptions=True))


def outcomes(results: list[object]) -> list[Outcome[object]]:
    assert all(isinstance(result, Outcome) for result in results), results
    return [result for result in results if isinstance(result, Outcome)]


async def test_what_waits_together_is_one_group_executed_in_order() -> None:
    store, fold = HeldStore(), Folded()
    ledger = await opened(store, fold)
    results = outcomes(await together(ledger, [grow("a")] * 5))
    assert [result.value for result in results] == ["", "+", "++", "+++", "++++"]
    assert store.sizes == [5]
    revisions = [result.revision for result in results]
    assert revisions == sorted(set(revisions))
    assert [revision for revision, _ in fold.commits[1:]] == revisions
    assert address(ledger, "a") == "+++++"


async def test_what_comes_while_a_group_is_written_waits_for_the_next() -> None:
    store = HeldStore()
    ledger = await opened(store)
    store.open_gate.clear()
    first = asyncio.create_task(ledger.transact(grow("a")))
    await store.arrived.wait()
    later = asyncio.gather(*(ledger.transact(grow("a")) for _ in range(3)))
    await asyncio.sleep(0)
    assert store.sizes == [1]
    assert address(ledger, "a") is None, "nothing is visible before it is durable"
    store.open_gate.set()
    assert (await first).value == ""
    assert [outcome.value for outcome in await later] == ["+", "++", "+++"]
    assert store.sizes == [1, 3]


async def test_a_refusal_is_its_callers_only_and_leaves_nothing() -> None:
    store = HeldStore()
    ledger = await opened(store)

    def refuse(transaction: Transaction) -> None:
        transaction.put(NODES, NodeRecord(name="refused"))
        raise Refusal("not today", status=409)

    def look(transaction: Transaction) -> object:
        return transaction.get(NODES, "refused")

    before, refusal, look_result, after = await together(ledger, [put("a"), refuse, look, put("b")])
    assert isinstance(refusal, Refusal)
    assert refusal.status == 409
    assert outcomes([before, look_result, after])[1].value is None
    assert store.sizes == [4], "what the refused one read is validated with the rest"
    assert store.groups[0][1].empty
    assert set(store.groups[0][1].reads) == {"node/refused"}
    assert set(ledger.image.entries) == {"node/a", "node/b"}


async def test_a_defect_is_its_callers_only() -> None:
    def break_down(transaction: Transaction) -> None:
        transaction.put(NODES, NodeRecord(name="broken"))
        raise ZeroDivisionError

    def write_nonsense(transaction: Transaction) -> None:
        transaction.put(NODES, NodeRecord(name="nonsense", meta={"x": object()}))  # type: ignore[dict-item]

    store = HeldStore()
    ledger = await opened(store)
    results = await together(ledger, [put("a"), break_down, write_nonsense, put("b")])
    assert isinstance(results[1], ZeroDivisionError)
    assert isinstance(results[2], TypeError)
    assert set(ledger.image.entries) == {"node/a", "node/b"}
    assert store.sizes == [2]
    assert isinstance((await together(ledger, [break_down]))[0], ZeroDivisionError)
    assert store.sizes == [2]


async def test_identical_writes_change_nothing_and_tell_nobody() -> None:
    store, fold = HeldStore(), Folded()
    ledger = await opened(store, fold)
    first = await ledger.transact(put("a", "x"))
    told, revision = len(fold.commits), ledger.image.revision
    again = await ledger.transact(put("a", "x"))
    assert (first.value, again.value) == (True, False)
    assert again.revision == first.revision == revision == ledger.image.revision
    assert len(fold.commits) == told
    assert store.sizes == [1], "nobody else can write, so there is nothing to ask the store"

    there_and_back = await together(ledger, [put("a", "y"), put("a", "x")])
    assert len({outcome.revision for outcome in outcomes(there_and_back)}) == 2


async def test_a_store_that_others_write_to_validates_even_what_writes_nothing() -> None:
    store = HeldStore(patient(exclusive=False))
    ledger = await opened(store)
    outcome = await ledger.transact(lambda transaction: transaction.get(NODES, "a"))
    assert outcome.value is None
    assert [dict(effect.reads) for effect in store.groups[0]] == [{"node/a": 0}]
    assert outcome.revision == ledger.image.revision


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        (PATIENT, [10]),
        (patient(operations=4), [4, 4, 2]),
        (patient(operations=1), [1] * 10),
        (patient(size_bytes=60), [3, 3, 3, 1]),
        (patient(size_bytes=1), [1] * 10),
    ],
)
async def test_a_group_keeps_within_its_limits(limits: Limits, sizes: list[int]) -> None:
    store = HeldStore(limits)
    ledger = await opened(store)
    outcomes(await together(ledger, [put(f"n{number}") for number in range(10)]))
    assert store.sizes == sizes
    for group in store.groups:
        assert len(group) == 1 or sum(effect.operations for effect in group) <= limits.operations
        assert len(group) == 1 or sum(effect.size_bytes for effect in group) <= limits.size_bytes


async def test_what_is_read_counts_against_the_limit_once_a_key() -> None:
    def look(*names: str) -> Callable[[Transaction], object]:
        return lambda transaction: [transaction.get(NODES, name) for name in names]

    store = HeldStore(patient(operations=3, exclusive=False))
    ledger = await opened(store)
    outcomes(await together(ledger, [look("a", "b"), look("b", "c"), look("a", "c"), look("c", "d"), look("d")]))
    assert store.sizes == [3, 2]


async def test_a_transaction_larger_than_the_limit_is_a_group_alone() -> None:
    def many(transaction: Transaction) -> None:
        for number in range(20):
            transaction.put(NODES, NodeRecord(name=f"many{number}"))

    store = HeldStore(patient(operations=5))
    ledger = await opened(store)
    outcomes(await together(ledger, [put("a"), many, put("b"), put("c"), many]))
    assert store.sizes == [1, 1, 2], "the second time it changes nothing, so there is nothing to ask the store"


async def test_a_group_ends_when_executing_it_takes_too_long() -> None:
    pause = 0.002

    def linger(transaction: Transaction) -> None:
        until = time.monotonic() + 2 * pause
        while time.monotonic() < until:
            transaction.get(NODES, "a")
        transaction.put(NODES, NodeRecord(name="a", address=str(until)))

    store = HeldStore(Limits(pause=pause))
    ledger = await opened(store)
    outcomes(await together(ledger, [linger] * 3))
    assert store.sizes == [1, 1, 1]


async def test_effects_that_share_a_key_stand_in_different_groups_where_the_store_wants_it() -> None:
    def service(service_id: str) -> Callable[[Transaction], object]:
        return lambda transaction: transaction.put(SERVICES, ServiceRecord(node="n", id=service_id, name="web"))

    def clear(transaction: Transaction) -> int:
        return transaction.clear(SERVICES, ("svc", "n"), "n")

    store = HeldStore(patient(shares_keys=False))
    ledger = await opened(store)
    results = outcomes(await together(ledger, [grow("a"), put("b"), grow("a"), put("c"), grow("a")]))
    assert store.sizes == [2, 2, 1]
    assert [results[number].value for number in (0, 2, 4)] == ["", "+", "++"]

    store.groups.clear()
    outcomes(await together(ledger, [service("1"), put("d"), clear, service("1"), service("2"), clear, clear]))
    assert store.sizes == [2, 1, 2, 2], "a cleared prefix is shared with everything under it"


@pytest.mark.parametrize("error", [StoreFull("full"), OutcomeUnknown("perhaps"), StoreError("broken"), OSError("what")])
async def test_what_the_store_refuses_fails_the_whole_group_and_no_other(error: Exception) -> None:
    store, fold = HeldStore(fault=lambda number: error if number == 1 else None), Folded()
    ledger = await opened(store, fold)
    await ledger.transact(put("a"))
    told = len(fold.commits)
    results = await together(ledger, [put("b"), grow("a"), put("a")])
    assert results[:2] == [error, error]
    assert results[2] is error, "its result depended on what the others did"
    assert len(fold.commits) == told
    assert address(ledger, "a") == ""
    assert (await ledger.transact(grow("a"))).value == ""


async def test_after_a_conflict_all_are_executed_again_and_after_three_in_halves() -> None:
    store = HeldStore(fault=lambda number: conflict() if number < 8 else None)
    ledger = await opened(store)
    executed = 0

    def count(transaction: Transaction) -> str:
        nonlocal executed
        executed += 1
        return grow("a")(transaction)

    results = outcomes(await together(ledger, [count] * 12))
    assert [result.value for result in results] == ["+" * number for number in range(12)]
    assert store.sizes[:9] == [12, 12, 12, 6, 6, 6, 3, 3, 3]
    assert store.sizes[9:] == [9], "what comes after a success is not held small"
    assert executed == sum(store.sizes)


async def test_who_stops_waiting_before_execution_changes_nothing() -> None:
    store = HeldStore()
    ledger = await opened(store)
    gone = asyncio.create_task(ledger.transact(put("gone")))
    stays = asyncio.create_task(ledger.transact(put("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert gone.cancelled()
    assert set(ledger.image.entries) == {"node/stays"}


async def test_who_stops_waiting_later_has_written_all_the_same() -> None:
    store = HeldStore()
    ledger = await opened(store)
    store.open_gate.clear()
    gone = asyncio.create_task(ledger.transact(put("gone")))
    stays = asyncio.create_task(ledger.transact(put("stays")))
    await store.arrived.wait()
    gone.cancel()
    store.open_gate.set()
    await stays
    assert gone.cancelled()
    assert set(ledger.image.entries) == {"node/gone", "node/stays"}


async def test_closing_commits_what_waits_and_refuses_what_comes() -> None:
    store = HeldStore(patient(operations=1))
    ledger = await opened(store)
    waiting = [asyncio.create_task(ledger.transact(put(f"n{number}"))) for number in range(5)]
    await asyncio.sleep(0)
    await ledger.aclose()
    outcomes(list(await asyncio.gather(*waiting)))
    with pytest.raises(StoreError, match="closed"):
        await ledger.transact(put("late"))
    await ledger.aclose()
    assert len(store.groups) == 5


async def test_nobody_waits_for_ever_when_the_loop_is_taken_down() -> None:
    store = HeldStore()
    ledger = await opened(store)
    store.open_gate.clear()
    waiting = [asyncio.create_task(ledger.transact(put(f"n{number}"))) for number in range(3)]
    await store.arrived.wait()
    waiting.append(asyncio.create_task(ledger.transact(put("next"))))
    await asyncio.sleep(0)
    (pump,) = (task for task in asyncio.all_tasks() if task.get_name() == "homeport ledger")
    pump.cancel()
    await asyncio.wait(waiting, timeout=PATIENCE)
    assert all(task.cancelled() for task in waiting)
    store.open_gate.set()
    assert (await ledger.transact(put("after"))).value is True
    await ledger.aclose()


async def test_a_pump_that_never_began_does_not_keep_the_ledger_from_closing() -> None:
    ledger = await opened(HeldStore())
    waiting = asyncio.ensure_future(ledger.transact(put("a")))
    await asyncio.sleep(0)
    (pump,) = (task for task in asyncio.all_tasks() if task.get_name() == "homeport ledger")
    pump.cancel()
    await ledger.aclose()
    await asyncio.wait([waiting], timeout=PATIENCE)
    assert waiting.cancelled()


async def test_a_defect_in_the_fold_does_not_look_like_a_failed_write(caplog: pytest.LogCaptureFixture) -> None:
    def fold(revision: int, changes: list[Change]) -> None:
        if any(change.after is not None and change.after.value.name == "bad" for change in changes):
            raise ZeroDivisionError

    ledger = Ledger(HeldStore(), fold)
    await ledger.open()
    with caplog.at_level(logging.ERROR):
        results = outcomes(await together(ledger, [put("a"), put("bad"), put("b")]))
    assert len(results) == 3
    assert set(ledger.image.entries) == {"node/a", "node/bad", "node/b"}
    assert len(caplog.records) == 1


async def test_a_reset_is_compared_in_slices_and_taken_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_SLICE", 0.0)
    fold = Folded()
    ledger = await opened(HeldStore(), fold)
    for name in ("keep", "change", "drop"):
        await ledger.transact(put(name))
    kept = ledger.image.entries["node/keep"]
    records = [Stored("node/keep", b"not even looked at", kept.created, kept.modified)]
    revision = ledger.image.revision + 10
    records += [Stored(f"node/n{number}", b'{"name":"n%d"}' % number, revision, revision) for number in range(2000)]
    records.append(Stored("node/change", b'{"name":"change","address":"x"}', 1, revision))

    sizes = []
    resetting = asyncio.create_task(ledger.reset(Image(revision, records)))
    while not resetting.done():
        await asyncio.sleep(0)
        sizes.append(len(ledger.image.entries))
    await resetting
    assert len(sizes) > 5, "it made pauses"
    assert set(sizes) == {3, 2002}, "and nobody saw half of it"
    assert ledger.image.revision == revision
    assert ledger.image.entries["node/keep"] is kept
    told, changes = fold.commits[-1]
    assert told == revision
    assert len(changes) == 2000 + 2
    assert [change.before.key for change in changes if change.before and not change.after] == ["node/drop"]


async def test_a_reset_that_cannot_be_read_changes_nothing() -> None:
    ledger = await opened(HeldStore())
    await ledger.transact(put("a"))
    for damaged in (Stored("node/b", b"{", 1, 1), Stored("what/b", b"{}", 1, 1), Stored("node/b", b'{"name":1}', 1, 1)):
        with pytest.raises(StoreError, match=damaged.key):
            await ledger.reset(Image(ledger.image.revision, [Stored("node/c", b'{"name":"c"}', 1, 1), damaged]))
    assert set(ledger.image.entries) == {"node/a"}
