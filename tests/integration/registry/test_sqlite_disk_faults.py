"""Every write, sync, truncation and deletion that SQLite asks of the disk fails once; what was answered stays true."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from homeport.registry.records import NODES, SERVICES, NodeRecord, ServiceRecord
from homeport.registry.store.contract import OutcomeUnknown, StoreError
from homeport.registry.store.ledger import Ledger
from homeport.registry.store.memory_image import MemoryImage
from homeport.registry.store.sqlite import SqliteStore
from homeport.registry.store.transaction import Transaction
from tests.integration.registry.faulty_disk import Fault, FaultyDisk

ROUNDS = 4


class Told(msgspec.Struct):
    """What the callers were told of each round."""

    written: dict[int, int] = {}
    """Round and revision."""
    refused: set[int] = set()
    unknown: set[int] = set()


async def opened(folder: Path) -> Ledger:
    ledger = Ledger(SqliteStore(folder), lambda *_: None)
    await ledger.open()
    return ledger


async def rounds(ledger: Ledger, told: Told, numbers: range) -> None:
    """Each round writes two records of its own and one that all share."""
    for number in numbers:

        def execute(transaction: Transaction, number: int = number) -> None:
            transaction.put(NODES, NodeRecord(name=f"n{number}", address="x" * 3000))
            transaction.put(SERVICES, ServiceRecord(node=f"n{number}", id="s", name="web"))
            transaction.put(NODES, NodeRecord(name="last", address=str(number)))

        try:
            told.written[number] = (await ledger.transact(execute)).revision
        except OutcomeUnknown:
            told.unknown.add(number)
        except StoreError:
            told.refused.add(number)


def found_in(image: MemoryImage) -> set[int]:
    """The rounds that are there; each of them whole."""
    nodes = {entry.value.name[1:] for entry in image.group(("node",)).values() if entry.value.name.startswith("n")}
    services = {entry.value.node[1:] for entry in image.group(("name", "web")).values()}
    assert nodes == services
    rounds = {int(number) for number in nodes}
    revisions = [image.entries[NODES.key(f"n{number}")].modified for number in sorted(rounds)]
    assert revisions == sorted(set(revisions)), "a revision stands for one round"
    last = image.entries.get(NODES.key("last"))
    assert (int(last.value.address) if last else None) == max(rounds, default=None)
    return rounds


def check(told: Told, image: MemoryImage) -> None:
    found = found_in(image)
    assert set(told.written) <= found, "what was acknowledged is there"
    assert not told.refused & found, "what was refused is not, and has not appeared later"
    assert found <= {*told.written, *told.unknown}
    assert image.revision >= max(told.written.values(), default=0)


async def check_after_a_crash(told: Told, disk: FaultyDisk, folder: Path) -> None:
    """Whatever the disk may hold if all ends here, it opens, and what was told holds."""
    for number, files in enumerate(disk.after_power_failure()):
        copy = folder / str(number)
        copy.mkdir()
        for name, content in files.items():
            (copy / name).write_bytes(content)
        ledger = await opened(copy)
        check(told, ledger.image)
        before = ledger.image.revision
        await rounds(ledger, told_later := Told(), range(100, 101))
        assert told_later.written[100] > before
        await ledger.aclose()
        shutil.rmtree(copy)


FOREVER = 10**6


async def live(folder: Path, disk: FaultyDisk, fault: Fault, *, killed: bool) -> tuple[int, Told]:
    """Some rounds, of which some meet the fault; return how many operations have failed, and what was told.

    ``killed``: the process ends before the disk works again, and the next one goes on.
    """
    data, crashed = folder / "data", folder / "crashed"
    crashed.mkdir(parents=True)
    ledger, told = await opened(data), Told()
    await rounds(ledger, told, range(2))
    assert len(told.written) == 2
    disk.set(fault)
    await rounds(ledger, told, range(2, ROUNDS))
    failed = disk.failed
    disk.set(None)
    if killed:
        disk.set(Fault(1, FOREVER))  # closing does nothing then that a kill would not do
        await ledger.aclose()
        disk.set(None)
        ledger = await opened(data)
    check(told, ledger.image)  # in memory, too, whatever is not known yet
    await check_after_a_crash(told, disk, crashed)

    alone = await ledger.transact(lambda transaction: transaction.put(NODES, NodeRecord(name="alone")))
    others = [entry.modified for entry in ledger.image.entries.values() if entry.key != NODES.key("alone")]
    assert alone.revision > max(others), "a write that reads nothing of the others comes after them all the same"
    await rounds(ledger, told, range(ROUNDS, ROUNDS + 1))
    assert ROUNDS in told.written, "as soon as the disk works again, so does the store"
    assert found_in(ledger.image) >= set(told.written)
    await check_after_a_crash(told, disk, crashed)
    content = {key: (entry.value, entry.created, entry.modified) for key, entry in ledger.image.entries.items()}
    await ledger.aclose()

    anew = await opened(data)
    check(told, anew.image)
    assert {key: (e.value, e.created, e.modified) for key, e in anew.image.entries.items()} == content
    await anew.aclose()
    return failed, told


@pytest.mark.parametrize("killed", [False, True], ids=["same process", "next process"])
@pytest.mark.parametrize("count", [1, 2, 4, FOREVER])
@pytest.mark.parametrize("kind", ["broken", "broken but done", "full"])
def test_whatever_operation_fails_what_was_answered_stays_true(
    tmp_path: Path, kind: str, count: int, killed: bool
) -> None:
    first = failed = 1
    outcomes: set[str] = set()
    while failed:
        fault = Fault(first, first + count - 1, full=kind == "full", done=kind == "broken but done")
        with FaultyDisk(tmp_path / "data") as disk:
            failed, told = asyncio.run(live(tmp_path, disk, fault, killed=killed))
        outcomes |= {name for name in ("written", "refused", "unknown") if getattr(told, name)}
        for folder in ("data", "crashed"):
            shutil.rmtree(tmp_path / folder)
        first += 1
    assert first > ROUNDS, "the fault must have met some operations before it met none"
    if kind == "full" or count == 1:
        assert outcomes == {"written", "refused"}, "it is known what became of a write once the disk answers again"
    elif count == FOREVER:
        assert outcomes == {"written", "refused", "unknown"}
