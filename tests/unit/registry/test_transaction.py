"""What a transaction sees, and the net effect that it leaves."""

from collections.abc import Callable

import msgspec
import pytest

from homeport.registry.records import CHECKS, NODES, SERVICES, CheckRecord, NodeRecord, ServiceRecord
from homeport.registry.store.contract import Commit, Effect, Put
from homeport.registry.store.memory_image import MemoryImage
from homeport.registry.store.transaction import PENDING, Overlay, Transaction
from tests.unit.registry.world import key_for

SVC_N = ("svc", "n")


def node(name: str, address: str = "") -> NodeRecord:
    return NodeRecord(name=name, address=address)


def service(service_id: str, port: int = 0) -> ServiceRecord:
    return ServiceRecord(node="n", id=service_id, name="web", port=port)


@pytest.fixture
def image() -> MemoryImage:
    """Node `old` since revision 5, changed at 7; instances `1` and `2` on node `n` since 6."""
    image = MemoryImage()
    history = (
        (5, [node("old")]), (6, [service("1"), service("2")]), (7, [node("old", "10.0.0.1")]),
    )  # fmt: skip
    for revision, records in history:
        puts = {key_for(record): Put(b"", record) for record in records}
        image.apply(Commit(revision, Effect({}, puts)))
    return image


def effect_of(image: MemoryImage, execute: Callable[[Transaction], object]) -> Effect:
    transaction = Transaction(Overlay(image))
    execute(transaction)
    return transaction.finish()


def test_what_is_put_is_encoded_and_what_was_there_is_read(image: MemoryImage) -> None:
    effect = effect_of(image, lambda t: t.put(NODES, node("old", "10.0.0.2")))
    assert effect.reads == {"node/old": 7}
    assert effect.puts["node/old"].value == node("old", "10.0.0.2")
    assert msgspec.json.decode(effect.puts["node/old"].raw) == {"name": "old", "address": "10.0.0.2"}
    assert not effect.empty


def test_writing_what_stands_there_is_no_write_but_a_read(image: MemoryImage) -> None:
    def execute(transaction: Transaction) -> None:
        assert not transaction.put(NODES, node("old", "10.0.0.1"))
        assert not transaction.delete(NODES, "new")

    effect = effect_of(image, execute)
    assert effect.empty
    assert effect.reads == {"node/old": 7, "node/new": 0}


@pytest.mark.parametrize(
    "execute",
    [
        lambda t: (t.put(NODES, node("old", "x")), t.put(NODES, node("old", "10.0.0.1"))),
        lambda t: (t.delete(NODES, "old"), t.put(NODES, node("old", "10.0.0.1"))),
        lambda t: (t.put(NODES, node("new")), t.delete(NODES, "new")),
        lambda t: (t.put(SERVICES, service("3")), t.delete(SERVICES, "n", "3"), t.put(NODES, node("old", "10.0.0.1"))),
    ],
)
def test_going_there_and_back_is_no_write(image: MemoryImage, execute: Callable[[Transaction], object]) -> None:
    assert effect_of(image, execute).empty


def test_clearing_only_what_was_just_made_is_no_write() -> None:
    def execute(transaction: Transaction) -> None:
        transaction.put(SERVICES, service("1"))
        assert transaction.clear(SERVICES, SVC_N, "n") == 1
        assert transaction.get(SERVICES, "n", "1") is None

    assert effect_of(MemoryImage(), execute).empty


def test_the_last_of_several_writes_counts(image: MemoryImage) -> None:
    def execute(transaction: Transaction) -> None:
        assert transaction.put(NODES, node("old", "x"))
        assert transaction.put(NODES, node("old", "y"))
        assert transaction.delete(NODES, "old")
        assert transaction.get(NODES, "old") is None
        assert not transaction.delete(NODES, "old")
        assert transaction.put(NODES, node("new", "x"))
        assert transaction.put(NODES, node("new", "y"))

    effect = effect_of(image, execute)
    assert effect.deletes == {"node/old"}
    assert {key: put.value for key, put in effect.puts.items()} == {"node/new": node("new", "y")}
    assert effect.reads == {"node/old": 7, "node/new": 0}


def test_names_compare_without_case(image: MemoryImage) -> None:
    def execute(transaction: Transaction) -> None:
        assert transaction.get(NODES, "OLD") == node("old", "10.0.0.1")
        assert transaction.put(NODES, node("OLD", "10.0.0.1"))

    assert set(effect_of(image, execute).puts) == {"node/old"}


def test_an_entry_has_its_revisions_and_ones_own_has_none_yet(image: MemoryImage) -> None:
    def execute(transaction: Transaction) -> None:
        entry = transaction.entry(NODES, "old")
        assert entry is not None
        assert (entry.created, entry.modified) == (5, 7)
        transaction.put(NODES, node("new"))
        own = transaction.entry(NODES, "new")
        assert own is not None
        assert own.modified == PENDING

    effect_of(image, execute)


def test_a_scan_sees_ones_own_writes_and_counts_as_read(image: MemoryImage) -> None:
    def execute(transaction: Transaction) -> None:
        transaction.delete(SERVICES, "n", "1")
        transaction.put(SERVICES, service("3"))
        transaction.put(SERVICES, service("2", 80))
        assert {(entry.value.id, entry.value.port) for entry in transaction.scan(SVC_N)} == {("2", 80), ("3", 0)}

    effect_of(image, execute)
    assert effect_of(image, lambda t: t.scan(SVC_N)).reads == {"svc/n/1": 6, "svc/n/2": 6}


def test_clearing_names_the_prefix_and_not_the_keys(image: MemoryImage) -> None:
    def execute(transaction: Transaction) -> None:
        transaction.put(SERVICES, service("3"))
        assert transaction.clear(SERVICES, SVC_N, "n") == 3
        assert not transaction.scan(SVC_N)
        transaction.put(SERVICES, service("2"))

    effect = effect_of(image, execute)
    assert effect.cleared == {"svc/n/": SVC_N}
    assert not effect.deletes
    assert set(effect.puts) == {"svc/n/2"}, "cleared and put again, so it must be written, though it is the same"
    assert effect.reads == {"svc/n/1": 6, "svc/n/2": 6, "svc/n/3": 0}
    assert effect.operations == 2


def test_clearing_nothing_is_no_write(image: MemoryImage) -> None:
    assert effect_of(image, lambda t: t.clear(SERVICES, ("svc", "other"), "other")).empty


def test_what_waits_in_the_group_is_seen_and_not_read(image: MemoryImage) -> None:
    overlay = Overlay(image)
    first = Transaction(overlay)
    first.put(NODES, node("old", "x"))
    first.put(SERVICES, service("3"))
    first.delete(SERVICES, "n", "1")
    first.finish()
    first.lay()

    second = Transaction(overlay)
    assert second.get(NODES, "old") == node("old", "x")
    pending = second.entry(NODES, "old")
    assert pending is not None
    assert (pending.created, pending.modified) == (5, PENDING)
    assert {entry.value.id for entry in second.scan(SVC_N)} == {"2", "3"}
    assert not second.put(SERVICES, service("3"))
    assert second.put(SERVICES, service("1"))
    assert second.finish().reads == {"svc/n/2": 6}, "the first answers for the rest"


def test_what_a_transaction_did_is_not_seen_before_it_is_laid(image: MemoryImage) -> None:
    overlay = Overlay(image)
    first = Transaction(overlay)
    first.put(NODES, node("new"))
    first.finish()
    assert Transaction(overlay).get(NODES, "new") is None


def test_a_scan_follows_a_record_that_moves_between_groups(image: MemoryImage) -> None:
    overlay = Overlay(image)
    first = Transaction(overlay)
    first.put(SERVICES, msgspec.structs.replace(service("1"), name="api"))
    first.finish()
    first.lay()
    second = Transaction(overlay)
    assert [entry.value.id for entry in second.scan(("name", "web"))] == ["2"]
    assert [entry.value.id for entry in second.scan(("name", "api"))] == ["1"]
    second.put(SERVICES, service("1"))
    second.finish()
    second.lay()
    third = Transaction(overlay)
    assert sorted(entry.value.id for entry in third.scan(("name", "web"))) == ["1", "2"]
    assert not third.scan(("name", "api"))


def test_a_refusal_leaves_what_was_read_and_nothing_else(image: MemoryImage) -> None:
    transaction = Transaction(Overlay(image))
    transaction.put(NODES, node("old", "x"))
    transaction.get(CHECKS, "n", "c")
    effect = transaction.read_only()
    assert effect.empty
    assert effect.reads == {"node/old": 7, "chk/n/c": 0}


def test_a_check_is_found_by_node_and_by_instance(image: MemoryImage) -> None:
    overlay = Overlay(image)
    first = Transaction(overlay)
    first.put(CHECKS, CheckRecord(node="N", id="c", service_id="S"))
    first.lay()
    assert len(Transaction(overlay).scan(("chk", "n"))) == 1
    assert len(Transaction(overlay).scan(("chk", "n", "s"))) == 1
