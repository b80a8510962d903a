"""Every statement that the store executes fails once, with every kind of error that SQLite has for it."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from homeport.registry.records import NODES, SERVICES, NodeRecord, ServiceRecord
from homeport.registry.store.contract import OutcomeUnknown, ReadOnly, StoreBusy, StoreDamaged, StoreError, StoreFull
from homeport.registry.store.ledger import Ledger
from homeport.registry.store.sqlite import SqliteStore
from homeport.registry.store.transaction import Transaction


class Script:
    """Which statement fails, counted over all connections, and with what."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fails: Callable[[int, str], sqlite3.Error | None] = lambda _number, _sql: None

    def before(self, sql: str) -> None:
        self.seen.append(sql)
        error = self.fails(len(self.seen), sql)
        if error is not None:
            raise error


def error(code: int) -> sqlite3.OperationalError:
    """As SQLite raises it."""
    made = sqlite3.OperationalError("made to fail")
    made.sqlite_errorcode = code
    return made


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Every connection made meanwhile asks the script first."""
    script, connect = Script(), sqlite3.connect

    class Scripted(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            script.before(sql)
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
            script.before(sql)
            return super().executemany(sql, parameters)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=Scripted, **kwargs))
    return script


def write(number: int) -> Callable[[Transaction], None]:
    """A write that updates, makes, clears and deletes."""

    def execute(transaction: Transaction) -> None:
        transaction.put(NODES, NodeRecord(name="counter", address=str(number)))
        transaction.put(NODES, NodeRecord(name=f"n{number}"))
        transaction.clear(SERVICES, ("svc", f"n{number - 1}"), f"n{number - 1}")
        transaction.put(SERVICES, ServiceRecord(node=f"n{number}", id="s", name="web"))
        transaction.delete(NODES, f"n{number - 2}")

    return execute


async def opened(folder: Path) -> Ledger:
    ledger = Ledger(SqliteStore(folder), lambda *_: None)
    await ledger.open()
    return ledger


def content(ledger: Ledger) -> dict[str, tuple[object, int, int]]:
    return {key: (entry.value, entry.created, entry.modified) for key, entry in ledger.image.entries.items()}


def counter(ledger: Ledger) -> int:
    return int(ledger.image.entries[NODES.key("counter")].value.address)


CODES = {
    "no space": (sqlite3.SQLITE_FULL, StoreFull),
    "I/O": (sqlite3.SQLITE_IOERR, StoreError),
    "read only": (sqlite3.SQLITE_READONLY, ReadOnly),
    "busy": (sqlite3.SQLITE_BUSY, StoreBusy),
    "damaged": (sqlite3.SQLITE_CORRUPT, StoreDamaged),
    "memory": (sqlite3.SQLITE_NOMEM, StoreError),
}


async def meet(folder: Path, script: Script, at: int, code: int, expected: type[StoreError], *, lasting: bool) -> bool:
    """A write during which statement ``at`` fails; False when there are not so many."""
    ledger = await opened(folder)
    for number in range(3):
        await ledger.transact(write(number))
    before = content(ledger)
    script.seen.clear()
    script.fails = lambda number, _: error(code) if number == at or (lasting and number > at) else None
    raised: Exception | None = None
    try:
        await ledger.transact(write(3))
    except StoreError as caught:
        raised = caught
    hit = len(script.seen) >= at
    script.fails = lambda _number, _sql: None
    if raised is None:
        assert not hit
        assert counter(ledger) == 3
    else:
        assert isinstance(raised, (expected, OutcomeUnknown))
        assert str(raised).count("\n") == 0
        assert content(ledger) == before, "what was not acknowledged is not seen"
    await ledger.transact(write(4))
    assert counter(ledger) == 4
    after = content(ledger)
    await ledger.aclose()

    anew = await opened(folder)
    assert content(anew) == after
    await anew.aclose()
    return hit


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("kind", CODES)
def test_whichever_statement_fails_all_or_nothing_was_written(
    tmp_path: Path, script: Script, kind: str, lasting: bool
) -> None:
    code, expected = CODES[kind]
    at = 1
    while asyncio.run(meet(tmp_path / str(at), script, at, code, expected, lasting=lasting)):
        script.seen.clear()
        at += 1
    assert at > 6, "BEGIN, reads, clearing, deleting, putting, the revision, COMMIT"


def test_whichever_statement_fails_while_opening_nothing_is_held(tmp_path: Path, script: Script) -> None:
    async def main() -> None:
        ledger = await opened(tmp_path / "old")
        await ledger.transact(write(0))
        kept = content(ledger)
        await ledger.aclose()
        for folder in ("old", "new"):
            at, kinds = 1, set()
            while True:
                script.seen.clear()
                script.fails = lambda number, _, at=at: error(sqlite3.SQLITE_IOERR) if number == at else None  # type: ignore[misc]
                store = Ledger(SqliteStore(tmp_path / folder), lambda *_: None)
                try:
                    await store.open()
                except StoreError as raised:
                    kinds.add(type(raised))
                    at += 1
                else:
                    await store.aclose()
                    break
            assert kinds == {StoreError}
            script.fails = lambda _number, _sql: None
            assert at > 5
        ledger = await opened(tmp_path / "old")
        assert content(ledger) == kept
        await ledger.aclose()

    asyncio.run(main())


def test_the_text_of_an_error_says_what_happened_to_what(tmp_path: Path, script: Script) -> None:
    async def main() -> None:
        texts = []
        for name, (code, _) in CODES.items():
            folder = tmp_path / name
            ledger = await opened(folder)
            script.fails = lambda _number, sql, code=code: error(code) if sql.startswith("BEGIN") else None  # type: ignore[misc]
            with pytest.raises(StoreError) as raised:
                await ledger.transact(write(0))
            script.fails = lambda _number, _sql: None
            texts.append(str(raised.value))
            assert str(folder / "registry.db") in texts[-1]
            await ledger.aclose()
        assert len(set(texts)) == len(texts)
        assert "free some" in texts[0]

    asyncio.run(main())
